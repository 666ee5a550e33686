"""FA-Net's target attention loss (Eq. 4-5, 7) against loops, and its bounds."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reidlib.losses.target_attention import target_attention_loss


def random_maps(seed: int, shape=(2, 3, 4, 2)):
    generator = torch.Generator().manual_seed(seed)
    foreground, background = (torch.randn(shape, generator=generator) for _ in "FB")
    mask = torch.rand((shape[0], 1, *shape[2:]), generator=generator)
    return foreground.relu(), background.relu(), mask


def slow_target_attention(foreground, background, mask, form) -> float:
    """Eq. 4-5 and 7 position by position."""
    images, channels, rows, columns = foreground.shape
    total = 0.0
    for b in range(images):
        for c in range(channels):
            norms = [
                sum(v**2 for v in m[b, c].flatten().tolist()) ** 0.5
                for m in (foreground, background)
            ]
            norms = norms if form == "eq4" else [1, 1]
            for i in range(rows):
                for j in range(columns):
                    z = mask[b, 0, i, j].item()
                    f, g = (
                        m[b, c, i, j].item() / max(norm, 1e-6)
                        for m, norm in zip((foreground, background), norms, strict=True)
                    )
                    total += f + g if form == "v1" else f * (1 - z) + g * z
    return total / foreground.numel()


@pytest.mark.parametrize("form", ["v1", "v2", "eq4"])
@pytest.mark.parametrize("seed", range(3))
def test_target_attention_against_loops(form, seed):
    maps = random_maps(seed)
    maps[0][0, 1] = 0  # a dead channel
    expected = slow_target_attention(*maps, form)
    assert target_attention_loss(*maps, form).item() == pytest.approx(expected)


@given(seed=st.integers(0, 999), scales=st.tuples(*[st.floats(1e-2, 1e3)] * 2))
def test_target_attention_is_bounded_and_blind_to_scale(seed, scales):
    foreground, background, mask = random_maps(seed)
    loss = target_attention_loss(foreground, background, mask)
    scaled = target_attention_loss(scales[0] * foreground, scales[1] * background, mask)
    torch.testing.assert_close(scaled, loss)
    assert 0 <= loss <= (2 / 8) ** 0.5 + 1e-6
    one_term = target_attention_loss(foreground, 0 * background, mask)
    assert 0 <= one_term <= 8**-0.5 + 1e-6
    for form in ("v1", "v2"):
        doubled = target_attention_loss(2 * foreground, 2 * background, mask, form)
        single = target_attention_loss(foreground, background, mask, form)
        torch.testing.assert_close(doubled, 2 * single)


def test_the_bound_is_reached_when_both_branches_see_the_wrong_half():
    top = torch.zeros(1, 1, 24, 8)
    top[:, :, :12] = 1
    loss = target_attention_loss(7 * top, 3 * (1 - top), 1 - top)
    assert loss.item() == pytest.approx((2 / 192) ** 0.5)
    assert target_attention_loss(top, 1 - top, top).item() == 0


def test_gradients_of_target_attention_reach_all_three_and_stay_finite():
    maps = random_maps(0)
    maps[0][0, 1] = 0
    leaves = [part.clone().requires_grad_() for part in maps]
    target_attention_loss(*leaves).backward()
    for leaf in leaves:
        assert leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0

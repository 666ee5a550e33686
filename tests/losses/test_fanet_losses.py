"""FA-Net's losses: Eq. 4-7 against loops, their bounds, and the terms by name."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy
from toys.small_fanet import BATCH, TABLE_I, images, tiny

from reidlib.losses.target_attention import target_attention_loss
from reidlib.models.fanet import objective


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


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_terms_against_one_cross_entropy_per_stripe(reduction):
    output = tiny()(images())
    terms = objective(output, BATCH, reduction=reduction)
    person = [cross_entropy(logits, BATCH.labels) for logits in output.identity_logits]
    camera = [cross_entropy(logits, BATCH.camids) for logits in output.camera_logits]
    divisor = 15 if reduction == "mean" else 1
    torch.testing.assert_close(terms["identity"], sum(person) / divisor)
    torch.testing.assert_close(terms["camera"], sum(camera) / divisor)
    attention = target_attention_loss(
        output.foreground_map, output.background_map, output.mask
    )
    torch.testing.assert_close(terms["target_attention"], attention)


def test_terms_of_absent_parts_are_absent():
    for row, names in [
        ("baseline", {"identity"}),
        ("TEM", {"identity"}),
        ("BG", {"identity", "camera"}),
        ("HPP", {"identity", "camera"}),
    ]:
        output = tiny(**TABLE_I[row])(images())
        assert objective(output, BATCH, target_attention="none").keys() == names
    terms = objective(output, BATCH, target_attention="v2")
    assert terms.keys() == {"identity", "camera", "target_attention"}


def test_terms_that_cannot_be_are_refused():
    for row in ("TEM", "baseline"):
        output = tiny(**TABLE_I[row])(images())
        with pytest.raises(ValueError, match=r"'eq4' needs .*background=True.*none"):
            objective(output, BATCH)
    output = tiny(enhancement=False, interaction=False)(images())
    with pytest.raises(ValueError, match=r"'v1' needs enhancement=True"):
        objective(output, BATCH, target_attention="v1")
    output = tiny()(images())
    with pytest.raises(ValueError, match=r"target_attention is 'v3'.*eq4.*v1.*v2"):
        objective(output, BATCH, target_attention="v3")
    with pytest.raises(ValueError, match=r"reduction is 'max'.*mean.*sum"):
        objective(output, BATCH, reduction="max")

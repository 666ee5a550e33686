"""FBA's diversity loss (Eq. 5-7, 9) against loops, a library and by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch.nn.functional import cosine_similarity, normalize

from reidlib.losses.diversity import consistency_loss, tri_div_loss

SEEDS = st.integers(0, 10_000)


def features(seed: int, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """F_f and F_b (count, 2, 5), image first, of several lengths."""
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, count, 2, 5, generator=generator)
    return tuple(both * torch.tensor([1.0, 7.0])[:, None])


def slow_tri_div(foreground, background, margin) -> float:
    """Eq. 6 and 9 tuple by tuple, Eq. 5 pair by pair."""
    total = 0.0
    for i in range(len(foreground)):
        f_v, f_t = normalize(foreground[i].double(), dim=-1)
        b_v, b_t = normalize(background[i].double(), dim=-1)
        tuples = [
            (f_t, f_v, b_t, b_v),
            (b_t, b_v, f_t, f_v),
            (f_v, f_t, b_t, b_v),
            (b_v, b_t, f_t, f_v),
        ]
        for a, b, c, d in tuples:
            for negative in (c, d):
                near = float(((a - b) ** 2).sum())
                far = float(((a - negative) ** 2).sum())
                total += max(near - far + margin, 0.0)
    return total / len(foreground)


@given(seed=SEEDS, margin=st.floats(0, 2))
def test_tri_div_against_loops(seed, margin):
    found = tri_div_loss(*features(seed), margin)
    expected = slow_tri_div(*features(seed), margin)
    assert found.item() == pytest.approx(expected, abs=1e-4)


@given(seed=SEEDS)
def test_tri_div_is_a_librarys_triplet_loss_on_eight_triplets(seed):
    foreground, background = features(seed, count=1)
    four = torch.cat([foreground[0], background[0]])
    own, other = {0: 1, 1: 0, 2: 3, 3: 2}, {0: (2, 3), 1: (2, 3), 2: (0, 1), 3: (0, 1)}
    triplets = [(a, own[a], c) for a in range(4) for c in other[a]]
    indices = tuple(torch.tensor(index) for index in zip(*triplets, strict=True))
    library = TripletMarginLoss(
        margin=0.3,
        distance=LpDistance(normalize_embeddings=True, power=2),
        reducer=MeanReducer(),
    )
    expected = 8 * library(four, torch.arange(4), indices)
    found = tri_div_loss(foreground, background)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_tri_div_by_hand():
    """Features at angles: 0 and 60 degrees in front, 90 and 180 behind."""
    angles = torch.tensor([0.0, 60.0, 90.0, 180.0]).deg2rad()
    points = torch.stack([angles.cos(), angles.sin()], 1)
    # chords squared: f 1, b 2; across 2, 4 and 2 - sqrt(3), 3
    across = [2.0, 4.0, 2 - 3**0.5, 3.0]
    expected = sum(max(near - far + 0.3, 0) for near in (1, 2) for far in across)
    found = tri_div_loss(points[None, :2], points[None, 2:])
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_regions_that_are_apart_cost_nothing_and_equal_ones_the_margin():
    ours = torch.tensor([[[1.0, 0.0], [2.0, 0.0]]])
    theirs = torch.tensor([[[0.0, 1.0], [0.0, 3.0]]])
    assert tri_div_loss(ours, theirs).item() == 0
    assert tri_div_loss(ours, ours).item() == pytest.approx(8 * 0.3)


@given(seed=SEEDS)
def test_losses_do_not_know_which_region_or_modality_is_which(seed):
    foreground, background = features(seed)
    for loss in (tri_div_loss, consistency_loss):
        expected = loss(foreground, background)
        torch.testing.assert_close(loss(background, foreground), expected)
        swapped = foreground.flip(1), background.flip(1)
        torch.testing.assert_close(loss(*swapped), expected)
        order = torch.tensor([2, 0, 3, 1])
        torch.testing.assert_close(loss(foreground[order], background[order]), expected)


@given(seed=SEEDS)
def test_consistency_against_loops(seed):
    foreground, background = features(seed)
    total = 0.0
    for f, b in zip(foreground, background, strict=True):
        total += 1 - float(cosine_similarity(f[1], f[0], dim=0))
        total += 1 - float(cosine_similarity(b[1], b[0], dim=0))
    found = consistency_loss(foreground, background).item()
    assert found == pytest.approx(total / len(foreground), abs=1e-5)
    assert 0 <= found <= 4 + 1e-6
    assert consistency_loss(
        foreground[:, :1].expand(-1, 2, -1), background[:, 1:].expand(-1, 2, -1)
    ).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e20])
def test_gradients_stay_finite(scale):
    regions = [(scale * part).requires_grad_() for part in features(0)]
    loss = tri_div_loss(*regions) + consistency_loss(*regions)
    loss.backward()
    assert loss.isfinite()
    assert all(part.grad.isfinite().all() for part in regions)

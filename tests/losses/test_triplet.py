"""The triplet loss against slow loops, a library, and the edges of its domain."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer

from reidlib.losses.triplet import (
    euclidean_distances,
    mean_triplet_loss,
    triplet_loss,
)

ANGLES = [0, 20, 40, 60, 80]  # degrees on the unit circle
LABELS = [0, 0, 1, 1, 2]


def on_circle(angles, radius=1.0) -> torch.Tensor:
    radians = torch.tensor(angles, dtype=torch.float32).deg2rad()
    return radius * torch.stack([radians.cos(), radians.sin()], dim=1)


def slow_triplet_loss(points, labels, margin, soft_margin) -> float:
    """Hermans et al. 2017, Eq. 5, as loops over anchors, positives and negatives."""
    terms = []
    for a, anchor in enumerate(points):
        positives = [
            math.dist(anchor, other)
            for p, other in enumerate(points)
            if p != a and labels[p] == labels[a]
        ]
        negatives = [
            math.dist(anchor, other)
            for n, other in enumerate(points)
            if labels[n] != labels[a]
        ]
        if not positives or not negatives:
            continue
        excess = max(positives) - min(negatives)
        hinge = max(margin + excess, 0.0)
        terms.append(math.log1p(math.exp(excess)) if soft_margin else hinge)
    return sum(terms) / len(terms) if terms else 0.0


@pytest.mark.parametrize("soft_margin", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.1, 0.3])
def test_points_on_a_circle_against_loops(margin, soft_margin):
    points = on_circle(ANGLES)
    found = triplet_loss(
        points, torch.tensor(LABELS), margin=margin, soft_margin=soft_margin
    )
    expected = slow_triplet_loss(points.tolist(), LABELS, margin, soft_margin)
    assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_one_anchor_by_hand():
    points = torch.tensor([[0.0], [3.0], [5.0]])
    labels = torch.tensor([0, 0, 1])
    # anchor 0: 3 - 5 = -2; anchor 1: 3 - 2 = 1; anchor 2 has no positive
    assert triplet_loss(points, labels, margin=0.3).item() == pytest.approx(1.3 / 2)


@given(
    data=st.lists(
        st.tuples(st.floats(-9, 9, width=16), st.floats(-9, 9), st.integers(0, 3)),
        min_size=1,
        max_size=12,
    ),
    soft_margin=st.booleans(),
)
def test_any_small_batch_against_loops(data, soft_margin):
    points = torch.tensor([point[:2] for point in data], dtype=torch.float32)
    labels = [point[2] for point in data]
    found = triplet_loss(points, torch.tensor(labels), soft_margin=soft_margin)
    expected = slow_triplet_loss(points.tolist(), labels, 0.3, soft_margin)
    assert found.item() == pytest.approx(expected, rel=1e-3, abs=6e-3)


@pytest.mark.parametrize("soft_margin", [False, True])
def test_against_pytorch_metric_learning(soft_margin):
    torch.manual_seed(0)
    embeddings = 2 * torch.randn(64, 128)
    labels = torch.arange(16).repeat_interleave(4)
    distance = LpDistance(normalize_embeddings=False)
    loss = TripletMarginLoss(
        margin=0.0 if soft_margin else 0.3,
        smooth_loss=soft_margin,
        distance=distance,
        reducer=MeanReducer(),
    )
    triplets = BatchHardMiner(distance=distance)(embeddings, labels)
    found = triplet_loss(embeddings, labels, soft_margin=soft_margin)
    torch.testing.assert_close(found, loss(embeddings, labels, triplets))


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 4], [7, 7, 7, 7, 7]])
def test_without_positives_or_negatives_it_is_zero_with_a_gradient(labels):
    points = on_circle(ANGLES).requires_grad_()
    loss = triplet_loss(points, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(points.grad, torch.zeros_like(points))


@pytest.mark.parametrize("soft_margin", [False, True])
def test_large_values_stay_finite(soft_margin):
    points = on_circle(range(0, 360, 2), radius=1e6).requires_grad_()
    labels = torch.arange(180) % 60
    loss = triplet_loss(points, labels, soft_margin=soft_margin)
    loss.backward()
    assert loss.isfinite()
    assert points.grad.isfinite().all()


@pytest.mark.parametrize("soft_margin", [False, True])
def test_duplicates_have_finite_gradients(soft_margin):
    points = torch.zeros(8, 16, requires_grad=True)
    labels = torch.arange(4).repeat_interleave(2)
    triplet_loss(points, labels, soft_margin=soft_margin).backward()
    assert points.grad.isfinite().all()


def test_the_order_of_the_batch_does_not_matter():
    torch.manual_seed(0)
    embeddings, labels = torch.randn(24, 8), torch.arange(24) % 6
    order = torch.randperm(24)
    torch.testing.assert_close(
        triplet_loss(embeddings[order], labels[order]), triplet_loss(embeddings, labels)
    )


def test_the_gradient_pulls_positives_and_pushes_negatives():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    triplet_loss(points, torch.tensor([0, 0, 1]), margin=0.3).backward()
    assert points.grad[1, 0] > 0  # a descent step moves the positive to the anchor
    assert points.grad[2, 1] < 0  # and the negative away


def test_mixed_precision_does_not_reach_the_distances():
    embeddings = torch.randn(8, 32)
    labels = torch.arange(4).repeat_interleave(2)
    expected = triplet_loss(embeddings.bfloat16().float(), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = triplet_loss(embeddings.bfloat16(), labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_distances_against_a_library():
    first, second = torch.randn(5, 16), torch.randn(7, 16)
    expected = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(euclidean_distances(first, second), expected)
    assert euclidean_distances(first, first).diagonal().max() < 1e-2


def slow_mean_triplet_loss(points, labels, margin) -> float:
    """Hermans et al. 2017, Eq. 6, as loops over all triplets."""
    terms = [
        max(margin + math.dist(points[a], points[p]) - math.dist(points[a], other), 0.0)
        for a in range(len(points))
        for p in range(len(points))
        for n, other in enumerate(points)
        if p != a and labels[p] == labels[a] != labels[n]
    ]
    return sum(terms) / len(terms) if terms else 0.0


@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
def test_the_mean_over_all_triplets_against_loops_and_a_library(margin):
    points, labels = on_circle(ANGLES), torch.tensor(LABELS)
    found = mean_triplet_loss(points, labels, margin=margin)
    slow = slow_mean_triplet_loss(points.tolist(), LABELS, margin)
    assert float(found) == pytest.approx(slow, abs=1e-6)
    distance = LpDistance(normalize_embeddings=False)
    library = TripletMarginLoss(margin, distance=distance, reducer=MeanReducer())
    assert float(found) == pytest.approx(float(library(points, labels)), abs=1e-5)


def test_the_mean_over_all_triplets_is_at_most_the_hardest_and_has_edges():
    points, labels = on_circle(ANGLES), torch.tensor(LABELS)
    hardest = triplet_loss(points, labels, margin=0.3)
    assert 0 < mean_triplet_loss(points, labels, margin=0.3) < hardest
    for alone in (torch.zeros(5, dtype=torch.int64), torch.arange(5)):
        assert mean_triplet_loss(points, alone, margin=0.3) == 0, "no triplet"
    same = torch.ones(4, 3, requires_grad=True)
    mean_triplet_loss(same, torch.tensor([0, 0, 1, 1])).backward()
    assert same.grad.isfinite().all()

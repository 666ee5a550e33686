"""Overlap of masks and regions, against slow loops and a library."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from reidlib.analysis import localization as masks
from reidlib.data.masks import cell_labels, cell_shares


@st.composite
def labelled(draw, num_classes=4):
    """Labels (B, H, W) and a grid whose cells need not be of one size."""
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 7)))
    grid = (draw(st.integers(1, shape[1])), draw(st.integers(1, shape[2])))
    seed = draw(st.integers(0, 999))
    labels = torch.randint(
        0, num_classes, shape, generator=torch.Generator().manual_seed(seed)
    )
    return labels, grid


def cells(labels: torch.Tensor, grid: tuple[int, int]):
    """Each cell's place and pixels; uneven cells overlap, as in adaptive pooling."""
    (height, width), (rows, columns) = labels.shape[1:], grid
    for image in range(len(labels)):
        for row in range(rows):
            top, bottom = row * height // rows, -(-(row + 1) * height // rows)
            for column in range(columns):
                left = column * width // columns
                right = -(-(column + 1) * width // columns)
                yield (image, row, column), labels[image, top:bottom, left:right]


@given(labelled())
def test_cell_shares_count_the_pixels_of_each_cell(case):
    labels, grid = case
    shares = cell_shares(labels, grid, 4)
    assert shares.shape == (len(labels), 4, *grid)
    assert torch.allclose(shares.sum(dim=1), torch.ones(len(labels), *grid))
    for (image, row, column), pixels in cells(labels, grid):
        for label in range(4):
            share = (pixels == label).double().mean()
            assert shares[image, label, row, column] == pytest.approx(float(share))


@given(labelled())
def test_a_cell_has_the_label_of_most_of_its_pixels(case):
    labels, grid = case
    found = cell_labels(labels, grid, 4)
    for place, pixels in cells(labels, grid):
        counts = [(pixels == label).sum() for label in range(4)]
        assert found[place] in [i for i in range(4) if counts[i] == max(counts)]


def test_ties_go_to_the_smaller_label():
    labels = torch.tensor([[[3, 3, 2, 1], [2, 2, 1, 2]]])
    assert cell_labels(labels, (1, 2), 4).tolist() == [[[2, 1]]]
    assert cell_labels(labels.to(torch.uint8), (2, 4), 4).tolist() == (labels.tolist())


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(RuntimeError, match="smaller than num_classes"):
        cell_shares(torch.tensor([[[4]]]), (1, 1), 4)


@given(st.integers(0, 999), st.integers(1, 40))
def test_region_iou_is_intersection_over_union(seed, cells):
    generator = torch.Generator().manual_seed(seed)
    ours, true = torch.randint(0, 4, (2, 1, cells, 1), generator=generator)
    found = masks.region_iou(ours, true, 5)
    for label in range(5):
        mine = {i for i in range(cells) if ours[0, i, 0] == label}
        yours = {i for i in range(cells) if true[0, i, 0] == label}
        if mine | yours:
            assert found[label] == pytest.approx(len(mine & yours) / len(mine | yours))
        else:
            assert math.isnan(found[label])


def test_region_iou_of_equal_and_of_disjoint_regions():
    labels = torch.tensor([[[0, 1], [2, 2]]])
    assert masks.region_iou(labels, labels, 3).tolist() == [1, 1, 1]
    assert masks.region_iou(labels, (labels + 1) % 3, 3).tolist() == [0, 0, 0]


def test_soft_iou_is_iou_where_masks_are_hard():
    ours = torch.tensor([[[1.0, 1, 0, 0]], [[1, 1, 1, 1]], [[0, 0, 0, 0]]])
    true = torch.tensor([[[0.0, 1, 1, 0]], [[1, 1, 1, 1]], [[1, 0, 0, 0]]])
    assert masks.soft_iou(ours, true).tolist() == pytest.approx([1 / 3, 1, 0])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=9))
def test_soft_iou_is_minima_over_maxima(pairs):
    ours, true = torch.tensor(pairs, dtype=torch.float64).T[:, None, None]
    found = masks.soft_iou(ours, true)
    top, bottom = sum(map(min, pairs)), sum(map(max, pairs))
    if bottom == 0:
        assert math.isnan(found)
    else:
        assert found.item() == pytest.approx(top / bottom, abs=1e-12)


def test_share_inside_weighs_the_mask_by_the_energy():
    energy = torch.tensor([[[1.0, 2], [3, 4]], [[0, 0], [0, 5]], [[0, 0], [0, 0]]])
    shares = torch.tensor([[0.0, 0.5], [1, 0]]).expand(3, 2, 2)
    found = masks.share_inside(energy, shares)
    assert found[:2].tolist() == pytest.approx([(2 * 0.5 + 3) / 10, 0.0])
    assert math.isnan(found[2])


@given(st.integers(0, 99))
def test_a_uniform_map_scores_the_area_and_scale_does_not_matter(seed):
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(3, 4, 2, generator=generator)
    energy = torch.rand(3, 4, 2, generator=generator)
    uniform = masks.share_inside(torch.ones(3, 4, 2), shares)
    assert torch.allclose(uniform, shares.mean(dim=(1, 2)))
    found = masks.share_inside(energy, shares)
    assert torch.allclose(masks.share_inside(7 * energy, shares), found)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_mask_auc_is_the_area_under_the_roc_curve(pairs):
    scores = torch.tensor([float(score) for score, _ in pairs])
    inside = torch.tensor([truth for _, truth in pairs])
    found = masks.mask_auc(scores, inside)
    if inside.all() or not inside.any():
        assert math.isnan(found)
        return
    assert found == pytest.approx(roc_auc_score(inside.numpy(), scores.numpy()))
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a in scores[inside]
        for b in scores[~inside]
    ]
    assert found == pytest.approx(np.mean(wins))


def test_mask_auc_sees_order_only_and_any_shape():
    scores = torch.tensor([[[0.1, 0.9], [0.4, 0.6]]])
    inside = torch.tensor([[[False, True], [False, True]]])
    assert masks.mask_auc(scores, inside) == 1.0
    assert masks.mask_auc(-scores, inside) == 0.0
    assert masks.mask_auc(scores.exp() * 100, inside) == 1.0
    assert masks.mask_auc(torch.zeros(1, 2, 2), inside) == 0.5

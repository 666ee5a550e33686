"""RGANet's segmentation loss (Eq. 3) against loops."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reidlib.losses.segmentation import segmentation_loss


def cells(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-1, 5, (6, 5, 2), generator=generator)


@given(seed=st.integers(0, 10_000), background=st.booleans())
def test_segmentation_loss_against_loops(seed, background):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randn(6, 5, 5, 2, generator=generator).softmax(1)
    labels = cells(seed)
    terms = []
    for b in range(6):
        for y in range(5):
            for x in range(2):
                label = int(labels[b, y, x])
                if label >= 1 or (background and label == 0):
                    terms.append(-masks[b, label, y, x].log())
    loss = segmentation_loss(masks, labels, background=background)
    torch.testing.assert_close(loss, sum(terms) / len(terms))


def test_segmentation_loss_at_its_edges():
    masks = torch.zeros(1, 3, 2, 1, requires_grad=True)
    for label, nothing in [(-1, True), (0, True), (1, False)]:
        loss = segmentation_loss(masks, torch.full((1, 2, 1), label))
        assert loss.isfinite() and (loss == 0) == nothing
        (gradient,) = torch.autograd.grad(loss, masks)
        assert gradient.isfinite().all()
    assert segmentation_loss(masks, torch.zeros(1, 2, 1).long(), background=True) > 80
    with pytest.raises(ValueError, match=r"labels reach 5.*2 regions.*-1.*occluders"):
        segmentation_loss(masks, torch.full((1, 2, 1), 5))


def test_a_perfect_mask_costs_nothing():
    labels = cells().clamp_min(0)
    masks = torch.nn.functional.one_hot(labels, 5).movedim(-1, 1).float()
    assert segmentation_loss(masks, labels, background=True) == 0

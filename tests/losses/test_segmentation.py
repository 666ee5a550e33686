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
    logits = 5 * torch.randn(6, 5, 5, 2, generator=generator)
    masks = logits.softmax(1)
    labels = cells(seed)
    terms = []
    for b in range(6):
        for y in range(5):
            for x in range(2):
                label = int(labels[b, y, x])
                if label >= 1 or (background and label == 0):
                    terms.append(-masks[b, label, y, x].log())
    loss = segmentation_loss(logits, labels, background=background)
    torch.testing.assert_close(loss, sum(terms) / len(terms))


def test_segmentation_loss_at_its_edges():
    logits = torch.zeros(1, 3, 2, 1, requires_grad=True)
    for label, nothing in [(-1, True), (0, True), (1, False)]:
        loss = segmentation_loss(logits, torch.full((1, 2, 1), label))
        assert loss.isfinite() and (loss == 0) == nothing
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient.isfinite().all()
    with pytest.raises(ValueError, match=r"labels reach 5.*2 regions.*-1.*occluders"):
        segmentation_loss(logits, torch.full((1, 2, 1), 5))


def test_a_share_too_small_for_a_float_keeps_its_loss_and_its_gradient():
    cosines = torch.tensor([1.0, -1.0, -1.0])  # of a patch that is all background
    logits = (100 * cosines)[None, :, None, None].requires_grad_()  # gamma = 100
    loss = segmentation_loss(logits, torch.ones(1, 1, 1).long())
    assert loss.item() == pytest.approx(200)  # -log of exp(-200)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient.flatten(), torch.tensor([1.0, -1.0, 0.0]))


def test_a_perfect_mask_costs_nothing():
    labels = cells().clamp_min(0)
    masks = torch.nn.functional.one_hot(labels, 5).movedim(-1, 1).float()
    assert segmentation_loss(200 * masks, labels, background=True) == 0

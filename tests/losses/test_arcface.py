"""ArcFace (FLaN-Net, Eq. 16) against loops and against pytorch-metric-learning."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.losses import ArcFaceLoss
from torch.nn.functional import cross_entropy, normalize

from reidlib.losses.arcface import arcface_loss

SEEDS = st.integers(0, 10_000)
LABELS = torch.tensor([0, 0, 1, 1, 1, 2])


def pair(seed: int, width: int = 4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 6, width, generator=generator).unbind(0)


@given(seed=SEEDS, margin=st.floats(0, 1.5), scale=st.sampled_from([1.0, 30.0]))
def test_arcface_against_loops(seed, margin, scale):
    cosines = 2 * torch.rand(6, 3, generator=torch.Generator().manual_seed(seed)) - 1
    terms = []
    for row, label in zip(cosines.double().tolist(), LABELS.tolist(), strict=True):
        angle = math.acos(row[label])
        wider = math.cos(angle + margin)
        if angle > math.pi - margin:
            wider = row[label] - margin * math.sin(margin)
        powers = [math.exp(scale * c) for c in row]
        powers[label] = math.exp(scale * wider)
        terms.append(-math.log(powers[label] / sum(powers)))
    found = arcface_loss(cosines, LABELS, margin=margin, scale=scale)
    assert found.item() == pytest.approx(sum(terms) / 6, rel=1e-3, abs=1e-4)


@given(seed=SEEDS, margin=st.sampled_from([0.1, 0.5, 1.2]))
def test_arcface_against_pytorch_metric_learning(seed, margin):
    features, _ = pair(seed)
    theirs = ArcFaceLoss(3, 4, margin=math.degrees(margin), scale=30)
    cosines = normalize(features) @ normalize(theirs.W.detach(), dim=0)
    found = arcface_loss(cosines, LABELS, margin=margin, scale=30.0)
    torch.testing.assert_close(found, theirs(features, LABELS), rtol=1e-3, atol=1e-4)


def test_the_harder_the_angle_the_larger_arcface():
    """It goes on rising where the angle and the margin pass pi."""
    angles = torch.linspace(0.01, math.pi - 0.01, 60)
    losses = []
    for angle in angles:
        cosines = torch.stack([angle.cos(), torch.tensor(0.0)])[None]
        options = {"margin": 0.5, "scale": 4.0}
        losses.append(arcface_loss(cosines, torch.tensor([0]), **options))
    assert (torch.stack(losses).diff() > 0).all()


def test_arcface_at_the_ends_of_the_cosine():
    ends = torch.tensor([1.0, -1.0, 1 + 1e-6, -1 - 1e-6, 1 - 1e-7, 0.0])
    cosines = torch.stack([ends, -ends, ends / 2], 1).requires_grad_()
    loss = arcface_loss(cosines, LABELS, margin=0.5, scale=30.0)
    loss.backward()
    assert loss.isfinite() and cosines.grad.isfinite().all()
    plain = arcface_loss(cosines[-1:], LABELS[-1:], margin=0.0, scale=30.0)
    torch.testing.assert_close(plain, cross_entropy(30 * cosines[-1:], LABELS[-1:]))

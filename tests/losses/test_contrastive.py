"""Contrastive losses against loops and against two libraries."""

import math

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import SupConLoss
from torch.nn.functional import normalize

from reidlib.losses.contrastive import contrastive_loss, info_nce_loss

SEEDS = st.integers(0, 10_000)
LABELS = torch.tensor([0, 0, 1, 1, 1, 2])


def pair(seed: int, width: int = 4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 6, width, generator=generator).unbind(0)


def cosine(a, b) -> float:
    a, b = a.double(), b.double()
    return float((a @ b) / (a.norm() * b.norm()))


@given(seed=SEEDS, temperature=st.sampled_from([0.07, 0.5, 1.0]))
def test_contrast_against_loops(seed, temperature):
    queries, keys = pair(seed)
    terms = []
    for i in range(6):
        powers = [math.exp(cosine(queries[i], k) / temperature) for k in keys]
        shares = [power / sum(powers) for power in powers]
        own = [math.log(shares[p]) for p in range(6) if LABELS[p] == LABELS[i]]
        terms.append(-sum(own) / len(own))
    found = contrastive_loss(queries, keys, LABELS, temperature).item()
    assert found == pytest.approx(sum(terms) / 6, rel=1e-4)


@given(seed=SEEDS)
def test_the_printed_sum_is_k_times_the_mean_of_k_positives(seed):
    queries, keys = pair(seed)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    mean = contrastive_loss(queries, keys, labels, 0.07)
    torch.testing.assert_close(
        contrastive_loss(queries, keys, labels, 0.07, positives="sum"), 3 * mean
    )
    with pytest.raises(ValueError, match="positives is 'all': choose from mean, sum"):
        contrastive_loss(queries, keys, labels, 0.07, positives="all")


@given(seed=SEEDS)
def test_contrast_against_pytorch_metric_learning(seed):
    queries, keys = pair(seed)
    theirs = SupConLoss(temperature=0.07, distance=CosineSimilarity())
    expected = theirs(queries, LABELS, ref_emb=keys, ref_labels=LABELS.clone())
    torch.testing.assert_close(
        contrastive_loss(queries, keys, LABELS, 0.07), expected, rtol=1e-4, atol=1e-5
    )


def test_contrast_at_its_edges():
    queries, keys = pair(0)
    huge = contrastive_loss(1e6 * queries, 1e-6 * keys, LABELS, 0.07)
    torch.testing.assert_close(huge, contrastive_loss(queries, keys, LABELS, 0.07))
    same = keys[:1].expand(6, -1).clone().requires_grad_()
    contrastive_loss(same, same, LABELS, 0.07).backward()
    assert same.grad.isfinite().all()
    alone = contrastive_loss(queries[:1], keys[:1], LABELS[:1], 0.07)
    assert alone == 0, "one image has nothing else to be told from"


def test_texts_that_are_all_the_same_tell_no_identity_from_another():
    """Eq. 12 has no gradient then; that of Eq. 13 evens out cosines, whoever it is."""
    visual, text = pair(0)
    visual.requires_grad_()
    same = text[:1].expand(6, -1)
    contrastive_loss(visual, same, LABELS, 0.07).backward()
    torch.testing.assert_close(visual.grad, torch.zeros(6, 4))
    grads = []
    for labels in (LABELS, LABELS.roll(1)):
        visual.grad = None
        contrastive_loss(same, visual, labels, 0.07).backward()
        grads.append(visual.grad)
    assert grads[0].any()
    torch.testing.assert_close(*grads)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=generator), dim=-1)


def test_the_contrast_is_the_mean_of_two_cross_entropies():
    ours, theirs, scale = unit(5, 7), unit(5, 7, seed=1), torch.tensor(3.0)
    total = 0.0
    for one, other in ((ours, theirs), (theirs, ours)):
        for i in range(5):
            logits = [3.0 * float((one[i] * vector).sum()) for vector in other]
            total -= float(logits[i]) - math.log(sum(math.exp(x) for x in logits))
    assert info_nce_loss(ours, theirs, scale).item() == pytest.approx(
        total / 10, rel=1e-5
    )
    official = open_clip.loss.ClipLoss()(ours, theirs, scale)
    assert info_nce_loss(ours, theirs, scale).item() == pytest.approx(official.item())


def test_the_contrast_of_pairs_that_agree_is_nothing_and_of_strangers_chance():
    basis = torch.eye(4)
    assert info_nce_loss(basis, basis, torch.tensor(100.0)) < 1e-6
    assert info_nce_loss(
        unit(4, 9), unit(4, 9), torch.tensor(0.0)
    ).item() == pytest.approx(math.log(4))

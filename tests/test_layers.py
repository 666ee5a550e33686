"""The BNNeck: what it starts as, what it trains, what it returns."""

import pytest
import torch
from torch.nn.functional import batch_norm

from reidlib.layers import BNNeck


def test_it_starts_as_a_plain_batch_norm_and_a_small_classifier():
    torch.manual_seed(0)
    neck = BNNeck(200, 500)
    assert torch.equal(neck.norm.weight, torch.ones(200))
    assert torch.equal(neck.norm.bias, torch.zeros(200))
    assert neck.classifier.bias is None
    assert neck.classifier.weight.std().item() == pytest.approx(1e-3, rel=0.02)
    assert sum(parameter.numel() for parameter in neck.parameters()) == 400 + 100_000


def test_outputs_are_the_normalised_features_and_their_scores():
    neck = BNNeck(4, 3)
    features = torch.randn(6, 4) * 5 + 2
    normalised, logits = neck(features)
    expected = batch_norm(features, None, None, training=True)
    torch.testing.assert_close(normalised, expected)
    torch.testing.assert_close(logits, expected @ neck.classifier.weight.T)


def test_the_shift_stays_zero_while_the_scale_learns():
    neck = BNNeck(4, 3)
    trained = [p for p in neck.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=10.0, weight_decay=0.1)
    for _ in range(3):
        logits = neck(torch.randn(6, 4)).logits
        optimizer.zero_grad()
        logits[:, 0].exp().sum().backward()
        optimizer.step()
    assert torch.equal(neck.norm.bias, torch.zeros(4))
    assert not torch.equal(neck.norm.weight, torch.ones(4))

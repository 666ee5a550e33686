"""The BNNeck and both attentions: what they start as, train and return."""

import pytest
import torch
from torch.nn.functional import batch_norm
from toys.attention import attend_slowly

from reidlib.models.layers import BNNeck, CrossAttention, PlainAttention


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


def test_cross_attention_is_the_formula():
    torch.manual_seed(0)
    layer = CrossAttention(8, heads=2)
    torch.nn.init.normal_(layer.attention.in_proj_bias)
    queries, keys = torch.randn(3, 2, 8), torch.randn(3, 5, 8)
    found, shares = layer.attend(queries, keys)
    for image in range(3):
        expected = attend_slowly(layer, queries[image], keys[image], heads=2)
        torch.testing.assert_close(found[image], expected[0])
        torch.testing.assert_close(shares[image], expected[1])
    torch.testing.assert_close(layer(queries, keys), found)
    count = sum(parameter.numel() for parameter in layer.parameters())
    assert count == 4 * 8 * 8 + 4 * 8 + 4 * 8


def test_cross_attention_does_not_see_keys_that_are_not_there():
    torch.manual_seed(0)
    layer = CrossAttention(8, heads=4)
    queries, keys = torch.randn(2, 3, 8), torch.randn(2, 6, 8)
    padding = torch.zeros(2, 6, dtype=torch.bool)
    padding[:, 4:] = True
    found, shares = layer.attend(queries, keys, padding)
    assert (shares[..., 4:] == 0).all()
    torch.testing.assert_close(found, layer(queries, keys[:, :4]))
    torch.testing.assert_close(layer(queries, keys, padding), found)


@pytest.mark.parametrize("projected", [True, False])
def test_plain_attention_is_the_printed_formula(projected):
    torch.manual_seed(0)
    layer = PlainAttention(6, projected=projected)
    assert len(list(layer.parameters())) == 3 * projected
    queries, keys = torch.randn(3, 2, 6), torch.randn(3, 5, 6)
    found, shares = layer.attend(queries, keys)
    for image in range(3):
        for place, query in enumerate(queries[image]):
            q, k, v = query, keys[image], keys[image]
            if projected:
                q = layer.query.weight @ q
                k, v = k @ layer.key.weight.T, v @ layer.value.weight.T
            scores = torch.stack([(q * key).sum() / 6**0.5 for key in k])
            chances = scores.exp() / scores.exp().sum()
            torch.testing.assert_close(shares[image, place], chances)
            value = sum(p * x for p, x in zip(chances, v, strict=True))
            torch.testing.assert_close(found[image, place], value)
    torch.testing.assert_close(layer(queries, keys), found)

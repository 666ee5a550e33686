"""The plain baseline: which features are classified, mined and compared."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from reidlib.backbones.resnet import load_resnet
from reidlib.losses.triplet import mean_triplet_loss, triplet_loss
from reidlib.models.baseline import Output, ResNetBaseline, objective

BATCH = SimpleNamespace(labels=torch.tensor([0, 0, 1, 1, 2, 2]))


def build(**switches) -> ResNetBaseline:
    torch.manual_seed(0)
    return ResNetBaseline(load_resnet("tiny-resnet"), num_identities=3, **switches)


def images() -> torch.Tensor:
    return torch.randn(6, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_full_size_counts_and_shapes():
    with torch.device("meta"):
        model = ResNetBaseline(load_resnet("resnet50"), num_identities=751)
        embeddings = model.embed(torch.empty(2, 3, 256, 128))
    assert count(model) == 23_508_032 + 2 * 2048 + 2048 * 751
    assert embeddings.shape == (2, 2048)


@pytest.mark.parametrize("training", [True, False])
def test_the_same_fields_in_both_modes(training):
    inputs = images()
    before = inputs.clone()
    output = build().train(training)(inputs)
    assert isinstance(output, Output)
    assert torch.equal(inputs, before)
    assert output.embedding.shape == output.triplet_embedding.shape == (6, 128)
    assert output.identity_logits.shape == (6, 3)


def test_resnet_features_by_hand():
    model = build().eval()
    with torch.no_grad():
        model.neck.norm.running_mean.normal_()
        model.neck.norm.weight.uniform_(1, 2)
    output = model(images())
    pooled = model.branch(model.trunk(images())).flatten(2).mean(2)
    torch.testing.assert_close(output.triplet_embedding, pooled)
    neck = model.neck.norm
    deviation = (neck.running_var + neck.eps).sqrt()
    normalised = (pooled - neck.running_mean) / deviation * neck.weight
    torch.testing.assert_close(output.embedding, normalised)
    scores = normalised @ model.neck.classifier.weight.T
    torch.testing.assert_close(output.identity_logits, scores)


@pytest.mark.parametrize("test_feature", ["before", "after"])
def test_the_compared_side_of_the_norm_is_a_choice(test_feature):
    model = build(test_feature=test_feature)
    output = model(images())  # in training the norm has mean 0 and variance 1
    before = output.triplet_embedding
    after = (before - before.mean(0)) / (before.var(0, correction=0) + 1e-5).sqrt()
    expected = {"before": before, "after": after}[test_feature]
    torch.testing.assert_close(output.embedding, expected)
    torch.testing.assert_close(model.embed(images()), expected)
    with pytest.raises(ValueError, match=r"test_feature is 'behind'.*before, after"):
        build(test_feature="behind")


def test_terms_are_those_of_the_strong_baseline():
    output = build()(images())
    terms = objective(output, BATCH, label_smoothing=0.2, margin=0.5)
    logits, labels = output.identity_logits, BATCH.labels
    identity = cross_entropy(logits, labels, label_smoothing=0.2)
    triplet = triplet_loss(output.triplet_embedding, labels, margin=0.5)
    assert terms.keys() == {"identity", "triplet"}
    torch.testing.assert_close(terms["identity"], identity)
    torch.testing.assert_close(terms["triplet"], triplet)


def test_every_parameter_gets_a_gradient_and_a_few_steps_learn():
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        loss = sum(objective(model(images()), BATCH).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for name, parameter in model.named_parameters():
        frozen = name.endswith("norm.bias")
        assert (parameter.grad is None) == frozen, name
    assert losses[-1] < 0.7 * losses[0]


def test_without_a_bnneck_all_see_the_same_feature():
    model = build(bnneck=False).eval()
    output = model(images())
    pooled = output.triplet_embedding
    assert torch.equal(output.embedding, pooled)
    plain, near_zero = model.neck.classifier, build().neck.classifier
    torch.testing.assert_close(
        output.identity_logits, pooled @ plain.weight.T + plain.bias
    )
    assert plain.weight.std() > 30 * near_zero.weight.std(), "as torch draws them"
    assert count(model) == count(build()) - 2 * 128 + len(plain.bias)


def test_terms_of_the_ladder_are_added_and_others_stay():
    model = build(centred=True).train()
    output = model(images())
    plain = objective(output, BATCH)
    assert build().centres is None and set(plain) == {"identity", "triplet"}
    centred = objective(output, BATCH, centres=model.centres)
    feature = output.triplet_embedding
    torch.testing.assert_close(
        centred.pop("centre"), feature.square().sum(1).mean() / 2
    )
    assert centred == plain
    every = objective(output, BATCH, triplets="all")
    torch.testing.assert_close(
        every["triplet"], mean_triplet_loss(feature, BATCH.labels, margin=0.3)
    )
    with pytest.raises(
        ValueError, match="triplets is 'some': choose from hardest, all"
    ):
        objective(output, BATCH, triplets="some")
    model.centres.update(output, BATCH)
    assert (model.centres.centres != 0).any()

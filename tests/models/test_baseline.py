"""The plain baselines: which features are classified, mined and compared."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from toys.small_clip import small_clip

from reidlib.backbones.clip_weights import load_clip
from reidlib.backbones.resnet import load_resnet
from reidlib.losses.triplet import triplet_loss
from reidlib.models.baseline import ClipBaseline, Output, ResNetBaseline, objective

BATCH = SimpleNamespace(labels=torch.tensor([0, 0, 1, 1, 2, 2]))
BUILDERS = {
    "resnet": lambda **switches: ResNetBaseline(
        load_resnet("tiny-resnet"), num_identities=3, **switches
    ),
    "clip": lambda **switches: ClipBaseline(
        small_clip()[1].image, num_identities=3, **switches
    ),
}


def build(kind: str, **switches) -> nn.Module:
    torch.manual_seed(0)
    return BUILDERS[kind](**switches)


def images() -> torch.Tensor:
    return torch.randn(6, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_full_size_counts_and_shapes():
    with torch.device("meta"):
        resnet = ResNetBaseline(load_resnet("resnet50"), num_identities=751)
        tower = load_clip("random", image_size=(256, 128)).image
        clip = ClipBaseline(tower, num_identities=751)
        embeddings = [
            model.embed(torch.empty(2, 3, 256, 128)) for model in (resnet, clip)
        ]
    assert count(resnet) == 23_508_032 + 2 * 2048 + 2048 * 751
    assert count(clip) == 86_140_416 + (2 + 751) * (768 + 512)
    assert [tuple(embedding.shape) for embedding in embeddings] == [
        (2, 2048),
        (2, 1280),
    ]


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("training", [True, False])
def test_the_same_fields_in_both_modes(kind, training):
    inputs = images()
    before = inputs.clone()
    output = build(kind).train(training)(inputs)
    assert isinstance(output, Output)
    assert torch.equal(inputs, before)
    width = {"resnet": 128, "clip": 32 + 24}[kind]
    assert output.embedding.shape == (6, width)
    assert all(logits.shape == (6, 3) for logits in output.identity_logits)
    widths = [embedding.shape[1] for embedding in output.triplet_embeddings]
    assert widths == {"resnet": [128], "clip": [32, 32, 24]}[kind]


def test_resnet_features_by_hand():
    model = build("resnet").eval()
    with torch.no_grad():
        model.neck.norm.running_mean.normal_()
        model.neck.norm.weight.uniform_(1, 2)
    output = model(images())
    pooled = model.branch(model.trunk(images())).flatten(2).mean(2)
    torch.testing.assert_close(output.triplet_embeddings[0], pooled)
    neck = model.neck.norm
    deviation = (neck.running_var + neck.eps).sqrt()
    normalised = (pooled - neck.running_mean) / deviation * neck.weight
    torch.testing.assert_close(output.embedding, normalised)
    scores = normalised @ model.neck.classifier.weight.T
    torch.testing.assert_close(output.identity_logits[0], scores)


def test_clip_features_are_class_tokens_at_three_depths():
    model = build("clip").eval()
    output = model(images())
    tokens = model.image_tower(images())
    for found, depth in zip(output.triplet_embeddings, tokens, strict=True):
        torch.testing.assert_close(found, depth[:, 0])
    compared = torch.cat([tokens.last[:, 0], tokens.joint[:, 0]], dim=1)
    torch.testing.assert_close(output.embedding, compared)
    for logits, neck, feature in zip(
        output.identity_logits,
        (model.neck, model.joint_neck),
        output.triplet_embeddings[1:],
        strict=True,
    ):
        torch.testing.assert_close(logits, neck(feature).logits)


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("test_feature", ["before", "after"])
def test_the_compared_side_of_the_norm_is_a_choice(kind, test_feature):
    model = build(kind, test_feature=test_feature)
    output = model(images())  # in training the norm has mean 0 and variance 1
    features = (
        output.triplet_embeddings[-2:]
        if kind == "clip"
        else (output.triplet_embeddings)
    )
    before = torch.cat(features, dim=1)
    after = (before - before.mean(0)) / (before.var(0, correction=0) + 1e-5).sqrt()
    expected = {"before": before, "after": after}[test_feature]
    torch.testing.assert_close(output.embedding, expected)
    torch.testing.assert_close(model.embed(images()), expected)
    with pytest.raises(ValueError, match=r"test_feature is 'behind'.*before, after"):
        build(kind, test_feature="behind")


@pytest.mark.parametrize("kind", BUILDERS)
def test_terms_are_sums_over_the_features(kind):
    output = build(kind)(images())
    options = {"label_smoothing": 0.2, "margin": 0.5, "soft_margin": True}
    terms = objective(output, BATCH, **options)
    identity = sum(
        cross_entropy(logits, BATCH.labels, label_smoothing=0.2)
        for logits in output.identity_logits
    )
    triplet = sum(
        triplet_loss(embedding, BATCH.labels, soft_margin=True)
        for embedding in output.triplet_embeddings
    )
    assert terms.keys() == {"identity", "triplet"}
    torch.testing.assert_close(terms["identity"], identity)
    torch.testing.assert_close(terms["triplet"], triplet)
    hinge = objective(output, BATCH, margin=0.5)["triplet"]
    by_hand = sum(
        triplet_loss(embedding, BATCH.labels, margin=0.5)
        for embedding in output.triplet_embeddings
    )
    torch.testing.assert_close(hinge, by_hand)


@pytest.mark.parametrize("kind", BUILDERS)
def test_every_parameter_gets_a_gradient_and_a_few_steps_learn(kind):
    model = build(kind)
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

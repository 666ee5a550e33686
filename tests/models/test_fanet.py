"""FA-Net: the paper's counts and invariants, and Eq. 1-3 by hand."""

import pytest
import torch
from torch import nn
from toys.merged import merged
from toys.small_fanet import BATCH, TABLE_I, images, tiny

from reidlib.backbones.resnet import load_resnet
from reidlib.models.fanet import (
    FANet,
    Output,
    StripeHead,
    TargetEnhancement,
    gate,
    objective,
)
from reidrun.runs.environment import ROOT


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def full_size(num_identities: int, num_cameras: int, **parts) -> FANet:
    with torch.device("meta"):
        return FANet(
            load_resnet("resnet50"),
            num_identities=num_identities,
            num_cameras=num_cameras,
            **parts,
        )


@pytest.mark.parametrize(
    ("row", "identities", "cameras", "parameters"),
    [
        ("baseline", 751, 6, 25_046_080),
        ("TEM", 751, 6, 25_899_072),
        ("BG", 751, 6, 47_974_464),
        ("IA", 751, 6, 47_974_464),
        ("HPP", 751, 6, 65_075_008),  # Market-1501
        ("HPP", 702, 8, 64_894_528),  # DukeMTMC-reID
        ("HPP", 1041, 15, 66_223_168),  # MSMT17
    ],
)
def test_parameter_counts_of_training(row, identities, cameras, parameters):
    assert count(full_size(identities, cameras, **TABLE_I[row])) == parameters


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        ("baseline", 25_046_080),
        ("tem", 25_899_072),
        ("tem-bg", 47_974_464),
        ("tem-bg-ia", 47_974_464),
        ("tem-bg-ia-tal", 47_974_464),
        ("full", 65_075_008),
    ],
)
def test_parameter_counts_of_the_variants_as_they_are_run(variant, parameters):
    settings = full_scale(variant)
    names = ["enhancement", "background", "interaction", "pyramid", "attention_maps"]
    names += ["stripe_width", "pooling"]
    parts = {name: settings[name] for name in names}
    assert count(full_size(751, 6, **parts)) == parameters


def full_scale(variant: str) -> dict:
    """The parameters of a row of Table I on Market-1501, as `reid run` merges them."""
    return merged(ROOT, "fanet", "market1501", "full", variant)


def test_a_step_at_full_size_is_finite():
    """Two people with two images each; the batch of 128 is bench/bench_full_size.py."""
    settings, labels = full_scale("full"), torch.tensor([0, 0, 1, 1])
    size = settings["image_height"], settings["image_width"]
    model = FANet(load_resnet("resnet50"), num_identities=751, num_cameras=6)
    batch = BATCH.__class__(labels=labels, camids=torch.tensor([0, 1, 2, 3]))
    terms = objective(model(torch.randn(4, 3, *size)), batch)
    loss = sum(settings[f"{name}_weight"] * term for name, term in terms.items())
    loss.backward()
    gradients = [p.grad for p in model.parameters()]
    assert loss.isfinite() and all(grad.isfinite().all() for grad in gradients)


@pytest.mark.parametrize(
    ("row", "parameters"),
    [("baseline", 23_508_032), ("TEM", 24_361_024), ("HPP", 32_233_024)],
)
def test_parameter_counts_of_inference(row, parameters):
    model = full_size(751, 6, **TABLE_I[row])
    used = [model.trunk, model.foreground_branch, model.foreground_head.embeddings]
    assert count(*used, model.enhancement or nn.Identity()) == parameters


@pytest.mark.parametrize(("maps", "parameters"), [(256, 852_992), (1, 820_097)])
def test_parameter_counts_of_the_parts(maps, parameters):
    model = full_size(751, 6, attention_maps=maps)
    assert count(model.enhancement) == parameters
    assert count(model.foreground_head.embeddings) == 7_872_000
    assert count(model.background_head.embeddings) == 7_872_000


def test_full_size_shapes():
    model = full_size(751, 6)
    with torch.device("meta"):
        output = model(torch.empty(2, 3, 384, 128))
        short = torch.empty(2, 3, 256, 128)
        assert model.embed(short).shape == (2, 3840)
    assert [tuple(field.shape) for field in output] == [
        (2, 3840),
        (15, 2, 751),
        (15, 2, 6),
        (2, 2048, 24, 8),
        (2, 2048, 24, 8),
        (2, 1, 24, 8),
    ]


def test_rows_that_the_stripes_do_not_divide_are_named():
    message = r"10 rows, not a multiple of 8.*image height"
    with pytest.raises(ValueError, match=message):
        tiny()(torch.zeros(2, 3, 80, 32))
    assert tiny(pyramid=False).embed(torch.zeros(2, 3, 80, 32)).shape == (2, 128)


@pytest.mark.parametrize("row", TABLE_I)
@pytest.mark.parametrize("training", [True, False])
def test_fields_follow_the_parts_and_not_the_mode(row, training):
    parts = {"enhancement": True, "background": True} | TABLE_I[row]
    inputs = images()
    before = inputs.clone()
    output = tiny(**TABLE_I[row]).train(training)(inputs)
    assert isinstance(output, Output)
    assert torch.equal(inputs, before)
    assert (output.mask is not None) == parts["enhancement"]
    assert (output.camera_logits is not None) == parts["background"]
    assert (output.background_map is not None) == parts["background"]
    stripes, width = (15, 16) if row == "HPP" else (1, 128)
    assert output.identity_logits.shape == (stripes, 6, 3)
    assert output.embedding.shape == (6, stripes * width)


@pytest.mark.parametrize("training", [True, False])
def test_embed_is_the_embedding_of_forward_without_the_background(training):
    model = tiny().train(training)
    expected = model(images()).embedding
    model.background_branch = model.background_head = None
    torch.testing.assert_close(model.embed(images()), expected)


def test_the_foreground_does_not_see_the_background_weights():
    model = tiny().eval()
    before = model(images())
    with torch.no_grad():
        for part in (model.background_branch, model.background_head):
            for parameter in part.parameters():
                parameter.normal_()
    after = model(images())
    for field in ("embedding", "identity_logits", "foreground_map", "mask"):
        assert torch.equal(getattr(after, field), getattr(before, field)), field
    assert not torch.equal(after.background_map, before.background_map)


def test_the_background_branch_is_a_copy_and_not_shared():
    model = tiny()
    ours, theirs = (
        dict(branch.named_parameters())
        for branch in (model.foreground_branch, model.background_branch)
    )
    assert ours.keys() == theirs.keys()
    for name, parameter in ours.items():
        assert torch.equal(parameter, theirs[name])
        assert parameter.data_ptr() != theirs[name].data_ptr()


@pytest.mark.parametrize(
    ("row", "term", "branch", "reached"),
    [
        ("HPP", "identity", "foreground_branch", True),
        ("HPP", "identity", "background_branch", False),
        ("HPP", "camera", "background_branch", True),
        ("HPP", "camera", "foreground_branch", True),  # through the mask
        ("BG", "camera", "foreground_branch", False),
        ("HPP", "target_attention", "foreground_branch", True),
        ("HPP", "target_attention", "background_branch", True),
    ],
)
def test_which_term_teaches_which_branch(row, term, branch, reached):
    model = tiny(**TABLE_I[row])
    objective(model(images()), BATCH)[term].backward()
    gradients = [p.grad for p in getattr(model, branch).parameters()]
    assert all((gradient is not None) == reached for gradient in gradients)


def test_gates_are_complementary():
    output = tiny()(images())
    ones = torch.ones_like(output.foreground_map)
    foreground = gate(output.foreground_map + 1, output.mask)
    background = gate(output.background_map + 1, 1 - output.mask)
    shares = foreground / (output.foreground_map + 1)
    shares = shares + background / (output.background_map + 1)
    torch.testing.assert_close(shares, ones)
    assert output.mask.min() > 0 and output.mask.max() < 1


@pytest.mark.parametrize("row", ["TEM", "BG", "IA"])
def test_what_is_gated_in_each_row(row):
    model = tiny(**TABLE_I[row]).eval()
    output = model(images())
    person = (output.foreground_map * output.mask).mean((2, 3))
    torch.testing.assert_close(output.embedding, person)
    if row == "TEM":
        return
    gated = output.background_map * (1 - output.mask if row == "IA" else 1)
    scores = model.background_head.classifiers[0](gated.mean((2, 3)))
    torch.testing.assert_close(output.camera_logits[0], scores)


def test_the_mask_is_the_sigmoid_of_the_mean_of_k_maps():
    torch.manual_seed(0)
    enhancement = TargetEnhancement(12, 8).eval()
    single = TargetEnhancement(12, 1).eval()
    last, merged = enhancement.layers[-1], single.layers[-1]
    state = enhancement.state_dict()
    state["layers.6.weight"] = last.weight.mean(0, keepdim=True)
    state["layers.6.bias"] = last.bias.mean(0, keepdim=True)
    single.load_state_dict(state)
    features = torch.randn(2, 12, 8, 4)
    maps = enhancement.layers(features)  # (2, 8, 8, 4)
    by_hand = torch.stack([maps[:, c] for c in range(8)]).sum(0) / 8
    mask = enhancement(features)
    torch.testing.assert_close(mask[:, 0], 1 / (1 + torch.exp(-by_hand)))
    torch.testing.assert_close(single(features), mask)
    mask.sum().backward()
    single(features).sum().backward()
    for each in last.weight.grad:
        torch.testing.assert_close(each * 8, merged.weight.grad[0])


@pytest.mark.parametrize("pooling", ["avg", "max", "sum"])
def test_stripes_against_loops(pooling):
    head = StripeHead(3, 5, True, 4, pooling)
    head.embeddings = nn.ModuleList(nn.Identity() for _ in range(15))
    feature_map = torch.randn(2, 3, 16, 4)
    expected = []
    for scale in (1, 2, 4, 8):
        rows = 16 // scale
        for stripe in range(scale):
            values = feature_map[:, :, stripe * rows : (stripe + 1) * rows].flatten(2)
            pooled = {"avg": values.mean(2), "max": values.max(2).values}
            pooled["sum"] = pooled["avg"] + pooled["max"]
            expected.append(pooled[pooling])
    torch.testing.assert_close(head.stripes(feature_map), torch.stack(expected))


def test_combinations_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="interaction=True.*enhancement"):
        tiny(enhancement=False)
    with pytest.raises(ValueError, match="interaction=True.*background"):
        tiny(background=False)
    with pytest.raises(ValueError, match=r"pooling is 'median'.*avg.*max.*sum"):
        tiny(pooling="median")


def test_every_parameter_gets_a_gradient_and_a_few_steps_learn():
    model = tiny()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    losses = []
    for _ in range(20):
        terms = objective(model(images()), BATCH)
        loss = terms["identity"] / 2 + terms["camera"] / 2 + terms["target_attention"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert losses[-1] < 0.5 * losses[0]


def test_the_mask_stays_inside_its_range_in_half_precision():
    model = tiny().eval()
    torch.nn.init.constant_(model.enhancement.layers[-1].bias, 8.0)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        mask = model(images()).mask
    assert mask.dtype == torch.float32
    assert (mask < 1).all(), "sigmoid(8) rounds to 1 in bfloat16: no gradient is left"

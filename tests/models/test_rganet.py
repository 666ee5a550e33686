"""RGANet: Eq. 1, 2, 4-6 against loops, the rows of Table V, the paper's counts."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from toys.small_clip import small_clip
from toys.small_rganet import BATCH, KINDS, NAMES, TABLE_V, images, output_of, tiny

from reidlib.backbones.clip_weights import load_clip
from reidlib.models.layers import masked_mean, region_masks
from reidlib.models.rganet import (
    Embedding,
    RegionMemory,
    RGANet,
    distances,
    objective,
)

SEEDS = st.integers(0, 10_000)
SMALL = {kind: tiny(assessment=kind) for kind in KINDS}


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def cosine(a, b) -> float:
    a, b = a.double(), b.double()
    return float((a @ b) / (a.norm() * b.norm()))


def test_parameter_counts_at_full_size():
    with torch.device("meta"):
        clip = load_clip("random", image_size=(256, 128))
        model = RGANet(clip.image, torch.empty(4, 512), num_identities=702)
    assert count(model) == 87_943_681  # of which 5 * 512 are the necks' fixed shifts
    classifiers = [neck.classifier for neck in (model.neck, *model.region_necks)]
    kept = count(model) - count(*classifiers) + model.prototypes.numel()
    assert kept == 86_148_609
    assert model.grid == (16, 8)
    assert model.memory.centers.shape == (4, 512)


@pytest.mark.parametrize("row", TABLE_V)
@pytest.mark.parametrize("training", [True, False])
def test_fields_follow_the_parts_and_not_the_mode(row, training):
    model, parts = tiny(**TABLE_V[row]), TABLE_V[row]
    inputs = images()
    before = inputs.clone()
    output = model.train(training)(inputs)
    assert torch.equal(inputs, before)
    regions, kind = parts["regions"], parts.get("assessment", "none")
    number = 0 if regions == "none" else 4
    assert (output.masks is not None) == (regions == "text")
    assert (model.background is not None) == (regions == "text")
    assert (output.alpha is not None) == (kind in ("dai", "both"))
    assert (output.beta is not None) == (kind in ("iai", "both"))
    assert (output.region_logits is not None) == (number > 0)
    shapes = [part.shape for part in output.embedding]
    assert shapes == [(6, 24), (6, number, 24), (6, number)]
    assert output.logits.shape == (6, 3)


@given(seed=SEEDS, gamma=st.sampled_from([1.0, 20.0, 100.0, 1e4]))
def test_masks_against_loops_and_their_sum(seed, gamma):
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randn(2, 3, 4, generator=generator)
    prototypes = torch.randn(3, 4, generator=generator)
    masks = region_masks(patches, prototypes, gamma)
    torch.testing.assert_close(masks.sum(1), torch.ones(2, 3))
    if gamma > 100:
        return  # the loop overflows where softmax does not
    for b in range(2):
        for p in range(3):
            powers = [math.exp(gamma * cosine(patches[b, p], q)) for q in prototypes]
            for j in range(3):
                expected = powers[j] / sum(powers)
                assert masks[b, j, p].item() == pytest.approx(expected, abs=2e-5)


@given(seed=SEEDS)
def test_pooling_against_loops_and_of_a_constant_map(seed):
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randn(2, 5, 3, generator=generator)
    masks = torch.rand(2, 4, 5, generator=generator) * 10.0 ** -torch.arange(4)[:, None]
    pooled = masked_mean(patches, masks)
    for b in range(2):
        for j in range(4):
            total = sum(masks[b, j, p] * patches[b, p] for p in range(5))
            mass = sum(masks[b, j, p] for p in range(5))
            torch.testing.assert_close(pooled[b, j], total / mass)
    constant = patches[:, :1].expand(-1, 5, -1)
    expected = patches[:, :1].expand(-1, 4, -1)
    torch.testing.assert_close(masked_mean(constant, masks), expected)


def test_a_region_without_mass_has_the_feature_zero():
    masks = torch.zeros(1, 2, 3)
    masks[:, 1] = 1
    pooled = masked_mean(torch.ones(1, 3, 4), masks)
    assert torch.equal(pooled, torch.tensor([[[0.0] * 4, [1.0] * 4]]))


@pytest.mark.parametrize("row", ["text-none", "text-both"])
@pytest.mark.parametrize("ram", ["softmax", "mean"])
@pytest.mark.parametrize("all_of_them", [False, True])
def test_empty_regions_leave_all_finite(row, ram, all_of_them, monkeypatch):
    model = tiny(gamma=1e4, ram=ram, **TABLE_V[row])
    if all_of_them:
        background = torch.eye(5)[:1, :, None, None].expand(6, -1, *model.grid)
        monkeypatch.setattr(model, "segment", lambda *_: background)
    output = model(images())
    empty = output.masks[:, 1:].flatten(2).sum(2) == 0
    assert empty.all() if all_of_them else empty.any()
    sum(objective(output, BATCH).values()).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name
    found = distances(output.embedding, output.embedding)
    assert found.isfinite().all()
    if all_of_them:
        W = output.embedding.weights.square().sum(1)
        torch.testing.assert_close(found.diagonal(), W / (1 + W))


def test_the_model_is_made_of_the_equations():
    model = tiny().eval()
    output = model(images())
    patches = model.image_tower(images()).joint[:, 1:]
    prototypes = torch.cat([model.background[None], model.prototypes])
    masks = region_masks(patches, prototypes, 20.0)
    torch.testing.assert_close(output.masks.flatten(2), masks)
    torch.testing.assert_close(output.masks[:, :, 3, 1], masks[:, :, 3 * 2 + 1])
    regions = masked_mean(patches, masks[:, 1:])
    torch.testing.assert_close(output.embedding.regions, regions)
    torch.testing.assert_close(output.embedding.global_feature, patches.mean(1))
    for j, neck in enumerate(model.region_necks):
        torch.testing.assert_close(output.region_logits[j], neck(regions[:, j]).logits)
    by_class = tiny(class_token=True).eval()
    found = by_class.embed(images()).global_feature
    torch.testing.assert_close(found, by_class.image_tower(images()).joint[:, 0])


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_stripes_against_loops(number):
    model = tiny(regions="stripe", names=NAMES[:1] * number).eval()
    maps = model.image_tower(images()).joint[:, 1:].unflatten(1, (5, 2))
    expected = []
    for j in range(number):
        first, last = j * 5 // number, math.ceil((j + 1) * 5 / number)
        expected.append(maps[:, first:last].flatten(1, 2).mean(1))
    expected = torch.stack(expected, 1)
    torch.testing.assert_close(model.stripes(images()), expected)
    torch.testing.assert_close(model.embed(images()).regions, expected)


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def slow_alpha(model: RGANet, features) -> list[float]:
    """Eq. 4 for the regions of one image."""
    w, bias = model.discrimination.weight[0].tolist(), model.discrimination.bias.item()
    sums = [
        sum(a * b for a, b in zip(w, f.tolist(), strict=True)) + bias for f in features
    ]
    return [1 / (1 + math.exp(-total)) for total in sums]


def slow_beta(model: RGANet, features, ram: str) -> list[float]:
    """Eq. 6 for the regions of one image, or the cosines above 0."""
    pairs = zip(features, model.memory.centers, strict=True)
    cosines = [cosine(feature, center) for feature, center in pairs]
    return [max(c, 0) for c in cosines] if ram == "mean" else softmax(cosines)


@pytest.mark.parametrize("ram", ["softmax", "mean"])
@pytest.mark.parametrize("kind", KINDS)
def test_assessment_against_loops(kind, ram):
    model, regions = tiny(assessment=kind, ram=ram), torch.randn(3, 4, 24)
    alpha, beta, weights = model.assess(regions)
    for b in range(3):
        a = slow_alpha(model, regions[b]) if alpha is not None else [0.0] * 4
        c = slow_beta(model, regions[b], ram) if beta is not None else [0.0] * 4
        sums = [x + y for x, y in zip(a, c, strict=True)]
        expected = {
            ("none", "softmax"): [1.0] * 4,
            ("none", "mean"): [1.0] * 4,
            ("even", "softmax"): [0.25] * 4,
            ("even", "mean"): [0.25] * 4,
            ("dai", "softmax"): softmax(a),
            ("iai", "softmax"): c,
            ("both", "softmax"): softmax(sums),
            ("both", "mean"): [total / 2 for total in sums],
        }.get((kind, ram), sums)
        torch.testing.assert_close(weights[b], torch.tensor(expected))
        if kind in ("dai", "both"):
            torch.testing.assert_close(alpha[b], torch.tensor(a))
        if kind in ("iai", "both"):
            torch.testing.assert_close(beta[b], torch.tensor(c))


def test_eq_4_as_printed_has_no_bias_and_alpha_alone_may_be_w():
    plain = {"dai_bias": False, "dai_alone": "alpha"}
    for kind in ("dai", "both"):
        usual, printed = tiny(assessment=kind), tiny(assessment=kind, **plain)
        assert count(usual) - count(printed) == 1
        regions = torch.randn(3, 4, 24)
        alpha, beta, weights = printed.assess(regions)
        W_a = printed.discrimination.weight[0]
        expected = 1 / (1 + (-(regions @ W_a)).exp())
        torch.testing.assert_close(alpha, expected)
        whole = alpha if beta is None else (alpha + beta).softmax(1)
        torch.testing.assert_close(weights, whole)
    with pytest.raises(ValueError, match="dai_alone is 'sum': choose from softmax"):
        tiny(assessment="dai", dai_alone="sum")


@given(seed=SEEDS)
def test_softmax_confidences_sum_to_one(seed):
    regions = torch.randn(5, 4, 24, generator=torch.Generator().manual_seed(seed))
    for kind in ("dai", "iai", "both"):
        _, _, weights = SMALL[kind].assess(regions)
        torch.testing.assert_close(weights.sum(1), torch.ones(5))
        assert (weights > 0).all()


@given(seed=SEEDS, kept=st.floats(0, 1), threshold=st.floats(0, 1))
def test_memory_against_loops(seed, kept, threshold):
    generator = torch.Generator().manual_seed(seed)
    memory = RegionMemory((3, 2), kept, threshold)
    memory.start(torch.randn(4, 3, 2, generator=generator))
    before = memory.centers.clone()
    regions = torch.randn(5, 3, 2, generator=generator)
    alpha = torch.rand(5, 3, generator=generator)
    memory.update(output_of(regions, alpha))
    for j in range(3):
        passing = [regions[b, j] for b in range(5) if alpha[b, j] > threshold]
        expected = before[j]
        if passing:
            mean = sum(passing) / len(passing)
            expected = kept * before[j] + (1 - kept) * mean
        torch.testing.assert_close(memory.centers[j], expected)
        assert memory.pass_rates[j].item() == pytest.approx(len(passing) / 5)


def test_memory_stays_where_nothing_passes_and_moves_without_alpha():
    memory = RegionMemory((2, 3), 0.3, 0.85)
    with pytest.raises(RuntimeError, match="memory is empty: start it"):
        memory.update(output_of(torch.ones(4, 2, 3), None))
    memory.start(torch.randn(5, 2, 3))
    before = memory.centers.clone()
    alpha = torch.full((4, 2), 0.85)
    memory.update(output_of(torch.ones(4, 2, 3), alpha))
    assert torch.equal(memory.centers, before)
    alpha[2, 1] = 0.86
    memory.update(output_of(torch.ones(4, 2, 3), alpha))
    assert torch.equal(memory.centers[0], before[0])
    torch.testing.assert_close(memory.centers[1], 0.3 * before[1] + 0.7)
    memory.update(output_of(torch.full((4, 2, 3), 2.0), None))
    torch.testing.assert_close(memory.centers[0], 0.3 * before[0] + 1.4)


def test_momentum_weighs_the_old_centre_or_the_new():
    for momentum_of, kept in [("old", 0.3), ("new", 0.7)]:
        memory = tiny(momentum_of=momentum_of, momentum=0.3, threshold=0.0).memory
        before = memory.centers.clone()
        memory.update(output_of(torch.ones(2, 4, 24), torch.ones(2, 4)))
        torch.testing.assert_close(memory.centers, kept * before + 1 - kept)


def test_memory_starts_from_stripes_and_takes_no_gradient():
    model = tiny()
    expected = model.stripes(images()).mean(0)
    torch.testing.assert_close(model.memory.centers, expected)
    assert not model.memory.centers.requires_grad
    output = model(images())
    model.memory.update(output._replace(alpha=torch.ones(6, 4)))
    assert not model.memory.centers.requires_grad
    output.embedding.weights.sum().backward()  # the update left its graph alone


def test_the_first_update_changes_only_the_memory():
    model = tiny().eval()
    output = model(images())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.memory.update(output._replace(alpha=torch.ones(6, 4)))
    changed = {
        name
        for name, value in model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"memory.centers", "memory.pass_rates", "memory.updates"}


@pytest.mark.parametrize("row", ["baseline", "stripe-both", "text-both"])
def test_an_embedding_knows_only_its_image(row):
    model = tiny(**TABLE_V[row]).eval()
    together = model.embed(images())
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    for all_, shuffled in zip(together, model.embed(images()[order]), strict=True):
        torch.testing.assert_close(shuffled, all_[order])
    for i in range(6):
        alone = model.embed(images()[i : i + 1])
        for all_, one in zip(together, alone, strict=True):
            torch.testing.assert_close(one[0], all_[i])


@pytest.mark.parametrize("row", ["baseline", "stripe-both", "text-both"])
def test_the_saved_state_is_all_that_an_embedding_needs(row):
    model, other = tiny(**TABLE_V[row]), tiny(seed=7, **TABLE_V[row])
    model(images())
    if model.memory is not None:
        model.memory.update(model(images())._replace(alpha=torch.ones(6, 4)))
    other.load_state_dict(model.state_dict())
    ours, theirs = model.eval().embed(images(2)), other.eval().embed(images(2))
    for one, two in zip(ours, theirs, strict=True):
        assert torch.equal(one, two)


EMBED = """
import sys, torch
from toys.small_rganet import images, tiny
model = tiny(seed=7).eval()
model.load_state_dict(torch.load(sys.argv[1]))
torch.save(tuple(model.embed(images(3))), sys.argv[2])
"""


def test_two_processes_agree_on_distances(tmp_path):
    model = tiny().eval()
    query, gallery = model.embed(images(2)), model.embed(images(3))
    state, elsewhere = tmp_path / "state.pt", tmp_path / "gallery.pt"
    torch.save(model.state_dict(), state)
    command = [sys.executable, "-c", EMBED, str(state), str(elsewhere)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    other = Embedding(*torch.load(elsewhere))
    assert torch.equal(distances(query, other), distances(query, gallery))


def test_no_text_tower_within():
    _, clip = small_clip()
    given_prototypes = torch.randn(4, 24, requires_grad=True)
    model = RGANet(clip.image, given_prototypes, num_identities=3)
    assert not any("text" in name for name in model.state_dict())
    assert count(model) == count(clip.image) + 5 * (24 + 24 + 3 * 24) + 25 + 24
    assert not model.prototypes.requires_grad
    with torch.no_grad():
        given_prototypes.zero_()
    assert model.prototypes.all()


def test_half_precision_leaves_regions_whole():
    model = tiny(gamma=100.0).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = model(images())
    assert output.masks.dtype == torch.float32
    torch.testing.assert_close(output.masks.sum(1), torch.ones(6, 5, 2))
    for part in (*output.embedding, output.alpha, output.beta):
        assert part.dtype == torch.float32 and part.isfinite().all()
    torch.testing.assert_close(output.embedding.weights.sum(1), torch.ones(6))


def test_choices_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"regions is 'stripes'.*none.*stripe.*text"):
        tiny(regions="stripes")
    with pytest.raises(ValueError, match=r"assessment is 'all'.*dai.*iai.*both"):
        tiny(assessment="all")
    with pytest.raises(ValueError, match=r"ram is 'sum'.*softmax.*mean"):
        tiny(ram="sum")
    with pytest.raises(ValueError, match=r"momentum_of is ''.*old.*new"):
        tiny(momentum_of="")

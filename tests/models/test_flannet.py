"""FLaN-Net: Eq. 7-10 against loops, the rows of Tables 5 and 6, parameter counts."""

import math
from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.tokenizer import tokenize
from torch.nn.functional import batch_norm, normalize
from toys.small_flannet import BATCH, ROWS, TABLE_5, images, tiny

from reidlib.backbones.clip_weights import load_clip
from reidlib.models.flannet import FLaNNet, certainty, entropy, objective, tied_necks
from reidlib.models.flannet_prompts import PROMPTS, WORDS, PromptEncoder, spell

SEEDS = st.integers(0, 10_000)


def features_of(row: str) -> int:
    """How many features a row fuses."""
    return {"none": 1, "f": 2}.get(row, 3)


def parameters_at_full_size(literal: bool) -> list[tuple[str, torch.Tensor]]:
    """Names and parameters as for Occluded-Duke with ViT-B/16."""
    ids = tokenize([spell(PROMPTS[-1]), *WORDS.values()])
    with torch.device("meta"):
        clip = load_clip("random", image_size=(256, 128))
        prompts = PromptEncoder(clip.text, ids[0], ids[1:, 1], literal=literal)
        model = FLaNNet(clip.image, prompts, num_identities=702, literal=literal)
    return list(model.named_parameters())


def test_parameter_counts_at_full_size():
    found = {"image_tower": 0, "prompts.text_tower": 0, "the rest": 0}
    for name, parameter in parameters_at_full_size(literal=True):
        place = next((p for p in found if name.startswith(f"{p}.")), "the rest")
        found[place] += parameter.numel()
    frozen = found.pop("prompts.text_tower")
    assert frozen == 63_428_096
    assert sum(found.values()) == 124_401_664  # 768 + 512 are the necks' fixed shifts
    assert found["image_tower"] == 86_140_416, "all that a search runs"


def test_heads_and_norms_add_what_they_should():
    """By default: two norms and a bias more per block, an output layer, Eq. 7's own."""
    counts = [
        sum(p.numel() for _, p in parameters_at_full_size(literal))
        for literal in (False, True)
    ]
    attention, norms, biases, layer = 4 * 512**2, 4 * 512, 4 * 512, 512**2
    block = layer + biases + 6 * 512
    assert counts[0] - counts[1] == 12 * block + attention + biases + norms


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("training", [True, False])
def test_fields_follow_the_parts_and_not_the_mode(row, training):
    model, inputs, M = tiny(**ROWS[row]), images(), features_of(row)
    before = inputs.clone()
    output = model.train(training)(inputs)
    assert torch.equal(inputs, before)
    trained, width = 3 if M > 1 else 2, 72 if row == "concat" else 24
    assert [f.shape[1] for f in output.features] == [32, 24, width][:trained]
    assert [logits.shape for logits in output.logits] == [(6, 3)] * trained
    assert output.cosines.shape == (6, 3) and model.arcface.shape == (3, width)
    assert (output.text is not None) == (M > 1)
    assert (output.weights is None) == (row in ("sum", "concat"))
    assert output.weights is None or output.weights.shape == (6, M)
    assert output.embedding.shape == (6, 32 + 24)
    assert output.visual.shape == (6, 24)


@given(seed=SEEDS, scale=st.floats(0, 50))
def test_entropy_against_loops_and_its_bounds(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(3, 4, 5, generator=generator)
    found = entropy(logits)
    for b in range(3):
        for m in range(4):
            values = logits[b, m].double()
            shares = [math.exp(v - values.max()) for v in values.tolist()]
            shares = [share / sum(shares) for share in shares]
            expected = -sum(p * math.log(p) for p in shares if p > 0)
            assert found[b, m].item() == pytest.approx(expected, abs=1e-4)
    assert (found > -1e-6).all() and (found < math.log(5) + 1e-6).all()


def test_entropy_at_its_edges():
    sure = torch.tensor([1000.0, 0.0, -1000.0], requires_grad=True)
    assert entropy(sure) == 0
    entropy(sure).backward()
    assert sure.grad.isfinite().all()
    even = torch.full((7,), 3.0)
    assert entropy(even).item() == pytest.approx(math.log(7))


@given(seed=SEEDS, features=st.integers(1, 4))
def test_weights_are_the_softmax_of_minus_the_entropy(seed, features):
    generator = torch.Generator().manual_seed(seed)
    entropies = 6 * torch.rand(3, features, generator=generator)
    weights = certainty(entropies)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))
    torch.testing.assert_close(weights, (-entropies).softmax(1))
    for b in range(3):
        largest = entropies[b].max()
        powers = [math.exp(largest - e) for e in entropies[b]]
        expected = torch.tensor([power / sum(powers) for power in powers])
        torch.testing.assert_close(weights[b], expected)
    best = entropies.argmin(1)
    assert (weights.gather(1, best[:, None])[:, 0] == weights.amax(1)).all()


def test_equally_uncertain_features_weigh_a_third_each():
    third = torch.full((2, 3), 1 / 3)
    torch.testing.assert_close(certainty(torch.full((2, 3), 4.2)), third)
    logits = torch.tensor([3.0, 1.0, 2.0])
    same = torch.stack([logits, logits.roll(1), logits.flip(0)])  # of equal entropy
    _, fused = tiny().fuse(torch.eye(3)[None], same[None])
    torch.testing.assert_close(fused, third[:1])


@pytest.mark.parametrize("fusion", ["dynamic", "average", "sum", "concat"])
def test_fusion_against_loops(fusion):
    model = tiny(fusion=fusion)
    features, logits = torch.randn(4, 3, 24), 3 * torch.randn(4, 3, 5)
    weights, fused = model.fuse(features, logits)
    if fusion in ("concat", "sum"):
        assert weights is None, "nothing that sums to one"
        laid = (
            torch.cat(features.unbind(1), 1)
            if fusion == "concat"
            else sum(features.unbind(1))
        )
        torch.testing.assert_close(fused, laid)
        return
    for b in range(4):
        shares = [x.softmax(0) for x in logits[b]]
        powers = [math.exp(float((p * p.log()).sum())) for p in shares]
        expected = {
            "dynamic": [power / sum(powers) for power in powers],
            "average": [1 / 3] * 3,
        }[fusion]
        torch.testing.assert_close(weights[b], torch.tensor(expected))
        pairs = zip(expected, features[b], strict=True)
        torch.testing.assert_close(fused[b], sum(w * f for w, f in pairs))


def test_the_weights_pass_gradients_only_if_asked():
    for detach in (True, False):
        logits = torch.randn(4, 3, 5, requires_grad=True)
        weights, _ = tiny(detach=detach).fuse(torch.randn(4, 3, 24), logits)
        assert weights.requires_grad == (not detach)


def test_the_model_is_made_of_the_equations():
    model = tiny().eval()
    output = model(images())
    tokens = model.image_tower(images())
    visual, text = tokens.joint[:, 0], model.prompts(tokens.joint)
    shared = model.attention(text[:, None], tokens.joint)[:, 0]
    features = [visual, text, shared]
    pairs = zip(model.joint_necks, features, strict=False)
    logits = [neck(feature).logits for neck, feature in pairs]
    weights, fused = model.fuse(torch.stack(features, 1), torch.stack(logits, 1))
    class_token = tokens.last[:, 0]
    torch.testing.assert_close(output.visual, visual)
    torch.testing.assert_close(output.text, text)
    torch.testing.assert_close(output.weights, weights)
    for ours, theirs in zip(output.features, (class_token, visual, fused), strict=True):
        torch.testing.assert_close(ours, theirs)
    class_logits = model.image_neck(class_token).logits
    fused_logits = model.joint_necks[-1](fused).logits
    expected = class_logits, logits[0], fused_logits
    for ours, theirs in zip(output.logits, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    cosines = normalize(fused) @ normalize(model.arcface).T
    torch.testing.assert_close(output.cosines, cosines)
    both = normalize(torch.cat([class_token, visual], 1))
    torch.testing.assert_close(output.embedding, both)
    torch.testing.assert_close(model.embed(images()), both)


@pytest.mark.parametrize("fusion", ["dynamic", "average", "sum"])
def test_fused_logits_are_weighted_as_the_features(fusion):
    model = tiny(fusion_of="logit", fusion=fusion).eval()
    output = model(images())
    features = model.encode(model.image_tower(images()).joint).unbind(1)
    pairs = zip(model.joint_necks, features, strict=True)
    logits = [neck(feature).logits for neck, feature in pairs]
    weights = [torch.ones(6)] * 3 if fusion == "sum" else output.weights.T
    expected = sum(w[:, None] * x for w, x in zip(weights, logits, strict=True))
    torch.testing.assert_close(output.logits[2], expected)


def test_without_text_the_image_is_all_there_is():
    output = tiny(**TABLE_5["none"])(images())
    assert output.text is None and len(output.features) == 2
    torch.testing.assert_close(output.weights, torch.ones(6, 1))
    model = tiny(**TABLE_5["none"]).eval()
    cosines = normalize(model(images()).visual) @ normalize(model.arcface).T
    torch.testing.assert_close(model(images()).cosines, cosines)


def test_rows_have_the_parts_of_the_paper():
    text = {row: tiny(**parts).prompts for row, parts in TABLE_5.items()}
    assert text["none"] is None and not text["c"].networks
    assert all(len(text[row].networks) == 3 for row in ("f", "average", "full"))
    attends = [row for row in TABLE_5 if tiny(**TABLE_5[row]).attention is not None]
    assert attends == ["c", "average", "full"]


def test_necks_share_what_they_learn_and_not_what_they_count():
    torch.manual_seed(0)
    necks = tied_necks(3, 4, 5)
    assert sum(p.numel() for p in necks.parameters()) == 4 + 4 + 20
    inputs = [torch.randn(6, 4) * 5 + 10 * place for place in range(3)]
    for neck, x in zip(necks, inputs, strict=True):
        weight = necks[0].classifier.weight
        normalised = batch_norm(x, None, None, training=True)
        torch.testing.assert_close(neck(x).logits, normalised @ weight.T)
        torch.testing.assert_close(neck.norm.running_mean, 0.1 * x.mean(0))
    copy = deepcopy(necks)
    assert copy[0].classifier is copy[2].classifier is not necks[0].classifier


@pytest.mark.parametrize("literal", [True, False])
def test_where_queries_look(literal):
    model = tiny(literal=literal).eval()
    found = model.attend(images())
    shapes = {name: tuple(maps.shape) for name, maps in found.items()}
    three = (6, 3, 5, 2)
    expected = {"attributes": three, "context": three}
    assert shapes == expected | dict.fromkeys(["prompt", "class"], (6, 1, 5, 2))
    tokens = model.image_tower(images()).joint
    text = model.prompts(tokens)[:, None]
    _, shares = model.attention.attend(text, tokens)
    torch.testing.assert_close(found["prompt"].flatten(2), shares[..., 1:])
    torch.testing.assert_close(found["prompt"][:, 0, 3, 1], shares[:, 0, 1 + 3 * 2 + 1])
    for maps in found.values():
        assert (maps > 0).all() and (maps.flatten(2).sum(-1) < 1).all()
    assert tiny(**TABLE_5["none"]).attend(images()).keys() == {"class"}
    assert tiny(**TABLE_5["c"]).attend(images()).keys() == {"prompt", "class"}


def test_the_class_token_looks_as_the_tower_has_it():
    model = tiny(**TABLE_5["none"]).eval()
    shares = model.image_tower.attend(model.image_tower(images()))
    found = model.attend(images())["class"]
    torch.testing.assert_close(found[:, 0, 3, 1], shares[:, 3 * 2 + 1])


@pytest.mark.parametrize("row", ["none", "c", "full", "concat"])
def test_an_embedding_knows_only_its_image(row):
    model = tiny(**ROWS[row]).eval()
    together = model.embed(images())
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(model.embed(images()[order]), together[order])
    for i in range(6):
        torch.testing.assert_close(model.embed(images()[i : i + 1])[0], together[i])
    torch.testing.assert_close(together.norm(dim=1), torch.ones(6))


def test_a_search_needs_no_text(tmp_path):
    trained = tiny()
    optimizer = torch.optim.Adam(trained.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        sum(objective(trained(images()), BATCH).values()).backward()
        optimizer.step()
    expected = trained.eval().embed(images())
    assert not torch.equal(expected, tiny().eval().embed(images())), "it was trained"
    torch.save(trained.state_dict(), tmp_path / "state.pt")
    del trained
    alone = tiny(seed=7, **TABLE_5["none"]).eval()
    prefix, state = "image_tower.", torch.load(tmp_path / "state.pt")
    own = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    alone.image_tower.load_state_dict(own)
    assert torch.equal(alone.embed(images()), expected)
    assert not any("prompts" in name for name in alone.state_dict())


@pytest.mark.parametrize("row", ROWS)
def test_the_saved_state_is_all_that_there_is(row):
    model, other = tiny(**ROWS[row]), tiny(seed=7, **ROWS[row])
    model(images())
    other.load_state_dict(model.state_dict())
    ours, theirs = model.eval()(images()), other.eval()(images())
    for one, two in zip(ours, theirs, strict=True):
        if torch.is_tensor(one):
            assert torch.equal(one, two)


def test_the_prompt_reaches_every_network_and_moves_no_word_of_clip():
    model = tiny()
    before = {n: t.clone() for n, t in model.prompts.text_tower.state_dict().items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3, weight_decay=1e-2)
    objective(model(images()), BATCH)["align"].backward()
    for name, parameter in model.prompts.networks.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    optimizer.step()
    for name, value in model.prompts.text_tower.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is None for p in model.prompts.text_tower.parameters())


def test_half_precision_fuses_in_full():
    model = tiny().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = model(images())
    for part in (output.weights, output.cosines, *output.features, *output.logits):
        assert part.dtype == torch.float32 and part.isfinite().all()
    torch.testing.assert_close(output.weights.sum(1), torch.ones(6))
    torch.testing.assert_close(
        output.embedding, model.embed(images()), rtol=0.1, atol=0.02
    )


def test_choices_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"fusion is 'mean'.*dynamic.*concat"):
        tiny(fusion="mean")
    with pytest.raises(ValueError, match=r"fusion_of is 'logits'.*feature.*logit"):
        tiny(fusion_of="logits")
    with pytest.raises(ValueError, match="cross_attention=True needs prompts"):
        tiny(prompt="")
    with pytest.raises(ValueError, match="end to end, not logits"):
        tiny(fusion="concat", fusion_of="logit")


def test_without_text_the_image_may_be_seen_as_often_as_with_one():
    output = tiny(**TABLE_5["none"], always_fused=True)(images())
    assert len(output.features) == len(output.logits) == len(tiny()(images()).features)
    assert torch.equal(output.features[2], output.visual), "v_g, once more"
    torch.testing.assert_close(output.logits[2], output.logits[1])
    plain, model = tiny(), tiny(always_fused=True)
    assert plain.state_dict().keys() == model.state_dict().keys(), "with text: nothing"
    torch.testing.assert_close(model(images()).logits, plain(images()).logits)

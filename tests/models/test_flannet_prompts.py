"""FLaN-Net's prompts: Eq. 1-6 against loops, places of words, a frozen text tower."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.tokenizer import tokenize
from torch.nn.functional import layer_norm, linear, relu
from toys.small_clip import small_clip
from toys.small_flannet import FIXED, FULL, encoder

from reidlib.backbones.clip_weights import load_clip
from reidlib.models.flannet_prompts import (
    PROMPTS,
    WORDS,
    DetailNetwork,
    PromptEncoder,
    spell,
)
from reidrun.runs.environment import ROOT
from reidrun.runs.params import read_ablation, read_layer

SEEDS = st.integers(0, 10_000)
TOKENS = torch.randn(4, 11, 24, generator=torch.Generator().manual_seed(2))


def test_each_word_is_one_token_that_no_prompt_has_otherwise():
    for place, word in WORDS.items():
        (ids,) = tokenize([word])
        assert (ids > 0).sum() == 3, "start, the word, end"
        for prompt in PROMPTS:
            count = (tokenize([spell(prompt)]) == ids[1]).sum()
            assert count == prompt.count(place)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("A photo of a [s*] person.", r"\[s\*\] is no pseudo-word: .*'\[S\*\]'"),
        ("A [S*] person with [X*].", r"\[X\*\] is no pseudo-word"),
        ("A [S* person.", r"\[S\* person. is no pseudo-word"),
        ("A photo in a Context.", r"'context' stands for \[O\*\] in .*write that"),
    ],
)
def test_a_prompt_that_would_be_read_otherwise_is_refused(prompt, message):
    with pytest.raises(ValueError, match=message):
        spell(prompt)


def test_the_layers_have_the_prompts_of_table_4():
    rows = read_ablation(ROOT / "params", "flannet_prompts").variants
    rows = rows[: len(PROMPTS)]  # behind them stand controls
    own = read_layer(ROOT / "params/papers/flannet.yaml")["prompt"]
    assert tuple(row.overrides.get("prompt", own) for row in rows) == PROMPTS
    for row, prompt in zip(rows, PROMPTS, strict=True):
        assert row.row.partition(": ")[2] == prompt.removesuffix(".")


def test_prompts_grow_by_one_pseudo_word_each():
    assert spell(FULL) == (
        "A photo of a subject person with attributes partially occluded by context."
    )
    _, clip = small_clip()
    found = [list(encoder(clip.text, prompt).networks) for prompt in PROMPTS]
    words = list(WORDS.values())
    assert found == [[], words[:1], words[:2], words]


def test_a_prompt_that_spells_words_is_open_clips():
    model, clip = small_clip()
    prompts = encoder(clip.text)
    words = clip.text.embed_tokens(tokenize(list(WORDS.values()))[:, 1])  # (3, W)
    prompts.pseudo_words = lambda tokens: words.expand(len(tokens), -1, -1)
    found, expected = prompts(TOKENS), model.encode_text(tokenize([spell(FULL)]))
    torch.testing.assert_close(found, expected.expand(4, -1))


def test_a_fixed_prompt_is_open_clips_and_encoded_once(monkeypatch):
    model, clip = small_clip()
    prompts, sizes = encoder(clip.text, FIXED), []
    encode = clip.text.encode
    monkeypatch.setattr(
        clip.text, "encode", lambda e, ids: sizes.append(len(e)) or encode(e, ids)
    )
    expected = model.encode_text(tokenize([FIXED])).expand(4, -1)
    torch.testing.assert_close(prompts(TOKENS), expected)
    assert sizes == [1]


def test_pseudo_words_stand_at_their_places_whatever_the_order():
    _, clip = small_clip()
    prompts = encoder(clip.text, "By [O*] is [A*] of a [S*] person.")
    embeddings, encode = [], clip.text.encode
    clip.text.encode = lambda e, ids: embeddings.append((e, ids)) or encode(e, ids)
    prompts(TOKENS)
    ((found, ids),) = embeddings
    expected = clip.text.embed_tokens(ids)
    for position, word in ((2, "context"), (4, "attributes"), (7, "subject")):
        assert ids[0, position] == tokenize([word])[0, 1]
        torch.testing.assert_close(
            found[:, position], prompts.networks[word](TOKENS), msg=word
        )
        expected[:, position] = found[:, position]
    torch.testing.assert_close(found, expected)


def test_the_text_tower_sees_no_more_than_the_prompt():
    _, clip = small_clip()
    prompts = encoder(clip.text)
    assert prompts.ids.shape == (1, int((tokenize([spell(FULL)]) > 0).sum()))
    assert prompts.ids.shape[1] < clip.text.context_length / 4


def test_a_word_that_stands_twice_is_refused():
    _, clip = small_clip()
    with pytest.raises(ValueError, match="the word 'subject' twice: keep one"):
        encoder(clip.text, "A [S*] person is a [S*] person.")


def slow_mapping(network, vector):
    """phi: three layers, a ReLU between."""
    for layer in network.mapping[:-1:2]:
        vector = relu(layer.weight @ vector + layer.bias)
    return network.mapping[-1].weight @ vector + network.mapping[-1].bias


def test_the_subject_is_mapped_from_the_class_token():
    _, clip = small_clip()
    subject = encoder(clip.text).networks["subject"]
    for image, found in zip(TOKENS, subject(TOKENS), strict=True):
        torch.testing.assert_close(found, slow_mapping(subject, image[0]))


def slow_attention(block, queries, keys, heads, literal):
    """Eq. 2-3 of one image by loops over heads and queries."""
    attention, width = block.attention, queries.shape[1]
    if literal:
        maps = attention.query, attention.key, attention.value
        weights = [layer.weight[None] for layer in maps]
        biases = [torch.zeros(1, width)] * 3
    else:
        queries, keys = (layer_norm(x, (width,)) for x in (queries, keys))
        inner = attention.attention
        weights = inner.in_proj_weight.unflatten(0, (3, heads, width // heads))
        biases = inner.in_proj_bias.unflatten(0, (3, heads, width // heads))
    found = []
    for x in queries:
        parts = []
        for (wq, wk, wv), (bq, bk, bv) in zip(
            zip(*weights, strict=True), zip(*biases, strict=True), strict=True
        ):
            q, k, v = wq @ x + bq, keys @ wk.T + bk, keys @ wv.T + bv
            shares = torch.stack([q @ key / len(q) ** 0.5 for key in k]).softmax(0)
            parts.append(sum(s * value for s, value in zip(shares, v, strict=True)))
        together = torch.cat(parts)
        if not literal:
            out = attention.attention.out_proj
            together = out.weight @ together + out.bias
        found.append(together)
    return torch.stack(found)  # H (m, D)


def slow_detail(network: DetailNetwork, patches, heads, literal):
    """Eq. 2-5 of one image."""
    queries = network.queries
    for block in network.blocks:
        keys = torch.cat([queries, patches])
        found = slow_attention(block, queries, keys, heads, literal)
        _, first, _, second = block.feed_forward
        total = found + queries
        if not literal:
            total = layer_norm(total, total.shape[-1:])
        hidden = relu(linear(total, first.weight, first.bias))
        queries = linear(hidden, second.weight, second.bias) + found
    return slow_mapping(network, queries.mean(0))


@pytest.mark.parametrize("literal", [True, False])
def test_detail_tokens_against_loops(literal):
    _, clip = small_clip()
    prompts = encoder(clip.text, literal=literal, queries=2, heads=4)
    for word in ("attributes", "context"):
        network = prompts.networks[word]
        for image, found in zip(TOKENS, network(TOKENS), strict=True):
            expected = slow_detail(network, image[1:], 4, literal)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@given(seed=SEEDS)
@pytest.mark.parametrize("literal", [True, False])
def test_the_order_of_the_patches_does_not_matter(literal, seed):
    _, clip = small_clip()
    network = encoder(clip.text, literal=literal).networks["attributes"]
    order = torch.randperm(10, generator=torch.Generator().manual_seed(seed))
    shuffled = torch.cat([TOKENS[:, :1], TOKENS[:, 1:][:, order]], 1)
    torch.testing.assert_close(network(shuffled), network(TOKENS))
    torch.testing.assert_close(
        network.attend(shuffled), network.attend(TOKENS)[..., order]
    )


@pytest.mark.parametrize("literal", [True, False])
def test_attention_is_what_the_last_block_pays(literal):
    _, clip = small_clip()
    prompts = encoder(clip.text, literal=literal, queries=5, blocks=1)
    network = prompts.networks["context"]
    queries = network.queries.expand(4, -1, -1)
    seen = torch.cat([queries, TOKENS[:, 1:]], 1)
    found, shares = network.blocks[0].attention.attend(queries, seen)
    torch.testing.assert_close(network.attend(TOKENS), shares[..., 5:])
    torch.testing.assert_close(found, network.blocks[0].attention(queries, seen))
    torch.testing.assert_close(shares.sum(-1), torch.ones(4, 5))
    assert prompts.attend(TOKENS).keys() == {"attributes", "context"}


def test_two_networks_of_one_make_differ_in_their_weights():
    _, clip = small_clip()
    _, attributes, context = encoder(clip.text).networks.values()
    assert not torch.equal(attributes.queries, context.queries)
    assert not torch.allclose(attributes(TOKENS), context(TOKENS))


def test_gradients_pass_through_a_text_tower_that_stays():
    _, clip = small_clip()
    prompts = encoder(clip.text)
    before = {name: t.clone() for name, t in clip.text.state_dict().items()}
    trained = [p for p in prompts.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, weight_decay=0.1)
    prompts(TOKENS).square().sum().backward()
    for name, parameter in prompts.networks.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    optimizer.step()
    for name, value in clip.text.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is None for p in clip.text.parameters())


def test_half_precision_is_finite():
    _, clip = small_clip()
    prompts = encoder(clip.text)
    with torch.autocast("cpu", torch.bfloat16):
        found = prompts(TOKENS)
        found.float().square().sum().backward()
    torch.testing.assert_close(found.float(), prompts(TOKENS), rtol=0.1, atol=0.05)
    for parameter in prompts.networks.parameters():
        assert parameter.grad.isfinite().all()


def test_counts_at_full_size():
    ids = tokenize([spell(FULL), *WORDS.values()])
    with torch.device("meta"):
        clip = load_clip("random", image_size=(256, 128))
        prompts = PromptEncoder(clip.text, ids[0], ids[1:, 1], literal=True)
    counts = {
        word: sum(p.numel() for p in network.parameters())
        for word, network in prompts.networks.items()
    }
    assert counts == {"subject": 787_968} | dict.fromkeys(
        ("attributes", "context"), 18_106_368
    )
    frozen = [p.numel() for p in prompts.parameters() if not p.requires_grad]
    assert sum(frozen) == 63_428_096


def test_queries_that_keep_themselves_are_added_as_well():
    _, clip = small_clip()
    torch.manual_seed(3)
    kept = encoder(clip.text, residual=True).networks["context"].blocks[0]
    queries, patches = torch.randn(2, 3, 24), torch.randn(2, 10, 24)
    found = kept.attention(queries, torch.cat([queries, patches], 1))  # H
    mixed = kept.feed_forward(found + queries)
    expected = mixed + found + queries
    torch.testing.assert_close(kept(queries, patches), expected)
    kept.residual = False
    torch.testing.assert_close(kept(queries, patches), mixed + found)

"""FBA: Eq. 2-3 against loops, its invariants, the rows of Table 3, the counts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.tokenizer import tokenize
from torch import nn
from torch.nn.functional import layer_norm
from toys.attention import attend_slowly
from toys.small_fba import BATCH, PEOPLE, SCENES, TABLE_3, captions, images, tiny

from reidlib.backbones.clip_weights import load_clip
from reidlib.evaluation.metrics import cosine_distances
from reidlib.models.fba import FBA, Embedding, distances, objective
from reidlib.models.fba_attention import CrossModal, differential_mask, map_similarity

SEEDS = st.integers(0, 10_000)
CROSSED = [row for row in TABLE_3 if row != "baseline"]


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(
    ("identities", "expected"), [(702, 119_014_656), (767, 119_164_416)]
)
def test_parameter_counts_at_full_size(identities, expected):
    with torch.device("meta"):
        clip = load_clip("random", image_size=(384, 128), stride=12)
        model = FBA(clip.image, clip.text, num_identities=identities, heads=12)
    assert count(model.text_tower) == 63_428_096
    assert count(model) - count(model.text_tower) == expected
    assert count(model.module) == 30_718_464
    assert count(model.projection) == 393_984
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == expected - 3 * 768, "less the necks' fixed shifts"
    assert model.grid == (31, 10)


@pytest.mark.parametrize("row", TABLE_3)
@pytest.mark.parametrize("training", [True, False])
def test_fields_follow_the_parts_and_not_the_mode(row, training):
    model, texts = tiny(**TABLE_3[row]), captions()
    inputs, ids = images(), texts.clone()
    before = inputs.clone()
    output = model.train(training)(inputs, ids)
    assert torch.equal(inputs, before) and torch.equal(ids, texts)
    crossed, branches = row != "baseline", row in ("diversity", "full")
    visual, both = output.embedding
    assert visual.shape == (6, 32) and output.logits.shape == (6, 3)
    assert both.shape == (6, 2 * crossed, 32)
    assert (output.crossed_logits is not None) == crossed
    assert (output.background is not None) == branches
    assert (output.mask is not None) == (row == "full")
    if crossed:
        assert output.crossed_logits.shape == (2, 6, 3)
        assert output.attention.shape == (6, 1 + branches, 20, 10)


def slow_similarity(fore, back, fore_words, back_words, pairing) -> list[float]:
    """Eq. 2 of one image: a column is what one text position gives each patch."""
    theirs = [back[j] for j in range(len(back)) if back_words[j]]
    mean = sum(theirs) / len(theirs)
    found = []
    for j in range(len(fore)):
        if not fore_words[j]:
            continue
        paired = pairing == "index" and back_words[j]
        a, b = fore[j].double(), (back[j] if paired else mean).double()
        found.append(float((a * b).sum() / ((a * a).sum() * (b * b).sum()).sqrt()))
    return found


@given(seed=SEEDS, pairing=st.sampled_from(["index", "background_mean"]))
def test_similarities_and_masks_against_loops(seed, pairing):
    generator = torch.Generator().manual_seed(seed)
    attention = torch.rand(3, 2, 6, 4, generator=generator).softmax(-1)
    places = torch.arange(6)
    ends = torch.randint(2, 6, (3, 2, 1), generator=generator)
    words = (places > 0) & (places < ends)
    similarity = map_similarity(attention, words, pairing)
    masks = {
        kind: differential_mask(similarity, words[:, 0], kind)
        for kind in ("literal", "one_minus")
    }
    for b in range(3):
        s = slow_similarity(*attention[b], *words[b], pairing)
        chosen = words[b, 0]
        assert similarity[b, chosen].tolist() == pytest.approx(s, abs=1e-5)
        low, high = min(s), max(s)
        m = [(x - low) / (high - low) if high > low else 1 for x in s]
        assert masks["literal"][b, chosen].tolist() == pytest.approx(m, abs=1e-2)
        rest = [1 - x if high > low else 1 for x in m]
        assert masks["one_minus"][b, chosen].tolist() == pytest.approx(rest, abs=1e-2)
        for mask in masks.values():
            assert (mask[b, ~chosen] == 0).all()
            assert ((mask[b] >= 0) & (mask[b] <= 1)).all() and mask[b].max() == 1


def test_words_that_are_all_alike_count_alike():
    words = torch.tensor([[False, True, True, False], [False, True, False, False]])
    for value in (0.0, 0.3, 1.0):
        for kind in ("literal", "one_minus"):
            similarity = torch.full((2, 4), value, requires_grad=True)
            mask = differential_mask(similarity, words, kind)
            assert torch.equal(mask, words.float())
            mask.sum().backward()
            assert similarity.grad.isfinite().all()


def test_a_shared_beginning_looks_the_same_in_both_branches():
    people = ("a person with short hair and a bag", "a person in front of a tree")
    scenes = ("a person with a tree behind", "a person who waits at a kiosk")
    texts = captions(6, people, scenes)
    shared = (texts[:, 0] == texts[:, 1]).long().cumprod(1).bool()  # (B, L)
    for mask in ("literal", "one_minus"):
        model = tiny(mask=mask).eval()
        with torch.no_grad():
            output = model(images(), texts)
        ends = texts.argmax(2, keepdim=True)
        words = (torch.arange(20) > 0) & (torch.arange(20) < ends)
        similarity = map_similarity(output.attention, words)
        begun = shared & words[:, 0]
        assert (begun.sum(1) >= 2).all()
        torch.testing.assert_close(similarity[begun], torch.ones(int(begun.sum())))
        extreme = output.mask[begun]
        expected = torch.full_like(extreme, float(mask == "literal"))
        torch.testing.assert_close(extreme, expected, atol=1e-3, rtol=0)
        later = output.mask[words[:, 0] & ~begun]
        assert (later > 0.01).any() and (later < 0.99).any()


@pytest.mark.parametrize("row", CROSSED)
@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing(row, training):
    model, texts = tiny(**TABLE_3[row]).train(training), captions()
    with torch.no_grad():
        expected = model(images(), texts)
    behind = torch.arange(20) > texts.argmax(2, keepdim=True)
    other = texts.masked_fill(behind, 320)
    shorter = texts[:, :, : int((~behind).sum(2).max())]
    assert shorter.shape[2] < 20
    for changed in (other, shorter):
        with torch.no_grad():
            found = model(images(), changed)
        _same(found, expected, length=changed.shape[2])


def _same(found, expected, length: int):
    for name, theirs in expected._asdict().items():
        ours = getattr(found, name)
        if name == "attention":
            continue  # of padding, which nobody reads
        if name == "mask" and theirs is not None:
            theirs = theirs[:, :length]
        pairs = (
            zip(ours, theirs, strict=True) if name == "embedding" else [(ours, theirs)]
        )
        for one, two in pairs:
            assert (one is None) == (two is None)
            if one is not None:
                torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_the_mask_is_not_moved_by_start_end_or_class_token():
    model = tiny().eval()
    texts = captions()
    seen = []
    attention = model.module.attention
    attend = attention.attend
    attention.attend = lambda *a: seen.append(attend(*a)) or seen[-1]
    with torch.no_grad():
        output = model(images(), texts)
    (_, weights) = seen[0]
    torch.testing.assert_close(weights.sum(-1), torch.ones(12, 20))
    patches = weights[..., 1:].unflatten(0, (2, 6)).transpose(0, 1)
    torch.testing.assert_close(output.attention, patches)
    ends = texts[:, 0].argmax(1)
    assert (output.mask[:, 0] == 0).all()
    assert all(output.mask[i, end:].sum() == 0 for i, end in enumerate(ends))


def test_the_text_tower_is_never_updated():
    model = tiny()
    before = {n: v.clone() for n, v in model.text_tower.state_dict().items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.1, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        sum(objective(model(images(), captions()), BATCH).values()).backward()
        optimizer.step()
    after = model.text_tower.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(p.grad is None for p in model.text_tower.parameters())
    assert not any(p.requires_grad for p in model.text_tower.parameters())


@pytest.mark.parametrize("row", TABLE_3)
def test_gradients_are_finite_and_reach_all_that_learns(row):
    model = tiny(detach_mask=False, **TABLE_3[row])
    diversity = row in ("diversity", "full")
    terms = objective(model(images(), captions()), BATCH, diversity=diversity)
    sum(terms.values()).backward()
    for name, parameter in model.named_parameters():
        unread = name in ("image_tower.visual.proj", "text_tower")
        if parameter.requires_grad and not unread:
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any() or "norm" in name, name


def test_gradients_pass_through_the_mask_only_where_it_is_wanted():
    texts = captions()
    grads = []
    for detach in (True, False):
        model = tiny(detach_mask=detach)
        output = model(images(), texts)
        assert output.mask.requires_grad
        output.embedding.crossed[:, 1].square().sum().backward()
        grads.append(model.module.attention.query_norm.weight.grad)
    assert not torch.allclose(*grads)


def slow_module(module: CrossModal, queries, keys):
    """The module on one image without padding, every norm and head by hand."""
    found, shares = attend_slowly(module.attention, queries, keys, heads=2)
    x = queries + found if module.residual else found
    for block in module.blocks:
        inner = layer_norm(x, x.shape[1:])
        x = x + block.self_attn(inner, inner, inner, need_weights=False)[0]
        inner = layer_norm(x, x.shape[1:])
        x = x + block.linear2(nn.functional.gelu(block.linear1(inner)))
    return layer_norm(x, x.shape[1:]), shares


@pytest.mark.parametrize("residual", [True, False])
def test_the_cross_modal_module_by_hand(residual):
    torch.manual_seed(0)
    module = CrossModal(8, heads=2, depth=2, residual=residual).eval()
    queries, keys = torch.randn(2, 5, 8), torch.randn(2, 4, 8)
    nobody = torch.zeros(2, 4, dtype=torch.bool)
    found = module(queries, keys, nobody)
    again, weights = module.attend(queries, keys, torch.zeros(2, 5, dtype=torch.bool))
    torch.testing.assert_close(again, found)
    for image in range(2):
        expected, shares = slow_module(module, queries[image], keys[image])
        torch.testing.assert_close(found[image], expected)
        torch.testing.assert_close(weights[image], shares)


@pytest.mark.parametrize("mask", ["none", "literal", "one_minus"])
def test_the_model_is_made_of_the_equations(mask):
    """Image by image, text by text: no batch, no padding, one set of weights."""
    model, inputs = tiny(mask=mask).eval(), images(count=3)
    texts = captions(3)
    with torch.no_grad():
        output = model(inputs, texts)
        for i in range(3):
            tokens = model.image_tower(inputs[i : i + 1]).last
            by_image, by_text, maps, found = [], [], [], []
            for caption in texts[i]:
                ids = caption[: int(caption.argmax()) + 1][None]
                text = model.projection(model.text_tower(ids).tokens)
                none = torch.zeros(1, text.shape[1], dtype=torch.bool)
                by_image.append(model.module(tokens, text, none)[0, 0])
                words, weights = model.module.attend(text, tokens, none)
                by_text.append(words[0, -1])
                maps.append(weights[0, 1:-1, 1:])
                found.append(words[0, 1:-1])
            if mask != "none":
                by_text[0] = slow_pool(found[0], *maps, mask)
            torch.testing.assert_close(output.embedding.visual[i], tokens[0, 0])
            both = torch.stack([by_image[0], by_text[0]])
            torch.testing.assert_close(
                output.embedding.crossed[i], both, atol=1e-4, rtol=1e-4
            )
            both = torch.stack([by_image[1], by_text[1]])
            torch.testing.assert_close(output.background[i], both, atol=1e-4, rtol=1e-4)
    necks = zip(model.crossed_necks, output.embedding.crossed.unbind(1), strict=True)
    for logits, (neck, feature) in zip(output.crossed_logits, necks, strict=True):
        torch.testing.assert_close(logits, neck(feature).logits)


def slow_pool(words, fore, back, kind):
    """Sum of m_j x_j over the words, over sum of m_j."""
    mean = back.mean(0)
    s = []
    for j, column in enumerate(fore):
        partner = back[j] if j < len(back) else mean
        s.append(float(nn.functional.cosine_similarity(column, partner, dim=0)))
    low, high = min(s), max(s)
    m = [(x - low) / (high - low) if high > low else 1 for x in s]
    if kind == "one_minus" and high > low:
        m = [1 - x for x in m]
    return sum(x * word for x, word in zip(m, words, strict=True)) / sum(m)


@pytest.mark.parametrize("row", TABLE_3)
def test_an_embedding_is_what_the_losses_saw_and_knows_only_its_image(row):
    model, texts = tiny(**TABLE_3[row]).eval(), captions()
    with torch.no_grad():
        seen = model(images(), texts).embedding
        together = model.embed(images(), texts)
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        shuffled = model.embed(images()[order], texts[order])
        alone = model.embed(images()[2:3], texts[2:3])
    for trained, one, other, single in zip(
        seen, together, shuffled, alone, strict=True
    ):
        torch.testing.assert_close(one, trained)
        torch.testing.assert_close(other, one[order])
        torch.testing.assert_close(single[0], one[2])


@pytest.mark.parametrize("row", TABLE_3)
def test_features_are_the_same_in_training_and_at_test_time(row):
    """At test time torch takes a faster path through the blocks of self-attention."""
    model, texts = tiny(**TABLE_3[row]), captions()
    trained = model.train()(images(), texts).embedding
    with torch.no_grad():
        tested = model.eval().embed(images(), texts)
    for one, two in zip(trained, tested, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_the_other_maps_are_of_patches_that_ask_for_words():
    model = tiny(maps_of="image", pairing="background_mean").eval()
    texts = model.read(captions())
    output = model(images(), captions())
    tokens = model.image_tower(images()).last
    for side in range(2):
        rows = slice(6 * side, 6 * (side + 1))
        keys, padding = texts.tokens[rows], texts.padding[rows]
        _, weights = model.module.attention.attend(tokens, keys, padding)
        maps = weights[:, 1:].mT  # (B, L, N): patches in columns
        torch.testing.assert_close(output.attention[:, side], maps)
        sums = output.attention[:, side].sum(1)
        torch.testing.assert_close(sums, torch.ones_like(sums))
    similarity = map_similarity(output.attention, _words(texts), "background_mean")
    mask = differential_mask(similarity, _words(texts)[:, 0], "one_minus")
    torch.testing.assert_close(output.mask, mask)
    seen = model.embed(images(), captions())
    torch.testing.assert_close(seen.crossed, output.embedding.crossed)
    usual = tiny().eval()(images(), captions())
    torch.testing.assert_close(output.embedding.visual, usual.embedding.visual)
    both = output.embedding.crossed[:, 0], usual.embedding.crossed[:, 0]
    torch.testing.assert_close(*both)


def _words(texts) -> torch.Tensor:
    return texts.words.unflatten(0, (2, -1)).transpose(0, 1)


def test_without_captions_the_image_tower_is_all_that_runs():
    model = tiny().eval()
    full = model.embed(images(), captions())
    for part in (model.text_tower, model.projection, model.module):
        part.forward = None
    plain = model.embed(images())
    torch.testing.assert_close(plain.visual, full.visual)
    assert plain.crossed.shape == (6, 0, 32)
    visual = distances(full, full, feature="visual")
    torch.testing.assert_close(distances(plain, plain), visual)


def test_without_the_background_branch_its_captions_are_not_read():
    model, texts = tiny(**TABLE_3["crossed"]).eval(), captions()
    expected = model.embed(images(), texts)
    for changed in (texts[:, :1], torch.stack([texts[:, 0], texts[:, 0]], 1)):
        for one, two in zip(model.embed(images(), changed), expected, strict=True):
            torch.testing.assert_close(one, two)


@given(seed=SEEDS)
def test_distances_against_loops(seed):
    generator = torch.Generator().manual_seed(seed)
    query, gallery = (
        Embedding(
            torch.randn(n, 5, generator=generator),
            3 * torch.randn(n, 2, 5, generator=generator),
        )
        for n in (3, 4)
    )
    found = distances(query, gallery)
    visual = distances(query, gallery, feature="visual")
    cosine = nn.CosineSimilarity(dim=0)
    for q in range(3):
        for g in range(4):
            pairs = [(query.visual[q], gallery.visual[g])]
            pairs += zip(query.crossed[q], gallery.crossed[g], strict=True)
            each = [float(cosine(a, b)) for a, b in pairs]
            assert found[q, g].item() == pytest.approx(1 - sum(each) / 3, abs=1e-5)
            assert visual[q, g].item() == pytest.approx(1 - each[0], abs=1e-5)
    expected = cosine_distances(query.visual, gallery.visual) / 2
    torch.testing.assert_close(visual, expected)


@pytest.mark.parametrize("row", TABLE_3)
def test_half_precision(row):
    model = tiny(**TABLE_3[row])
    with torch.autocast("cpu", torch.bfloat16):
        output = model(images(), captions())
    parts = [part for part in (*output[1:], *output.embedding) if part is not None]
    assert all(part.isfinite().all() for part in parts)
    if output.mask is not None:
        assert output.mask.dtype == torch.float32
        assert ((output.mask >= 0) & (output.mask <= 1)).all()
    diversity = row in ("diversity", "full")
    sum(objective(output, BATCH, diversity=diversity).values()).backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads and all(grad.isfinite().all() for grad in grads)
    found = distances(*[Embedding(*(x.bfloat16() for x in output.embedding))] * 2)
    assert found.dtype == torch.float32


def test_the_saved_state_is_all_that_an_embedding_needs():
    model, other = tiny(), tiny(seed=7)
    model(images(), captions())
    other.load_state_dict(model.state_dict())
    ours, theirs = (m.eval().embed(images(2), captions()) for m in (model, other))
    assert all(torch.equal(one, two) for one, two in zip(ours, theirs, strict=True))


def test_an_exclamation_mark_is_no_padding():
    """Padding has the id of `!`, so that the end of text alone can tell."""
    ids = tokenize(["a person !%", "a person"], 8)
    assert ids[0, 3] == 0
    texts = tiny().read(torch.stack([ids, ids], 1))
    assert texts.words.sum(1).tolist() == [4, 2, 4, 2]
    assert (~texts.padding).sum(1).tolist() == [6, 4, 6, 4]


def test_choices_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"mask is 'both'.*none.*literal.*one_minus"):
        tiny(mask="both")
    with pytest.raises(ValueError, match=r"pairing is ''.*index.*background_mean"):
        tiny(pairing="")
    with pytest.raises(ValueError, match="mask='literal' needs background=True"):
        tiny(mask="literal", background=False)
    embedding = tiny().eval().embed(images())
    with pytest.raises(ValueError, match="feature is 'text': choose from all, visual"):
        distances(embedding, embedding, feature="text")


def test_the_texts_of_these_tests_have_several_lengths():
    lengths = {len(text.split()) for text in (*PEOPLE, *SCENES)}
    assert len(lengths) > 3

"""RGANet's stage 0: prompts are open_clip's, only the context learns, Eq. 3."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from open_clip.tokenizer import tokenize
from toys.small_clip import small_clip
from toys.small_rganet import NAMES, images, tiny

from reidlib.analysis.localization import region_iou
from reidlib.backbones.clip_weights import load_clip
from reidlib.data.masks import cell_labels
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.models.rganet import RGANet
from reidlib.models.rganet_prompts import (
    REGIONS,
    TEMPLATES,
    PromptLearner,
    encode_prompts,
    fill_template,
    objective,
)
from reidlib.pedestrians import Part, Shot, draw
from reidlib.training.seeding import initialise


def learner_of(context_vectors: int = 3, names=NAMES, seed: int = 0) -> PromptLearner:
    _, clip = small_clip(seed)
    model = tiny(names=names)
    return PromptLearner(
        model, clip.text, tokenize(list(names)), context_vectors=context_vectors
    )


def cells(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-1, 5, (6, 5, 2), generator=generator)


def test_names_and_templates():
    assert [len(names) for names in REGIONS.values()] == list(REGIONS) == [2, 3, 4, 5]
    assert fill_template(TEMPLATES[-1], REGIONS[2]) == [
        "a upper body part of a person.",
        "a lower body part of a person.",
    ]
    with pytest.raises(ValueError, match=r"'a person' has no place.*\[CLASS\]"):
        fill_template("a person", NAMES)


@pytest.mark.parametrize("template", [*TEMPLATES, "[CLASS]"])
def test_hand_crafted_prototypes_are_open_clips_bit_for_bit(template):
    model, clip = small_clip()
    ids = tokenize(fill_template(template, NAMES))
    prototypes = encode_prompts(clip.text, ids)
    assert torch.equal(prototypes, model.encode_text(ids))
    assert prototypes.shape == (4, 24) and not prototypes.requires_grad


def test_context_that_spells_words_gives_the_prototypes_of_those_words():
    _, clip = small_clip()
    learner = learner_of(context_vectors=4)
    words = clip.text.embed_tokens(tokenize(["a photo of a"]))[0, 1:5]
    with torch.no_grad():
        learner.context.copy_(words)
    expected = encode_prompts(
        clip.text, tokenize(fill_template("a photo of a [CLASS]", NAMES))
    )
    torch.testing.assert_close(learner.prototypes(), expected)
    bare = learner_of(context_vectors=0).prototypes()
    torch.testing.assert_close(bare, encode_prompts(clip.text, tokenize(NAMES)))


def test_names_of_several_lengths_end_where_they_should():
    names = ["head", "a very long name of a part!", "foot"]
    together = learner_of(names=names)
    for j, name in enumerate(names):
        alone = learner_of(names=[name])
        with torch.no_grad():
            alone.context.copy_(together.context)
        torch.testing.assert_close(alone.prototypes()[0], together.prototypes()[j])


def test_context_counts_at_full_size():
    ids = tokenize(NAMES)
    with torch.device("meta"):
        clip = load_clip("random", image_size=(256, 128))
        model = RGANet(clip.image, torch.empty(4, 512), num_identities=702)
        learner = PromptLearner(model, clip.text, ids)
    trainable = [p.numel() for p in learner.parameters() if p.requires_grad]
    assert trainable == [4_096]


def test_context_begins_small():
    context = learner_of(context_vectors=64).context.detach()
    assert context.shape == (64, 16)
    assert context.mean().abs() < 0.003 and abs(context.std() - 0.02) < 0.003


def test_rows_of_a_seed_learn_the_same_prompts():
    learners = []
    for assessment in ("both", "none"):
        torch.manual_seed(len(learners))  # whatever was drawn before
        model = initialise(tiny(assessment=assessment), seed=4)
        _, clip = small_clip()
        ids = tokenize(NAMES)
        learner = PromptLearner(model, clip.text, ids, context_vectors=3)
        learners.append(initialise(learner, seed=4))
    ours, theirs = learners
    assert torch.equal(ours.context, theirs.context)
    assert torch.equal(ours.model.background, theirs.model.background)
    assert torch.equal(ours(images()), theirs(images()))


def test_the_stage_changes_the_context_and_nothing_else():
    _, clip = small_clip()
    model, regions = tiny(), cells()
    learner = PromptLearner(model, clip.text, tokenize(NAMES), context_vectors=3)
    towers = {"model": model, "text": clip.text, "learner": learner}
    before = {
        (owner, name): value.clone()
        for owner, module in towers.items()
        for name, value in module.state_dict().items()
    }
    trained = [p for p in learner.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.01)
    losses = []
    for _ in range(15):
        terms = objective(learner(images()), SimpleNamespace(regions=regions))
        assert terms.keys() == {"segmentation"}
        optimizer.zero_grad()
        terms["segmentation"].backward()
        optimizer.step()
        losses.append(terms["segmentation"].item())
    changed = {
        (owner, name)
        for owner, module in towers.items()
        for name, value in module.state_dict().items()
        if not torch.equal(value, before[owner, name])
    }
    assert changed == {("learner", "context")}
    assert losses[-1] < 0.9 * losses[0]
    assert all(p.grad is None for p in [*model.parameters(), *clip.text.parameters()])
    assert all(p.requires_grad for p in clip.text.parameters()), "those given stay"


def test_learned_prototypes_give_the_model_the_masks_of_the_learner():
    learner, model = learner_of(), tiny().eval()
    with torch.no_grad():
        masks = learner(images()).softmax(1)
        assert not torch.allclose(model(images()).masks, masks)
        model.prototypes.copy_(learner.prototypes())
        torch.testing.assert_close(model(images()).masks, masks)


def test_the_shipped_clip_finds_parts_by_hand_crafted_prompts():
    clip = load_clip("tiny", image_size=(128, 64), stride=8)
    ids = tokenize(fill_template(TEMPLATES[-1], NAMES))
    model = RGANet(clip.image, encode_prompts(clip.text, ids), num_identities=2)
    shots = [Shot("plaza", "query", 300 + i, i % 6, 0) for i in range(24)]
    drawings = [draw(shot) for shot in shots]
    transform = plain_transform(128, 64, normalisation="half")
    pictures = torch.stack([transform(drawing.image) for drawing in drawings])
    truth = torch.stack([torch.tensor(np.array(d.mask)) for d in drawings])
    with torch.no_grad():
        masks = model.eval()(pictures).masks
    true = cell_labels(truth, clip.image.grid, len(Part))
    inside = (true > 0) & (true < Part.OCCLUDER)
    named = 1 + masks[:, 1:].argmax(1)  # p_0 has not learned anything yet
    overlap = region_iou(named[inside], true[inside], 5)[1:]
    assert overlap.mean() > 0.6 and (overlap > 0.3).all()

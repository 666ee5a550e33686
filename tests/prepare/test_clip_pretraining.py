"""The contrasts that teach the tiny CLIP, on a model of toy size."""

import random

import open_clip
import pytest
import torch
import torch.nn.functional as F
from toys.small_clip import SETTINGS

from reidlib.data.masks import cell_labels
from reidlib.losses.contrastive import info_nce_loss
from reidlib.pedestrians import RECIPES, Part, Shot, draw
from reidlib.prepare import clip_pretraining as pretraining
from reidlib.prepare.clip_pretraining import CaptionedBatch, Output, objective

GRID = (8, 4)
TOY = SETTINGS | {"vision_cfg": SETTINGS["vision_cfg"] | {"image_size": [128, 64]}}
WEIGHTS = (0.3, 2.5, 1.0, 1.0, 4.0, 0.5)


@pytest.fixture(scope="module")
def tokenizer():
    return open_clip.get_tokenizer("ViT-B-16")


@pytest.fixture(scope="module")
def batch(tokenizer) -> CaptionedBatch:
    random.seed(0)
    options = {"grid": GRID, "steps": 1, "batch_size": 6, "occlusion": 0.5}
    return next(iter(pretraining.pairs_loader(tokenizer, **options)))


@pytest.fixture
def model() -> pretraining.PretrainedClip:
    torch.manual_seed(0)
    return pretraining.PretrainedClip(pretraining.build_clip(TOY))


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator), dim=-1)


def test_a_batch_is_what_was_drawn(batch, tokenizer):
    sizes = {name: tuple(part.shape) for name, part in batch._asdict().items()}
    assert sizes == {
        "images": (6, 3, 128, 64),
        "person": (6, 77),
        "background": (6, 77),
        "words": (6, 77),
        "regions": (6, 32),
    }
    for index in range(6):
        shot = Shot(pretraining.WORLD, "pairs", 0, index, index, occlusion=0.5)
        drawing = draw(shot)
        assert (batch.person[index] == tokenizer([drawing.person])[0]).all()
        assert (batch.background[index] == tokenizer([drawing.background])[0]).all()
        pixels = torch.tensor(list(drawing.image.tobytes())).view(128, 64, 3)
        shown = (batch.images[index].permute(1, 2, 0) * 0.5 + 0.5) * 255
        assert (shown - pixels).abs().max() < 0.01
        mask = torch.tensor(list(drawing.mask.tobytes())).view(1, 128, 64)
        labels = cell_labels(mask, GRID, len(Part)).flatten()
        assert (batch.regions[index] == labels).all()
    assert batch.to("meta").regions.device.type == "meta"


def test_every_second_round_of_the_cameras_is_mirrored(tokenizer):
    pairs = pretraining.DrawnPairs(tokenizer, GRID, 0.0)
    image, _, _, regions = pairs[48]
    shot = Shot(pretraining.WORLD, "pairs", 0, 0, 48)
    pixels = torch.tensor(list(draw(shot).image.tobytes())).view(128, 64, 3)
    shown = (image.flip(-1).permute(1, 2, 0) * 0.5 + 0.5) * 255
    assert (shown - pixels).abs().max() < 0.01
    mask = torch.tensor(list(draw(shot).mask.tobytes())).view(1, 128, 64)
    expected = cell_labels(mask.flip(-1), GRID, len(Part)).flatten()
    assert (regions == expected).all()


def test_no_index_is_drawn_twice():
    batches = pretraining.FreshBatches(steps=3, batch_size=4)
    seen = []
    for epoch in range(5):
        batches.set_epoch(epoch)
        drawn = list(batches)
        assert len(batches) == 3 and [len(indices) for indices in drawn] == [4, 4, 4]
        seen += [index for indices in drawn for index in indices]
    assert len(set(seen)) == len(seen) == 60
    batches.set_epoch(1)
    assert [i for indices in batches for i in indices] == seen[12:24], "and repeatable"


def test_its_world_is_in_no_benchmark():
    assert pretraining.WORLD not in {recipe.world for recipe in RECIPES.values()}


def test_prompts_name_every_part_in_one_template():
    seen = set()
    for seed in range(60):
        prompts = pretraining.region_prompts(random.Random(seed))
        parts = pretraining.REGION_WORDS.items()
        assert len(prompts) == len(parts)
        for (part, words), prompt in zip(parts, prompts, strict=True):
            assert any(word in prompt for word in words), (part, prompt)
        seen.update(prompts)
    assert len(seen) > 60
    assert "a head part of a person." in seen, "the hand-crafted wording is among them"


def test_the_vocabulary_holds_all_that_is_ever_said(tokenizer):
    captions = pretraining.sampled_captions(4)
    assert len(captions) == 8
    rows = pretraining.vocabulary(tokenizer, captions)
    assert rows == sorted(set(rows))
    said = [*captions, *pretraining.HAND_CRAFTED]
    for seed in range(40):
        said += pretraining.region_prompts(random.Random(seed))
    assert set(tokenizer(said).flatten().tolist()) <= set(rows)
    assert {0, 49406, 49407} <= set(rows) and len(rows) < 300


def test_forward_gives_unit_vectors_of_one_width(model, batch):
    output = model(*pretraining.tensors_of(batch))
    sizes = {name: tuple(part.shape) for name, part in output._asdict().items()}
    assert sizes == {
        "images": (6, 24),
        "pooled": (6, 24),
        "patches": (6, 32, 24),
        "person": (6, 24),
        "background": (6, 24),
        "words": (6, 24),
        "scales": (4,),
    }
    for vectors in output[:6]:
        assert torch.allclose(vectors.norm(dim=-1), torch.ones(vectors.shape[:-1]))
    assert torch.allclose(output.scales, torch.full((4,), 10.0))


def test_pooled_is_the_mean_of_patches_as_the_tower_gives_them(model, batch):
    output = model(*pretraining.tensors_of(batch))
    joint = model.clip.image(batch.images).joint
    for i in range(len(batch.images)):
        mean = sum(joint[i, 1 + n] for n in range(32)) / 32
        assert torch.allclose(output.pooled[i], mean / mean.norm(), atol=1e-6)


def test_texts_are_those_of_the_tower_whatever_is_cut_off(model, batch):
    output = model(*pretraining.tensors_of(batch))
    for name in ("person", "background", "words"):
        whole = F.normalize(model.clip.text(getattr(batch, name)).sentence, dim=-1)
        assert torch.allclose(getattr(output, name), whole, atol=1e-5)


def made_up(regions: torch.Tensor) -> tuple[Output, CaptionedBatch]:
    count, patches = regions.shape
    scales = torch.tensor([2.0, 3.0, 4.0, 5.0])
    output = Output(
        unit(count, 9),
        unit(count, 9, seed=5),
        unit(count, patches, 9, seed=1),
        unit(count, 9, seed=2),
        unit(count, 9, seed=3),
        unit(len(pretraining.REGION_WORDS), 9, seed=4),
        scales,
    )
    nothing = torch.zeros(count, 1)
    return output, CaptionedBatch(nothing, nothing, nothing, nothing, regions)


def test_terms_are_their_equations():
    regions = torch.tensor([[0, 0, 1, 2, 3], [0, 4, 5, 5, 0], [0, 2, 2, 3, 1]])
    output, batch = made_up(regions)
    terms = objective(output, batch, class_weights=WEIGHTS)
    assert set(terms) == {"person", "pooled", "background", "region"}
    means = []
    for patches, labels in zip(output.patches, regions, strict=True):
        means.append(patches[labels == Part.BACKGROUND].mean(dim=0))
    behind = F.normalize(torch.stack(means), dim=-1)
    for name, vectors, texts, scale in (
        ("person", output.images, output.person, 2.0),
        ("pooled", output.pooled, output.person, 3.0),
        ("background", behind, output.background, 4.0),
    ):
        expected = info_nce_loss(vectors, texts, torch.tensor(scale))
        assert terms[name].item() == pytest.approx(expected.item(), rel=1e-5)
    total = norm = 0.0
    for i, labels in enumerate(regions.tolist()):
        for patch, label in zip(output.patches[i], labels, strict=True):
            scores = (5.0 * output.words @ patch).log_softmax(dim=0)
            total -= WEIGHTS[label] * scores[label].item()
            norm += WEIGHTS[label]
    assert terms["region"].item() == pytest.approx(total / norm, rel=1e-5)


@pytest.mark.parametrize("part", pretraining.REGION_WORDS)
def test_the_region_term_hears_patches_of_every_part(part):
    output, batch = made_up(torch.arange(6).repeat(2, 1))
    patches = output.patches.clone().requires_grad_()
    terms = objective(output._replace(patches=patches), batch, class_weights=WEIGHTS)
    terms["region"].backward()
    assert (patches.grad[:, part].abs().sum(dim=-1) > 0).all()


def test_a_picture_without_background_does_no_harm():
    output, batch = made_up(torch.full((3, 4), int(Part.OCCLUDER)))
    terms = objective(output, batch, class_weights=WEIGHTS)
    assert all(term.isfinite() for term in terms.values())


@pytest.mark.parametrize("name", ["person", "pooled", "background", "region"])
def test_the_gradient_of_each_term_reaches_both_towers(model, batch, name):
    output = model(*pretraining.tensors_of(batch))
    objective(output, batch, class_weights=WEIGHTS)[name].backward()
    for tower in (model.clip.image, model.clip.text):
        gradients = [p.grad for p in tower.parameters() if p.grad is not None]
        assert gradients and sum(g.abs().sum() for g in gradients) > 0
        assert all(gradient.isfinite().all() for gradient in gradients)
    scale = ["person", "pooled", "background", "region"].index(name)
    assert (model.log_scales.grad != 0).tolist() == [i == scale for i in range(4)]


def test_patches_are_named_by_the_nearest_prompt(model, batch, tokenizer):
    prompts = tokenizer(list(pretraining.HAND_CRAFTED))
    model.eval()
    with torch.no_grad():
        named = pretraining.name_patches(model.clip, batch.images, prompts)
        joint = model.clip.image(batch.images).joint
        sentences = model.clip.text(prompts).sentence
    assert named.shape == (6, *GRID) and named.dtype == torch.int64
    for row, column in ((0, 0), (3, 2), (7, 3)):
        patch = joint[2, 1 + row * GRID[1] + column]
        nearest = F.cosine_similarity(patch[None], sentences).argmax()
        assert named[2, row, column] == nearest


def test_people_are_embedded_by_the_class_token(model, batch):
    model.eval()
    with torch.no_grad():
        found = model.embed(batch.images)
        assert (found == model.clip.image(batch.images).joint[:, 0]).all()
    assert found.shape == (6, 24)

"""Images of a benchmark to pre-train on: order, mirrors, and naming images."""

import open_clip
import pytest
import torch
from toys.small_clip import small_clip

from reidlib.benchmarks import load_benchmark
from reidlib.data.captions import Captions, captions_of
from reidlib.data.masks import cell_labels, read_mask
from reidlib.prepare.stored_pairs import (
    StoredPairs,
    attribute_prompts,
    mirrored,
    name_images,
    stored_loader,
)

SIZE, GRID = (128, 64), (16, 8)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return load_benchmark("atrium_smoke", tmp_path_factory.mktemp("data")).train[:6]


@pytest.fixture(scope="module")
def pairs(samples):
    return StoredPairs(samples, open_clip.get_tokenizer("ViT-B-16"), SIZE, GRID)


def test_each_pass_has_every_image_once_in_an_order_of_its_own(pairs):
    passes = [[pairs[turn * 6 + i][0] for i in range(6)] for turn in range(3)]
    sums = [[round(float(image.sum()), 1) for image in images] for images in passes]
    assert sorted(sums[0]) == sorted(sums[1]) == sorted(sums[2]), "mirrors sum alike"
    assert len({*map(tuple, sums)}) == 3
    assert torch.equal(pairs[7][0], pairs[7][0])


def test_an_image_its_captions_and_its_mask_are_mirrored_together(pairs, samples):
    seen = {}
    for index in range(12):
        image, person, background, regions = pairs[index]
        key = round(float(image.sum()), 1)
        seen.setdefault(key, []).append((image, regions.unflatten(0, GRID), person))
        assert person.shape == background.shape == (77,)
    assert len(seen) == 6
    for (image, regions, _), (other, mirror, _) in seen.values():
        assert torch.equal(image, other.flip(-1))
        assert torch.equal(regions, mirror.flip(-1))
    plain = cell_labels(read_mask(samples[0].path)[None], GRID, 6)[0]
    found = [regions for pair in seen.values() for _, regions, _ in pair]
    assert any(torch.equal(plain, regions) for regions in found)


def test_sides_are_named_the_other_way_round():
    texts = Captions("Seen from the left, a right leg.", "bright leftovers")
    assert mirrored(texts) == ("Seen from the right, a left leg.", "bright leftovers")
    assert mirrored(mirrored(texts)) == texts


def test_the_loader_gives_the_batches_that_pre_training_takes(samples):
    tokenizer = open_clip.get_tokenizer("ViT-B-16")
    loader = stored_loader(
        samples, tokenizer, size=SIZE, grid=GRID, steps=2, batch_size=4
    )
    batches = list(loader)
    assert [batch.images.shape for batch in batches] == [(4, 3, 128, 64)] * 2
    assert batches[0].words.shape == (6, 77) and batches[0].regions.shape == (4, 128)
    with pytest.raises(FileNotFoundError, match=r"no captions\.jsonl"):
        strangers = [sample._replace(path=sample.path.parents[3]) for sample in samples]
        StoredPairs(strangers, tokenizer, SIZE, GRID)


def test_an_image_is_named_by_the_nearest_sentence():
    _, clip = small_clip()
    tokenizer = open_clip.get_tokenizer("ViT-B-16")
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    prompts = tokenizer(["a red top", "a blue top"])
    with torch.no_grad():
        found = name_images(clip, images, prompts)
        tokens = clip.image(images).joint[:, 0]
        sentences = clip.text(prompts).sentence
    for image, chosen in zip(tokens, found, strict=True):
        cosines = [float(torch.cosine_similarity(image, s, dim=0)) for s in sentences]
        assert int(chosen) == cosines.index(max(cosines))


def test_prompts_are_made_of_values_that_occur(samples):
    truth = [{"bag": "", "upper": "coat"}, {"bag": "rucksack", "upper": "shirt"}]
    made = attribute_prompts(truth, {"bag": "with a {}.", "upper": "in a {}."})
    assert made == {
        "bag": {"rucksack": "with a rucksack."},
        "upper": {"coat": "in a coat.", "shirt": "in a shirt."},
    }
    assert captions_of(samples)

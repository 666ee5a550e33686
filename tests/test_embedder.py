"""A run leaves a model that embeds pictures as the run did, to the bit."""

import json
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toys.notebook_models import PAPERS, model_of, parts, run_before_training

import reidlib
from reidlib import evaluation, exporting
from reidlib.data import captions_of
from reidlib.data.pictures import PictureError
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.model_files import SETTINGS, WEIGHTS, save_model
from reidlib.models import fba

IMAGES = 20  # two batches of different lengths
# stage 0 is learned by a training of its own, which is tested elsewhere
WORDS = {"prompt": "a photo of a [CLASS]."}
GIVEN = {"rganet": WORDS, "combined": WORDS}


@pytest.fixture(scope="module")
def data_root(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("data"))


def moved(model: torch.nn.Module, seed: int = 5) -> torch.nn.Module:
    """The model with other weights and statistics, as a training leaves it."""
    draw = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.is_floating_point() and "text_tower" not in name:  # that is frozen
            noise = torch.rand(value.shape, generator=draw)
            value.add_(0.1 * noise * value.abs().mean())
    return model.eval()


@pytest.mark.parametrize("paper", sorted(PAPERS))
def test_a_loaded_run_embeds_to_the_bits_that_it_was_scored_with(
    paper, data_root, tmp_path, monkeypatch
):
    given = {"data_root": data_root, "device": "cpu", **GIVEN.get(paper, {})}
    given |= {"batch_size_test": 12}
    *_, (_, space) = run_before_training(paper, given, monkeypatch)
    model, tester = moved(space["model"]), space["tester"]
    samples = space["dataset"].query[:IMAGES]
    wanted = tester.embedded(model, samples).embeddings
    facts = {"paper": paper}
    save_model(tmp_path, model, tester, facts)
    embedder = reidlib.load(tmp_path)
    paths = [sample.path for sample in samples]
    texts = None
    if embedder.reads_captions:
        known = captions_of(samples)
        texts = [known[path] for path in paths]
        with pytest.raises(ValueError, match="fba compares what captions say, too"):
            embedder.embed(paths)
    found = embedder.embed(paths, texts)
    assert type(found) is type(wanted)
    for ours, theirs in zip(parts(found), parts(wanted), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(
        embedder.distances(found, found), tester.distances(wanted, wanted)
    )
    assert embedder.settings["classes"] == space["num_identities"]
    assert paper == "fba" or not embedder.reads_captions
    assert (tmp_path / WEIGHTS).stat().st_size < 8 << 20


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The folder of a model that embeds pictures, and remembers no picture."""
    folder = tmp_path_factory.mktemp("small")
    transform = plain_transform(128, 64, normalisation="imagenet")
    tester = evaluation.Tester(transform, "cpu", 4, flip_average=True)
    facts = {"paper": "baseline", "data": {"kind": "drawn"}}
    save_model(folder, moved(model_of("baseline", "full")), tester, facts)
    return folder


def picture(seed: int, mode: str = "RGB", size: tuple[int, int] = (70, 150)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def test_pictures_of_any_mode_and_size_are_embedded_like_their_files(small, tmp_path):
    embedder = reidlib.load(small)
    pictures = [picture(0), picture(1, "L"), picture(2, "CMYK"), picture(3, "P")]
    pictures += [picture(4, "RGBA"), picture(5, size=(9, 5))]
    paths = [tmp_path / f"{n} ä.tif" for n in range(len(pictures))]
    for image, path in zip(pictures, paths, strict=True):
        image.save(path)
    found = embedder.embed(paths)
    assert found.shape == (6, 128) and found.dtype == torch.float32
    assert torch.equal(embedder.embed(pictures), found)
    assert torch.equal(embedder.embed([str(path) for path in paths]), found)
    batch = torch.stack([embedder.transform(p.convert("RGB")) for p in pictures])
    assert torch.equal(embedder.embed(batch), found)
    assert torch.equal(embedder.embed(paths[0]), embedder.embed([paths[0]]))
    distances = embedder.distances(found, found)
    assert distances.shape == (6, 6) and distances.diagonal().abs().max() < 1e-5


def test_the_generator_of_whoever_loads_is_left_alone(small):
    torch.manual_seed(3)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    reidlib.load(small)
    assert torch.equal(torch.rand(1), drawn)


def test_weights_in_eight_bits_move_by_half_a_step_and_score_what_they_say(
    small, tmp_path
):
    scored = []
    exporting.export_small(
        reidlib.load(small), tmp_path, lambda x: scored.append(x) or {"plaza": {}}
    )
    found = reidlib.load(tmp_path)
    assert found.settings["scores"] == {"plaza": {}}
    assert found.settings["data"]["tested_on"] == ["plaza"]
    assert (tmp_path / WEIGHTS).stat().st_size < 0.3 * (small / WEIGHTS).stat().st_size
    pictures = [picture(seed) for seed in range(3)]
    assert torch.equal(found.embed(pictures), scored[0].embed(pictures))
    before, after = (x.model.state_dict() for x in (reidlib.load(small), found))
    for name, value in before.items():
        rows = value.float().reshape(len(value) if value.ndim > 1 else 1, -1)
        half_a_step = rows.abs().amax(1, keepdim=True) / 254
        off = (after[name].float().reshape(rows.shape) - rows).abs()
        assert (off <= 1.001 * half_a_step).all(), name
        assert value.numel() >= 4096 or torch.equal(value, after[name]), name


def test_what_cannot_be_embedded_is_named(small, tmp_path):
    embedder = reidlib.load(small)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    for images, error, message in [
        ([], ValueError, "there is no image to embed"),
        ([broken], PictureError, "broken.jpg cannot be decoded"),
        ([tmp_path / "absent.jpg"], FileNotFoundError, "absent.jpg"),
        ([3], ValueError, "image 0 is a int: give paths, Pillow images, or one"),
        (torch.zeros(2, 3, 64, 64), ValueError, r"a batch is \(B, 3, 128, 64\)"),
        (torch.zeros(2, 3, 128, 64).long(), ValueError, "torch.int64"),
    ]:
        with pytest.raises(error, match=message):
            embedder.embed(images)
    with pytest.raises(ValueError, match="baseline reads no captions"):
        embedder.embed([picture(0)], [("a man", "a street")])


def test_a_folder_without_a_model_or_with_another_one_is_refused(small, tmp_path):
    with pytest.raises(FileNotFoundError, match="no model.json in .* with --fresh"):
        reidlib.load(tmp_path)
    settings = json.loads((small / SETTINGS).read_text())
    weights = (small / WEIGHTS).read_bytes()

    def refused(changed: dict, content: bytes, message: str) -> None:
        (tmp_path / SETTINGS).write_text(json.dumps(changed))
        (tmp_path / WEIGHTS).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            reidlib.load(tmp_path)

    refused(settings, weights[:-1], "is not the file that model.json describes")
    refused(settings | {"format": 2}, weights, "has the format 2, this version reads 1")
    for call, message in [
        ("files.write_bytes", "is not what a recipe may name"),
        ("models.fanet.gate", "builds no model: nothing marks it as @recorded"),
        ("models.fanet.Missing", "this version has no models.fanet.Missing"),
    ]:
        model = {"call": call, "with": {}}
        refused(settings | {"model": model}, weights, message)
    distances = {"call": "models.fanet.gate", "with": {}}
    refused(settings | {"distances": distances}, weights, "is no distance of embedd")
    model = deepcopy(settings["model"])
    model["with"]["num_identities"] += 1
    refused(settings | {"model": model}, weights, "another architecture than ResNetB")
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match="model.safetensors is not there"):
        reidlib.load(tmp_path)


def test_a_model_that_nothing_records_is_not_written(tmp_path):
    transform = plain_transform(8, 8, normalisation="half")
    tester = evaluation.Tester(transform, "cpu", 4)
    with pytest.raises(ValueError, match="given a Linear, which no recipe describes"):
        save_model(tmp_path, torch.nn.Linear(2, 2), tester, {})
    other = replace(tester, inputs=tuple)
    with pytest.raises(ValueError, match="of a batch, which no embedder knows"):
        save_model(tmp_path, model_of("baseline", "full"), other, {})
    assert not list(tmp_path.iterdir())


def test_a_distance_with_a_setting_keeps_it(tmp_path):
    model = model_of("fba", "baseline").eval()
    size = model.image_tower.image_size
    tester = evaluation.Tester(
        plain_transform(*size, normalisation="half"),
        "cpu",
        4,
        distances=partial(fba.distances, feature="visual"),
    )
    save_model(tmp_path, model, tester, {})
    embedder = reidlib.load(tmp_path)
    found = embedder.embed([picture(0), picture(1)])
    assert embedder.distances.keywords == {"feature": "visual"}
    assert torch.equal(embedder.distances(found, found), tester.distances(found, found))

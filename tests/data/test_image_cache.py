"""Images that are decoded once: the same bits, and nothing stale or torn is used."""

import fcntl
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from reidlib import data
from reidlib.data import image_cache, transforms
from reidlib.data.image_cache import ImageCache
from reidlib.data.samples import Sample
from reidlib.training.seeding import seed_everything

PLAIN = transforms.test_transform(16, 8, normalisation="half")
AUGMENTED = transforms.train_transform(16, 8, normalisation="half", pad=2)


@pytest.fixture
def samples(tmp_path) -> list[Sample]:
    """Twelve pictures of several sizes, modes and formats, below <tmp>/data."""
    generator, found = np.random.default_rng(0), []
    for i in range(12):
        size = (20 + i, 9 + i, 3)
        image = Image.fromarray(generator.integers(0, 256, size, dtype=np.uint8))
        path = tmp_path / "data" / "set" / f"{i % 3}_{i:02}.{'jpg' if i % 2 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.convert("L" if i == 5 else "RGB").save(path)
        found.append(Sample(path, i % 3, i % 2))
    return found


@pytest.fixture
def cache(tmp_path) -> ImageCache:
    return ImageCache.at(str(tmp_path / "kept"), str(tmp_path / "data"))


def pictures(cache, samples, transform=PLAIN):
    return cache.pictures([sample.path for sample in samples], transform)


def undecodable(path):
    raise AssertionError(f"{path} was decoded again")


def loaders(samples, workers, cache):
    batches = {"num_identities_per_batch": 3, "images_per_identity": 2, "seed": 0}
    common = {"workers": workers, "cache": cache}
    yield data.train_loader(samples, AUGMENTED, **batches, **common)
    yield data.train_loader(samples, PLAIN, **batches, **common)
    yield data.test_loader(samples, PLAIN, batch_size=5, **common)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork, 3.12
@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_give_the_same_bits_with_and_without(samples, cache, workers):
    seen = []
    for used in (None, cache, cache):  # without, while it is made, from what it kept
        seed_everything(0)
        seen.append([b for load in loaders(samples, workers, used) for b in load])
    assert len(seen[0]) == 2 + 2 + 3
    for other in seen[1:]:
        for batch, again in zip(seen[0], other, strict=True):
            assert batch.paths == again.paths
            for tensor, same in zip(batch[:3], again[:3], strict=True):
                assert torch.equal(tensor, same)


def test_kept_are_the_resized_images_as_bytes(samples, cache):
    found = pictures(cache, samples)
    assert len(found) == 12 and found.pixels.dtype == np.uint8
    assert isinstance(found.pixels, np.memmap) and not found.pixels.flags.writeable
    for sample, picture in zip(samples, found, strict=True):
        resized = Image.open(sample.path).convert("RGB").resize((8, 16), Image.BICUBIC)
        assert np.array_equal(np.asarray(picture), np.asarray(resized)), sample.path
    assert sorted(p.suffix for p in cache.folder.iterdir()) == [".npy"]


def test_nothing_is_decoded_twice_even_where_all_was_moved(
    samples, cache, tmp_path, monkeypatch
):
    first = pictures(cache, samples)
    monkeypatch.setattr(image_cache, "read_picture", undecodable)
    assert pictures(cache, samples, AUGMENTED).file == first.file
    shutil.copytree(tmp_path / "data", tmp_path / "other")  # keeps times
    shutil.copytree(cache.folder, tmp_path / "there")
    moved = [s._replace(path=tmp_path / "other/set" / s.path.name) for s in samples]
    there = ImageCache.at(str(tmp_path / "there"), str(tmp_path / "other"))
    assert np.array_equal(pictures(there, moved).pixels, first.pixels)


def test_another_list_order_or_size_is_kept_apart(samples, cache):
    larger = transforms.test_transform(16, 10, normalisation="half")
    files = {
        pictures(cache, samples).file,
        pictures(cache, samples, larger).file,
        pictures(cache, samples[:5]).file,
        pictures(cache, samples[::-1]).file,
    }
    assert len(files) == 4
    assert {file.name.rpartition("-")[0] for file in files} == {
        "16x8-bicubic",
        "16x10-bicubic",
    }


def test_changed_images_are_decoded_anew(samples, cache):
    first = pictures(cache, samples)
    Image.new("RGB", (7, 7)).save(samples[4].path)
    second = pictures(cache, samples)
    assert second.file != first.file and not second.pixels[4].any()
    os.utime(samples[7].path, (0, 0))
    assert pictures(cache, samples).file not in (first.file, second.file)


KILLED = """
import os, signal
from pathlib import Path
from reidlib.data import image_cache, transforms

def read(path, known=image_cache.read_picture):
    if "_07" in path.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return known(path)

image_cache.read_picture, image_cache.PART = read, 2
paths = sorted(Path("data/set").iterdir())
plain = transforms.test_transform(16, 8, normalisation="half")
image_cache.ImageCache.at("kept", "data").pictures(paths, plain)
"""


def test_what_was_killed_is_made_anew(samples, cache, tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert sorted(p.suffix for p in cache.folder.iterdir()) == [".lock", ".tmp"]
    ordered = sorted(samples)
    found = pictures(cache, ordered)
    assert not list(cache.folder.glob("*.tmp"))
    whole = ImageCache(tmp_path / "whole", cache.data_root)
    assert found.file.name == pictures(whole, ordered).file.name
    assert np.array_equal(found.pixels, pictures(whole, ordered).pixels)


def test_who_comes_second_waits(samples, cache):
    file, found = pictures(cache, samples).file, []
    file.unlink()
    lock = file.with_suffix(".lock")
    second = threading.Thread(target=lambda: found.append(pictures(cache, samples)))
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second.start()
        second.join(0.3)
        assert second.is_alive() and not found
    second.join()
    assert len(found[0]) == 12


def test_a_copy_for_a_worker_maps_the_file_again(samples, cache):
    found = pictures(cache, samples)
    content = pickle.dumps(found)
    assert len(content) < 500
    again = pickle.loads(content)
    assert isinstance(again.pixels, np.memmap)
    assert np.array_equal(again.pixels, found.pixels)


@pytest.mark.parametrize("size", [0, 8, -1])
def test_a_damaged_file_says_what_to_delete(samples, cache, size):
    file = pictures(cache, samples).file
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(ValueError, match=rf"{file.name} is damaged .*: delete it"):
        pictures(cache, samples)
    file.unlink()
    assert len(pictures(cache, samples)) == 12


def test_an_image_that_cannot_be_decoded_is_named_and_leaves_nothing(samples, cache):
    content = samples[3].path.read_bytes()
    samples[3].path.write_bytes(content[:-40])
    with pytest.raises(ValueError, match=r"0_03\.jpg cannot be decoded .*truncated"):
        pictures(cache, samples)
    assert not list(cache.folder.iterdir())
    samples[3].path.unlink()
    with pytest.raises(FileNotFoundError, match=r"0_03\.jpg"):
        pictures(cache, samples)


def test_a_folder_that_cannot_be_written_is_named_with_the_room_it_needs(
    samples, tmp_path
):
    (tmp_path / "file").touch()
    cache = ImageCache.at(str(tmp_path / "file" / "kept"), str(tmp_path / "data"))
    with pytest.raises(ValueError, match=r"image_cache \S+kept .*room for 0\.00 GiB"):
        pictures(cache, samples)


@pytest.mark.parametrize(
    "transform", [transforms.v2.Compose([*PLAIN.transforms[1:]]), lambda image: image]
)
def test_a_transform_that_begins_with_no_resize_is_refused(samples, cache, transform):
    with pytest.raises(ValueError, match="not with a resize"):
        pictures(cache, samples, transform)


def test_no_folder_is_no_cache():
    assert ImageCache.at("", "../data") is None

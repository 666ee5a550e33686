"""Archives of the rendered sets: the same bytes, unpacked whole, damage is named."""

import errno
import json
import shutil
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reidlib.analysis.truth import check_masks, true_parts
from reidlib.benchmarks import DataError, check, load_benchmark, missing_data
from reidlib.benchmarks.counts import expected
from reidlib.benchmarks.made import ensure
from reidlib.data.captions import CaptionIds, captions_of
from reidlib.data.masks import read_mask
from reidlib.prepare.region_prompts import region_labels
from reidlib.rendered import (
    RECIPES,
    about,
    cameras,
    ensure_world,
    entries,
    is_shipped,
    pack,
    shipped_picture,
)
from reidlib.rendered import archives as room
from reidlib.rendered.archives import ABOUT, ARCHIVES, CAPTIONS, SUMS
from reidlib.rendered.cameras import Camera
from reidlib.rendered.truth import Detail, parts
from reidlib.rendered.worlds import Recipe
from reidrun.runs.environment import ROOT

SHIPPED = [name for name in RECIPES if is_shipped(name)]
FEW = {
    "train_identities": 1,
    "test_identities": 1,
    "images_per_camera": 1,
    "distractors": 1,
    "junk": 1,
}


@pytest.fixture(scope="module")
def atrium(tmp_path_factory):
    return ensure_world("atrium_smoke", tmp_path_factory.mktemp("data") / "atrium")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Two sets of one world as they would be rendered, of noise."""
    monkeypatch.setitem(RECIPES, "few", Recipe("few", **FEW))
    hidden = Recipe("few", query_split="occluded", query_occlusion=1.0, **FEW)
    monkeypatch.setitem(RECIPES, "few_hidden", hidden)
    monkeypatch.setattr("reidlib.rendered.worlds.camera", camera)
    for name in ("few", "few_hidden"):
        write_noise(name, tmp_path / "rendered" / name)
    return tmp_path


def camera(world: str, camid: int) -> Camera:
    return cameras.camera("atrium", camid)


def write_noise(name: str, root: Path) -> None:
    rows = []
    for entry in entries(RECIPES[name]):
        rng = np.random.default_rng(list(entry.shot.seed.encode()))
        details = rng.integers(0, len(Detail), (128, 64), np.uint8)
        pixels = rng.integers(0, 256, (128, 64, 3), np.uint8)
        write(root / entry.name, pixels)
        write((root / "details" / entry.name).with_suffix(".png"), details)
        write((root / "masks" / entry.name).with_suffix(".png"), parts(details))
        rows.append(json.dumps({"image": entry.name, "person": entry.shot.seed}))
    for number in range(1, 7):
        write(root / "scenes" / f"c{number}.jpg", pixels)
    (root / CAPTIONS).write_text("\n".join(rows) + "\n")
    (root / ABOUT).write_text(json.dumps(about(name), indent=2) + "\n")


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, optimize=True)


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_what_was_packed_comes_out_and_shared_images_are_shipped_once(small):
    archives, data = small / "archives", small / "data"
    for name in ("few", "few_hidden"):
        pack(name, small / "rendered" / name, archives)
    for name in ("few_hidden", "few"):
        root = ensure_world(name, data / name, archives)
        assert contents(root) == contents(small / "rendered" / name) | {
            f"scenes/c{n}.jpg": contents(small / "rendered" / "few")[f"scenes/c{n}.jpg"]
            for n in range(1, 7)
        }
    with zipfile.ZipFile(archives / "few_hidden.zip") as archive:
        folders = {name.rpartition("/")[0] for name in archive.namelist()}
    assert folders == {"", "query", "details/query"}
    assert sorted(path.name for path in data.iterdir()) == ["few", "few_hidden"]


def test_one_picture_is_had_without_unpacking(small):
    archives, place = small / "archives", "query/5001_c1s1_000000_00.jpg"
    for name in ("few", "few_hidden"):
        pack(name, small / "rendered" / name, archives)
        for where in (place, "bounding_box_train/0001_c6s1_000000_00.jpg"):
            found = shipped_picture(name, where, archives)
            there = Image.open(small / "rendered" / name / where)
            assert (np.asarray(found) == np.asarray(there)).all()
    pictures = [
        shipped_picture(name, place, archives) for name in ("few", "few_hidden")
    ]
    assert pictures[0].tobytes() != pictures[1].tobytes(), "queries of their own"
    with pytest.raises(ValueError, match="'few' has no image 'query/x.jpg'"):
        shipped_picture("few", "query/x.jpg", archives)


def test_the_same_folder_gives_the_same_bytes_with_a_checksum(small):
    folder, archives = small / "rendered" / "few", small / "archives"
    first = pack("few", folder, archives).read_bytes()
    assert pack("few", folder, archives).read_bytes() == first
    pack("few_hidden", folder.with_name("few_hidden"), archives)
    lines = (archives / SUMS).read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["few.zip", "few_hidden.zip"]
    assert {len(line.split()[0]) for line in lines} == {64}


def test_what_is_no_rendered_set_is_not_packed(small):
    folder, archives = small / "rendered" / "few", small / "archives"
    with pytest.raises(
        ValueError, match="few does not hold few_hidden of this version"
    ):
        pack("few_hidden", folder, archives)
    mask = next((folder / "masks" / "query").iterdir())
    write(mask, np.zeros((128, 64), np.uint8))
    with pytest.raises(ValueError, match=f"{mask.name} is not what its details give"):
        pack("few", folder, archives)
    assert contents(archives) == {}


@pytest.mark.parametrize("change", ["flip", "cut", "absent", "version"])
def test_an_archive_that_is_not_as_shipped_is_named(small, monkeypatch, change):
    archives = small / "archives"
    path = pack("few", small / "rendered" / "few", archives)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if change == "flip":
        path.write_bytes(content)
        message = "few.zip is damaged, its checksum is not that of SHA256SUMS: restore"
    elif change == "cut":
        path.write_bytes(content[:500])
        message = "few.zip is damaged"
    elif change == "absent":
        path.unlink()
        message = "few.zip is missing: restore it"
    else:
        monkeypatch.setattr("reidlib.rendered.worlds.VERSION", 2)
        message = "few.zip is not few of this version"
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        ensure_world("few", small / "data" / "few", archives)
    assert list((small / "data").iterdir()) == [], "nothing is left half unpacked"


def test_what_is_there_already_stays_or_is_refused(small, monkeypatch):
    archives, root = small / "archives", small / "data" / "few"
    pack("few", small / "rendered" / "few", archives)
    root.mkdir(parents=True)
    ensure_world("few", root, archives)
    (root / "mine.txt").touch()
    assert ensure_world("few", root, archives) == root
    assert (root / "mine.txt").exists(), "it is there: nothing is unpacked"
    (root / ABOUT).write_text(json.dumps(about("few", 256)))
    ensure_world("few", root, archives)
    assert (root / "mine.txt").exists(), "at another height it is there as well"
    (root / ABOUT).write_text(json.dumps(about("few") | {"version": 0}))
    ensure_world("few", root, archives)
    assert not (root / "mine.txt").exists(), "another version is unpacked again"
    for said in (json.dumps(about("few", 256) | {"version": 0}), "{}"):
        (root / ABOUT).write_text(said)
        with pytest.raises(FileExistsError, match="is not few of this version: move"):
            ensure_world("few", root, archives)


def test_who_comes_second_waits_and_nothing_is_unpacked_twice(small, monkeypatch):
    archives, root = small / "archives", small / "data" / "few"
    pack("few", small / "rendered" / "few", archives)
    unpacked, unpack = [], room._unpack

    def slowly(name, place, where):
        unpacked.append(name)
        time.sleep(0.1)
        unpack(name, place, where)

    monkeypatch.setattr(room, "_unpack", slowly)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ensure_world("few", root, archives), range(4)))
    assert found == [root] * 4
    assert unpacked == ["few"]
    assert list(root.parent.iterdir()) == [root], "the lock's file goes, too"


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def refused(lock):
        raise PermissionError(errno.EACCES, "Permission denied", str(lock))

    monkeypatch.setattr(room, "alone", refused)
    message = r"atrium_smoke cannot be unpacked into .*atrium \(Permission denied\)"
    with pytest.raises(DataError, match=message):
        ensure("atrium_smoke", tmp_path / "atrium")
    (tmp_path / "atrium").mkdir()
    (tmp_path / "atrium" / "mine.txt").touch()
    with pytest.raises(DataError, match="is not atrium_smoke of this version: move"):
        ensure("atrium_smoke", tmp_path / "atrium")


def test_a_set_that_came_meanwhile_is_not_moved_away(small, monkeypatch):
    archives, root = small / "archives", small / "data" / "few"
    pack("few", small / "rendered" / "few", archives)
    unpack = room._unpack

    def late(name, place, where):
        unpack(name, place, where)
        shutil.copytree(place, root)  # on a file system without locks nobody waits
        (root / "theirs").touch()

    monkeypatch.setattr(room, "_unpack", late)
    assert ensure_world("few", root, archives) == root
    assert (root / "theirs").exists()


def test_a_shipped_set_is_a_benchmark_with_masks_and_captions(atrium, tmp_path):
    found = load_benchmark("atrium_smoke", tmp_path)
    sizes = [len(found.train), len(found.query), len(found.gallery)]
    assert sizes == [96, 72, 84], "without junk"
    samples = [sample for split in found[1:] for sample in split]
    assert len(captions_of(samples)) == len(samples)
    masks = np.stack([read_mask(sample.path, 7).numpy() for sample in samples])
    assert masks.shape == (252, 128, 64) and set(np.unique(masks)) == set(range(6))
    report = check("atrium_smoke", tmp_path)
    assert report.faults == [] and "rendered people" in report.title
    assert contents(tmp_path / "atrium_smoke") == contents(atrium)


def test_a_set_that_is_not_shipped_says_how_it_is_made(tmp_path):
    said = missing_data("boulevard", tmp_path)
    assert said.startswith(
        "boulevard is rendered, but not shipped: `reid data render b"
    )
    with pytest.raises(DataError, match="by the extra"):
        load_benchmark("boulevard", tmp_path)
    assert missing_data("atrium_smoke", tmp_path) == ""


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_is_of_this_version_and_whole(name):
    with room._opened(name, ARCHIVES) as archive:
        assert json.loads(archive.read(ABOUT)) == about(name)
        assert archive.testzip() is None
        times = {member.date_time for member in archive.infolist()}
        rows = len(archive.read(CAPTIONS).decode().splitlines())
        images = [name for name in archive.namelist() if "box" in name or "que" in name]
    assert times == {(1980, 1, 1, 0, 0, 0)} and 2 * rows == len(images) > 0


def test_all_that_is_shipped_is_small_and_listed():
    files = sorted(path.name for path in ARCHIVES.iterdir())
    assert files == sorted([SUMS, *(f"{name}.zip" for name in SHIPPED)])
    assert "atrium_smoke" in SHIPPED and "boulevard" not in SHIPPED
    assert sum(path.stat().st_size for path in ARCHIVES.iterdir()) <= 60e6


@pytest.mark.skipif(
    not (find_spec("anny") and find_spec("mitsuba")),
    reason="rendering people needs the extra [render]",
)
def test_six_images_rendered_anew_are_those_that_are_shipped():
    from reidlib.rendered.rendering import render

    same = 0
    for number, name in enumerate(islice(cycle(SHIPPED), 6)):
        listed = list(entries(RECIPES[name]))
        entry = listed[(number + 1) * len(listed) // 7]
        made, encoded = render(entry.shot), BytesIO()
        made.image.save(encoded, "JPEG", quality=85, optimize=True)
        again = np.asarray(Image.open(encoded).convert("RGB"), float)
        there = np.asarray(shipped_picture(name, entry.name), float)
        same += int((again == there).all())
        assert np.abs(again - there).mean() < 1, "other processors round otherwise"
    print(f"\n{same} of 6 are the same bit for bit")


@pytest.mark.parametrize("name", RECIPES)
def test_the_document_has_the_counts_and_what_is_shipped(name):
    rows = (ROOT / "DATASETS.md").read_text().splitlines()
    (row,) = [row for row in rows if row.startswith(f"| `{name}` |")]
    tally = expected(name, {})
    pairs = [f"{each.identities:,} / {each.images:,}" for each in tally[:3]]
    *cells, shipped = [cell.strip() for cell in row.strip("|").split("|")[2:]]
    assert cells == [*pairs, f"{tally.distractors}, {tally.junk}"]
    assert shipped == ("yes" if is_shipped(name) else "no")


def test_what_the_papers_read_of_masks_and_captions_is_there(atrium, tmp_path):
    found = load_benchmark("atrium_smoke", tmp_path)
    check_masks({"atrium_smoke": found})
    shares = true_parts([sample.path for sample in found.query], (16, 8))
    assert shares.shape == (72, 7, 16, 8)
    torch.testing.assert_close(shares.sum(1), torch.ones(72, 16, 8))
    names = ["head", "upper body", "lower body", "foot"]
    labels = region_labels(found.train, names, (16, 8))
    assert set(torch.stack(list(labels.values())).unique().tolist()) >= {0, 1, 2, 3, 4}
    samples = [sample for split in found[1:] for sample in split]
    ids = CaptionIds(captions_of(samples), 77)
    assert ids.longest <= 77 and ids.truncated == 0

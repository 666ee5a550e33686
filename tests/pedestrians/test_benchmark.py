"""The drawn sets on disk: sizes, bytes, and what happens when writing is disturbed."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from reidlib.benchmarks import read_market1501
from reidlib.data.captions import read_captions
from reidlib.data.masks import read_mask
from reidlib.pedestrians import RECIPES, benchmark, ensure_benchmark, write_benchmark
from reidlib.pedestrians.benchmark import VERSION, Recipe, entries, is_current
from reidlib.pedestrians.drawing import draw
from reidlib.pedestrians.scenes import WORLDS
from reidrun.runs.environment import ROOT

WRITTEN = {1: "c0d1942de10b777b94240175b6a4faa4"}  # by version
FEW = Recipe("plaza", train_identities=1, test_identities=1, distractors=1, junk=1)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Path:
    return write_benchmark("smoke", tmp_path_factory.mktemp("drawn") / "smoke")


@pytest.fixture
def few(monkeypatch) -> str:
    """The name of a set of 32 images."""
    monkeypatch.setitem(RECIPES, "few", FEW)
    return "few"


def files(root: Path) -> dict[str, bytes]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def test_the_written_bytes_have_not_changed(smoke):
    locked = (ROOT / "requirements.lock").read_text().splitlines()
    if f"pillow=={PIL.__version__}" not in locked:
        pytest.skip("another pillow than the locked one may write other JPEG bytes")
    digest = hashlib.sha256()
    for name, content in files(smoke).items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    found = digest.hexdigest()[:32]
    assert found == WRITTEN.get(VERSION), (
        f"the files of `smoke` are not those of version {VERSION}. If that was meant,"
        " raise VERSION in reidlib/pedestrians/benchmark.py, so that sets on disk are"
        f" drawn anew, and put {found!r} here for it"
    )


def test_two_workers_write_the_same_bytes(smoke, tmp_path):
    write_benchmark("smoke", tmp_path / "smoke", workers=2)
    assert files(tmp_path / "smoke") == files(smoke)


def test_what_is_written_is_what_is_drawn(smoke):
    captions = read_captions(smoke)
    for entry in list(entries(RECIPES["smoke"]))[::7]:
        drawing, path = draw(entry.shot), smoke / entry.name
        assert (read_mask(path).numpy() == np.asarray(drawing.mask)).all()
        assert captions[path] == (drawing.person, drawing.background)
        with Image.open(path) as image:
            assert image.format == "JPEG" and image.size == (64, 128)
            error = np.asarray(image, float) - np.asarray(drawing.image, float)
        assert np.abs(error).mean() < 10, "JPEG loses little but the noise"


def test_every_image_has_its_mask_and_its_line_of_captions(smoke):
    names = [entry.name for entry in entries(RECIPES["smoke"])]
    images = {name for name in files(smoke) if name.endswith(".jpg")}
    masks = {name for name in files(smoke) if name.endswith(".png")}
    lines = (smoke / "captions.jsonl").read_text().splitlines()
    assert images == set(names) and len(images) == len(names) == 426
    assert masks == {f"masks/{name[:-4]}.png" for name in names}
    assert [json.loads(line)["image"] for line in lines] == names


def test_a_written_set_is_read_as_market1501(smoke):
    read = read_market1501(smoke)
    assert (len(read.train), len(read.query), len(read.gallery)) == (192, 72, 156)
    assert {sample.pid for sample in read.train} == set(range(1, 17))
    assert {sample.pid for sample in read.query} == set(range(301, 313))
    assert {s.pid for s in read.gallery} == {0, *range(301, 313)}, "junk is left out"
    for split in (read.train, read.query, read.gallery):
        assert {sample.camid for sample in split} == set(range(6))


SIZES = {
    # train, query, gallery with distractors and junk
    "plaza": (3600, 900, 2250),
    "plaza_occluded": (3600, 900, 2250),
    "plaza_partial": (3600, 900, 2250),
    "plaza_small": (960, 240, 552),
    "station": (3600, 900, 2250),
    "avenue": (3600, 600, 672),
    "smoke": (192, 72, 162),
}


@pytest.mark.parametrize("name", RECIPES)
def test_sizes_of_a_set(name):
    recipe, listed = RECIPES[name], list(entries(RECIPES[name]))
    folders = Counter(entry.name.partition("/")[0] for entry in listed)
    sizes = [folders[f] for f in ("bounding_box_train", "query", "bounding_box_test")]
    assert tuple(sizes) == SIZES[name]
    assert len({entry.name for entry in listed}) == len(listed)
    assert len({entry.shot[:5] for entry in listed}) == len(listed), "no seed twice"
    pids = Counter(entry.shot.pid for entry in listed)
    assert (pids.pop(0), pids.pop(-1)) == (recipe.distractors, recipe.junk)
    assert len(pids) == recipe.train_identities + recipe.test_identities
    times, cameras = recipe.images_per_camera, WORLDS[recipe.world].cameras
    assert set(pids.values()) == {times * cameras, (times + 1) * cameras}
    framings = {(e.shot.framing, e.shot.pid == -1) for e in listed if "test" in e.name}
    assert framings == {("junk", True), ("whole", False)}


def test_sets_of_one_world_differ_in_their_queries_only():
    sets = {}
    for name in ("plaza", "plaza_occluded", "plaza_partial"):
        listed = list(entries(RECIPES[name]))
        sets[name] = {entry for entry in listed if entry.name[:5] != "query"}
        queries = [entry.shot for entry in listed if entry.name[:5] == "query"]
        kinds = {(shot.split, shot.framing, shot.occlusion) for shot in queries}
        assert (
            kinds
            == {
                "plaza": {("query", "whole", 0.0)},
                "plaza_occluded": {("occluded", "whole", 1.0)},
                "plaza_partial": {("partial", "partial", 0.0)},
            }[name]
        )
    assert sets["plaza"] == sets["plaza_occluded"] == sets["plaza_partial"]


def test_smoke_is_a_part_of_plaza():
    people = {entry for entry in entries(RECIPES["smoke"]) if entry.shot.pid > 0}
    assert people < set(entries(RECIPES["plaza"]))


def test_plaza_small_is_a_part_of_plaza_occluded():
    small, whole = (set(entries(RECIPES[n])) for n in ("plaza_small", "plaza_occluded"))
    assert small < whole


def test_as_many_images_are_occluded_as_the_recipe_says(smoke):
    rows = [json.loads(s) for s in (smoke / "captions.jsonl").read_text().splitlines()]
    occluded = [bool(r["occluder"]) for r in rows if r["image"][:5] != "query"]
    assert np.mean(occluded) == pytest.approx(RECIPES["smoke"].occlusion, abs=0.06)
    assert not any(r["occluder"] for r in rows if r["image"][:5] == "query")


def test_a_set_that_is_there_is_not_drawn_again(few, tmp_path, monkeypatch):
    root = ensure_benchmark(few, tmp_path / few)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    monkeypatch.setattr(benchmark, "draw", None)
    assert ensure_benchmark(few, tmp_path / few) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


@pytest.mark.parametrize("change", ["version", "recipe", "torn"])
def test_a_set_of_another_version_is_drawn_again(few, tmp_path, monkeypatch, change):
    root = write_benchmark(few, tmp_path / few)
    (root / "leftover").touch()
    if change == "version":
        monkeypatch.setattr(benchmark, "VERSION", VERSION + 1)
    elif change == "recipe":
        monkeypatch.setitem(RECIPES, few, replace(FEW, world="station"))
    else:
        about = json.loads((root / "about.json").read_text())
        del about["junk"]
        (root / "about.json").write_text(json.dumps(about))
    assert not is_current(few, root)
    ensure_benchmark(few, root)
    assert is_current(few, root) and not (root / "leftover").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [few]


def test_a_folder_that_was_not_drawn_is_left_alone(few, tmp_path):
    root = tmp_path / few
    (root / "query").mkdir(parents=True)
    (root / "query" / "0001_c1.jpg").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"few is there, but was not drawn: move"):
        ensure_benchmark(few, root)
    (root / "about.json").write_text("torn {")
    with pytest.raises(FileExistsError):
        write_benchmark(few, root)
    assert (root / "query" / "0001_c1.jpg").read_bytes() == b"mine"


def test_an_empty_folder_is_filled(few, tmp_path):
    (tmp_path / few).mkdir()
    assert is_current(few, ensure_benchmark(few, tmp_path / few))


def test_a_failure_leaves_nothing_behind(few, tmp_path, monkeypatch):
    def fail(shot):
        if shot.index:
            raise MemoryError("no more ink")
        return draw(shot)

    monkeypatch.setattr(benchmark, "draw", fail)
    with pytest.raises(MemoryError, match="ink"):
        write_benchmark(few, tmp_path / few)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writing_leaves_nothing_at_the_final_name(few, tmp_path):
    code = (
        "from pathlib import Path; from reidlib.pedestrians import write_benchmark;"
        f" write_benchmark('plaza', Path({str(tmp_path / few)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    while len(list(tmp_path.rglob("*.jpg"))) < 20:
        assert process.poll() is None, "it was over before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / few).exists()
    assert is_current(few, ensure_benchmark(few, tmp_path / few))


def test_a_set_appears_whole_by_being_renamed(few, tmp_path, monkeypatch):
    write_images, inodes = benchmark._write_images, []

    def watched(recipe, root, *arguments, **options):
        write_images(recipe, root, *arguments, **options)
        assert not (tmp_path / few).exists()
        inodes.append(root.stat().st_ino)

    monkeypatch.setattr(benchmark, "_write_images", watched)
    assert [write_benchmark(few, tmp_path / few).stat().st_ino] == inodes


def test_a_set_that_another_process_finished_first_stays(few, tmp_path, monkeypatch):
    root = tmp_path / few

    def slow(shot):
        if not root.exists():
            monkeypatch.setattr(benchmark, "draw", draw)
            write_benchmark(few, root)
            (root / "first").touch()
        return draw(shot)

    monkeypatch.setattr(benchmark, "draw", slow)
    write_benchmark(few, root)
    assert (root / "first").exists()
    assert [path.name for path in tmp_path.iterdir()] == [few]


def test_an_unknown_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'piazza' is unknown; known: plaza, plaza_o"):
        ensure_benchmark("piazza", tmp_path / "piazza")
    assert not list(tmp_path.iterdir())

"""Drawn pedestrians in every layout: written, read, counted, called what they are."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from reidlib import benchmarks as readers
from reidlib.benchmarks import PUBLISHED, DataError, check, fixtures, load_benchmark
from reidlib.benchmarks.fixtures import write_fixture
from reidlib.data.captions import read_captions
from reidlib.data.masks import read_mask
from reidlib.data.samples import mask_path

REAL = sorted(PUBLISHED)


@pytest.fixture
def quick(monkeypatch):
    """Fewer people, and one picture per split in place of each drawing."""
    colors = {"train": "red", "query": "green", "gallery": "blue"}

    def draw(shot):
        picture = Image.new("RGB", (16, 32), colors[shot.split])
        mask = Image.new("L", (16, 32), 1)
        words = {"person": f"Number {shot.pid}.", "background": "A plaza."}
        return SimpleNamespace(image=picture, mask=mask, **words)

    monkeypatch.setattr(fixtures, "draw", draw)
    monkeypatch.setattr(fixtures, "TRAIN_PEOPLE", 4)


@pytest.mark.parametrize("name", REAL)
def test_what_is_written_is_read_and_counted(quick, tmp_path, name):
    tally = write_fixture(name, tmp_path / name)
    found = load_benchmark(name, tmp_path)
    assert [len(split) for split in found[1:]] == [split.images for split in tally[:3]]
    report = check(name, tmp_path)
    assert report.faults == []
    assert set(report.table["verdict"]) <= {"ok", "nothing to compare"}
    published = PUBLISHED[name]
    for split in ("train", "query", "gallery"):
        small, whole = getattr(tally, split), getattr(published, split)
        assert small.cameras == whole.cameras and small.images <= whole.images
        assert bool(small.images) == bool(whole.images)
    for special in ("distractors", "junk", "shared"):
        assert bool(getattr(tally, special)) == bool(getattr(published, special))


@pytest.mark.parametrize("name", REAL)
def test_every_query_has_a_match_from_another_camera(quick, tmp_path, name):
    write_fixture(name, tmp_path)
    table = check(name, tmp_path).table
    alone = table[table["what"] == "images without a match"]["found"]
    assert alone.tolist() == ["0"]


@pytest.mark.parametrize("name", REAL)
def test_every_image_has_a_mask_and_captions(quick, tmp_path, name):
    write_fixture(name, tmp_path)
    found = load_benchmark(name, tmp_path)
    captions = read_captions(tmp_path)
    for sample in (sample for split in found[1:] for sample in split):
        assert read_mask(sample.path).unique().tolist() == [1]
        assert captions[sample.path].person.startswith("Number")


def test_both_training_lists_of_msmt17_read_one_folder(quick, tmp_path):
    for name in ("msmt17", "msmt17_v2_trainval"):
        plain = name.removesuffix("_trainval")
        write_fixture(name, tmp_path / name)
        one, both = (
            load_benchmark(n, tmp_path / name) for n in (plain, f"{plain}_trainval")
        )
        assert set(one.train) < set(both.train) and one.query == both.query
        assert {s.pid for s in one.train} == {s.pid for s in both.train}
        assert not check(plain, tmp_path / name).faults


def files(root: Path) -> dict[str, bytes]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def test_the_same_files_are_written_again_in_place_of_older_ones(tmp_path):
    write_fixture("partial_ilids", tmp_path / "a")
    write_fixture("partial_reid", tmp_path / "b")
    write_fixture("partial_ilids", tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_images_of_small_sets_are_drawn_one_by_one_and_occluded_where_asked(tmp_path):
    write_fixture("occluded_reid", tmp_path)
    found = files(tmp_path)
    images = [content for name, content in found.items() if name.endswith(".tif")]
    assert len(images) == len(set(images)) == 60
    tally = fixtures.small("occluded_duke")
    query = [i for i in fixtures.items_of(tally) if i.split == "query"]
    shots = [fixtures.shot_of("occluded_duke", i, tally, False) for i in query]
    assert {shot.occlusion for shot in shots} == {1.0}
    partial = [fixtures.shot_of("partial_reid", i, tally, False) for i in query]
    assert {shot.framing for shot in partial} == {"partial"}


def test_queries_of_occluded_duke_in_the_gallery_are_one_picture(quick, tmp_path):
    tally = write_fixture("occluded_duke", tmp_path)
    query, gallery = tmp_path / "query", tmp_path / "bounding_box_test"
    names = [{path.name for path in folder.iterdir()} for folder in (query, gallery)]
    shared = names[0] & names[1]
    assert len(shared) == tally.shared == len(names[0]) - fixtures.FEW
    for name in shared:
        assert (query / name).samefile(gallery / name)
        assert mask_path(query / name).samefile(mask_path(gallery / name))


def test_without_links_pictures_are_copied(quick, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    write_fixture("occluded_duke", tmp_path)
    assert check("occluded_duke", tmp_path).faults == []


def test_the_marker_says_what_it_is_and_readers_see_it(quick, tmp_path):
    write_fixture("market1501", tmp_path)
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["drawn"] is True and about["full_size"] is False
    title = "drawn pedestrians in the layout of Market-1501"
    assert about["what"] == check("market1501", tmp_path).title == title
    assert readers.pictures_of("market1501", tmp_path) == "drawn"
    assert "as drawn" in check("market1501", tmp_path).table


def test_a_small_set_is_not_taken_for_another_benchmark(quick, tmp_path):
    write_fixture("occluded_duke", tmp_path)
    with pytest.raises(DataError, match="train: 32 images, but 16,522 are expected"):
        load_benchmark("dukemtmcreid", tmp_path)


def test_only_what_was_drawn_is_replaced(quick, tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(DataError, match="holds what was not drawn; name another"):
        write_fixture("market1501", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["plaza", "nobody"])
def test_a_benchmark_without_published_layout_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=f"'{name}' has no published layout"):
        write_fixture(name, tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_drawing_leaves_nothing(quick, tmp_path, monkeypatch):
    def interrupt(shot):
        raise KeyboardInterrupt

    monkeypatch.setattr(fixtures, "draw", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_fixture("market1501", tmp_path / "new")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", REAL)
def test_a_full_size_set_has_the_published_counts_and_few_drawings(name):
    """Counted from what would be written."""
    tally = PUBLISHED[name]
    more = 0 if name.endswith("_trainval") else fixtures.VALIDATION
    items = fixtures.items_of(tally, more if "msmt17" in name else 0)
    sizes = {s: sum(item.split == s for item in items) for s in ("train", "gallery")}
    assert sizes["train"] == tally.train.images + (more if "msmt17" in name else 0)
    assert sizes["gallery"] == tally.gallery.images + tally.junk
    places = {fixtures.image_name(name, item) for item in items}
    assert len(places) == len(items), "no name twice"
    shots = {fixtures.shot_of(name, item, tally, True) for item in items}
    assert len(shots) < 0.75 * len(items) or len(items) <= 2000


@pytest.mark.full_size
@pytest.mark.parametrize("name", ["market1501", "occluded_duke"])
def test_full_size(tmp_path, name):
    tally = write_fixture(name, tmp_path / name, full_size=True)
    assert tally == PUBLISHED[name]
    found = load_benchmark(name, tmp_path)
    assert [len(split) for split in found[1:]] == {
        "market1501": [12936, 3368, 15913],
        "occluded_duke": [15618, 2210, 17661],
    }[name]
    report = check(name, tmp_path)
    assert report.faults == [] and "published" in report.table
    if name == "market1501":
        junk = report.table[report.table["what"] == "junk images (left out)"]
        assert junk["found"].tolist() == ["3,819"]


def test_every_real_benchmark_can_be_drawn():
    kinds = {name: readers.pictures_of(name) for name in readers.BENCHMARKS}
    assert set(REAL) == {name for name in kinds if kinds[name] == "photographs"}

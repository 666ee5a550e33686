"""From a name to a benchmark: counts, damage, drawn sets, markers, what is counted."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from toys.small_sets import counts_of, write_picture, write_set

from reidlib import benchmarks as readers
from reidlib.benchmarks import (
    Counts,
    DataError,
    check,
    counts,
    load_benchmark,
    read_market1501,
)
from reidlib.benchmarks.readers import folders as files
from reidlib.pedestrians import RECIPES
from reidlib.pedestrians.benchmark import Recipe
from reidlib.rendered import RECIPES as RENDERED

FEW = Recipe("plaza", train_identities=2, test_identities=1, distractors=1, junk=1)


@pytest.fixture
def market(tmp_path, monkeypatch) -> Path:
    monkeypatch.setitem(readers.PUBLISHED, "market1501", counts_of("market1501"))
    return write_set("market1501", tmp_path / "market1501")


def load(data_root: Path):
    return load_benchmark("market1501", data_root)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def found_in(table, split: str, what: str) -> list[str]:
    """Found, published and verdict of one row."""
    row = table[(table["split"] == split) & (table["what"] == what)]
    return row.iloc[0, 2:].tolist()


def test_further_sets_are_read_where_they_are(market, caplog):
    found = readers.load_benchmarks(["market1501", "occluded_reid"], market.parent)
    assert found == {"market1501": load(market.parent)}
    assert "occluded_reid is not in" in caplog.text
    (market.parent / "occluded_reid").mkdir()
    with pytest.raises(DataError):
        readers.load_benchmarks(["market1501", "occluded_reid"], market.parent)
    with pytest.raises(DataError, match="unknown benchmark"):
        readers.load_benchmarks(["market1501", "occluded_ried"], market.parent)
    with pytest.raises(DataError):
        readers.load_benchmarks(["occluded_reid", "market1501"], market.parent)


def test_junk_is_left_out_and_distractors_stay(market):
    found = read_market1501(market)
    assert [sample.pid for sample in found.gallery] == [0, 1, 11]
    assert load(market.parent) == found


DAMAGED = {
    "bounding_box_train/0002_c1s1_000451_03.jpg": 600,
    "query/0011_c3s1_001051_00.JPG": 0,
    "bounding_box_test/0011_c4s1_001051_03.png": 500,
    "bounding_box_test/0001_c2s1_001051_03.jpeg": 1,
}


def test_all_damaged_images_are_listed(market):
    for name, size in DAMAGED.items():
        cut(market / name, size)
    with pytest.raises(DataError) as caught:
        load(market.parent)
    said = [str(caught.value), "\n".join(check("market1501", market).faults)]
    for text in said:
        assert "1 file is empty; copy it from the release again:" in text
        assert "3 files cannot be decoded; copy them from the release again:" in text
        assert [str(market / name) in text for name in DAMAGED] == [True] * 4
        assert text.count("\n") == 5, "and no other"
    table = check("market1501", market).table
    assert found_in(table, "all", "unreadable files") == ["4", "0", "differs"]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_every_truncation_is_seen(tmp_path, suffix):
    path = tmp_path / f"whole{suffix}"
    write_picture(path)
    content = path.read_bytes()
    assert not list(files.faults([path], decode=False))
    for size in range(0, len(content) - 20, 97):
        path.write_bytes(content[:size])
        for decode in (False, True):
            ((bad, _),) = files.faults([path], decode=decode)
            assert bad == [path], size


def test_what_follows_the_end_of_an_image_does_no_harm(market):
    path = market / "query" / "0001_c1s1_001051_00.jpg"
    path.write_bytes(path.read_bytes() + bytes(2000))
    assert len(load(market.parent).query) == 2


def test_an_image_with_another_suffix_than_its_kind_is_read(market):
    path = market / "query" / "0001_c1s1_001051_00.jpg"
    Image.new("RGB", (8, 16)).save(path, format="BMP")
    assert len(load(market.parent).query) == 2


def test_very_many_bad_files_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SHOWN", 2)
    paths = [tmp_path / f"x{number}.jpg" for number in range(5)]
    message = files.complaint(paths, "are bad", "mend them")
    assert message.startswith("5 files are bad; mend them:\n")
    assert "x1.jpg" in message and "x2.jpg" not in message and "and 3 more" in message


def test_another_count_than_the_published_one_is_refused_with_both(market):
    (market / "bounding_box_train" / "0007_c2s1_000451_03.jpg").unlink()
    with pytest.raises(DataError) as caught:
        load(market.parent)
    message = str(caught.value)
    assert "market1501 is not Market-1501; reid data check market1501" in message
    assert "train: 2 images, but 3 are expected" in message
    assert "train: 1 identities, but 2 are expected" in message
    assert "gallery" not in message


def test_check_puts_every_number_beside_the_published_one(market):
    nothing = "nothing to compare"
    report = check("market1501", market.parent)
    assert report.title == "Market-1501" and report.faults == []
    table = report.table
    assert list(table) == ["split", "what", "found", "published", "verdict"]
    assert found_in(table, "train", "cameras") == ["3", "3", "ok"]
    assert found_in(table, "gallery", "identities") == ["2", "2", "ok"]
    assert found_in(table, "gallery", "distractor images") == ["1", "1", "ok"]
    assert found_in(table, "gallery", "junk images (left out)") == ["1", "1", "ok"]
    assert found_in(table, "query", "images without a match") == ["0", "", nothing]
    assert set(table["verdict"]) == {"ok", nothing}


def test_check_says_what_differs(market):
    write_picture(market / "query" / "0007_c2s1_000500_00.jpg", 50)
    report = check("market1501", market)
    assert report.faults == [
        "query: 3 identities, but 2 are expected",
        "query: 3 images, but 2 are expected",
        "query: 3 cameras, but 2 are expected",
        "train: 1 identities that are in the test too, but 0 are expected",
    ]
    assert found_in(report.table, "query", "images") == ["3", "2", "differs"]
    assert found_in(report.table, "query", "images without a match")[0] == "1"


def test_queries_in_the_gallery_are_expected_in_occluded_duke_alone(
    tmp_path, monkeypatch
):
    what = "images that are in the gallery too"
    for name in ("dukemtmcreid", "occluded_duke"):
        root = write_set(name, tmp_path / name)
        query = root / "query" / "0019_c1_f0051230.jpg"
        copied = root / "bounding_box_test" / query.name
        copied.write_bytes(query.read_bytes())
        wanted = counts_of(name)
        gallery = Counts(3, 4, wanted.gallery.cameras)
        shared = int(name == "occluded_duke")
        wanted = wanted._replace(gallery=gallery, shared=shared)
        monkeypatch.setitem(readers.PUBLISHED, name, wanted)
        report = check(name, root)
        row = found_in(report.table, "query", what)
        assert row == (["1", "1", "ok"] if shared else ["1", "0", "differs"])
        said = [] if shared else [f"query: 1 {what}, but 0 are expected"]
        assert report.faults == said
        write_picture(copied, 99)  # another picture of that name
        assert found_in(check(name, root).table, "query", what)[0] == "0"


def test_published_counts_add_up():
    tally = readers.PUBLISHED["market1501"]
    assert tally.gallery.images + tally.junk == 19732
    assert tally.gallery.images - tally.distractors == 13115
    duke = readers.PUBLISHED["p_dukemtmcreid"]
    assert sum(split.images for split in duke[:3]) == 24143
    assert duke.train.identities + duke.query.identities == 1299
    both = readers.PUBLISHED["msmt17_trainval"], readers.PUBLISHED["msmt17"]
    assert both[0].train.images - both[1].train.images == 2373
    assert set(readers.PUBLISHED) == set(readers.BENCHMARKS) - {*RECIPES, *RENDERED}


def test_an_unknown_benchmark_is_answered_by_the_nearest(tmp_path):
    for ask in (load_benchmark, check):
        with pytest.raises(DataError) as caught:
            ask("plaza_ocluded", tmp_path)
        message = str(caught.value)
        assert "unknown benchmark 'plaza_ocluded'; did you mean plaza_occl" in message
        assert all(name in message for name in readers.BENCHMARKS)
    assert not list(tmp_path.iterdir())


def test_a_drawn_set_is_drawn_when_it_is_absent(tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "smoke", FEW)
    monkeypatch.setattr(counts, "_of_recipe", counts._of_recipe.__wrapped__)  # no cache
    with pytest.raises(DataError, match="no data in"):
        check("smoke", tmp_path)
    found = load_benchmark("smoke", tmp_path / "new" / "data")
    assert found.name == "smoke"
    assert (len(found.train), len(found.query), len(found.gallery)) == (24, 6, 13)
    assert all(sample.path.is_file() for split in found[1:] for sample in split)
    again = load_benchmark("smoke", str(tmp_path / "new" / "data"))
    assert again == found
    report = check("smoke", tmp_path / "new" / "data")
    assert report.faults == []
    assert found_in(report.table, "train", "images") == ["24", "24", "ok"]


def test_a_damaged_drawn_set_is_refused_as_any_other(tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "smoke", FEW)
    path = load_benchmark("smoke", tmp_path).train[3].path
    cut(path, 700)
    with pytest.raises(DataError, match="1 file cannot be decoded") as caught:
        load_benchmark("smoke", tmp_path)
    assert str(path) in str(caught.value)


def test_what_lies_deeper_is_pointed_at(market, tmp_path):
    deep = tmp_path / "x" / "a" / "b" / "c"
    deep.mkdir(parents=True)
    shutil.copytree(market, deep / "Market")
    with pytest.raises(DataError, match=r"c/Market has this layout: name that\. Exp"):
        check("market1501", tmp_path / "x")
    assert "c/Market has this layout: name that; --data" in readers.missing_data(
        "market1501", tmp_path / "x"
    )
    (deep / "Market").rename(deep / "Market-1501")
    with pytest.raises(DataError) as caught:
        check("dukemtmcreid", tmp_path / "x")
    assert "has this layout" not in str(caught.value), "it is named as another set"


@pytest.mark.parametrize("where", ["pytorch", "__MACOSX", "masks", "drawn/sub"])
def test_a_folder_that_cannot_be_read_is_not_pointed_at(market, tmp_path, where):
    """A folder per identity, leftovers of macOS, masks, what is drawn."""
    near = tmp_path / "x" / where
    shutil.copytree(market, near)
    if where == "pytorch":
        for split in ("bounding_box_train", "query", "bounding_box_test"):
            images = sorted((near / split).iterdir())
            (near / split / "0002").mkdir()
            for image in images:
                image.rename(near / split / "0002" / image.name)
    if where == "drawn/sub":
        (near.parent / "about.json").write_text('{"drawn": true}')
    for root in (tmp_path / "x", near.parent):
        with pytest.raises(DataError) as caught:
            check("market1501", root)
        assert "name that" not in str(caught.value)
        assert "Name this folder or the one above it" in str(caught.value)


def test_only_what_is_drawn_is_not_missing(market, tmp_path):
    assert readers.missing_data("plaza", tmp_path / "none") == ""
    assert readers.missing_data("market1501", market.parent) == ""
    said = readers.missing_data("market1501", tmp_path / "none")
    assert said.startswith(f"market1501: {tmp_path / 'none'} is no folder; --data")
    said = readers.missing_data("msmt17", market.parent)
    assert said.startswith("msmt17: no data in") and "\n" not in said


def test_a_file_is_no_folder(market):
    file = market / "about.json"
    file.write_text("{}")
    with pytest.raises(DataError, match=r"about\.json is a file, no folder\. Expected"):
        check("market1501", file)


def test_the_counts_of_another_set_name_it(tmp_path, monkeypatch):
    write_set("dukemtmcreid", tmp_path / "dukemtmcreid")
    counts = counts_of("dukemtmcreid")._replace(shared=1)
    monkeypatch.setitem(readers.PUBLISHED, "occluded_duke", counts)
    said = "these are the counts of another: is it occluded_duke?"
    assert check("dukemtmcreid", tmp_path).faults[0] == said
    with pytest.raises(DataError, match=r"is it occluded_duke\?"):
        load_benchmark("dukemtmcreid", tmp_path)
    monkeypatch.setitem(readers.PUBLISHED, "dukemtmcreid", counts_of("dukemtmcreid"))
    assert check("dukemtmcreid", tmp_path).faults == []


def test_a_marker_says_that_a_folder_is_drawn(market):
    assert readers.pictures_of("market1501", market.parent) == "photographs"
    for content in ("[]", '{"drawn": false}'):
        (market / "about.json").write_text(content)
        assert readers.pictures_of("market1501", market.parent) == "photographs"
    for content in ("", "{bad"):
        (market / "about.json").write_text(content)
        for asked in (readers.pictures_of, load_benchmark, check):
            with pytest.raises(DataError, match=r"about\.json cannot be read"):
                asked("market1501", market.parent)
    (market / "about.json").write_text(json.dumps({"drawn": True}))
    for data_root in (market, market.parent):
        assert readers.pictures_of("market1501", data_root) == "drawn"
    assert readers.pictures_of("market1501") == "photographs"
    nowhere = market.parent / "nowhere"
    assert readers.pictures_of("dukemtmcreid", nowhere) == "photographs"
    assert readers.pictures_of("nobody", market) == "photographs"
    assert readers.pictures_of("plaza", market) == "drawn"
    assert readers.pictures_of("concourse", market) == "rendered"
    title = check("market1501", market).title
    assert title == "drawn pedestrians in the layout of Market-1501"
    said = {"drawn": True, "kind": "rendered"}
    (market / "about.json").write_text(json.dumps(said))
    assert readers.pictures_of("market1501", market) == "rendered"
    title = check("market1501", market).title
    assert title == "rendered people in the layout of Market-1501"
    (market / "about.json").write_text(json.dumps(said | {"kind": "painted"}))
    with pytest.raises(DataError, match="kind: 'painted' is none of drawn, rendered"):
        check("market1501", market)


def test_every_benchmark_has_its_words():
    tables = (readers.TREES, readers.TITLES, readers.TERMS, readers.PROTOCOLS)
    assert set(readers.TITLES) == set(readers.BENCHMARKS)
    for table in tables:
        assert set(table) - {readers.OWN} == set(readers.BENCHMARKS)
    assert all(readers.OWN in table for table in tables if table is not readers.TITLES)
    for kind, recipes in {"drawn": RECIPES, "rendered": RENDERED}.items():
        found = [n for n in readers.BENCHMARKS if readers.pictures_of(n) == kind]
        assert found == sorted(recipes)
    assert "drawn on first use" in readers.TREES["plaza_partial"]
    for name in readers.BENCHMARKS:
        assert f"<data_root>/{name}/" in readers.TREES[name]
        assert all(len(line) <= 88 for line in readers.TREES[name].splitlines())

"""Reading Market-1501's layout, and refusing what cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidlib import readers
from reidlib.pedestrians import RECIPES
from reidlib.pedestrians.benchmark import Recipe
from reidlib.readers import DataError, load_benchmark, read_market1501

NAMES = {
    "bounding_box_train": (
        "0007_c2s1_000451_03.jpg",
        "0002_c1s1_000451_03.jpg",
        "0002_c6s3_000451_01.jpg",
    ),
    "query": ("0001_c1s1_001051_00.jpg", "0011_c3s1_001051_00.JPG"),
    "bounding_box_test": (
        "-1_c1s1_000401_03.jpg",
        "0000_c1s1_000151_01.jpg",
        "0001_c2s1_001051_03.jpeg",
        "0011_c4s1_001051_03.png",
        "Thumbs.db",
        "readme.txt",
    ),
}


def write_picture(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 32, 3), dtype=np.uint8)
    kind = "PNG" if path.suffix == ".png" else "JPEG"
    Image.fromarray(pixels).save(path, format=kind)


def write_market(root: Path) -> Path:
    for folder, names in NAMES.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            if name in ("Thumbs.db", "readme.txt"):
                (root / folder / name).write_bytes(b"not an image")
            else:
                write_picture(root / folder / name)
    return root


@pytest.fixture
def market(tmp_path) -> Path:
    return write_market(tmp_path / "market1501")


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def test_identities_and_cameras_are_read_from_sorted_names(market):
    found = read_market1501(market)
    short = {
        split: [(s.path.name[:7], s.pid, s.camid) for s in getattr(found, split)]
        for split in ("train", "query", "gallery")
    }
    assert short == {
        "train": [("0002_c1", 2, 0), ("0002_c6", 2, 5), ("0007_c2", 7, 1)],
        "query": [("0001_c1", 1, 0), ("0011_c3", 11, 2)],
        "gallery": [("0000_c1", 0, 0), ("0001_c2", 1, 1), ("0011_c4", 11, 3)],
    }
    assert all(sample.path.parent.parent == market for sample in found.query)


def test_names_of_duke_and_cuhk03_parse_as_well(market):
    for name in ("0001_c2_f0046182.jpg", "0003_c1_21.png", "1501_c15s1_0_00.jpg"):
        write_picture(market / "query" / name)
    found = [(s.pid, s.camid) for s in read_market1501(market).query]
    assert found == [(1, 0), (1, 1), (3, 0), (11, 2), (1501, 14)]


@pytest.mark.parametrize(
    "place",
    [
        "market1501",
        "Market-1501-v15.09.15",
        "market1501/Market-1501-v15.09.15",
        "market1501/market1501",
        "",
    ],
)
def test_the_folder_may_be_nested_and_have_either_name(tmp_path, place):
    write_market(tmp_path / place)
    found = load_benchmark("market1501", tmp_path)
    assert found.name == "market1501" and len(found.gallery) == 3


def test_a_missing_folder_is_answered_by_the_expected_tree(tmp_path):
    with pytest.raises(DataError) as caught:
        load_benchmark("market1501", tmp_path / "nowhere")
    message = str(caught.value)
    assert f"no data in {tmp_path / 'nowhere'}: missing bounding_box_train" in message
    for line in readers.MARKET_TREE.splitlines():
        assert line in message
    assert "Set data_root" in message


def test_a_missing_split_is_named(market):
    for path in (market / "query").iterdir():
        path.unlink()
    (market / "query").rmdir()
    with pytest.raises(
        DataError, match=r"query: no folder .*query\. Expected:\n<data_"
    ):
        read_market1501(market)


def test_an_empty_split_is_named(market):
    for path in (market / "bounding_box_test").glob("*[gG]"):
        path.unlink()
    with pytest.raises(
        DataError, match=r"gallery: no images in .*; put the gallery sp"
    ):
        read_market1501(market)


def test_a_split_of_junk_alone_is_empty(market):
    for path in (market / "bounding_box_test").glob("0*"):
        path.unlink()
    with pytest.raises(DataError, match=r"gallery: all 1 images are junk \(pid -1\)"):
        read_market1501(market)


def test_all_names_that_do_not_parse_are_listed(market):
    bad = [
        "bounding_box_train/person.jpg",
        "bounding_box_train/abc_c1s1_0_0.jpg",
        "query/0003c2.png",
        "bounding_box_test/0003_2.jpeg",
    ]
    for name in bad:
        write_picture(market / name)
    with pytest.raises(DataError, match=r"4 files do not parse; names begin with") as e:
        read_market1501(market)
    assert [str(market / name) in str(e.value) for name in bad] == [True] * 4


def test_very_many_bad_files_are_counted(market, monkeypatch):
    monkeypatch.setattr(readers, "SHOWN", 2)
    for number in range(5):
        write_picture(market / "query" / f"x{number}.jpg")
    with pytest.raises(DataError, match="5 files do not parse") as caught:
        read_market1501(market)
    message = str(caught.value)
    assert "x1.jpg" in message and "x2.jpg" not in message and "and 3 more" in message


DAMAGED = {
    "bounding_box_train/0002_c1s1_000451_03.jpg": 600,
    "query/0011_c3s1_001051_00.JPG": 0,
    "bounding_box_test/0011_c4s1_001051_03.png": 500,
    "bounding_box_test/0001_c2s1_001051_03.jpeg": 1,
}


@pytest.mark.parametrize("read", [readers.check, lambda root: load(root.parent)])
def test_all_damaged_images_are_listed(market, read):
    for name, size in DAMAGED.items():
        cut(market / name, size)
    with pytest.raises(DataError, match="4 files cannot be decoded; replace or") as e:
        read(market)
    assert [str(market / name) in str(e.value) for name in DAMAGED] == [True] * 4
    assert str(e.value).count("\n") == 4, "and no other"


def load(data_root: Path):
    return load_benchmark("market1501", data_root)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_every_truncation_is_seen(tmp_path, suffix):
    path = tmp_path / f"whole{suffix}"
    write_picture(path)
    content = path.read_bytes()
    assert readers._looks_whole(path)
    for size in range(0, len(content) - 20, 97):
        path.write_bytes(content[:size])
        assert not readers._looks_whole(path), size


def test_what_follows_the_end_of_an_image_does_no_harm(market):
    path = market / "query" / "0001_c1s1_001051_00.jpg"
    path.write_bytes(path.read_bytes() + bytes(2000))
    assert len(load(market.parent).query) == 2


def test_an_image_with_another_suffix_than_its_kind_is_read(market):
    path = market / "query" / "0001_c1s1_001051_00.jpg"
    Image.new("RGB", (8, 16)).save(path, format="BMP")
    assert len(load(market.parent).query) == 2


def test_check_counts_what_is_there(market):
    table = readers.check(market)
    assert table.loc["train"].to_dict() == {
        "identities": 2,
        "images": 3,
        "cameras": 3,
        "distractors": 0,
    }
    assert table["identities"].tolist() == [2, 2, 2]
    assert table["images"].tolist() == [3, 2, 3]
    assert table["cameras"].tolist() == [3, 2, 3]
    assert table["distractors"].tolist() == [0, 0, 1]


def test_an_unknown_benchmark_is_answered_by_the_nearest(tmp_path):
    with pytest.raises(DataError) as caught:
        load_benchmark("plaza_ocluded", tmp_path)
    message = str(caught.value)
    assert "unknown benchmark 'plaza_ocluded'; did you mean plaza_occluded?" in message
    assert all(name in message for name in readers.BENCHMARKS)
    assert not list(tmp_path.iterdir())


def test_a_drawn_set_is_drawn_when_it_is_absent(tmp_path, monkeypatch):
    few = Recipe("plaza", train_identities=2, test_identities=1, distractors=1, junk=1)
    monkeypatch.setitem(RECIPES, "smoke", few)
    found = load_benchmark("smoke", tmp_path / "new" / "data")
    assert found.name == "smoke"
    assert (len(found.train), len(found.query), len(found.gallery)) == (24, 6, 13)
    assert all(sample.path.is_file() for split in found[1:] for sample in split)
    again = load_benchmark("smoke", str(tmp_path / "new" / "data"))
    assert again == found


def test_a_damaged_drawn_set_is_refused_as_any_other(tmp_path, monkeypatch):
    few = Recipe("plaza", train_identities=1, test_identities=1, distractors=1, junk=1)
    monkeypatch.setitem(RECIPES, "smoke", few)
    path = load_benchmark("smoke", tmp_path).train[3].path
    cut(path, 700)
    with pytest.raises(DataError, match="1 files cannot be decoded") as caught:
        load_benchmark("smoke", tmp_path)
    assert str(path) in str(caught.value)


def test_every_benchmark_has_a_tree_and_knows_whether_it_is_drawn():
    assert set(readers.BENCHMARKS) == {"market1501", *RECIPES}
    assert [name for name in readers.BENCHMARKS if not readers.is_drawn(name)] == [
        "market1501"
    ]
    assert "drawn on first use" in readers.TREES["plaza_partial"]
    assert "plaza_partial/" in readers.TREES["plaza_partial"]

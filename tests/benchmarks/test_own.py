"""Somebody's own data: a table of crops, faults by line, folders, cameras or none."""

import json
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from reidlib.benchmarks import (
    DataError,
    check,
    knows_cameras,
    load_benchmark,
    missing_data,
    pictures_of,
    place_name,
    unfit_for_training,
)
from reidlib.data.captions import captions_of
from reidlib.data.masks import read_mask
from reidlib.data.samples import camera_count, mask_path

ROWS = [
    "Straße 1/Anna/früh morgens.jpg,1,{},train",
    "Straße 1/Anna/ein Bild.png,1,{},train",
    "Straße 1/Bo/x.jpg,2,{},train",
    'test/"c, d".jpg,30,{},query',
    "test/e.jpg,30,{},gallery",
    "test/f.jpg,31,{},gallery",
]
CAMERAS = (10, 40, 10, 10, 40, 10)
HEADER = "path,pid,camid,split"


def quoted(row: str) -> str:
    path, rest = row.rsplit(",", 3)[0], row.rsplit(",", 3)[1:]
    if "," in path:
        path = '"' + path.replace('"', '""') + '"'
    return ",".join([path, *rest])


def write_table(folder: Path, *lines: str, header: str = HEADER) -> None:
    """A folder with the six images, and a table of these lines."""
    for row in ROWS:
        path = folder / row.rsplit(",", 3)[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 16)).save(path)
    (folder / "samples.csv").write_text("\n".join([header, *lines]) + "\n", "utf-8")


def table(camids=CAMERAS) -> list[str]:
    return [quoted(row.format(c)) for row, c in zip(ROWS, camids, strict=True)]


def test_a_table_is_read_with_its_cameras(tmp_path):
    write_table(tmp_path, *table())
    benchmark = load_benchmark("own:street", tmp_path)
    assert benchmark.name == "own:street"
    assert [(s.path.name, s.pid, s.camid) for s in benchmark.train] == [
        ("ein Bild.png", 1, 1),
        ("früh morgens.jpg", 1, 0),
        ("x.jpg", 2, 0),
    ]
    assert [(s.pid, s.camid) for s in benchmark.gallery] == [(30, 1), (31, 0)]
    assert knows_cameras("own:street", tmp_path)
    assert camera_count(benchmark.train) == 2
    assert pictures_of("own:street", tmp_path) == "photographs"


@pytest.mark.parametrize("header", ["path,pid,split", "path,pid,camid,split"])
def test_without_cameras_only_the_query_itself_is_ignored(tmp_path, header):
    lines = table([""] * 6)
    lines.insert(4, lines[3].replace("query", "gallery"))
    if "camid" not in header:
        lines = [line.replace(",,", ",") for line in lines]
    write_table(tmp_path, *lines, header=header)
    benchmark = load_benchmark("own:street", tmp_path)
    camids = [s.camid for s in (*benchmark.train, *benchmark.query, *benchmark.gallery)]
    (query,), gallery = benchmark.query, benchmark.gallery
    ignored = [s.path for s in gallery if (s.pid, s.camid) == (query.pid, query.camid)]
    assert ignored == [query.path] and len(set(camids)) == len(camids) - 1
    assert not knows_cameras("own:street", tmp_path)
    with pytest.raises(ValueError, match="each of 3 images has a camera of its own"):
        camera_count(benchmark.train)
    said = unfit_for_training("own:street", tmp_path, names_cameras=True)
    assert "has no camid, but this method learns to name cameras" in said
    assert unfit_for_training("own:street", tmp_path) == ""


FAULTS = {
    "a column is missing": (["path,camid,split", *table()], 1, "no column pid"),
    "a column is misspelt": (
        ["path,pid,camids,split", *table()],
        *(1, "column 'camids' is not known; did you mean camid"),
    ),
    "semicolons": (["path;pid;split"], 1, "columns are not separated by commas"),
    "a cell too many": (
        ["path,pid,camid,split", "a,b.jpg,1,2,train"],
        *(2, "it has 5 cells, the first line 4: put a path that has a comma in quotes"),
    ),
    "no path": ([*table(), ",1,1,train"], 8, "path is empty"),
    "no file": ([*table(), "test/g.jpg,3,1,gallery"], 8, "'test/g.jpg' is no file"),
    "backslashes": (
        [*table(), r"test\e.jpg,3,1,gallery"],
        8,
        "write / between folders",
    ),
    "a path that leads out": (
        [*table(), "../e.jpg,3,1,gallery"],
        *(8, "'../e.jpg' leads out of the folder"),
    ),
    "a pid that is a name": (
        [*table(), "test/e.jpg,Anna,1,gallery"],
        *(8, "pid is 'Anna': number the people"),
    ),
    "a negative pid": ([*table(), "test/e.jpg,-1,1,gallery"], 8, "pid is '-1'"),
    "a camid that is a name": (
        [*table(), "test/e.jpg,30,north,gallery"],
        *(8, "camid is 'north': number the cameras"),
    ),
    "some camids": (
        [*table(), "test/e.jpg,30,,query"],
        *(8, "camid is empty, unlike in line 2: fill in all or none"),
    ),
    "an unknown split": (
        [*table(), "test/e.jpg,30,40,querry"],
        *(8, "split is 'querry'; did you mean query"),
    ),
    "an image twice in a split": (
        [*table(), "test/e.jpg,30,40,gallery"],
        *(8, "the image of line 6 again in gallery: delete one"),
    ),
    "an image of two people": (
        [*table(), "test/e.jpg,31,40,query"],
        *(8, "the image of line 6, which has pid 30 and camid 40: give both the same"),
    ),
    "a person trained on and searched for": (
        [*table(), "test/e.jpg,1,40,query"],
        *(8, "pid 1 is in query, and in train in line 2: train on other people"),
    ),
    "no gallery": (table()[:4], 1, "no line has the split gallery"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_a_table_is_named_with_its_line(tmp_path, name):
    lines, number, message = FAULTS[name]
    if "path" not in lines[0]:
        lines = [HEADER, *lines]
    write_table(tmp_path, *lines[1:], header=lines[0])
    with pytest.raises(DataError) as caught:
        load_benchmark("own:street", tmp_path)
    first, *said = str(caught.value).splitlines()
    assert first.startswith(f"{tmp_path}/samples.csv has ")
    assert any(s.startswith(f"  line {number}: ") and message in s for s in said)
    assert missing_data("own:street", tmp_path).endswith("\n".join(said))


def test_faults_of_all_lines_are_said_at_once(tmp_path):
    write_table(tmp_path, *table(), "nowhere.jpg,x,y,z", ",1,2,train")
    with pytest.raises(DataError, match="has 5 faults") as caught:
        load_benchmark("own:street", tmp_path)
    lines = [line.partition(":")[0] for line in str(caught.value).splitlines()[1:]]
    assert lines == ["  line 8"] * 4 + ["  line 9"]


def test_accents_may_be_composed_otherwise_than_in_the_table(tmp_path):
    write_table(tmp_path, *table())
    moved = unicodedata.normalize("NFD", "früh morgens.jpg")
    folder = tmp_path / "Straße 1/Anna"
    (folder / "früh morgens.jpg").rename(folder / moved)
    paths = [s.path for s in load_benchmark("own:street", tmp_path).train]
    assert folder / moved in paths


def test_a_table_of_a_spreadsheet_is_read(tmp_path):
    write_table(tmp_path)
    text = "\r\n".join(["path, pid, camid, split", *table(), "", ",,,", ""])
    (tmp_path / "samples.csv").write_bytes(text.encode("utf-8-sig"))
    assert len(load_benchmark("own:street", tmp_path).train) == 3
    latin = "path,pid,split\nStraße 1/Bo/x.jpg,1,train\n".encode("latin-1")
    (tmp_path / "samples.csv").write_bytes(latin)
    with pytest.raises(DataError, match="byte 0xdf in line 2 is not UTF-8"):
        load_benchmark("own:street", tmp_path)
    (tmp_path / "samples.csv").write_text("")
    with pytest.raises(DataError, match="line 1: no column path, pid, split"):
        load_benchmark("own:street", tmp_path)


def test_damaged_images_and_queries_without_a_match_are_refused(tmp_path):
    write_table(tmp_path, *table())
    (tmp_path / "test/f.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 file .*\n  .*test/f.jpg"):
        load_benchmark("own:street", tmp_path)
    lines = [line.replace(",30,40,", ",30,10,") for line in table()]
    write_table(tmp_path, *lines)
    with pytest.raises(DataError, match="no query has an image of its person.*camera"):
        load_benchmark("own:street", tmp_path)


def test_folders_in_the_market_layout_need_no_table(tmp_path):
    names = {
        "bounding_box_train": ["0002_c1s1_000451_03.jpg"],
        "query": ["0001_c1s1_001051_00.jpg"],
        "bounding_box_test": ["0001_c2s1_001051_03.jpg", "-1_c2s1_000001_00.jpg"],
    }
    for folder, files in names.items():
        (tmp_path / "shop" / folder).mkdir(parents=True)
        for name in files:
            Image.new("RGB", (8, 16)).save(tmp_path / "shop" / folder / name)
    for root in (tmp_path, tmp_path / "shop"):
        benchmark = load_benchmark("own:shop", root)
        assert [len(split) for split in benchmark[1:]] == [1, 1, 1]
        assert (benchmark.gallery[0].pid, benchmark.gallery[0].camid) == (1, 1)
    with pytest.raises(DataError, match="missing samples.csv, bounding_box_train"):
        load_benchmark("own:other", tmp_path)
    assert "see `reid data tree own`" in missing_data("own:other", tmp_path)


def test_check_reports_counts_and_compares_none(tmp_path):
    write_table(tmp_path, *table([""] * 6))
    report = check("own", tmp_path)
    assert report.title == "your own data" and report.faults == []
    found = {(row["split"], row["what"]): row for _, row in report.table.iterrows()}
    assert found["train", "identities"]["found"] == "2"
    assert found["train", "cameras"]["found"] == "0"
    assert found["gallery", "images"]["verdict"] == "nothing to compare"
    (tmp_path / "test/f.jpg").write_bytes(b"no picture")
    assert any("f.jpg" in fault for fault in check("own", tmp_path).faults)


def test_own_data_only_to_test_with_trains_nothing(tmp_path):
    write_table(tmp_path, *table()[3:])
    assert load_benchmark("own:street", tmp_path).train == ()
    said = unfit_for_training("own:street", tmp_path)
    assert "no image of the split train" in said
    assert unfit_for_training("market1501", tmp_path) == ""


def test_runs_of_two_folders_have_two_names(tmp_path):
    first = place_name("own:street", tmp_path / "a")
    assert first.startswith("own:street-")
    assert first != place_name("own:street", tmp_path / "b")
    assert place_name(first, tmp_path / "a") == first
    assert place_name("own:street", tmp_path / "c/../a") == first
    with pytest.raises(DataError, match="another folder now, ask for own:street"):
        place_name(first, tmp_path / "b")
    for name in ("own:", "own", "own:a/b", "own:a b", "own:-a"):
        with pytest.raises(DataError, match="write own:<name>, of letters, digits"):
            place_name(name, tmp_path)
    write_table(tmp_path / "a", *table())
    assert load_benchmark(first, tmp_path / "a").name == first


def test_masks_lie_beside_the_folder_of_an_image(tmp_path):
    write_table(tmp_path, *table())
    image = load_benchmark("own:street", tmp_path).train[0].path
    assert mask_path(image) == tmp_path / "Straße 1/masks/Anna/ein Bild.png"
    mask_path(image).parent.mkdir(parents=True)
    Image.new("L", (8, 16), 3).save(mask_path(image))
    assert read_mask(image).unique().tolist() == [3]


def test_captions_lie_beside_the_table(tmp_path):
    write_table(tmp_path, *table())
    benchmark = load_benchmark("own:street", tmp_path)
    lines = [
        {
            "image": row.rsplit(",", 3)[0],
            "person": f"person {n}",
            "background": "a wall",
        }
        for n, row in enumerate(ROWS)
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    (tmp_path / "captions.jsonl").write_text(text)
    found = captions_of((*benchmark.train, *benchmark.query, *benchmark.gallery))
    assert len(found) == len(ROWS)
    assert found[benchmark.query[0].path].person == "person 3"

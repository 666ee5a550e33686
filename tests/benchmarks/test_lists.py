"""The official lists of Occluded-Duke and CUHK03-NP, and other forms of these sets.

The lists are not part of this repository: their folder is in REIDLIB_LISTS.
"""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat
from toys.small_sets import SETS, counts_of, picture, write_picture, write_set

from reidlib import benchmarks as readers
from reidlib.benchmarks import DataError, check, load_benchmark
from reidlib.benchmarks.readers import cuhk03
from reidlib.benchmarks.readers.cuhk03 import config_name, read_config
from reidlib.benchmarks.readers.folders import text_lines
from reidlib.benchmarks.readers.market import samples_of
from reidlib.benchmarks.readers.occluded_duke import LISTS
from reidrun.cli import main as cli
from reidrun.runs.environment import ROOT

FOLDERS = {"train": "bounding_box_train", "query": "query"}
FOLDERS["gallery"] = "bounding_box_test"
CUHK03 = ("cuhk03np_detected", "cuhk03np_labeled")


@pytest.fixture(scope="module")
def lists() -> Path:
    if "REIDLIB_LISTS" not in os.environ:
        pytest.skip("the official lists are not here: REIDLIB_LISTS names their folder")
    return Path(os.environ["REIDLIB_LISTS"])


def counted(samples) -> tuple[int, int, int]:
    pids, camids = {s.pid for s in samples}, {s.camid for s in samples}
    return len(pids), len(samples), len(camids)


def link(source: Path, paths: list[Path]) -> None:
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        os.link(source, path)


def test_the_official_lists_of_occluded_duke_are_counted(lists):
    folder, name = lists / "occluded_duke", "occluded_duke"
    found = {
        split: samples_of(map(Path, text_lines(folder / file, name)), name)
        for split, file in LISTS.items()
    }
    counts = {split: counted(samples) for split, samples in found.items()}
    assert counts["train"] == (702, 15618, 8)
    assert counts["query"] == (519, 2210, 8)
    assert counts["gallery"] == (1110, 17661, 8)
    shared = {s.path for s in found["query"]} & {s.path for s in found["gallery"]}
    assert len(shared) == 1870
    cameras = [sum(s.camid == camid for s in found["train"]) for camid in range(8)]
    assert cameras == [1982, 3009, 1088, 1395, 1685, 3700, 1330, 1429]
    published = readers.PUBLISHED["occluded_duke"]
    assert counts == {split: tuple(getattr(published, split)) for split in counts}
    assert published.shared == len(shared)


@pytest.mark.parametrize("name", CUHK03)
def test_the_official_configuration_of_cuhk03_is_counted(lists, name):
    listed = read_config(lists / "cuhk03_np" / config_name(name))
    sizes = {split: len(files) for split, files in listed.items()}
    train, gallery = (7365, 5332) if name == "cuhk03np_detected" else (7368, 5328)
    assert sizes == {"train": train, "query": 1400, "gallery": gallery}
    for split, files in listed.items():
        counts = counted(files)
        assert counts == getattr(readers.PUBLISHED[name], split)
        assert files == sorted(files)
        for file, _, camid in files[::100]:
            assert int(file.split("_")[2]) == camid + 1, "the view, not the pair"


@pytest.mark.full_size
def test_occluded_duke_of_dukemtmcreid_and_the_official_lists(lists, tmp_path):
    duke = tmp_path / "data" / "DukeMTMC-reID"
    folder, name = lists / "occluded_duke", "occluded_duke"
    named = {split: text_lines(folder / file, name) for split, file in LISTS.items()}
    other = sorted(set(named["query"]) - set(named["gallery"]))
    assert len(other) == 340, "only these have to come from DukeMTMC-reID's queries"
    places = {"train": named["train"], "query": other, "gallery": named["gallery"]}
    write_picture(tmp_path / "one.jpg")
    paths = [duke / FOLDERS[s] / name for s, names in places.items() for name in names]
    link(tmp_path / "one.jpg", paths)
    shutil.copytree(lists / "occluded_duke", tmp_path / "data" / "occluded_duke")
    found = load_benchmark("occluded_duke", tmp_path / "data")
    assert [len(split) for split in found[1:]] == [15618, 2210, 17661]
    report = check("occluded_duke", tmp_path / "data")
    assert report.faults == []
    paths[5].unlink()
    with pytest.raises(DataError, match="1 file of the lists is not in DukeMTMC"):
        load_benchmark("occluded_duke", tmp_path / "data")


@pytest.mark.full_size
@pytest.mark.parametrize("name", CUHK03)
def test_cuhk03_of_extracted_images_and_the_official_configuration(
    lists, tmp_path, name
):
    config = lists / "cuhk03_np" / config_name(name)
    root = tmp_path / "cuhk03"
    files = [file for split in read_config(config).values() for file, *_ in split]
    write_picture(tmp_path / "one.png")
    kind = name.rpartition("_")[2]
    link(tmp_path / "one.png", [root / f"images_{kind}" / file for file in files])
    shutil.copy(config, root)
    report = check(name, tmp_path)
    assert report.faults == []
    assert load_benchmark(name, tmp_path).train[0].path.parent.parent == root


@pytest.fixture
def occluded_duke(tmp_path, monkeypatch) -> Path:
    """The small set as DukeMTMC-reID and lists; a query is a gallery image too."""
    wanted = counts_of("occluded_duke")
    monkeypatch.setitem(readers.PUBLISHED, "occluded_duke", wanted._replace(shared=1))
    duke = write_set("dukemtmcreid", tmp_path / "dukemtmcreid" / "DukeMTMC-reID")
    write_picture(duke / "bounding_box_train" / "0900_c1_f0000001.jpg")
    (tmp_path / "occluded_duke").mkdir()
    for split, file in LISTS.items():
        names = [Path(place).name for place, *_ in SETS["occluded_duke"][split]]
        if split == "query":
            names[-1] = "0019_c3_f0060000.jpg"  # which the gallery has
        (tmp_path / "occluded_duke" / file).write_text("\n".join(names) + "\n")
    return tmp_path


PLACES = ["occluded_duke", "dukemtmcreid/Occluded_Duke", "dukemtmcreid/DukeMTMC-reID"]


@pytest.mark.parametrize("place", PLACES)
def test_lists_may_lie_in_beside_or_above_dukemtmcreid(occluded_duke, place):
    for path in sorted((occluded_duke / "occluded_duke").iterdir()):
        (occluded_duke / place).mkdir(exist_ok=True)
        path.replace(occluded_duke / place / path.name)
    root = occluded_duke / (place if "DukeMTMC" in place else "")
    found = check("occluded_duke", root)
    assert [f for f in found.faults if "cameras" not in f] == []
    query = readers.loading.read_below("occluded_duke", root).benchmark.query
    assert [s.path.parent.name for s in query] == ["bounding_box_test", "query"]
    assert [s.path.name[:8] for s in query] == ["0019_c3_", "0005_c2_"]


def write_config(path: Path, name: str, camera_fault: int = 0) -> list[str]:
    """A configuration as scipy writes it: 1-based columns, names as cells."""
    names = ["1_001_1_01.png", "1_001_2_06.png", "4_002_1_02.png", "4_002_2_07.png"]
    names += ["2_003_1_01.png", "2_003_2_05.png"]
    column = {
        "filelist": np.array([[file] for file in names], dtype=object),
        "labels": np.array([[1], [1], [2], [2], [3], [3]], dtype=np.uint16),
        "camId": np.array(
            [[1], [2], [1], [2], [1], [2 - camera_fault]], dtype=np.uint8
        ),
        "train_idx": np.array([[6], [5]]),
        "query_idx": np.array([[1]]),
        "gallery_idx": np.array([[2], [3], [4]]),
    }
    savemat(path / config_name(name), column)
    return names


@pytest.mark.parametrize("name", CUHK03)
def test_cuhk03_by_its_configuration(tmp_path, name):
    root = tmp_path / "cuhk03"
    root.mkdir()
    for file in write_config(root, name):
        write_picture(root / f"images_{name.rpartition('_')[2]}" / file)
    found = readers.loading.read_below(name, tmp_path).benchmark
    short = [[(s.path.name, s.pid, s.camid) for s in split] for split in found[1:]]
    assert short == [
        [("2_003_1_01.png", 3, 0), ("2_003_2_05.png", 3, 1)],
        [("1_001_1_01.png", 1, 0)],
        [("1_001_2_06.png", 1, 1), ("4_002_1_02.png", 2, 0), ("4_002_2_07.png", 2, 1)],
    ]
    found.gallery[0].path.unlink()
    with pytest.raises(DataError, match=r"1 file of cuhk03_new_\w+\.mat is not there"):
        readers.loading.read_below(name, tmp_path)


def test_a_configuration_of_another_kind_is_refused(tmp_path):
    write_config(tmp_path, CUHK03[0], camera_fault=1)
    with pytest.raises(DataError, match="camId 1 is not the view of 2_003_2_05.png"):
        read_config(tmp_path / config_name(CUHK03[0]))
    savemat(tmp_path / "other.mat", {"labels": np.zeros(3)})
    with pytest.raises(DataError, match=r"other\.mat has no .*'filelist'"):
        read_config(tmp_path / "other.mat")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400)
    (tmp_path / "cuhk-03.mat").write_bytes(header)
    with pytest.raises(
        DataError, match="is HDF5, not the configuration; is it cuhk-03"
    ):
        read_config(tmp_path / "cuhk-03.mat")
    (tmp_path / "cut.mat").write_bytes(picture("PNG")[:50])
    with pytest.raises(DataError, match=r"cut\.mat cannot be read .*: copy it again"):
        read_config(tmp_path / "cut.mat")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train_idx": np.array([7])}, "train_idx has 7, but files are 1 to 6"),
        ({"train_idx": np.array([0])}, "train_idx has 0, but files are 1 to 6"),
        ({"query_idx": np.array([-5])}, "query_idx has -5, but files are 1 to 6"),
        ({"gallery_idx": np.array([1.5])}, "gallery_idx holds other than whole numb"),
        ({"labels": np.arange(1, 4)}, "6 names, 3 labels, 6 camId, but of each file"),
        ({"labels": np.full(6, np.nan)}, "labels holds other than whole numbers"),
        ({"labels": "abc"}, "labels holds other than whole numbers"),
        ({"labels": np.arange(6) - 1}, "labels has -1, but people are counted from 1"),
        ({"filelist": np.array([["a.png"]] * 6, object)}, "'a.png' in filelist is not"),
        ({"filelist": np.array([["../1_1_1_1.png"]] * 6, object)}, "filelist is not"),
        ({"filelist": np.arange(6)}, "'0' in filelist is not like 1_001_1_01.png"),
    ],
)
def test_a_configuration_with_odd_content_is_refused(tmp_path, changed, said):
    path = tmp_path / config_name(CUHK03[0])
    write_config(tmp_path, CUHK03[0])
    content = {key: loadmat(path)[key] for key in cuhk03.KEYS}
    savemat(path, content | changed)
    with pytest.raises(DataError, match=rf"detected\.mat cannot be read \(.*{said}"):
        read_config(path)


@pytest.mark.parametrize("content", ["numbers", "group", "flat", "floats"])
def test_a_release_with_odd_content_is_refused(tmp_path, content):
    path = tmp_path / "cuhk-03.mat"
    write_release(path, ["1_001_1_01.png"], "labeled")
    with h5py.File(path, "a") as file:
        if content == "numbers":
            del file["labeled"]
            file["labeled"] = np.arange(5)
        elif content == "group":
            del file["labeled"]
            file.create_group("labeled")
        else:
            odd = np.zeros((1, 2, 3)) if content == "floats" else np.zeros((2, 2, 2))
            file["0"][1, 1] = file.create_dataset("odd", data=odd).ref
    with pytest.raises(DataError, match=r"cuhk-03\.mat cannot be read .*copy it again"):
        cuhk03.extract(tmp_path, "cuhk03np_labeled")


def write_release(path: Path, names: list[str], kind: str) -> dict[str, np.ndarray]:
    """cuhk-03.mat as MATLAB writes it: cells of cells, all axes in reverse."""
    rng, pixels = np.random.default_rng(0), {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        nothing = file.create_dataset("empty", data=np.zeros(2, np.uint64))
        tables = file.create_dataset(kind, (1, 5), dtype=h5py.ref_dtype)
        for pair in range(5):
            table = file.create_dataset(f"{pair}", (10, 3), dtype=h5py.ref_dtype)
            table[...] = nothing.ref
            tables[0, pair] = table.ref
        for name in names:
            pair, person, _, image = map(int, name.removesuffix(".png").split("_"))
            pixels[name] = rng.integers(0, 256, (12, 6, 3), dtype=np.uint8)
            cell = file.create_dataset(name, data=pixels[name].T)
            file[f"{pair - 1}"][image - 1, person - 1] = cell.ref
    return pixels


@pytest.mark.parametrize("name", CUHK03)
@pytest.mark.parametrize("place", ["", "cuhk03_release"])
def test_cuhk03s_raw_release_is_written_as_files_and_read(
    tmp_path, capsys, name, place
):
    root, kind = tmp_path / "cuhk03", name.rpartition("_")[2]
    root.mkdir()
    listed = [n for n in write_config(root, name) if n != "2_003_2_05.png"]
    pixels = write_release(root / place / "cuhk-03.mat", listed, kind)
    command = ["data", "extract", name, str(tmp_path)]
    for _ in range(2):
        assert cli.main(command, ROOT) == 0
        assert capsys.readouterr().out == f"{root / f'images_{kind}'}: 5 images\n"
    for file, wanted in pixels.items():
        with Image.open(root / f"images_{kind}" / file) as image:
            np.testing.assert_array_equal(np.asarray(image), wanted)
    assert sorted(p.name for p in (root / f"images_{kind}").iterdir()) == sorted(listed)
    write_picture(root / f"images_{kind}" / "2_003_2_05.png")
    assert len(readers.loading.read_below(name, tmp_path).benchmark.train) == 2


def test_what_is_no_raw_release_is_refused(tmp_path, capsys):
    command = ["data", "extract", CUHK03[1], str(tmp_path)]
    assert cli.main(command, ROOT) == 1
    assert "no cuhk-03.mat in" in capsys.readouterr().err
    (tmp_path / "cuhk-03.mat").write_bytes(b"cut short")
    assert cli.main(command, ROOT) == 1
    assert "cuhk-03.mat cannot be read" in capsys.readouterr().err
    write_release(tmp_path / "cuhk-03.mat", [], "detected")
    assert cli.main(command, ROOT) == 1
    assert "has no 'labeled'" in capsys.readouterr().err
    assert cli.main(["data", "extract", "market1501", str(tmp_path)], ROOT) == 2
    assert "unknown benchmark 'market1501'" in capsys.readouterr().err
    assert not (tmp_path / "images_labeled").exists()

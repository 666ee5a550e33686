"""Folders that are not what they should be: handled as documented, or refused."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from toys.small_sets import SETS, counts_of, write_picture, write_set

from reidlib import benchmarks as readers
from reidlib.benchmarks import DataError, check, load_benchmark
from reidlib.benchmarks.presence import missing_data

TRAIN, TEST = "bounding_box_train", "bounding_box_test"
FIRST = f"{TRAIN}/0002_c1s1_000451_03.jpg"
LISTED = "train/0000/0000_000_01_0303morning_0015_0.jpg"


class Fault(NamedTuple):
    """What is done to a small set, and what is said then; "" where it is handled."""

    do: Callable[[Path], object]
    message: str
    name: str = "market1501"


def remove(*places: str) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        for place in places:
            path = root / place
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return do


def write(place: str, content: bytes = b"not an image") -> Callable[[Path], object]:
    return lambda root: (root / place).write_bytes(content)


def append(place: str, line: str) -> Callable[[Path], object]:
    def do(root: Path) -> None:
        with (root / place).open("a") as file:
            file.write(f"{line}\n")

    return do


def rename(old: str, new: str) -> Callable[[Path], object]:
    def do(root: Path) -> None:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / new)

    return do


def copy(old: str, new: str) -> Callable[[Path], object]:
    return lambda root: shutil.copy(root / old, root / new)


def draw(place: str) -> Callable[[Path], object]:
    return lambda root: write_picture(root / place)


def replace(place: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        (root / place).unlink(missing_ok=True)
        make(root / place)

    return do


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def odd_name(root: Path) -> None:
    content = (root / FIRST).read_bytes()
    try:
        (root / TRAIN / os.fsdecode(b"0002_c1s1_000452_\xff.jpg")).write_bytes(content)
    except OSError:
        pytest.skip("this file system has UTF-8 names only")


def locked(place: str) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        if os.geteuid() == 0:
            pytest.skip("nothing is unreadable for root")
        (root / place).chmod(0)

    return do


def by_person(root: Path) -> None:
    for path in sorted((root / TRAIN).iterdir()):
        rename(f"{TRAIN}/{path.name}", f"{TRAIN}/{path.name[:4]}/{path.name}")(root)


def lists_alone(root: Path) -> None:
    for split in ("train", "query", "gallery"):
        names = [Path(place).name for place, *_ in SETS["occluded_duke"][split]]
        (root / f"{split}.list").write_text("\n".join(names))
    for folder in (TRAIN, "query", TEST):
        shutil.rmtree(root / folder)


HANDLED = {
    "other file types": Fault(write("query/readme.txt"), ""),
    "Thumbs.db": Fault(write(f"{TEST}/Thumbs.db"), ""),
    "hidden files of macOS": Fault(write(f"{TRAIN}/._0002_c1s1_000451_03.jpg"), ""),
    "folders that are no split": Fault(draw("gt_bbox/0001_c1s1_001051_00.jpg"), ""),
    "an upper-case suffix": Fault(rename(FIRST, FIRST.replace(".jpg", ".JPG")), ""),
    "a doubled folder": Fault(
        lambda root: rename("market1501", "Market-1501-v15.09.15/market1501")(
            root.parent
        ),
        "",
    ),
    "a list that ends without a line": Fault(
        append("list_query.txt", ""), "", "msmt17"
    ),
    "lists made on Windows": Fault(
        lambda root: [
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
            for path in root.glob("list_*.txt")
        ],
        "",
        "msmt17",
    ),
}
REFUSED = {
    "a missing split": Fault(
        remove("query"), r"query: no folder .*query\. Expected:\n<data_"
    ),
    "an empty split": Fault(
        lambda root: [path.unlink() for path in (root / TEST).iterdir()],
        r"gallery: no images in .*bounding_box_test; put the gallery split there",
    ),
    "an empty folder": Fault(
        empty, r"no data in .*market1501: missing bounding_box_train, query, bounding"
    ),
    "no folder at all": Fault(
        remove("."), r"no data in .*: missing bounding_box_train(.|\n)*Name this folder"
    ),
    "a split of junk": Fault(
        lambda root: [path.unlink() for path in (root / TEST).glob("0*")],
        r"gallery: 0 images, but 3 are expected",
    ),
    "zero bytes": Fault(write(FIRST, b""), r"1 file is empty; copy it(.|\n)*000451_03"),
    "a truncated image": Fault(
        lambda root: (root / FIRST).write_bytes((root / FIRST).read_bytes()[:700]),
        r"1 file cannot be decoded; copy it(.|\n)*000451_03",
    ),
    "no image under an image's name": Fault(
        write(FIRST), r"1 file cannot be decoded(.|\n)*0002_c1s1_000451_03\.jpg"
    ),
    "images in a folder per person": Fault(
        by_person, r"train: no images in .*, but in the folders below it: move them up"
    ),
    "names that do not parse": Fault(
        draw(f"{TRAIN}/person.jpg"),
        r"1 file does not parse; in market1501 names look like 0002(.|\n)*person\.jpg",
    ),
    "another data set": Fault(
        lambda root: write_set("market1501", root),
        r"\d+ of \d+ names are not of dukemtmcreid, .*; is it another data set\?",
        "dukemtmcreid",
    ),
    "one name in two cases": Fault(
        copy(FIRST, FIRST.replace(".jpg", ".JPG")),
        r"1 file is in a split twice, up to case and suffix; delete(.|\n)*000451_03",
    ),
    "a name that is not UTF-8": Fault(
        odd_name,
        r"1 file is not named in UTF-8; (.|\n)*000452_\\xff\.jpg",
    ),
    "an unreadable image": Fault(
        locked(FIRST), r"1 file may not be read; change its perm(.|\n)*000451_03"
    ),
    "an unreadable folder": Fault(
        locked(TRAIN), r"bounding_box_train may not be read; change its permissions"
    ),
    "an image too few": Fault(
        remove(f"{TRAIN}/0007_c2s1_000451_03.jpg"),
        r"train: 2 images, but 3 are expected",
    ),
    "V2 given as V1": Fault(
        lambda root: (empty(root), write_set("msmt17_v2", root)),
        r"holds mask_train_v2/: that is MSMT17 V2, not the V1 of msmt17.*msmt17_v2",
        "msmt17",
    ),
    "V1 given as V2": Fault(
        lambda root: (empty(root), write_set("msmt17", root)),
        r"is MSMT17 V1, not the V2 of msmt17_v2_trainval.* ask for msmt17_trainval",
        "msmt17_v2_trainval",
    ),
    "a list that names absent files": Fault(
        remove(LISTED),
        r"1 file of the lists is not there(.|\n)*0015_0",
        "msmt17",
    ),
    "a missing list": Fault(remove("list_val.txt"), "no list .*val", "msmt17_trainval"),
    "a file listed twice": Fault(
        append("list_train.txt", f"{LISTED.partition('/')[2]} 0"),
        r"1 file is in a split twice(.|\n)*0015_0\.jpg",
        "msmt17",
    ),
    "a line of a list that does not parse": Fault(
        append("list_query.txt", "0000/0000.jpg"),
        r"list_query\.txt: 1 of 2 lines do not parse, the first \['0000/0000\.jpg'\]",
        "msmt17",
    ),
    "a list that is no text": Fault(
        write("list_query.txt", b"\xff\xfe\x00"),
        r"list_query\.txt, line 1 cannot be read \(it is UTF-16: save it as UTF-8\)",
        "msmt17",
    ),
    "a list that is a folder": Fault(
        replace("list_query.txt", Path.mkdir),
        r"list_query\.txt cannot be read \(it is a folder, not a file\): copy it from",
        "msmt17",
    ),
    "a list that is a pipe without end": Fault(
        replace("list_query.txt", os.mkfifo), r"list_query\.txt .*a pipe", "msmt17"
    ),
    "a list that is a link to itself": Fault(
        replace("list_query.txt", loop), r"list_query\.txt .*symbolic link", "msmt17"
    ),
    "a list of names too long": Fault(
        append("list_query.txt", f"{'x' * 300}/0000_000_01_0_0.jpg 0"),
        r"1 file of the lists is not there(.|\n)*xxx/0000_000_01",
        "msmt17",
    ),
    "lists without DukeMTMC-reID": Fault(
        lists_alone, "has the lists of Occluded-Duke, but no DukeM", "occluded_duke"
    ),
    "an occluded set without its gallery": Fault(
        remove("whole_body_images"),
        r"gallery: no folder .*whole_body_images",
        "occluded_reid",
    ),
    "a partial image without a number": Fault(
        draw("whole_body_images/anna.jpg"), "1 file does not parse", "partial_reid"
    ),
    "half of P-DukeMTMC-reID": Fault(
        remove("train/occluded_body_images"), "train: no folder", "p_dukemtmcreid"
    ),
    "CUHK03 without its images": Fault(
        lambda root: (
            empty(root),
            write("cuhk03_new_protocol_config_labeled.mat")(root),
        ),
        r"no folder .*images_labeled with the images .*: `reid data extract cuhk03np_l",
        "cuhk03np_labeled",
    ),
    "a configuration that is none": Fault(
        lambda root: (
            empty(root),
            write("cuhk03_new_protocol_config_detected.mat")(root),
            (root / "images_detected").mkdir(),
        ),
        r"config_detected\.mat cannot be read .*: copy it again",
        "cuhk03np_detected",
    ),
}
CASES = HANDLED | REFUSED


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_folder_is_handled_or_named(tmp_path, monkeypatch, case):
    do, message, name = CASES[case]
    monkeypatch.setitem(readers.PUBLISHED, name, counts_of(name))
    root = write_set(name, tmp_path / name)
    do(root)
    if not message:
        assert load_benchmark(name, tmp_path).name == name
        assert check(name, tmp_path).faults == []
        return
    with pytest.raises(DataError) as caught:
        load_benchmark(name, tmp_path)
    text = str(caught.value)
    assert re.search(message, text), text
    try:
        said = check(name, tmp_path).faults
    except DataError as error:
        said = [str(error)]
    assert said, "the check says so as well"
    "".join([text, *said]).encode()  # can be printed


@pytest.mark.parametrize("name", ["market1501", "msmt17", "occluded_duke"])
def test_a_folder_with_a_name_that_no_folder_can_have_is_no_folder(tmp_path, name):
    for place in (tmp_path / ("ü" * 200), tmp_path / "loop"):
        if place.name == "loop":
            place.symlink_to("loop")
        with pytest.raises(DataError, match=r"is no folder\. Expected:\n<data_root>"):
            load_benchmark(name, place)
        assert "is no folder; --data names its" in missing_data(name, place)
        with pytest.raises(DataError, match=r"is no folder\. Expected:\n<data_root>"):
            check(name, place)


def test_at_least_the_twelve_faults_are_tried():
    assert len(REFUSED) >= 12 and all(fault.message for fault in REFUSED.values())


@pytest.mark.parametrize("error", [PermissionError, FileNotFoundError])
def test_a_file_that_cannot_be_opened_is_named(tmp_path, monkeypatch, error):
    """As above for root too, who may read everything."""
    from reidlib.benchmarks.readers import folders as files

    def refuse(path):
        raise error

    monkeypatch.setattr(files, "_look_at_ends", refuse)
    monkeypatch.setitem(readers.PUBLISHED, "market1501", counts_of("market1501"))
    write_set("market1501", tmp_path / "market1501")
    said = {PermissionError: "may not be read", FileNotFoundError: "are not there"}
    with pytest.raises(DataError, match=f"9 files {said[error]}"):
        load_benchmark("market1501", tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"drawn": true, "counts": 0}', "counts: Input should be a valid dict"),
        ('{"drawn": true, "counts": {"market1501": {"train": 7}}}', "1501.train: "),
        ('{"drawn": true, "counts": {"market1501": {}}}', "counts.market1501.train: "),
        ('{"drawn": true, "counts": {"market1501": ["x", 3, 1]}}', "1501.0: Input"),
        ("[" * 100_000, "nested too deep"),
        ("{", "Expecting property name"),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}".encode("latin1"), "is not UTF-8"),
    ],
)
def test_a_marker_of_other_types_is_named(tmp_path, text, said):
    root = write_set("market1501", tmp_path / "market1501")
    content = text if isinstance(text, bytes) else text.encode()
    (root / "about.json").write_bytes(content)
    for look in (load_benchmark, check):
        with pytest.raises(DataError, match=r"about\.json cannot be read") as caught:
            look("market1501", tmp_path)
        assert said in str(caught.value)
        assert "if they are photographs, delete it" in str(caught.value)

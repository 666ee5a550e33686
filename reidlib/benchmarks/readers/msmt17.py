"""MSMT17: folders of images, and lists that say who is in which split.

V2 has blurred faces and lower scores, under the same lists: one is never taken for the
other. FA-Net trains on list_train alone, RGANet (RGA-16) on list_train and list_val,
which is another benchmark, `..._trainval`: a result then says which one it is.
"""

import re
from pathlib import Path

from reidlib.benchmarks.readers.folders import (
    DataError,
    absent,
    candidates,
    not_there,
    refuse,
)
from reidlib.benchmarks.readers.folders import text_lines as read_lines
from reidlib.benchmarks.readers.layouts import TREES
from reidlib.data.samples import Benchmark, Sample
from reidlib.reading import shown

VERSIONS = {  # folders of training and test images
    "V1": ("train", "test"),
    "V2": ("mask_train_v2", "mask_test_v2"),
}
SPELLINGS = ("msmt17", "msmt17trainval", "msmt17v1", "msmt17v2", "msmt17v2trainval")
LINE = re.compile(r"(\S+/\d+_\d+_(\d+)_\S+)\s+(\d+)")
EXAMPLE = "0000/0000_000_01_0303morning_0015_0.jpg 0"
TRAIN_IDENTITIES = 1041


def version_of(name: str) -> str:
    """V1 or V2, from a benchmark's name.

    >>> version_of("msmt17_v2_trainval")
    'V2'
    """
    return "V2" if "_v2" in name else "V1"


def find_msmt17(root: Path, name: str) -> Path:
    """The folder that holds the images of the version that is asked for.

    Raises DataError where there is none, also where the other version lies instead.
    """
    version = version_of(name)
    other = "V1" if version == "V2" else "V2"
    folders = candidates(root, SPELLINGS)
    for folder in folders:
        if _holds(folder, version):
            return folder
    for folder in folders:
        if _holds(folder, other):
            raise DataError(
                f"{shown(folder)} holds {VERSIONS[other][0]}/: that is MSMT17 {other},"
                f" not the {version} of {name}. Their scores differ; ask for"
                f" {_renamed(name)}, or set data_root to {version}"
            )
    raise absent(root, VERSIONS[version], TREES[name])


def _renamed(name: str) -> str:
    """The same benchmark in the other version."""
    if version_of(name) == "V2":
        return name.replace("_v2", "")
    return name.replace("msmt17", "msmt17_v2")


def _holds(folder: Path, version: str) -> bool:
    return any((folder / name).is_dir() for name in VERSIONS[version])


def read_msmt17(root: Path, name: str) -> Benchmark:
    """Read the lists in `root`; every file has to be there.

    Identities of both lists count from 0, where elsewhere pid 0 is a distractor and
    nobody is in both: here training has the number in the list plus 1, and test this
    plus 1,041. Cameras are the third field of a name, from 1. Raises DataError for
    missing lists, for lines that do not parse and for images that are not there.
    """
    parts = ["train", "val"] if name.endswith("_trainval") else ["train"]
    listed = [sample for part in parts for sample in _read(root, name, part)]
    query, gallery = (_read(root, name, part) for part in ("query", "gallery"))
    splits = [tuple(sorted(split)) for split in (listed, query, gallery)]
    paths = (sample.path for split in splits for sample in split)
    refuse(not_there(paths), "of the lists are not there", f"complete {shown(root)}")
    return Benchmark(name, *splits)


def _read(root: Path, name: str, part: str) -> list[Sample]:
    train, test = (root / folder for folder in VERSIONS[version_of(name)])
    learned = part in ("train", "val")
    folder, shift = (train, 1) if learned else (test, 1 + TRAIN_IDENTITIES)
    path = root / f"list_{part}.txt"
    lines = read_lines(path, name)
    matches = [LINE.fullmatch(line) for line in lines]
    strange = [line for line, match in zip(lines, matches, strict=True) if not match]
    if strange or not lines:
        raise DataError(
            f"{shown(path)}: {len(strange)} of {len(lines)} lines do not parse, the"
            f" first {strange[:1]}; lines are like {EXAMPLE}"
        )
    fields = (match.groups() for match in matches)
    return [
        Sample(folder / place, int(pid) + shift, int(camera) - 1)
        for place, camera, pid in fields
    ]

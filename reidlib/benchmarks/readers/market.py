"""Folders in Market-1501's layout: one per split, who and which camera in the names."""

import re
from collections.abc import Iterable
from pathlib import Path

from reidlib.benchmarks.readers.folders import (
    DataError,
    absent,
    candidates,
    images,
    plain,
    refuse,
)
from reidlib.benchmarks.readers.layouts import TREES
from reidlib.data.samples import Benchmark, Sample
from reidlib.reading import shown

SPLIT_FOLDERS = {
    "train": "bounding_box_train",
    "query": "query",
    "gallery": "bounding_box_test",
}
FOLDERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # own names, and above
    "cuhk03np_detected": (("detected", "cuhk03npdetected"), ("cuhk03np", "cuhk03")),
    "cuhk03np_labeled": (("labeled", "cuhk03nplabeled"), ("cuhk03np", "cuhk03")),
    "dukemtmcreid": (("dukemtmcreid",), ("duke", "dukemtmc")),
    "market1501": (("market1501", "market1501v150915"), ()),
    "occluded_duke": (("occludedduke", "occludeddukemtmc"), ("dukemtmcreid",)),
}
MARKET = re.compile(r"(-?\d+)_c(\d+)s\d+_"), "0002_c1s1_000451_03.jpg"
DUKE = re.compile(r"(\d+)_c(\d+)_f\d+"), "0001_c2_f0046182.jpg"
CUHK03 = re.compile(r"(\d+)_c([12])(?:s\d+)?_\d"), "0003_c1_21.png"
NAMES = {
    "cuhk03np_detected": CUHK03,
    "cuhk03np_labeled": CUHK03,
    "dukemtmcreid": DUKE,
    "occluded_duke": DUKE,
}


def find_folders(root: Path, name: str) -> Path | None:
    """The first folder at or below `root` that holds a split, or None."""
    own, above = FOLDERS.get(name, ((plain(name),), ()))
    for folder in candidates(root, own, above):
        if any((folder / split).is_dir() for split in SPLIT_FOLDERS.values()):
            return folder
    return None


def find_market(root: Path, name: str) -> Path:
    """The same, or DataError with the expected tree."""
    found = find_folders(root, name)
    if found is None:
        raise absent(root, SPLIT_FOLDERS.values(), TREES[name])
    return found


def read_folders(root: Path, name: str) -> Benchmark:
    """Read the three folders below `root`; junk (pid -1) is kept.

    Raises DataError when a split is missing or empty, or when names are not those of
    the data set `name`; all of them are listed.
    """
    tree = TREES[name]
    paths = {
        split: images(root / folder, split, tree)
        for split, folder in SPLIT_FOLDERS.items()
    }
    refuse_names((path for split in paths.values() for path in split), name)
    return Benchmark(name, **{s: samples_of(paths[s], name) for s in SPLIT_FOLDERS})


def refuse_names(paths: Iterable[Path], name: str) -> None:
    """Raise DataError naming every file whose name is not of the data set `name`.

    Where most are not, it is another data set, and two are enough.
    """
    pattern, example = NAMES.get(name, MARKET)
    paths = list(paths)
    strange = [path for path in paths if not pattern.match(path.name)]
    if 2 * len(strange) > len(paths):
        first = ", ".join(shown(path) for path in strange[:2])
        raise DataError(
            f"{len(strange)} of {len(paths)} names are not of {name}, where they are"
            f" like {example}: {first}; is it another data set?"
        )
    refuse(strange, "do not parse", f"in {name} names look like {example}")


def samples_of(paths: Iterable[Path], name: str) -> tuple[Sample, ...]:
    """Samples with pid and camera (from 0) as the file names say."""
    pattern, _ = NAMES.get(name, MARKET)
    found = ((path, *map(int, pattern.match(path.name).groups())) for path in paths)
    return tuple(Sample(path, pid, camera - 1) for path, pid, camera in found)

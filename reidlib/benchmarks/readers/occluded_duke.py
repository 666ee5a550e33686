"""Occluded-Duke: its own folders, or DukeMTMC-reID and the official lists.

1,870 of the 2,210 queries are gallery images as well, the others come from
DukeMTMC-reID's query folder: counted from the lists.
"""

from pathlib import Path

from reidlib.benchmarks.readers import market
from reidlib.benchmarks.readers.folders import (
    DataError,
    absent,
    candidates,
    not_there,
    refuse,
)
from reidlib.benchmarks.readers.folders import text_lines as read_lines
from reidlib.benchmarks.readers.layouts import TREES
from reidlib.data.samples import Benchmark
from reidlib.reading import shown

LISTS = {split: f"{split}.list" for split in market.SPLIT_FOLDERS}
DUKE_FOLDERS = {  # where the files of each list lie in DukeMTMC-reID
    "train": ("bounding_box_train",),
    "query": ("query", "bounding_box_test"),
    "gallery": ("bounding_box_test",),
}


def find_occluded_duke(root: Path, name: str) -> Path:
    """The folder with the official lists, else the one with the three splits."""
    for folder in candidates(root, *market.FOLDERS[name]):
        if any((folder / file).is_file() for file in LISTS.values()):
            return folder
    found = market.find_folders(root, name)
    if found is None:
        raise absent(
            root, (*market.SPLIT_FOLDERS.values(), *LISTS.values()), TREES[name]
        )
    return found


def read_occluded_duke(root: Path, name: str) -> Benchmark:
    """Read what `find_occluded_duke` found. Raises DataError as `read_folders` does.

    Also for lists that name files which are not in DukeMTMC-reID.
    """
    if not any((root / file).is_file() for file in LISTS.values()):
        return market.read_folders(root, name)
    duke = _duke_beside(root)
    splits, paths = {}, {}
    for split, file in LISTS.items():
        paths[split] = _places(duke, split, read_lines(root / file, name))
        market.refuse_names(paths[split], name)
        splits[split] = market.samples_of(paths[split], name)
    missing = not_there(path for split in paths.values() for path in split)
    remedy = f"complete {shown(duke)}"
    refuse(missing, "of the lists are not in DukeMTMC-reID", remedy)
    return Benchmark(name, **splits)


def _places(duke: Path, split: str, names: list[str]) -> list[Path]:
    """Where the files lie, sorted; those that are in no folder keep the last one."""
    *first, last = (duke / folder for folder in DUKE_FOLDERS[split])
    paths = [last / name for name in names]
    for folder in first:
        here = [folder / name for name in names]
        missing = set(not_there(here))
        paths = [p if h in missing else h for p, h in zip(paths, here, strict=True)]
    return sorted(paths)


def _duke_beside(root: Path) -> Path:
    for base in (root, root.parent):
        for folder in candidates(base, *market.FOLDERS["dukemtmcreid"]):
            if (folder / "bounding_box_train").is_dir():
                return folder
    raise DataError(
        f"{shown(root)} has the lists of Occluded-Duke, but no DukeMTMC-reID lies in or"
        f" beside it. Expected:\n{TREES['occluded_duke']}"
    )

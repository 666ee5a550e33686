"""A data set as records of paths: no image is opened and no torch is imported."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """One image: its path, identity (0 distractor, -1 junk) and camera from 0."""

    path: Path
    pid: int
    camid: int


class Benchmark(NamedTuple):
    """A data set: images to train on, to search with and to search in."""

    name: str
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]


def labels_of(samples: Iterable[Sample]) -> dict[int, int]:
    """Class index of each pid: 0, 1, ... in the order of the sorted pids."""
    pids = sorted({sample.pid for sample in samples})
    return {pid: label for label, pid in enumerate(pids)}


def mask_path(image_path: Path) -> Path:
    """Where the part mask of an image lies.

    >>> mask_path(Path("plaza/query/0001_c1s1_000000_00.jpg")).as_posix()
    'plaza/masks/query/0001_c1s1_000000_00.png'
    """
    split = image_path.parent
    return split.parent / "masks" / split.name / f"{image_path.stem}.png"

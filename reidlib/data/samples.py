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


def has_cameras(samples: Iterable[Sample]) -> bool:
    """Whether cameras are known: not if every file has one of its own.

    >>> has_cameras([Sample(Path("a"), 1, 0), Sample(Path("b"), 1, 0)])
    True
    >>> has_cameras([Sample(Path("a"), 1, 0), Sample(Path("b"), 1, 1)])
    False
    """
    camera_of = {sample.path: sample.camid for sample in samples}
    return len(set(camera_of.values())) < len(camera_of)


def camera_count(samples: Iterable[Sample]) -> int:
    """How many classes the cameras of samples are: the largest camid and one.

    Raises ValueError where no cameras are known: each image would be a class.
    """
    samples = list(samples)
    if not has_cameras(samples):
        raise ValueError(
            f"each of {len(samples)} images has a camera of its own: cameras are not"
            " known. To learn to name them, give each image the camid of its camera"
        )
    return 1 + max(sample.camid for sample in samples)


def mask_path(image_path: Path) -> Path:
    """Where the part mask of an image lies.

    >>> mask_path(Path("plaza/query/0001_c1s1_000000_00.jpg")).as_posix()
    'plaza/masks/query/0001_c1s1_000000_00.png'
    """
    split = image_path.parent
    return split.parent / "masks" / split.name / f"{image_path.stem}.png"

"""Occluded and partial people: cut or hidden bodies search among whole ones.

A query is of camera 0 and a gallery image of camera 1, by its folder. In these names
the second number is that of the image: to take it for a camera, as some readers do,
drops the gallery image of the same number from the ranking.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from reidlib.benchmarks.readers.folders import (
    absent,
    candidates,
    images,
    not_there,
    refuse,
)
from reidlib.benchmarks.readers.folders import text_lines as read_lines
from reidlib.benchmarks.readers.layouts import TREES
from reidlib.data.samples import Benchmark, Sample
from reidlib.reading import shown

QUERY_CAMERA, GALLERY_CAMERA = 0, 1
NAME = re.compile(r"(\d+)(_\S*)?")
LISTS = ("Probe.txt", "Gallery.txt")
RELEASE = ("icme2018occludedpersonreidentificationdatasets",)
FOLDERS = {
    "occluded_reid": ("occludedreid",),
    "p_dukemtmcreid": ("pdukemtmcreid",),
    "partial_ilids": ("partialilids",),
    "partial_reid": ("partialreid", "partialreiddataset"),
}
WHOLE = ("whole_body_images", "gallery", "Gallery", "bounding_box_test")
P_DUKE = tuple(
    f"{part}/{kind}_body_images"
    for part in ("train", "test")
    for kind in ("occluded", "whole")
)
HIDDEN = {  # of a release with both, the first is the usual query set
    "occluded_reid": ("occluded_body_images", "query"),
    "partial_ilids": ("partial_body_images", "query", "Probe"),
    "partial_reid": ("partial_body_images", "occluded_body_images", "query"),
}


def find_bodies(root: Path, name: str) -> Path:
    """The first folder at or below `root` with queries or a gallery."""
    marks = (*HIDDEN[name], *WHOLE) if name in HIDDEN else P_DUKE
    for folder in candidates(root, FOLDERS[name], RELEASE):
        listed = any((folder / file).is_file() for file in LISTS)
        if listed or any((folder / mark).is_dir() for mark in marks):
            return folder
    usual = (HIDDEN[name][0], WHOLE[0]) if name in HIDDEN else P_DUKE
    raise absent(root, usual, TREES[name])


def read_test_only(root: Path, name: str) -> Benchmark:
    """Read queries and gallery of a set without training images.

    Raises DataError when either is missing or empty, when names do not begin with a
    number, and when lists name files that are not there.
    """
    if any((root / file).is_file() for file in LISTS):
        listed = [_listed(root, file, name) for file in LISTS]
    else:
        query, gallery = _first(root, HIDDEN[name]), _first(root, WHOLE)
        listed = [
            images(query, "query", TREES[name], nested=True),
            images(gallery, "gallery", TREES[name], nested=True),
        ]
    query = _samples(listed[0], QUERY_CAMERA)
    return Benchmark(name, (), query, _samples(listed[1], GALLERY_CAMERA))


def read_p_duke(root: Path, name: str) -> Benchmark:
    """Read P-DukeMTMC-reID, whose training images are of both cameras."""
    kinds = {
        QUERY_CAMERA: "occluded_body_images",
        GALLERY_CAMERA: "whole_body_images",
    }
    found = {
        (part, camera): _samples(
            images(root / part / folder, part, TREES[name], nested=True), camera
        )
        for part in ("train", "test")
        for camera, folder in kinds.items()
    }
    train = sorted(found["train", QUERY_CAMERA] + found["train", GALLERY_CAMERA])
    test = found["test", QUERY_CAMERA], found["test", GALLERY_CAMERA]
    return Benchmark(name, tuple(train), *test)


def _first(root: Path, folders: Iterable[str]) -> Path:
    """The first folder that is there, else the one of the usual name."""
    places = [root / folder for folder in folders]
    return next((place for place in places if place.is_dir()), places[0])


def _listed(root: Path, file: str, name: str) -> list[Path]:
    paths = sorted(root / line for line in read_lines(root / file, name))
    refuse(not_there(paths), f"of {file} are not there", f"complete {shown(root)}")
    return paths


def _samples(paths: list[Path], camid: int) -> tuple[Sample, ...]:
    strange = [path for path in paths if not NAME.fullmatch(path.stem)]
    refuse(strange, "do not parse", "names begin with <pid>, as in 001_01.tif")
    pids = [int(NAME.fullmatch(path.stem)[1]) for path in paths]
    return tuple(Sample(p, pid, camid) for p, pid in zip(paths, pids, strict=True))

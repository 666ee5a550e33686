"""Drawn pedestrians in the layout of any benchmark, under file names like its own.

Splits, names, lists, cameras and, on request, counts are those of the real set; the
people are drawn, which `about.json` at the root says and readers look at. Part masks
and captions come with them, so that every paper can be run. In small sets every image
is drawn. Full-size sets have one drawing per person, view and split, linked under all
its names: to change such a file, delete it first.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from reidlib.benchmarks.catalog import TITLES
from reidlib.benchmarks.counts import PUBLISHED, Counts, Tally
from reidlib.benchmarks.made import MARKER, marker
from reidlib.benchmarks.readers.folders import DataError
from reidlib.benchmarks.readers.market import SPLIT_FOLDERS
from reidlib.benchmarks.readers.msmt17 import VERSIONS, version_of
from reidlib.data.samples import mask_path
from reidlib.pedestrians import Shot, draw
from reidlib.pedestrians.scenes import WORLDS
from reidlib.reading import shown

WORLD = "plaza"
VIEWS = WORLDS[WORLD].cameras
TRAIN_PEOPLE, TEST_PEOPLE, FEW = 16, 6, 4  # of small sets; FEW of what is rare
VALIDATION = 2373  # images in MSMT17's list_val
EXTRAS = 64  # drawings of distractors, and of junk
JPEG_QUALITY = 90
OCCLUDED = ("occluded_duke", "occluded_reid", "p_dukemtmcreid")
PARTIAL = ("partial_ilids", "partial_reid")


class Item(NamedTuple):
    """One image of a set.

    split, of   where it lies, and what it was taken for: a query may be in the gallery
    pid         from 1; 0 distractor, -1 junk
    camid       from 0
    number      counts the images of the split, index those of the person
    """

    split: str
    of: str
    pid: int
    camid: int
    number: int
    index: int

    @property
    def unique(self) -> int:
        """A number that no other image of this person and camera has."""
        return 2 * self.number + (self.of == "query")

    @property
    def person(self) -> int:
        """A pid that nobody of the other half has: even in training, odd in test."""
        if self.pid < 1:
            return self.pid
        return 2 * self.pid - (self.of != "train")


def write_fixture(name: str, folder: Path | str, *, full_size: bool = False) -> Tally:
    """Write drawn pedestrians in the layout of a benchmark, whole or not at all.

    `folder` becomes the benchmark's own folder; a drawn one there is replaced. Returns
    what was written. The files depend on `name` and `full_size` alone. Raises DataError
    for a benchmark that has no published layout, and where `folder` holds other things.
    """
    folder = Path(folder)
    if name not in PUBLISHED:
        message = f"{name!r} has no published layout; known: {', '.join(PUBLISHED)}"
        raise DataError(message)
    if folder.exists() and not marker(folder) and any(folder.iterdir()):
        message = f"{shown(folder)} holds what was not drawn; name another folder"
        raise DataError(message)
    tally = PUBLISHED[name] if full_size else small(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(name, scratch / "drawn", tally, full_size)
        if folder.exists():
            folder.replace(scratch / "old")
        (scratch / "drawn").replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return tally


def small(name: str) -> Tally:
    """Counts of a small set: a few people, every camera, all that is special."""
    whole = PUBLISHED[name]
    train, query, gallery = whole[:3]
    if train.images:
        images = TRAIN_PEOPLE * max(train.cameras, 4)
        images += FEW if name.endswith("_trainval") else 0
        train = Counts(TRAIN_PEOPLE, images, train.cameras)
    each = max(query.images // query.identities, -(-query.cameras // TEST_PEOPLE))
    people = TEST_PEOPLE + (2 if gallery.identities > query.identities else 0)
    distractors, junk = (FEW if many else 0 for many in (whole.distractors, whole.junk))
    images = people * max(gallery.cameras, each) + distractors
    query = Counts(TEST_PEOPLE, TEST_PEOPLE * each, query.cameras)
    gallery = Counts(people, images, gallery.cameras)
    shared = query.images - FEW if whole.shared else 0
    return Tally(train, query, gallery, distractors, junk, shared)


def _write(name: str, root: Path, tally: Tally, full_size: bool) -> None:
    validation = _validation(name, full_size)
    counted = name.endswith("_trainval")
    items = items_of(tally, 0 if counted else validation)
    drawn: dict[tuple[Shot, str], tuple[Path, dict[str, str]]] = {}
    captions = []
    title = f"drawing in the layout of {TITLES[name]}"
    for item in tqdm(items, desc=title, unit="image", leave=False):
        image = image_name(name, item)
        path = root / image
        shot = shot_of(name, item, tally, full_size)
        key = shot, path.suffix
        if key in drawn:
            _link(drawn[key][0], path)
        else:
            drawn[key] = path, _draw(shot, path)
        captions.append(json.dumps({"image": image} | drawn[key][1]))
    (root / "captions.jsonl").write_text("\n".join(captions) + "\n")
    for file, lines in lists_of(name, items, validation).items():
        (root / file).write_text("".join(f"{line}\n" for line in lines))
    about = {
        "drawn": True,
        "what": f"drawn pedestrians in the layout of {TITLES[name]}",
        "full_size": full_size,
    }
    if not full_size:
        about["counts"] = {
            other: small(other)._asdict() for other in _readable_as(name)
        }
    (root / MARKER).write_text(json.dumps(about, indent=2) + "\n")


def _readable_as(name: str) -> list[str]:
    """The benchmarks that one folder holds: MSMT17's lists make two."""
    if not name.startswith("msmt17"):
        return [name]
    plain = name.removesuffix("_trainval")
    return [plain, f"{plain}_trainval"]


def _draw(shot: Shot, path: Path) -> dict[str, str]:
    """Write an image and its part mask; return its captions."""
    drawing = draw(shot)
    for place in (path, mask_path(path)):
        place.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": JPEG_QUALITY} if path.suffix == ".jpg" else {}
    drawing.image.save(path, **options)
    drawing.mask.save(mask_path(path), compress_level=1)
    return {"person": drawing.person, "background": drawing.background}


def _link(source: Path, path: Path) -> None:
    """Give an image and its mask a second name."""
    for old, new in ((source, path), (mask_path(source), mask_path(path))):
        new.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(old, new)
        except OSError:  # no links on this file system, or too many of one file
            shutil.copyfile(old, new)


def _validation(name: str, full_size: bool) -> int:
    """How many images list_val names."""
    if not name.startswith("msmt17"):
        return 0
    return VALIDATION if full_size else FEW


def items_of(tally: Tally, more_train: int = 0) -> list[Item]:
    """Every image of a set that holds what `tally` says.

    `more_train` are training images that it does not count.
    """
    images = tally.train.images + more_train
    train = list(_images_of_people("train", tally.train._replace(images=images)))
    query = list(_images_of_people("query", tally.query))
    images = tally.gallery.images - tally.distractors - tally.shared
    gallery = list(_images_of_people("gallery", tally.gallery._replace(images=images)))
    gallery += [item._replace(split="gallery") for item in query[: tally.shared]]
    for pid, many in ((0, tally.distractors), (-1, tally.junk)):
        for number in range(many):
            camid = number % tally.gallery.cameras
            gallery.append(Item("gallery", "gallery", pid, camid, number, number))
    return train + query + gallery


def _images_of_people(split: str, counts: Counts) -> Iterator[Item]:
    """Images shared out evenly: the first people have one more, cameras take turns."""
    each, left = divmod(counts.images, max(counts.identities, 1))
    number = 0
    for who in range(counts.identities):
        for index in range(each + (who < left)):
            camid = number % counts.cameras
            yield Item(split, split, 1 + who, camid, number, index)
            number += 1


def shot_of(name: str, item: Item, tally: Tally, full_size: bool) -> Shot:
    """How an image is drawn; images with one shot are one picture.

    Sets of one or two cameras show their people from the world's six as well.
    """
    few_cameras = tally.query.cameras < 3
    view = item.index if few_cameras else item.camid
    again = 0 if few_cameras else view // VIEWS
    index = again if full_size else item.number
    index = item.number % EXTRAS if item.pid < 1 else index
    hidden = item.of == "query" or (name == "p_dukemtmcreid" and item.camid == 0)
    framing = "partial" if hidden and name in PARTIAL else "whole"
    framing = "junk" if item.pid == -1 else framing
    occlusion = 1.0 if hidden and name in OCCLUDED else 0.0
    return Shot(WORLD, item.of, item.pid, view % VIEWS, index, framing, occlusion)


def image_name(name: str, item: Item) -> str:
    """The path of an image below the root, named as in the real set."""
    camera, unique = item.camid + 1, item.unique
    pid = f"{item.person:04d}" if item.pid >= 0 else "-1"
    folder = SPLIT_FOLDERS[item.split]
    if name == "market1501":
        box = 0 if item.of == "query" else 1
        return f"{folder}/{pid}_c{camera}s1_{unique:06d}_{box:02d}.jpg"
    if name in ("dukemtmcreid", "occluded_duke"):
        return f"{folder}/{pid}_c{camera}_f{unique:07d}.jpg"
    if name.startswith("cuhk03np"):
        return f"{folder}/{pid}_c{camera}_{unique}.png"
    if name.startswith("msmt17"):
        train, test = VERSIONS[version_of(name)]
        return f"{train if item.split == 'train' else test}/{_msmt17_path(item)}"
    return _body_place(name, item)


def _msmt17_path(item: Item) -> str:
    """As in the lists, which count people from 0."""
    pid, unique = f"{item.pid - 1:04d}", item.unique
    return (
        f"{pid}/{pid}_{unique:03d}_{item.camid + 1:02d}_0303morning_{unique:04d}_0.jpg"
    )


def _body_place(name: str, item: Item) -> str:
    hidden = item.split == "query" or (item.split == "train" and item.camid == 0)
    kind = "partial" if name in PARTIAL else "occluded"
    folder = f"{kind if hidden else 'whole'}_body_images"
    pid, index = f"{item.pid:03d}", item.index + 1
    if name == "partial_ilids":
        return f"{folder}/{pid}.jpg"
    if name == "partial_reid":
        return f"{folder}/{pid}_{index:03d}.jpg"
    if name == "occluded_reid":
        return f"{folder}/{pid}/{pid}_{index:02d}.tif"
    part, pid = "train" if item.split == "train" else "test", f"{item.person:04d}"
    file = f"{pid}_c{item.number % 8 + 1}_f{item.unique:07d}.jpg"
    return f"{part}/{folder}/{pid}/{file}"


def lists_of(
    name: str, items: Sequence[Item], validation: int
) -> Mapping[str, list[str]]:
    """The lists beside the images, by file name; only MSMT17 has any.

    Its validation list takes the first images of as many people as possible, so that
    nobody is missing in the training list.
    """
    if not name.startswith("msmt17"):
        return {}
    train = sorted(
        (item for item in items if item.split == "train"),
        key=lambda item: (item.index, item.pid),
    )
    parts = {"val": train[:validation], "train": train[validation:]}
    parts |= {
        split: [item for item in items if item.split == split]
        for split in ("query", "gallery")
    }
    return {
        f"list_{part}.txt": sorted(f"{_msmt17_path(i)} {i.pid - 1}" for i in those)
        for part, those in parts.items()
    }

"""The drawn sets as files in Market-1501's layout, with masks and captions beside.

<root>/bounding_box_train|query|bounding_box_test/0301_c1s1_000004_00.jpg
<root>/masks/<the same>.png        part mask, labels of Part
<root>/captions.jsonl              one line per image: image, person, background
<root>/about.json                  what was drawn, by which version
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm

from reidlib.pedestrians.drawing import Shot, draw
from reidlib.pedestrians.scenes import WORLDS

VERSION = 1  # raise it when a pixel or a caption changes: older sets are redrawn
FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
FIRST_TEST_PID = 301
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Recipe:
    """What a drawn set holds.

    query_split         seed of the queries: sets of one world share all other images
    query_occlusion     share of occluded queries, which are one per test identity
                        and camera
    occlusion           share of occluded images in train and gallery
    images_per_camera   of each identity, in train and again in the gallery
    distractors, junk   gallery images with pid 0 and -1
    """

    world: str
    query_split: str = "query"
    query_framing: str = "whole"
    query_occlusion: float = 0.0
    occlusion: float = 0.25
    train_identities: int = 300
    test_identities: int = 150
    images_per_camera: int = 2
    distractors: int = 300
    junk: int = 150


RECIPES = {
    "plaza": Recipe("plaza"),
    "plaza_occluded": Recipe("plaza", query_split="occluded", query_occlusion=1.0),
    "plaza_partial": Recipe("plaza", query_split="partial", query_framing="partial"),
    "plaza_small": Recipe(  # the first people of plaza_occluded: a look in minutes
        "plaza",
        query_split="occluded",
        query_occlusion=1.0,
        train_identities=80,
        test_identities=40,
        distractors=48,
        junk=24,
    ),
    "station": Recipe("station"),
    "avenue": Recipe(  # to pre-train on: its people and cameras are in no other set
        "avenue", images_per_camera=1, test_identities=50, distractors=60, junk=12
    ),
    "smoke": Recipe(
        "plaza", train_identities=16, test_identities=12, distractors=12, junk=6
    ),
}


class Entry(NamedTuple):
    """One image of a set: its place below the root, and its shot."""

    name: str
    shot: Shot


def entries(recipe: Recipe) -> Iterator[Entry]:
    """Every image of a set, in the order in which it is written."""
    train, query, gallery = FOLDERS
    shot, count = partial(Shot, recipe.world), recipe.images_per_camera
    cameras = range(WORLDS[recipe.world].cameras)
    train_pids = range(1, 1 + recipe.train_identities)
    test_pids = range(FIRST_TEST_PID, FIRST_TEST_PID + recipe.test_identities)
    usual = {"framing": "whole", "occlusion": recipe.occlusion}
    asked = {"framing": recipe.query_framing, "occlusion": recipe.query_occlusion}
    junk = {"framing": "junk", "occlusion": recipe.occlusion}
    for seed in product(train_pids, cameras, range(count)):
        yield _entry(train, shot("train", *seed, **usual))
    for seed in product(test_pids, cameras, (0,)):
        yield _entry(query, shot(recipe.query_split, *seed, **asked))
    for seed in product(test_pids, cameras, range(count)):
        yield _entry(gallery, shot("gallery", *seed, **usual))
    for index in range(recipe.distractors):
        camid = index % len(cameras)
        yield _entry(gallery, shot("gallery", 0, camid, index, **usual))
    for index in range(recipe.junk):
        camid = index % len(cameras)
        yield _entry(gallery, shot("gallery", -1, camid, index, **junk))


def shots_of(recipe: Recipe, folder: str) -> list[Shot]:
    """The shots of one of FOLDERS, in the order in which they are written."""
    listed = entries(recipe)
    return [entry.shot for entry in listed if entry.name.startswith(f"{folder}/")]


def draw_again(name: str, place: str) -> Image.Image:
    """Draw one image of the set `name` without writing it; `place` is below its root.

    The pixels before JPEG. Raises ValueError for a set or place that is not there.
    """
    _about(name)
    for entry in entries(RECIPES[name]):
        if entry.name == place:
            return draw(entry.shot).image
    raise ValueError(f"drawn set {name!r} has no image {place!r}")


def place_of(path: Path) -> str:
    """Where an image of a set lies below its root, with / on any system."""
    return "/".join(path.parts[-2:])


def _entry(folder: str, shot: Shot) -> Entry:
    pid = f"{shot.pid:04d}" if shot.pid >= 0 else "-1"
    name = f"{folder}/{pid}_c{shot.camid + 1}s1_{shot.index:06d}_00.jpg"
    return Entry(name, shot)


def _write_image(root: Path, entry: Entry) -> str:
    """Draw and write one image with its mask; returns its line of captions."""
    drawing = draw(entry.shot)
    path = root / entry.name
    drawing.image.save(path, quality=JPEG_QUALITY)
    mask_path = (root / "masks" / entry.name).with_suffix(".png")
    drawing.mask.save(mask_path, compress_level=1)
    return json.dumps(
        {
            "image": entry.name,
            "person": drawing.person,
            "background": drawing.background,
            "occluder": drawing.occluder,
        }
    )


def write_benchmark(name: str, root: Path, *, workers: int = 1) -> Path:
    """Draw the set `name` into the folder `root`, whole or not at all.

    The bytes do not depend on `workers`, the number of processes. A drawn set in
    `root` is replaced. Raises ValueError for an unknown name, and FileExistsError
    when `root` holds anything else.
    """
    about = _about(name)
    if root.exists() and not _is_drawn(root):
        raise FileExistsError(
            f"{root} is there, but was not drawn: move it away, or draw elsewhere"
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        drawn = scratch / "drawn"
        _write_images(RECIPES[name], drawn, workers, description=f"drawing {name}")
        (drawn / "about.json").write_text(json.dumps(about, indent=2) + "\n")
        _move(name, drawn, root)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return root


def _write_images(
    recipe: Recipe, root: Path, workers: int, *, description: str
) -> None:
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
        (root / "masks" / folder).mkdir(parents=True)
    todo = list(entries(recipe))
    write = partial(_write_image, root)
    bar = partial(tqdm, total=len(todo), desc=description, unit="image", leave=False)
    if workers > 1:
        spawn = get_context("spawn")  # a fork would copy the locks of torch's threads
        with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
            lines = list(bar(pool.map(write, todo, chunksize=64)))
    else:
        lines = list(bar(map(write, todo)))
    (root / "captions.jsonl").write_text("\n".join(lines) + "\n")


def _move(name: str, drawn: Path, root: Path) -> None:
    """Rename into place; a set that another process finished meanwhile stays."""
    if is_current(name, root):
        return
    if root.exists():
        root.replace(drawn.with_name("old"))
    try:
        drawn.replace(root)
    except OSError:
        if not is_current(name, root):
            raise


def _about(name: str) -> dict[str, object]:
    """What `about.json` says of a set. Raises ValueError for an unknown name."""
    if name not in RECIPES:
        raise ValueError(f"drawn set {name!r} is unknown; known: {', '.join(RECIPES)}")
    recipe = asdict(RECIPES[name])
    return {"name": name, "version": VERSION, "drawn": True, **recipe}


def _about_in(root: Path) -> object:
    try:
        return json.loads((root / "about.json").read_text())
    except (OSError, ValueError):
        return None


def _is_drawn(root: Path) -> bool:
    """Whether `root` holds a drawn set of any version, or nothing."""
    about = _about_in(root)
    drawn = isinstance(about, dict) and about.get("drawn") is True
    return drawn or (root.is_dir() and not any(root.iterdir()))


def is_current(name: str, root: Path) -> bool:
    """Whether `root` holds the whole set `name` as this version draws it."""
    return _about_in(root) == _about(name)


def ensure_benchmark(name: str, root: Path, *, workers: int = 1) -> Path:
    """Draw the set `name` into `root` unless it is there already.

    Raises what write_benchmark raises.
    """
    current = is_current(name, root)
    return root if current else write_benchmark(name, root, workers=workers)

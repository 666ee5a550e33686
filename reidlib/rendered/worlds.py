"""The rendered sets: how many people, seen how often, and which images they hold.

Sets of one world share its people, its cameras and all images but the queries. Nothing
here needs a renderer.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from reidlib.checks import unknown
from reidlib.rendered.cameras import NUM_CAMERAS, camera
from reidlib.rendered.shot import HEIGHT, Shot

VERSION = 1  # raise it when a pixel or a caption changes: older sets are rendered anew
FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
FIRST_TEST_PID = 5001
PARTIAL_DISTRACTORS = 4  # of so many distractors, one shows a part of somebody


@dataclass(frozen=True)
class Recipe:
    """What a rendered set holds.

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
    occlusion: float = 0.2
    train_identities: int = 300
    test_identities: int = 150
    images_per_camera: int = 2
    distractors: int = 300
    junk: int = 150


RECIPES = {
    "concourse": Recipe("concourse"),
    "concourse_occluded": Recipe(
        "concourse", query_split="occluded", query_occlusion=1.0
    ),
    "concourse_partial": Recipe(
        "concourse", query_split="partial", query_framing="partial"
    ),
    "harbour": Recipe("harbour", train_identities=100),
    "arcade": Recipe(  # to choose settings by: its people and cameras are its own
        "arcade", train_identities=40, test_identities=75, distractors=150, junk=60
    ),
    "boulevard": Recipe(  # to pre-train on: the same holds
        "boulevard",
        images_per_camera=1,
        train_identities=1340,
        test_identities=50,
        distractors=60,
        junk=12,
    ),
    "atrium_smoke": Recipe(
        "atrium",
        images_per_camera=1,
        train_identities=16,
        test_identities=12,
        distractors=12,
        junk=6,
    ),
}


class Entry(NamedTuple):
    """One image of a set: its place below the root, and its shot."""

    name: str
    shot: Shot


def entries(recipe: Recipe) -> Iterator[Entry]:
    """Every image of a set, in the order of `captions.jsonl`."""
    train, query, gallery = FOLDERS
    shot, count = partial(Shot, recipe.world), range(recipe.images_per_camera)
    cameras = range(NUM_CAMERAS)
    train_pids = range(1, 1 + recipe.train_identities)
    test_pids = range(FIRST_TEST_PID, FIRST_TEST_PID + recipe.test_identities)
    usual = {"framing": "whole", "occlusion": recipe.occlusion}
    asked = {"framing": recipe.query_framing, "occlusion": recipe.query_occlusion}
    for seed in product(train_pids, cameras, count):
        yield _entry(train, shot("train", *seed, **usual))
    for seed in product(test_pids, cameras, (0,)):
        yield _entry(query, shot(recipe.query_split, *seed, **asked))
    for seed in product(test_pids, cameras, count):
        yield _entry(gallery, shot("gallery", *seed, **usual))
    for index in range(recipe.distractors):
        cut = index % PARTIAL_DISTRACTORS == PARTIAL_DISTRACTORS - 1
        framing = usual | ({"framing": "partial"} if cut else {})
        seed = (0, index % NUM_CAMERAS, index)
        yield _entry(gallery, shot("gallery", *seed, **framing))
    for index in range(recipe.junk):
        seed = (-1, index % NUM_CAMERAS, index)
        yield _entry(gallery, shot("gallery", *seed, **usual | {"framing": "junk"}))


def _entry(folder: str, shot: Shot) -> Entry:
    pid = f"{shot.pid:04d}" if shot.pid >= 0 else "-1"
    name = f"{folder}/{pid}_c{shot.camid + 1}s1_{shot.index:06d}_00.jpg"
    return Entry(name, shot)


def shots_of(recipe: Recipe, folder: str) -> list[Shot]:
    """The shots of one of FOLDERS, in order."""
    listed = entries(recipe)
    return [entry.shot for entry in listed if entry.name.startswith(f"{folder}/")]


def about(name: str, height: int = HEIGHT) -> dict[str, Any]:
    """What `about.json` says of a set: how it is made, and its cameras.

    Raises ValueError for an unknown name.
    """
    if name not in RECIPES:
        raise ValueError(unknown("rendered set", name, RECIPES))
    recipe = asdict(RECIPES[name])
    cameras = [asdict(camera(recipe["world"], camid)) for camid in range(NUM_CAMERAS)]
    said = {
        "name": name,
        "version": VERSION,
        "kind": "rendered",
        "drawn": True,  # nobody real is shown
        "height": height,
        **recipe,
        "cameras": cameras,
    }
    return json.loads(json.dumps(said))  # tuples are lists in a file


def about_in(root: Path) -> dict[str, Any] | None:
    """What the about.json of a folder says; None where there is none."""
    try:
        return json.loads((root / "about.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None


def siblings(name: str) -> list[str]:
    """Other sets of the same world, which share all images but the queries."""
    world = RECIPES[name].world
    return [
        other
        for other, recipe in RECIPES.items()
        if recipe.world == world and other != name
    ]

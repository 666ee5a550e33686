"""One picture: who, where, how framed, what is in front, seen by which camera."""

from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reidlib.rendered.cameras import Camera, camera
from reidlib.rendered.captions import (
    LEAST,
    Seen,
    background_caption,
    person_caption,
    view_of,
)
from reidlib.rendered.framing import Box, Window, part_of, window
from reidlib.rendered.identities import Identity, attributes, identity, random_identity
from reidlib.rendered.meshes import Piece
from reidlib.rendered.sensor import develop
from reidlib.rendered.shot import HEIGHT, WIDTH, Shot
from reidlib.rendered.staging import (
    NOTHING,
    Obstacle,
    Standing,
    extent,
    light_of,
    obstacle,
    passers_by,
    scenery,
    stand,
)
from reidlib.rendered.tracer import Place, View, picture, truth
from reidlib.rendered.truth import counts, parts, visible_share

SAMPLES = 9  # rays of a pixel
SCENE_SIZE, SCENE_FIELD = (240, 160), 42.0  # of a picture of an empty place


class Rendering(NamedTuple):
    """An image and what is known of it.

    image, mask, details   RGB, labels of Part, labels of Detail; all of one size
    person, background     captions
    facts                  occluder, visible share, pose, view, attributes
    """

    image: Image.Image
    mask: Image.Image
    details: Image.Image
    person: str
    background: str
    facts: dict[str, Any]


class Scene(NamedTuple):
    """A shot before it is looked at: who is seen by whom, and what is in front."""

    eye: Camera
    person: Identity
    here: Standing
    front: Obstacle
    frame: Window
    place: Place
    moving: list[Piece]


def who(shot: Shot, rng: Random) -> Identity:
    """The person of a shot; a stranger where the pid names nobody."""
    if shot.pid <= 0:
        return random_identity(rng)
    group = "train" if shot.split == "train" else "test"
    return identity(shot.world, group, shot.pid)


def arrange(shot: Shot, size: tuple[int, int], rng: Random) -> Scene:
    """Put everybody and everything in place. Raises KeyError for an unknown world."""
    eye = camera(shot.world, shot.camid)
    person = who(shot, rng)
    here = stand(person, eye, rng)
    origin = np.array([0.0, 0.0, eye.height])
    frame = window(origin, extent(here), rng, framing=shot.framing)
    behind = passers_by(here, eye, rng)
    hidden = rng.random() < shot.occlusion
    front = obstacle(here, eye, frame, size, rng) if hidden else NOTHING
    moving = [*here.pieces, *behind, *front.pieces]
    place = scenery(shot.world, shot.camid).facing(frame.view)
    return Scene(eye, person, here, front, frame, place, moving)


def render(shot: Shot, height: int = HEIGHT) -> Rendering:
    """Render one shot, `height` pixels high and half as wide.

    Raises KeyError for a world without cameras.
    """
    rng = Random(shot.seed)
    size = (height * WIDTH // HEIGHT, height)
    eye, person, here, front, frame, place, moving = arrange(shot, size, rng)
    seed, light = rng.getrandbits(31), light_of(eye, rng)
    rays = picture(place, moving, light, frame.view, size, SAMPLES, seed)
    known = truth(place, moving, frame.view, size)
    image = develop(rays, known.depth, eye, eye.focal * frame.angle, rng)
    box = part_of(rng) if shot.framing == "partial" else (0.0, 0.0, 1.0, 1.0)
    left, top, right, bottom = corners = _pixels(box, size)
    seen = counts(known.labels[top:bottom, left:right])
    whole = front.alone or counts(known.labels)
    least = LEAST * (height / HEIGHT) ** 2
    labels, nearest = Image.fromarray(known.labels), Image.Resampling.NEAREST
    details = labels.resize(size, nearest, box=corners)
    names = _names(known.pieces[top:bottom, left:right], [*place.pieces, *moving])
    share = visible_share(seen, whole)
    return Rendering(
        image=image.resize(size, Image.Resampling.BICUBIC, box=corners),
        mask=Image.fromarray(parts(np.asarray(details))),
        details=details,
        person=person_caption(
            person, here.caught.habit, here.angle, Seen(seen, whole, least), rng
        ),
        background=background_caption(eye, names, front.kind, rng),
        facts={
            "occluder": front.kind,
            "visible": round(share, 3),
            "pose": here.caught.habit,
            "view": view_of(here.angle),
            "angle": round(here.angle),
            "attributes": attributes(person),
        },
    )


def empty_place(
    world: str, camid: int, size: tuple[int, int] = SCENE_SIZE
) -> Image.Image:
    """All that a camera sees when nobody is there; `size` is (width, height)."""
    eye, rng = camera(world, camid), Random(f"{world}/{camid}/empty")
    origin, ahead = np.array([0.0, 0.0, eye.height]), np.array([0.0, 9.0, 1.0])
    view, place = View(origin, ahead, SCENE_FIELD), scenery(world, camid)
    rays = picture(place, [], light_of(eye, rng), view, size, SAMPLES, 1)
    known = truth(place, [], view, size)
    return develop(rays, known.depth, replace(eye, motion=0.0), size[1], rng)


def _pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A box of shares in whole pixels."""
    left, top, right, bottom = box
    width, height = size
    return (
        round(left * width),
        round(top * height),
        round(right * width),
        round(bottom * height),
    )


def _names(numbers: NDArray[np.int64], pieces: list[Piece]) -> dict[str, float]:
    """Share of a picture that shows each named thing, the largest first."""
    found: dict[str, float] = {}
    for number, count in zip(*np.unique(numbers, return_counts=True), strict=True):
        name = pieces[number].name if number >= 0 else ""
        if name:
            found[name] = found.get(name, 0.0) + float(count) / numbers.size
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

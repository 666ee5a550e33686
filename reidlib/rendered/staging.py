"""Who and what stands where: the person, passers-by, and what is in front."""

from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import NamedTuple

import numpy as np

from reidlib.rendered import people
from reidlib.rendered.cameras import Camera, camera
from reidlib.rendered.framing import Window
from reidlib.rendered.furniture import FURNITURE
from reidlib.rendered.gait import Moment
from reidlib.rendered.identities import Identity, random_identity
from reidlib.rendered.meshes import Array, Piece, merged, turned
from reidlib.rendered.places import KINDS
from reidlib.rendered.tracer import Light, Place, truth
from reidlib.rendered.truth import OWN, Detail, counts

TRIES = 10  # to put something where it hides neither everything nor nothing
HIDDEN = (0.1, 0.7)  # share of the person that it should hide
OTHERS = ("person", "umbrella")  # occluders that are people
WIDE = {"car": 1.6, "railing": 0.8, "bench": 0.5, "bush": 0.5}  # metres to the side


class Standing(NamedTuple):
    """Somebody in a place.

    pieces   theirs, in the place     caught   how they hold themselves
    spot     x, y                     angle    degrees from which the camera sees them:
                                               0 the front, 90 their left, 180 the back
    """

    pieces: list[Piece]
    caught: Moment
    spot: tuple[float, float]
    angle: float


class Obstacle(NamedTuple):
    """What stands in front: its kind, "" for nothing, and its pieces.

    alone   pixels of each Detail of the person without it; None: nothing is in front
    """

    kind: str
    pieces: list[Piece]
    alone: dict[Detail, int] | None


NOTHING = Obstacle("", [], None)


@lru_cache(maxsize=6)
def scenery(world: str, camid: int) -> Place:
    """What stands before a camera for ever."""
    seed = Random(f"{world}/{camid}/place").getrandbits(63)
    build = KINDS[camera(world, camid).place].build
    return Place(merged(list(build(np.random.default_rng(seed)))))


def stand(person: Identity, eye: Camera, rng: Random) -> Standing:
    """Put a person somewhere on the walkway of a camera."""
    spot = (rng.uniform(-1.7, 1.7), rng.uniform(eye.near, eye.far))
    reverse = 180 if rng.random() < 0.4 else 0
    heading = eye.walkway + reverse + rng.gauss(0, 22)
    if rng.random() < 0.15:
        heading = rng.uniform(0, 360)
    return _placed(person, spot, heading, rng, rain=rng.random() < eye.rain)


def _placed(
    person: Identity,
    spot: tuple[float, float],
    heading: float,
    rng: Random,
    *,
    rain: bool = False,
) -> Standing:
    caught = people.moment(person, rng, rain=rain)
    made = people.pieces(person, caught, rng.getrandbits(31))
    moved = [piece.moved((*spot, 0.0), np.radians(heading)) for piece in made]
    towards_camera = np.degrees(np.arctan2(-spot[0], spot[1]))
    return Standing(moved, caught, spot, float((towards_camera - heading) % 360))


def extent(here: Standing) -> Array:
    """Points (N, 3) that a detector's box is about: the person without luggage."""
    own = (Detail.BAG, Detail.UMBRELLA, Detail.PHONE)
    bodies = [p for p in here.pieces if not np.isin(p.labels, own).any()]
    return np.concatenate([piece.vertices[::3] for piece in bodies])


def light_of(eye: Camera, rng: Random) -> Light:
    """The light before a camera; in the course of a day the sun moves a little."""
    moved = turned(np.array([eye.sunlight]), rng.gauss(0, 0.2))[0]
    return Light(eye.sky, eye.sun, tuple(moved.tolist()))


def passers_by(here: Standing, eye: Camera, rng: Random) -> list[Piece]:
    """Other people behind the person, close to their line of sight."""
    found = []
    for _ in range(rng.choices((0, 1, 2), (56, 30, 14))[0]):
        farther = rng.uniform(1.0, 5.0)
        x, y = here.spot
        side = rng.choice((-1, 1)) * rng.uniform(0.25, 0.9 + 0.12 * farther)
        spot = (x * (1 + farther / y) + side, y + farther)
        heading = eye.walkway + rng.choice((0, 180)) + rng.gauss(0, 30)
        other = _placed(random_identity(rng), spot, heading, rng)
        found += [piece.labelled(Detail.OTHER_BEHIND) for piece in other.pieces]
    return found


def obstacle(
    here: Standing, eye: Camera, frame: Window, size: tuple[int, int], rng: Random
) -> Obstacle:
    """Something in front of the person that hides a part of them.

    What hides too much or too little is replaced; after TRIES nothing is put there.
    """
    alone = _own_pixels(here.pieces, frame, size)
    total = max(sum(alone.values()), 1)
    for _ in range(TRIES):
        kind = rng.choice(KINDS[eye.place].occluders)
        pieces = _in_front(kind, here, eye, rng)
        left = sum(_own_pixels([*here.pieces, *pieces], frame, size).values())
        if HIDDEN[0] <= 1 - left / total <= HIDDEN[1]:
            return Obstacle(kind, pieces, alone)
    return NOTHING


def _own_pixels(
    pieces: list[Piece], frame: Window, size: tuple[int, int]
) -> dict[Detail, int]:
    found = counts(truth(None, pieces, frame.view, size).labels)
    return {detail: found[detail] for detail in OWN}


def _in_front(kind: str, here: Standing, eye: Camera, rng: Random) -> list[Piece]:
    """Something between the person and the camera, a little to one side."""
    x, y = here.spot
    ahead = rng.uniform(1.5, 2.1) if kind == "car" else rng.uniform(0.6, 1.4)
    side = rng.choice((-1, 1)) * rng.uniform(0.05, WIDE.get(kind, 0.42))
    spot = (x * (1 - ahead / y) + side, y - ahead)
    if kind in OTHERS:
        heading = eye.walkway + rng.choice((0, 180)) + rng.gauss(0, 30)
        rain = kind == "umbrella"
        other = _placed(random_identity(rng), spot, heading, rng, rain=rain)
        return [piece.labelled(Detail.OTHER_BEFORE) for piece in other.pieces]
    made = merged(FURNITURE[kind](np.random.default_rng(rng.getrandbits(63))))
    turn = np.arctan2(-x, y) + rng.gauss(0, 0.15)
    if kind == "gate":
        turn = rng.gauss(0, 0.1)
    return [
        replace(piece.moved((*spot, 0.0), turn), labels=int(Detail.OCCLUDER))
        for piece in made
    ]

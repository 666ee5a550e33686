"""Patterns for sewing: where each garment begins and ends on the average body.

Levels are heights over the soles in body heights: ankle 0.05, knee 0.27, crotch 0.47,
waist 0.62, armpit 0.74, shoulder 0.82, chin 0.87. Along an arm, 0 is the shoulder, 0.5
the elbow and 1 the wrist.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from reidlib.rendered.bodies import anatomy
from reidlib.rendered.cloth import Cloth, cut, skin, whole
from reidlib.rendered.meshes import Array, normals

HEMS = {"coat": 0.53, "tank top": 0.51, "shirt": 0.49}
HEM = 0.505  # of all other upper garments
SLEEVES = {"T-shirt": 0.36, "tank top": 0.04}
SLEEVE = 0.97
NECKS = {"T-shirt": 0.828, "tank top": 0.805, "coat": 0.85}
NECKS |= {"puffer jacket": 0.862, "sweater": 0.842}
NECK = 0.838
TAILS = {"coat": 0.33}  # how far an upper garment reaches over the legs
LEGS = {"shorts": 0.31, "leggings": 0.05}
LEG = 0.035
FINE, COARSE = 0.008, 0.012  # metres: how finely faces, and feet and hands, are made
SKIRT_HEMS = {"skirt": 0.29, "long skirt": 0.1}


class Marks(NamedTuple):
    """Chalk marks on the average body, each (V,).

    level       height over the soles, 0..1
    along_arm   0 at the shoulder, 1 at the wrist; -1 off the arms
    arm, hand, foot, head   share of a vertex's weight on these
    x, y        metres to the left, and back
    front       how far the surface faces forward, -1..1
    """

    level: Array
    along_arm: Array
    arm: Array
    hand: Array
    foot: Array
    head: Array
    x: Array
    y: Array
    front: Array


@cache
def marks() -> Marks:
    """The chalk marks of all groups of vertices."""
    known = anatomy()
    rest = known.average.vertices
    skin = rest[known.used("body")]
    sole, top = skin[:, 2].min(), skin[:, 2].max()
    hand = known.share("wrist", "finger", "metacarpal")
    arm = known.share("upperarm", "lowerarm") + hand
    return Marks(
        level=(rest[:, 2] - sole) / (top - sole),
        along_arm=np.where(arm > 0.35, _along_arm(rest), -1.0),
        arm=arm,
        hand=hand,
        foot=known.share("foot", "toe"),
        head=known.share("head", "eye"),
        x=rest[:, 0],
        y=rest[:, 1],
        front=-sum(normals(rest, faces)[:, 1] for faces in known.faces.values()),
    )


def _along_arm(rest: Array) -> Array:
    """How far down its arm each vertex lies."""
    known = anatomy()
    left = rest * [1, 1, 1]
    left[:, 0] = np.abs(left[:, 0])
    shoulder, elbow, wrist = (
        known.average.joints[known.bones.index(f"{bone}.L")]
        for bone in ("upperarm01", "lowerarm01", "wrist")
    )
    down = 0.5 + 0.5 * _projected(left, elbow, wrist)
    return np.where(down > 0.5, down, 0.5 * _projected(left, shoulder, elbow))


def _projected(points: Array, start: Array, end: Array) -> Array:
    """Where points lie along a line: 0 at its start, 1 at its end."""
    line = end - start
    return (points - start) @ line / (line @ line)


@cache
def upper(kind: str) -> Cloth:
    """The body and sleeves of an upper garment, without a coat's tail."""
    m = marks()
    cloth = whole(anatomy().faces["helper-tights"])
    neck = NECKS.get(kind, NECK) - 0.012 * np.clip(m.front, 0, 1)
    cloth = cut(cloth, np.where(m.arm > 0.35, 1.0, neck - m.level))
    off_arms = np.where(m.arm > 0.35, 1.0, m.level - HEMS.get(kind, HEM))
    return cut(cut(cloth, off_arms), SLEEVES.get(kind, SLEEVE) - m.along_arm)


@cache
def tail(kind: str) -> Cloth:
    """What hangs below the waist of a coat."""
    return _skirt(TAILS[kind], 0.6)


@cache
def lower(kind: str) -> Cloth:
    """Trousers of any length, or a skirt."""
    if kind in SKIRT_HEMS:
        return _skirt(SKIRT_HEMS[kind], 0.64)
    m = marks()
    cloth = whole(anatomy().faces["helper-tights"])
    cloth = cut(cloth, np.where(m.arm > 0.35, -1.0, 0.62 - m.level))
    return cut(cloth, m.level - LEGS.get(kind, LEG))


def _skirt(hem: float, waist: float) -> Cloth:
    m = marks()
    cloth = cut(whole(anatomy().faces["helper-skirt"]), m.level - hem)
    return cut(cloth, waist - m.level)


@cache
def shoes(kind: str) -> Cloth:
    """Feet up to the ankles, or up to the calves for boots."""
    m = marks()
    top = 0.16 if kind == "boots" else 0.052
    return cut(skin(COARSE), top - m.level)


@cache
def head() -> Cloth:
    """Head and neck, down to the collar bones."""
    m = marks()
    cloth = cut(skin(FINE), m.level - 0.79)
    return cut(cloth, 0.12 - np.abs(m.x))


@cache
def arms(sleeve: float) -> Cloth:
    """Bare arms and hands below a sleeve's end."""
    m = marks()
    return cut(skin(COARSE), m.along_arm - (sleeve - 0.06))


@cache
def legs(hem: float) -> Cloth:
    """Bare legs below a hem, above the shoes."""
    m = marks()
    cloth = cut(skin(COARSE), m.level - 0.03)
    return cut(cloth, np.where(m.arm > 0.35, -1.0, hem + 0.02 - m.level))


@cache
def scalp(low: float) -> Cloth:
    """The head above a hairline; `low` moves it down the neck, metres."""
    known, m = anatomy(), marks()
    rest = known.average.vertices
    eye = known.average.joints[known.bones.index("eye.L")]
    rise = rest[:, 2] - eye[2] - 0.048 + 0.95 * (m.y - eye[1] - 0.012)
    rise += np.where(m.y > eye[1] + 0.09, low, 0.0)
    cloth = cut(skin(FINE), np.where(m.head > 0.5, rise, -1.0))
    return cut(cloth, m.level - 0.86)


@cache
def mane(length: float) -> Cloth:
    """Long hair behind the ears, down to a level."""
    known, m = anatomy(), marks()
    eye = known.average.joints[known.bones.index("eye.L")]
    behind = m.y - eye[1] - 0.075
    high = known.average.vertices[:, 2] - eye[2] - 0.03
    cloth = cut(whole(known.faces["helper-hair"]), np.maximum(behind, high))
    return cut(cloth, m.level - length)


@cache
def crown(low: float) -> Cloth:
    """The head above a hat's edge; `low` moves it down, metres."""
    known, m = anatomy(), marks()
    eye = known.average.joints[known.bones.index("eye.L")]
    rise = known.average.vertices[:, 2] - eye[2] - 0.04 - low
    rise += 0.12 * (m.y - eye[1])
    return cut(skin(FINE), np.where(m.head > 0.5, rise, -1.0))


@cache
def beard() -> Cloth:
    """Cheeks and chin below the nose, without the mouth's middle."""
    known, m = anatomy(), marks()
    eye = known.average.joints[known.bones.index("eye.L")]
    below = eye[2] - 0.052 - known.average.vertices[:, 2]
    below -= 0.5 * np.clip(m.y - eye[1] - 0.02, 0, None)
    ahead = eye[1] + 0.075 - m.y
    cloth = cut(skin(FINE), np.where(m.head > 0.5, below, -1.0))
    return cut(cloth, np.minimum(ahead, 1.0))

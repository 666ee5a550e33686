"""What stands in streets and halls: cars, trees, railings, plants, boards, benches.

Each stands on the ground at the origin; a car's length and a railing's run along x.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reidlib.rendered.materials import MATERIALS
from reidlib.rendered.meshes import (
    Piece,
    Surface,
    blob,
    box,
    joined,
    lathe,
    quad,
    tube,
)

Random = np.random.Generator
PAINTS = ((0.5, 0.5, 0.5), (0.6, 0.6, 0.58), (0.02, 0.02, 0.022), (0.06, 0.07, 0.09))
PAINTS += ((0.02, 0.05, 0.16), (0.3, 0.02, 0.02), (0.16, 0.17, 0.18), (0.06, 0.1, 0.07))
GLASS = Surface((0.03, 0.035, 0.04), gloss=0.6)
RUBBER = Surface((0.012, 0.012, 0.012))
METAL = Surface((0.18, 0.18, 0.19), gloss=0.2)
WOOD = Surface((0.2, 0.13, 0.08))


def textured(material: str, rng: Random) -> Surface:
    """A surface of a material."""
    return Surface(texture=MATERIALS[material](rng))


def car(rng: Random) -> list[Piece]:
    """A car, or a van."""
    paint = Surface(PAINTS[rng.integers(len(PAINTS))], gloss=0.5)
    is_van = rng.random() < 0.25
    top = rng.uniform(1.85, 2.1) if is_van else rng.uniform(1.4, 1.58)
    cabin = (-0.35, 1.75) if is_van else (-0.3, rng.uniform(1.25, 1.5))
    middle, half = cabin
    glass = blob(
        (middle, 0, 0.95), (half, 0.8, top - 1.0), GLASS, rows=9, squareness=0.6
    )
    lid = (0.7 * half, 0.68, 0.09)
    roof = blob((middle, 0, top - 0.07), lid, paint, rows=9, squareness=0.5)
    body = blob((0, 0, 0.62), (2.2, 0.9, 0.36), paint, rows=11, squareness=0.4)
    pieces = [body, glass, replace(roof, smooth=True)]
    for x in (middle - half * 0.85, middle + 0.05, middle + half * 0.8):
        for y in (-1, 1):
            foot, head = (x, 0.78 * y, 0.95), (0.62 * x, 0.62 * y, top - 0.1)
            pieces.append(tube(foot, head, 0.035, paint))
    for x in (-1.35, 1.35):
        for y in (-0.82, 0.82):
            wheel = lathe(
                [(0.005, -0.1), (0.32, -0.1), (0.32, 0.1), (0.005, 0.1)], RUBBER
            )
            upright = wheel.vertices[:, [0, 2, 1]] + [x, y, 0.32]
            pieces.append(replace(wheel, vertices=upright, smooth=False))
    for x, color in ((-2.15, (0.4, 0.02, 0.02)), (2.15, (0.7, 0.7, 0.65))):
        for y in (-0.6, 0.6):
            pieces.append(blob((x, y, 0.7), (0.06, 0.16, 0.07), Surface(color), rows=5))
    return pieces


def tree(rng: Random) -> list[Piece]:
    """A trunk under a crown."""
    trunk = lathe([(0.2, 0), (0.14, 0.5), (0.12, 2.6)], textured("bark", rng), 8)
    leaves = textured("hedge", rng)
    crown = []
    for _ in range(7):
        center = rng.normal(0, 0.7, 3) + [0, 0, 3.6]
        radii = rng.uniform(0.7, 1.2, 3)
        crown.append(blob(center, radii, leaves, rng, 0.18, rows=6))
    return [trunk, joined(crown)]


def trunk(rng: Random) -> list[Piece]:
    """A tree close by, of which only the trunk is in the picture."""
    wide = rng.uniform(0.15, 0.26)
    profile = [(1.5 * wide, 0), (wide, 0.4), (0.9 * wide, 3.2)]
    return [lathe(profile, textured("bark", rng), 10)]


def bush(rng: Random) -> list[Piece]:
    """Leaves in a trough."""
    height = rng.uniform(0.35, 0.6)
    wide = rng.uniform(0.35, 0.9)
    trough = box((-wide, -0.25, 0), (wide, 0.25, height), textured("concrete", rng))
    leaves = textured("hedge", rng)
    crown = [
        blob(
            (x, 0, height + 0.2),
            (0.3, 0.3, rng.uniform(0.25, 0.5)),
            leaves,
            rng,
            0.25,
        )
        for x in np.arange(-wide + 0.2, wide, 0.3)
    ]
    return [trough, joined(crown)]


def railing(rng: Random) -> list[Piece]:
    """Bars between two rails."""
    paint = Surface(
        ((0.03, 0.03, 0.035), (0.3, 0.3, 0.3), (0.3, 0.2, 0.03))[rng.integers(3)]
    )
    high, half = rng.uniform(0.95, 1.15), 1.6
    bars = [
        tube((x, 0, 0.12), (x, 0, high), 0.014, paint)
        for x in np.arange(-half, half, rng.uniform(0.12, 0.2))
    ]
    rails = [tube((-half, 0, z), (half, 0, z), 0.028, paint) for z in (0.12, high)]
    posts = [tube((x, 0, 0), (x, 0, high), 0.035, paint) for x in (-half, half)]
    return [joined([*bars, *rails, *posts])]


def board(rng: Random) -> list[Piece]:
    """An advertising board on the pavement."""
    wide, high = rng.uniform(0.35, 0.6), rng.uniform(0.95, 1.5)
    sheet = quad(
        [
            (-wide, -0.1, 0.1),
            (wide, -0.1, 0.1),
            (wide, -0.02, high),
            (-wide, -0.02, high),
        ],
        textured("poster", rng),
        2 * wide,
    )
    return [
        sheet,
        box((-wide - 0.04, -0.05, 0), (wide + 0.04, 0.05, high + 0.05), METAL),
    ]


def bench(rng: Random) -> list[Piece]:
    """A bench with a back."""
    seat = box((-0.9, -0.25, 0.4), (0.9, 0.22, 0.46), WOOD)
    back = box((-0.9, 0.2, 0.55), (0.9, 0.25, 0.85), WOOD)
    legs = [
        box((x - 0.04, -0.2, 0), (x + 0.04, 0.24, 0.55), METAL) for x in (-0.7, 0.7)
    ]
    return [joined([seat, back]), *legs]


def bin_(rng: Random) -> list[Piece]:
    """A litter bin."""
    paint = ((0.03, 0.06, 0.04), (0.1, 0.1, 0.1), (0.25, 0.25, 0.26))[rng.integers(3)]
    return [lathe([(0.24, 0), (0.26, 0.8), (0.2, 0.9), (0.01, 0.92)], Surface(paint))]


def bollard(rng: Random) -> list[Piece]:
    """A post of knee height."""
    return [lathe([(0.09, 0), (0.08, 0.85), (0.01, 0.9)], METAL, 8)]


def lamp(rng: Random) -> list[Piece]:
    """A street lamp."""
    post = lathe([(0.09, 0), (0.06, 4.5)], METAL, 8)
    return [post, blob((0, -0.3, 4.5), (0.12, 0.35, 0.06), METAL)]


def pillar(rng: Random) -> list[Piece]:
    """A column of a hall."""
    wide = rng.uniform(0.25, 0.45)
    if rng.random() < 0.5:
        return [box((-wide, -wide, 0), (wide, wide, 5), textured("concrete", rng), 2.5)]
    return [lathe([(wide, 0), (wide, 5)], textured("plaster", rng), 16)]


def gate(rng: Random) -> list[Piece]:
    """A ticket gate, waist high."""
    paint = Surface((0.35, 0.36, 0.38), gloss=0.3)
    pieces = [box((-0.12, -0.6, 0), (0.12, 0.6, 1.05), paint)]
    pieces.append(box((-0.13, -0.62, 0.75), (0.13, -0.5, 0.95), GLASS))
    return pieces


def kiosk(rng: Random) -> list[Piece]:
    """A stall."""
    walls = textured("shop", rng)
    roof = Surface(PAINTS[rng.integers(len(PAINTS))])
    return [
        box((-1.3, -0.9, 0), (1.3, 0.9, 2.4), walls, 2.6),
        box((-1.6, -1.4, 2.4), (1.6, 1.1, 2.5), roof),
    ]


def container(rng: Random) -> list[Piece]:
    """A shipping container."""
    return [box((-3, -1.2, 0), (3, 1.2, 2.6), textured("steel", rng), 3.0)]


FURNITURE: dict[str, Callable[[Random], list[Piece]]] = {
    "car": car,
    "tree": tree,
    "trunk": trunk,
    "bush": bush,
    "railing": railing,
    "board": board,
    "bench": bench,
    "bin": bin_,
    "bollard": bollard,
    "lamp": lamp,
    "pillar": pillar,
    "gate": gate,
    "kiosk": kiosk,
    "container": container,
}

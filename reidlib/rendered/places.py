"""Places: grounds, walls and furniture around a stretch where people walk.

A camera stands at x = y = 0 and looks along +y; people are between y = 5 and y = 12.
Every piece is named as captions name it.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from reidlib.rendered.furniture import FURNITURE, textured
from reidlib.rendered.meshes import Piece, Surface, quad

Random = np.random.Generator


class Kind(NamedTuple):
    """A kind of place: its words, what builds it, and what may stand in the way."""

    words: str
    build: Callable[[Random], Iterator[Piece]]
    occluders: tuple[str, ...]
    indoors: bool = False


def _ground(
    material: str, name: str, rng: Random, tile: float, y0: float = -6, y1: float = 60
) -> Piece:
    surface = textured(material, rng)
    flat = quad([(-40, y0, 0), (40, y0, 0), (40, y1, 0), (-40, y1, 0)], surface, tile)
    return flat.labelled(0, name)


def _strip(
    material: str, name: str, rng: Random, tile: float, x0: float, x1: float
) -> Piece:
    """A lane along the view, a little higher than the ground."""
    z, surface = 0.04, textured(material, rng)
    flat = quad([(x0, -6, z), (x1, -6, z), (x1, 60, z), (x0, 60, z)], surface, tile)
    return flat.labelled(0, name)


def _wall(
    material: str,
    name: str,
    rng: Random,
    tile: float,
    start: tuple[float, float],
    end: tuple[float, float],
    height: float,
) -> Piece:
    """A wall from one point of the ground to another."""
    (x0, y0), (x1, y1) = start, end
    corners = [(x0, y0, 0), (x1, y1, 0), (x1, y1, height), (x0, y0, height)]
    return quad(corners, textured(material, rng), tile).labelled(0, name)


def _row(
    materials: tuple[tuple[str, str], ...],
    rng: Random,
    tile: float,
    start: tuple[float, float],
    step: tuple[float, float],
    count: int,
    height: float,
) -> Iterator[Piece]:
    """Walls side by side, each of a material of its own."""
    (x, y), (dx, dy) = start, step
    for _ in range(count):
        material, name = materials[rng.integers(len(materials))]
        yield _wall(material, name, rng, tile, (x, y), (x + dx, y + dy), height)
        x, y = x + dx, y + dy


def _things(
    name: str,
    words: str,
    rng: Random,
    spots: list[tuple[float, float]],
    turn: float | None = None,
) -> Iterator[Piece]:
    """The same kind of thing at several spots of the ground."""
    for x, y in spots:
        angle = (
            rng.uniform(0, 2 * np.pi) if turn is None else turn + rng.normal(0, 0.04)
        )
        for piece in FURNITURE[name](rng):
            yield piece.moved((x, y, 0), angle).labelled(0, words)


def _scattered(
    rng: Random, count: int, near: float = 12.5, far: float = 24, wide: float = 7
) -> list[tuple[float, float]]:
    """Spots behind the people."""
    spots = rng.uniform([-wide, near], [wide, far], (count, 2))
    return [(float(x), float(y)) for x, y in spots]


def _hall(rng: Random) -> Iterator[Piece]:
    yield _ground("tiles", "a tiled floor", rng, rng.uniform(1.6, 2.6))
    shops = (("shop", "a shop"), ("shop", "a shop"), ("glazing", "a glass wall"))
    depth = rng.uniform(13, 18)
    yield from _row(shops, rng, 4.5, (-22, depth), (4.5, 0), 10, 5.0)
    yield from _row(shops, rng, 4.5, (-8, 0), (0, 4.5), 4, 5.0)
    yield from _things("pillar", "a pillar", rng, [(-4.2, 11.5), (4.4, 12)])
    yield from _things("bench", "a bench", rng, _scattered(rng, 3, 11.5, depth - 1), 0)
    yield from _things("board", "a board", rng, _scattered(rng, 3, 11.5, depth - 1), 0)
    yield from _things("bin", "a bin", rng, _scattered(rng, 2, 11, depth - 1))


def _gates(rng: Random) -> Iterator[Piece]:
    yield _ground("tiles", "a tiled floor", rng, rng.uniform(1.2, 1.8))
    depth = rng.uniform(14, 17)
    walls = (("concrete", "a concrete wall"), ("shop", "a shop"), ("poster", "posters"))
    yield from _row(walls, rng, 3.4, (-20, depth), (3.4, 0), 12, 3.4)
    gates = [(x, 11.8) for x in np.arange(-5, 5.1, 0.95)]
    yield from _things("gate", "ticket gates", rng, gates, 0.0)
    yield from _things("pillar", "a pillar", rng, [(-5.2, 10.5), (5.4, 13)])


def _platform(rng: Random) -> Iterator[Piece]:
    yield _ground("concrete", "concrete slabs", rng, 2.4)
    yellow = Surface((0.55, 0.42, 0.04))
    edge = quad(
        [(-40, 12.2, 0.01), (40, 12.2, 0.01), (40, 12.5, 0.01), (-40, 12.5, 0.01)],
        yellow,
        1,
    )
    yield edge.labelled(0, "a yellow line")
    wagons = (("train", "a train"),)
    yield from _row(wagons, rng, 4.2, (-21, 13.4), (4.2, 0), 10, 3.6)
    yield _wall("concrete", "a concrete wall", rng, 3, (-40, 17), (40, 17), 7)
    yield from _things("pillar", "a pillar", rng, [(-3.8, 11.4), (3.9, 11.4)])
    yield from _things("bench", "a bench", rng, _scattered(rng, 2, 10.8, 11.6), 0)


def _street(rng: Random) -> Iterator[Piece]:
    yield _ground("asphalt", "a road", rng, 5)
    yield _strip("paving", "a pavement", rng, rng.uniform(1.6, 2.6), -3.4, 3.2)
    facades = (("windows", "a house"), ("shop", "a shop"), ("brick", "a brick wall"))
    yield from _row(facades, rng, 4.5, (-6.5, -2), (0, 4.5), 9, 6.0)
    yield from _row(facades, rng, 4.5, (-20, rng.uniform(19, 26)), (4.5, 0), 10, 7.0)
    yield from _things(
        "car", "a parked car", rng, [(4.7, y) for y in (9, 14.5, 20)], np.pi / 2
    )
    yield from _things("tree", "a tree", rng, [(3.2, 13), (3.2, 20), (-3.2, 17)])
    yield from _things("lamp", "a lamp post", rng, [(2.9, 11.5), (2.9, 22)])
    yield from _things("bollard", "bollards", rng, [(2.9, y) for y in range(6, 19, 2)])
    yield from _things("bin", "a bin", rng, [(-2.9, 13)])


def _crossing(rng: Random) -> Iterator[Piece]:
    """People walk along a facade on the far side of a road."""
    yield _ground("asphalt", "a road", rng, 5, y1=8)
    yield _ground("paving", "a pavement", rng, rng.uniform(1.6, 2.4), 4.5)
    shops = (("shop", "a shop"), ("windows", "a house"), ("shop", "a shop"))
    yield from _row(shops, rng, 4.2, (-21, rng.uniform(11.5, 13)), (4.2, 0), 10, 6.5)
    cars = [(x, 3.2) for x in (-9.0, 9.5)]
    yield from _things("car", "a parked car", rng, cars, 0.0)
    yield from _things("board", "a board", rng, [(-3.3, 11), (3.6, 11.2)], 0.0)
    yield from _things("bush", "plants", rng, [(-1.4, 11.1), (6, 11)], 0.0)


def _square(rng: Random) -> Iterator[Piece]:
    material = ("paving", "cobbles")[rng.integers(2)]
    name = {"paving": "paving stones", "cobbles": "cobblestones"}[material]
    yield _ground(material, name, rng, rng.uniform(2, 3.4))
    facades = (("windows", "a house"), ("plaster", "a pale wall"), ("shop", "a shop"))
    yield from _row(facades, rng, 5.5, (-33, rng.uniform(22, 30)), (5.5, 0), 12, 8.0)
    yield from _things("tree", "a tree", rng, _scattered(rng, 5, 14, 22, 9))
    yield from _things("bench", "a bench", rng, _scattered(rng, 4, 11.5, 18))
    yield from _things("bush", "plants", rng, _scattered(rng, 4, 12, 20))
    yield from _things("kiosk", "a kiosk", rng, [(rng.uniform(-4, 4), 17.5)], 0.0)
    yield from _things("bin", "a bin", rng, _scattered(rng, 2, 11.5, 15, 4))


def _park(rng: Random) -> Iterator[Piece]:
    yield _ground("grass", "a lawn", rng, 4)
    yield _strip("gravel", "a gravel path", rng, 3, -2.6, 2.6)
    yield _wall("hedge", "a hedge", rng, 2.2, (-40, 24), (40, 24), 2.4)
    yield _wall("hedge", "a hedge", rng, 2.2, (-5.5, -2), (-5.5, 24), 1.5)
    yield from _things(
        "tree", "a tree", rng, [(-4, 14), (4, 12.5), (3.8, 19), (-3.6, 21)]
    )
    yield from _things("bench", "a bench", rng, [(3.1, 10.5), (3.1, 16)], np.pi / 2)
    yield from _things(
        "railing", "a railing", rng, [(-3, y) for y in (7, 10.4, 13.8)], np.pi / 2
    )
    yield from _things("lamp", "a lamp post", rng, [(2.9, 14)])


def _parking(rng: Random) -> Iterator[Piece]:
    yield _ground("marked_asphalt", "asphalt with white lines", rng, 2.7)
    walls = (
        ("concrete", "a concrete wall"),
        ("steel", "a metal wall"),
        ("brick", "a brick wall"),
    )
    yield from _row(walls, rng, 5, (-30, rng.uniform(19, 23)), (5, 0), 12, 4.5)
    spots = [(x, 14.8) for x in (-6.8, -4.1, -1.4, 1.3, 4.0, 6.7)]
    taken = [spot for spot in spots if rng.random() < 0.75]
    yield from _things("car", "a parked car", rng, taken, np.pi / 2)
    yield from _things("lamp", "a lamp post", rng, [(-2.7, 12.2), (5.4, 12.2)])
    yield from _things("bollard", "bollards", rng, [(x, 12) for x in (-4, 0, 4)])


def _passage(rng: Random) -> Iterator[Piece]:
    yield _ground("tiles", "a tiled floor", rng, rng.uniform(1.4, 2.2))
    shops = (("shop", "a shop"), ("shop", "a shop"), ("glazing", "a glass wall"))
    yield from _row(shops, rng, 4.0, (-3.6, -4), (0, 4.0), 8, 4.2)
    yield from _row(shops, rng, 4.0, (3.8, -4), (0, 4.0), 8, 4.2)
    yield _wall("glazing", "a glass wall", rng, 4, (-8, 27), (8, 27), 6)
    yield from _things("bush", "plants", rng, [(-2.4, 12.5), (2.6, 16), (0.4, 20)], 0.0)
    yield from _things("board", "a board", rng, [(2.5, 12), (-2.3, 17)], 0.0)
    yield from _things("bench", "a bench", rng, [(0.2, 15)], np.pi / 2)


def _quay(rng: Random) -> Iterator[Piece]:
    material = ("planks", "cobbles")[rng.integers(2)]
    name = {"planks": "a wooden deck", "cobbles": "cobblestones"}[material]
    yield _ground(material, name, rng, rng.uniform(2, 3), y1=14)
    yield _ground("water", "water", rng, 6, 14, 90).moved((0, 0, -0.8))
    yield from _things(
        "railing", "a railing", rng, [(x, 13.8) for x in np.arange(-14, 15, 3.2)], 0.0
    )
    far = [(x, 40) for x in (-14, -7, 0, 7, 14)]
    yield from _things("container", "containers", rng, far, 0.0)
    yield from _things("lamp", "a lamp post", rng, [(-3, 13.2), (5, 13.2)])
    yield from _things("bench", "a bench", rng, [(rng.uniform(-3, 3), 12.8)], 0.0)
    yield from _things("bollard", "bollards", rng, [(x, 13) for x in (-6, -1.5, 3)])


def _yard(rng: Random) -> Iterator[Piece]:
    yield _ground("asphalt", "asphalt", rng, 4)
    rows = [(x, 16) for x in (-9.5, -3.2, 3.2, 9.5)]
    yield from _things("container", "containers", rng, rows, 0.0)
    yield _wall("steel", "a metal wall", rng, 4, (-6.8, -4), (-6.8, 30), 5)
    yield from _things("car", "a van", rng, [(5, 12.6)], 0.4)
    yield from _things("bollard", "bollards", rng, [(x, 12) for x in (-4, -1, 2)])


KINDS = {
    "hall": Kind("a station hall", _hall, ("person", "board", "bench", "pillar"), True),
    "gates": Kind(
        "a ticket hall", _gates, ("person", "gate", "person", "pillar"), True
    ),
    "platform": Kind(
        "a railway platform", _platform, ("person", "bench", "pillar"), True
    ),
    "street": Kind("a street", _street, ("person", "car", "bollard", "umbrella")),
    "crossing": Kind(
        "a shopping street", _crossing, ("car", "person", "bush", "board")
    ),
    "square": Kind(
        "a square", _square, ("person", "bush", "trunk", "umbrella", "bench")
    ),
    "park": Kind("a park", _park, ("railing", "trunk", "bush", "person")),
    "parking": Kind("a parking lot", _parking, ("car", "car", "person", "bollard")),
    "passage": Kind("a shopping arcade", _passage, ("person", "bush", "board"), True),
    "quay": Kind("a quay", _quay, ("railing", "person", "umbrella", "bench")),
    "yard": Kind("a dockyard", _yard, ("car", "person", "railing")),
}

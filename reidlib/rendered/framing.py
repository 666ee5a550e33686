"""What a detector cuts out: a window about the person, never quite right."""

from random import Random
from typing import NamedTuple

import numpy as np

from reidlib.rendered.meshes import Array
from reidlib.rendered.tracer import View

Box = tuple[
    float, float, float, float
]  # left, top, right, bottom in shares of a window


class Window(NamedTuple):
    """A view, its height in radians, and the distance of what it is about in metres."""

    view: View
    angle: float
    distance: float


def window(origin: Array, points: Array, rng: Random, *, framing: str) -> Window:
    """The window about points (N, 3) that are seen from `origin`.

    Where the framing is "junk" it misses the person, or most of them.
    """
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    right, up, forward = _axes(middle - origin)
    rays = points - origin
    across, along = rays @ right / (rays @ forward), rays @ up / (rays @ forward)
    tall = max(np.ptp(along), 1.75 * np.ptp(across))
    x = (across.min() + across.max()) / 2 + rng.gauss(0, 0.022) * tall
    y = (along.min() + along.max()) / 2 + rng.gauss(0, 0.018) * tall
    height = tall * min(1.26, max(0.98, rng.gauss(1.09, 0.055)))
    if framing == "junk":
        size = rng.choice((rng.uniform(0.25, 0.5), rng.uniform(1.7, 2.6)))
        reach = 0.5 * size + 0.25
        x += rng.choice((-1, 1)) * rng.uniform(0.3, 0.6) * reach * tall
        y += rng.uniform(-0.6, 0.6) * reach * tall
        height = size * tall
    target = origin + np.linalg.norm(middle - origin) * (forward + x * right + y * up)
    field = 2 * np.arctan(height / 2)
    view = View(origin, target, float(np.degrees(field)))
    return Window(view, float(height), float(np.linalg.norm(middle - origin)))


def _axes(forward: Array) -> tuple[Array, Array, Array]:
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    return right, np.cross(right, forward), forward


def part_of(rng: Random) -> Box:
    """The part of a window that a partial picture shows."""
    kind = rng.choice(("upper", "upper", "left", "right", "lower"))
    if kind == "upper":
        return 0.0, 0.0, 1.0, rng.uniform(0.45, 0.65)
    if kind == "lower":
        return 0.0, rng.uniform(0.3, 0.45), 1.0, 1.0
    if kind == "left":
        return 0.0, 0.0, rng.uniform(0.52, 0.65), 1.0
    return rng.uniform(0.35, 0.48), 0.0, 1.0, 1.0

"""Triangles with a surface and a label: what places and people are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Faces = NDArray[np.integer[Any]]
Color = tuple[float, float, float]


@dataclass(frozen=True)
class Surface:
    """How a piece reflects: a color in 0..1 (linear), or a texture over uv.

    texture   (h, w, 3) linear reflectance, repeated outside of 0..1; None: the color
    gloss     0 for cloth and stone, 1 for varnish
    """

    color: Color = (0.5, 0.5, 0.5)
    texture: Array | None = None
    gloss: float = 0.0


@dataclass(frozen=True)
class Piece:
    """A mesh with one surface.

    vertices (V, 3), faces (F, 3); uv (V, 2) where the surface has a texture;
    labels (F,) what each face shows, a Detail; smooth: shade by vertex normals;
    name: what captions call it, "" for what they pass over
    """

    vertices: Array
    faces: Faces
    surface: Surface = field(default_factory=Surface)
    uv: Array | None = None
    labels: NDArray[np.uint8] | int = 0
    smooth: bool = False
    name: str = ""

    def moved(self, offset: Sequence[float], turn: float = 0.0) -> "Piece":
        """Turned about the vertical (radians), then moved."""
        return replace(self, vertices=turned(self.vertices, turn) + np.asarray(offset))

    def labelled(self, label: int, name: str = "") -> "Piece":
        """The same piece with one label on all faces, and a name."""
        return replace(self, labels=label, name=name)


def turned(points: Array, angle: float) -> Array:
    """Points (N, 3) turned about the vertical, counterclockwise from above."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def normals(vertices: Array, faces: Faces) -> Array:
    """Unit normals (V, 3) of vertices: mean of their faces', weighted by area."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    by_face = np.cross(b - a, c - a)
    found = np.zeros_like(vertices)
    for axis in range(3):
        for corner in range(3):
            found[:, axis] += np.bincount(
                faces[:, corner], by_face[:, axis], len(vertices)
            )
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def box(
    low: Sequence[float],
    high: Sequence[float],
    surface: Surface,
    tile: float = 1.0,
) -> Piece:
    """An upright box; its texture repeats every `tile` metres on each side."""
    x0, y0, z0 = low
    x1, y1, z1 = high
    sides = [
        ((x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)),
        ((x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)),
        ((x1, y1, z0), (x0, y1, z0), (x0, y1, z1), (x1, y1, z1)),
        ((x0, y1, z0), (x0, y0, z0), (x0, y0, z1), (x0, y1, z1)),
        ((x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)),
        ((x0, y1, z0), (x1, y1, z0), (x1, y0, z0), (x0, y0, z0)),
    ]
    quads = [quad(corners, surface, tile) for corners in sides]
    return joined(quads)


def quad(corners: Sequence[Sequence[float]], surface: Surface, tile: float) -> Piece:
    """A flat rectangle from four corners in order, textured every `tile` metres."""
    points = np.array(corners, dtype=float)
    across = np.linalg.norm(points[1] - points[0]) / tile
    up = np.linalg.norm(points[3] - points[0]) / tile
    uv = np.array([(0, 0), (across, 0), (across, up), (0, up)], dtype=float)
    return Piece(points, np.array([(0, 1, 2), (0, 2, 3)]), surface, uv)


def joined(pieces: Sequence[Piece]) -> Piece:
    """Pieces of one surface as one piece."""
    offsets = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    labels = [
        np.broadcast_to(np.asarray(piece.labels, np.uint8), len(piece.faces))
        for piece in pieces
    ]
    with_uv = all(piece.uv is not None for piece in pieces)
    return replace(
        pieces[0],
        vertices=np.concatenate([piece.vertices for piece in pieces]),
        faces=np.concatenate(
            [p.faces + start for p, start in zip(pieces, offsets, strict=False)]
        ),
        uv=np.concatenate([piece.uv for piece in pieces]) if with_uv else None,
        labels=np.concatenate(labels),
    )


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """The same triangles in fewer pieces: one for each surface and name."""
    groups: dict[tuple[Any, ...], list[Piece]] = {}
    for piece in pieces:
        surface = piece.surface
        look = (id(surface.texture), surface.color, surface.gloss)
        key = (*look, piece.uv is None, piece.smooth, piece.name)
        groups.setdefault(key, []).append(piece)
    return [joined(group) for group in groups.values()]


def lathe(
    profile: Sequence[tuple[float, float]],
    surface: Surface,
    sides: int = 12,
    center: tuple[float, float] = (0.0, 0.0),
) -> Piece:
    """A round body about the vertical: `profile` lists (radius, height) upwards."""
    angles = np.linspace(0, 2 * np.pi, sides + 1)
    rings = [
        np.stack(
            [
                center[0] + radius * np.cos(angles),
                center[1] + radius * np.sin(angles),
                np.full_like(angles, height),
            ],
            axis=1,
        )
        for radius, height in profile
    ]
    uv = [
        np.stack([angles / (2 * np.pi), np.full_like(angles, row)], axis=1)
        for row in np.linspace(0, 1, len(profile))
    ]
    faces = grid_faces(len(profile), sides + 1)
    return Piece(np.concatenate(rings), faces, surface, np.concatenate(uv), smooth=True)


def grid_faces(rows: int, columns: int) -> Faces:
    """Triangles of a grid of points numbered row by row."""
    row, column = np.mgrid[: rows - 1, : columns - 1]
    corner = (row * columns + column).ravel()
    right, up = corner + 1, corner + columns
    return np.concatenate(
        [
            np.stack([corner, right, up + 1], axis=1),
            np.stack([corner, up + 1, up], axis=1),
        ]
    )


def blob(
    center: Sequence[float],
    radii: Sequence[float],
    surface: Surface,
    rng: np.random.Generator | None = None,
    roughness: float = 0.0,
    rows: int = 8,
    squareness: float = 1.0,
) -> Piece:
    """An ellipsoid, with bumps of relative height `roughness`.

    Below 1, `squareness` makes a cushion and then a box of it (a superellipsoid).
    """
    latitude, longitude = np.meshgrid(
        np.linspace(-np.pi / 2, np.pi / 2, rows),
        np.linspace(0, 2 * np.pi, 2 * rows + 1),
        indexing="ij",
    )
    unit = np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ],
        axis=-1,
    )
    unit = np.sign(unit) * np.abs(unit) ** squareness
    if rng is not None:
        bumps = 1 + roughness * rng.standard_normal(latitude.shape)
        bumps[:, -1] = bumps[:, 0]
        unit = unit * bumps[..., None]
    uv = np.stack([longitude / (2 * np.pi), latitude / np.pi + 0.5], axis=-1)
    return Piece(
        (unit * np.asarray(radii)).reshape(-1, 3) + np.asarray(center),
        grid_faces(rows, 2 * rows + 1),
        surface,
        uv.reshape(-1, 2),
        smooth=True,
    )


def tube(
    start: Sequence[float], end: Sequence[float], radius: float, surface: Surface
) -> Piece:
    """A round bar between two points."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    length = float(np.linalg.norm(b - a))
    piece = lathe([(radius, 0.0), (radius, length)], surface, sides=6)
    return replace(piece, vertices=piece.vertices @ frame_along(b - a).T + a)


def chain(points: Sequence[Sequence[float]], radius: float, surface: Surface) -> Piece:
    """A rope through points."""
    pairs = zip(points[:-1], points[1:], strict=True)
    return joined([tube(start, end, radius, surface) for start, end in pairs])


def frame_along(direction: Array) -> Array:
    """A rotation (3, 3) that takes the vertical to `direction`."""
    z = direction / np.linalg.norm(direction)
    helper = np.array([1.0, 0, 0]) if abs(z[0]) < 0.9 else np.array([0, 1.0, 0])
    x = np.cross(helper, z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)

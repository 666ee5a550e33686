"""Heads: face, hair, beard, glasses, hats and scarves."""

from dataclasses import replace
from random import Random

import numpy as np

from reidlib.rendered import tailor
from reidlib.rendered.bodies import anatomy
from reidlib.rendered.identities import HAIR
from reidlib.rendered.meshes import Array, Piece, Surface, blob, grid_faces, lathe, tube
from reidlib.rendered.prints import linear
from reidlib.rendered.truth import Detail
from reidlib.rendered.wardrobe import Fitting, piece, shade, skin_color

MANES = {"bob": 0.855, "long": 0.755}  # the level that long hair reaches
THICKNESS = {"short": 0.011, "curly": 0.03, "bob": 0.018, "long": 0.017}
BLACK = Surface((0.012, 0.012, 0.014))


def dressed_head(fit: Fitting) -> list[Piece]:
    """All that is on a head, and around the neck."""
    pieces = [*_features(fit), *_hair(fit), *_hat(fit)]
    if fit.person.scarf_color:
        pieces.append(_scarf(fit))
    return pieces


def hair_color(fit: Fitting) -> Array:
    """Linear color of a person's hair."""
    rng = Random(f"{fit.person.seed}/hair")
    return linear(HAIR[fit.person.hair], rng.uniform(0.8, 1.25))


def _joint(fit: Fitting, bone: str) -> Array:
    return fit.rest.joints[anatomy().bones.index(bone)]


def _on_head(fit: Fitting, piece: Piece, label: Detail, bone: str = "head") -> Piece:
    """A piece made at the head at rest, carried along."""
    moved = fit.body.follow(piece.vertices, bone)
    return replace(piece, vertices=moved, labels=int(label))


def _face_at(fit: Fitting, height: float) -> float:
    """y of the face's middle line at a height of the body at rest."""
    points = fit.rest.vertices[anatomy().used("body")]
    near = (np.abs(points[:, 0]) < 0.012) & (np.abs(points[:, 2] - height) < 0.008)
    return float(points[near, 1].min())


def _features(fit: Fitting) -> list[Piece]:
    """Eyes, brows and mouth: at 64 pixels a few darker ones; and glasses."""
    left, right = _joint(fit, "eye.L"), _joint(fit, "eye.R")
    skin, hair = skin_color(fit.person), hair_color(fit)
    eye, brow = Surface((0.03, 0.025, 0.02)), Surface(tuple(0.5 * hair + 0.1 * skin))
    lips = Surface(tuple(skin * [0.75, 0.45, 0.45]))
    found = [
        blob(e + [0, -0.004, 0], (0.013, 0.011, 0.007), eye, rows=4)
        for e in (left, right)
    ]
    for e in (left, right):
        out = 0.02 * np.sign(e[0])
        start, end = e + [-out, -0.014, 0.019], e + [out, -0.008, 0.021]
        found.append(tube(start, end, 0.005, brow))
    height = left[2] - 0.068
    mouth = np.array([0, _face_at(fit, height) + 0.004, height])
    found.append(blob(mouth, (0.022, 0.008, 0.007), lips, rows=4))
    if fit.person.glasses:
        for e in (left, right):
            lens = blob(e + [0, -0.022, -0.002], (0.026, 0.006, 0.017), BLACK, rows=4)
            found.append(lens)
        found.append(
            tube(left + [0.03, -0.02, 0], left + [0.045, 0.08, 0], 0.004, BLACK)
        )
        found.append(
            tube(right + [-0.03, -0.02, 0], right + [-0.045, 0.08, 0], 0.004, BLACK)
        )
    return [_on_head(fit, one, Detail.FACE) for one in found]


def _hair(fit: Fitting) -> list[Piece]:
    person, cut = fit.person, fit.person.haircut
    surface = Surface(tuple(hair_color(fit)))
    pieces = []
    if person.beard:
        pieces.append(_beard(fit, surface))
    if cut == "bald":
        return pieces
    ease = THICKNESS.get(cut, 0.013)
    if person.hat:
        ease = min(ease, 0.012)
    hung = fit.hung("body", ease * (1 + 0.25 * fit.waves), 3)
    pieces.append(piece(tailor.scalp(0.02), hung, surface, int(Detail.HAIR)))
    if cut in MANES:
        cloth = tailor.mane(MANES[cut])
        pieces.append(piece(cloth, fit.body.vertices, surface, int(Detail.HAIR)))
    if cut in ("ponytail", "bun"):
        pieces.append(_tied(fit, surface))
    return pieces


def _tied(fit: Fitting, surface: Surface) -> Piece:
    eye = _joint(fit, "eye.L")
    back = np.array([0, eye[1] + 0.185, eye[2] + 0.03])
    if fit.person.haircut == "bun":
        tied = blob(back + [0, -0.015, 0.05], (0.045, 0.04, 0.04), surface)
    else:
        tied = blob(back + [0, 0.015, -0.1], (0.032, 0.03, 0.13), surface)
    return _on_head(fit, tied, Detail.HAIR)


def _beard(fit: Fitting, surface: Surface) -> Piece:
    hung = fit.hung("body", 0.005)
    return piece(tailor.beard(), hung, surface, int(Detail.FACE))


def _hat(fit: Fitting) -> list[Piece]:
    kind = fit.person.hat
    if not kind:
        return []
    surface = Surface(tuple(shade(fit.person.hat_color, fit.person)))
    thick = {"cap": 0.02, "beanie": 0.026, "sun hat": 0.026}[kind]
    hung = fit.hung("body", thick, 4)
    low = -0.02 if kind == "beanie" else 0.0
    pieces = [piece(tailor.crown(low), hung, surface, int(Detail.HAT))]
    eye = _joint(fit, "eye.L")
    center = np.array([0, eye[1] + 0.085, eye[2] + 0.05])
    if kind == "cap":
        pieces.append(_on_head(fit, _visor(center, surface), Detail.HAT))
    if kind == "sun hat":
        brim = lathe([(0.08, 0.012), (0.2, -0.02)], surface, 20)
        brim = replace(brim, vertices=brim.vertices * [0.9, 1.1, 1] + center)
        pieces.append(_on_head(fit, brim, Detail.HAT))
    return pieces


def _visor(center: Array, surface: Surface) -> Piece:
    """A half disc in front of the forehead, a little bent."""
    angle, radius = np.meshgrid(
        np.radians(np.linspace(-62, 62, 9)), [0.075, 0.18], indexing="ij"
    )
    points = np.stack(
        [
            radius * np.sin(angle) * 0.85,
            -radius * np.cos(angle) * 1.05,
            -0.25 * (radius - 0.08) - 0.02 * np.sin(angle) ** 2,
        ],
        axis=-1,
    )
    return Piece(points.reshape(-1, 3) + center, grid_faces(9, 2), surface, smooth=True)


def _scarf(fit: Fitting) -> Piece:
    surface = Surface(tuple(shade(fit.person.scarf_color, fit.person)))
    neck = _joint(fit, "neck01")
    profile = [(0.075, -0.03), (0.1, -0.01), (0.098, 0.03), (0.066, 0.055)]
    ring = lathe(profile, surface, 12)
    ring = replace(ring, vertices=ring.vertices * [1.05, 1.0, 1] + neck + [0, -0.01, 0])
    return _on_head(fit, ring, Detail.UPPER, "neck01")

"""What people carry: bags on the back, at the side, in the hand; phones, umbrellas."""

from dataclasses import replace

import numpy as np

from reidlib.rendered.bodies import anatomy
from reidlib.rendered.meshes import (
    Array,
    Piece,
    Surface,
    blob,
    box,
    chain,
    joined,
    lathe,
    tube,
)
from reidlib.rendered.truth import Detail
from reidlib.rendered.wardrobe import UPPER_EASE, Fitting, shade

IN_HAND = ("handbag", "shopping bag", "suitcase")  # carried in the left hand
BLACK = Surface((0.012, 0.012, 0.014))


def carried(fit: Fitting) -> list[Piece]:
    """The bag of a person, if any."""
    kind = fit.person.bag
    if not kind:
        return []
    surface = Surface(tuple(shade(fit.person.bag_color, fit.person)))
    worn = {
        "backpack": _backpack,
        "shoulder bag": _shoulder_bag,
        "handbag": _handbag,
        "shopping bag": _shopping_bag,
        "suitcase": _suitcase,
    }[kind]
    return [piece.labelled(Detail.BAG) for piece in worn(fit, surface)]


def _bulge(fit: Fitting) -> float:
    snug, loose = UPPER_EASE[fit.person.upper]
    return snug + 0.5 * loose


def _surface_y(fit: Fitting, x: float, height: float, front: bool) -> float:
    """y of the clothed front or back of the body at rest."""
    points = fit.rest.vertices[anatomy().used("helper-tights")]
    near = np.hypot(points[:, 0] - x, points[:, 2] - height) < 0.045
    found, bulge = points[near, 1], _bulge(fit)
    return float(found.min() - bulge) if front else float(found.max() + bulge)


def _joint(fit: Fitting, bone: str) -> Array:
    return fit.rest.joints[anatomy().bones.index(bone)]


def _moved(fit: Fitting, piece: Piece, bone: str) -> Piece:
    return replace(piece, vertices=fit.body.follow(piece.vertices, bone))


def _backpack(fit: Fitting, surface: Surface) -> list[Piece]:
    chest, shoulder = _joint(fit, "spine01")[2], _joint(fit, "shoulder01.L")
    size = np.random.default_rng(fit.person.seed).uniform(0.85, 1.15)
    back = _surface_y(fit, 0.0, chest, front=False)
    center = (0, back + 0.07 * size, chest - 0.02)
    sack = blob(
        center, (0.15 * size, 0.085 * size, 0.22 * size), surface, squareness=0.5
    )
    pocket_center = (0, back + 0.15 * size, chest - 0.1)
    pocket = blob(pocket_center, (0.11, 0.03, 0.09), surface, squareness=0.5)
    straps = []
    for side in (-1, 1):
        x = side * abs(shoulder[0]) * 0.95
        points = [(x, back, shoulder[2] - 0.02)]
        points.append((x, (back + shoulder[1]) / 2, shoulder[2] + 0.045 + _bulge(fit)))
        for height in (chest + 0.06, chest, chest - 0.08):
            points.append((x, _surface_y(fit, x, height, front=True), height))
        points.append((1.45 * x, shoulder[1], chest - 0.14))
        straps.append(chain(points, 0.016, surface))
    return [_moved(fit, piece, "spine01") for piece in (sack, pocket, *straps)]


def _shoulder_bag(fit: Fitting, surface: Surface) -> list[Piece]:
    """At the left hip, on a strap from the right shoulder."""
    hip = _joint(fit, "upperleg01.L")
    shoulder = _joint(fit, "shoulder01.R")
    points = fit.rest.vertices[anatomy().used("helper-tights")]
    near = np.abs(points[:, 2] - hip[2] - 0.05) < 0.03
    side = points[near & (points[:, 0] < 0.3), 0].max() + _bulge(fit)
    bag = blob(
        (side + 0.04, 0.03, hip[2] - 0.02), (0.05, 0.15, 0.11), surface, squareness=0.5
    )
    front, back = [], []
    for share in (0.15, 0.4, 0.65):
        x = shoulder[0] * 0.75 + share * (side - shoulder[0] * 0.75)
        height = shoulder[2] + share * (hip[2] + 0.1 - shoulder[2])
        front.append((x, _surface_y(fit, x, height, front=True), height))
        back.append((x, _surface_y(fit, x, height, front=False), height))
    top = (shoulder[0] * 0.75, shoulder[1], shoulder[2] + 0.04 + _bulge(fit))
    rim = (side + 0.02, 0.0, hip[2] + 0.08)
    strap = chain([rim, *front[::-1], top, *back, rim], 0.012, surface)
    return [_moved(fit, bag, "root"), _moved(fit, strap, "spine03")]


def _hand(fit: Fitting, side: str = "L") -> Array:
    """Where the fist is, in the pose."""
    knuckle = anatomy().bones.index(f"finger3-1.{side}")
    return fit.body.joints[knuckle]


def _handbag(fit: Fitting, surface: Surface) -> list[Piece]:
    hand = _hand(fit)
    bag = blob(hand + [0.02, 0, -0.24], (0.05, 0.15, 0.11), surface, squareness=0.5)
    handles = [
        chain(
            [hand + [0.02, -0.09, -0.15], hand + [0, 0, 0], hand + [0.02, 0.09, -0.15]],
            0.008,
            surface,
        )
    ]
    return [bag, *handles]


def _shopping_bag(fit: Fitting, surface: Surface) -> list[Piece]:
    hand = _hand(fit)
    low, high = hand + [-0.04, -0.17, -0.5], hand + [0.07, 0.17, -0.13]
    handle = chain(
        [hand + [0.01, -0.07, -0.13], hand, hand + [0.01, 0.07, -0.13]], 0.006, surface
    )
    return [box(low, high, surface), handle]


def _suitcase(fit: Fitting, surface: Surface) -> list[Piece]:
    hand = _hand(fit)
    center = np.array([hand[0] + 0.05, hand[1] + 0.42, 0.36])
    case = blob(center, (0.19, 0.12, 0.3), surface, squareness=0.35)
    handle = tube(center + [0, -0.06, 0.28], hand, 0.012, BLACK)
    wheels = [
        blob(center + [x, 0, -0.31], (0.02, 0.03, 0.045), BLACK) for x in (-0.14, 0.14)
    ]
    return [case, joined([handle, *wheels])]


def phone(fit: Fitting) -> Piece:
    """A phone in the right hand."""
    hand = _hand(fit, "R")
    slab = box(hand + [-0.035, -0.03, -0.02], hand + [0.035, -0.015, 0.11], BLACK)
    return slab.labelled(Detail.PHONE)


def umbrella(fit: Fitting, side: str, color: Array) -> list[Piece]:
    """An open umbrella in a raised hand."""
    hand = _hand(fit, side)
    top = hand + [-0.12 * np.sign(hand[0]), 0.1, 0.62]
    profile = [(0.52, -0.16), (0.42, -0.08), (0.22, 0.0), (0.005, 0.03)]
    canopy = lathe(profile, Surface(tuple(color)), 8)
    canopy = replace(canopy, vertices=canopy.vertices + top, smooth=False)
    stick = tube(hand + [0, 0, -0.08], top, 0.01, BLACK)
    return [piece.labelled(Detail.UMBRELLA) for piece in (canopy, stick)]

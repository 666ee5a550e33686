"""How a person holds and moves themselves: the directions of limbs, phase by phase.

Angles of a walk have the shape of the mean curves of gait analysis (as in Winter,
Biomechanics and Motor Control of Human Movement), by eye, at every tenth of a cycle
that begins when the heel strikes; forward is -y and up is z.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reidlib.rendered.meshes import Array

PHASES = np.linspace(0, 1, 11)
HIP = (30, 28, 20, 10, 0, -8, -6, 10, 24, 31, 30)  # flexion, degrees
KNEE = (4, 16, 16, 9, 5, 12, 36, 60, 50, 18, 4)
ANKLE = (0, -3, 4, 8, 10, 4, -14, -6, 0, 2, 0)  # toes up
HABITS = ("walk", "stand", "phone", "call", "pockets", "carry")


class Pose(NamedTuple):
    """Where bones point, in the body's own frame, and how others turn.

    aims    direction (3,) of each named bone towards the joint in ENDS
    turns   degrees about x, y and z of each other bone, relative to its parent
    """

    aims: Mapping[str, Array]
    turns: Mapping[str, tuple[float, float, float]]


class Manner(NamedTuple):
    """What stays of a person's way of walking.

    stride, swing   of legs and of arms, 1 the mean    lean   of the trunk, degrees
    spread          of the arms from the body, degrees
    """

    stride: float = 1.0
    swing: float = 1.0
    lean: float = 3.0
    spread: float = 9.0


class Moment(NamedTuple):
    """What a picture catches: phase in 0..1, what the person does, where they look.

    habit   one of HABITS; glance (right, down) of the head in degrees
    raised  the arm that holds an umbrella up, "" for none, else "L" or "R"
    """

    phase: float
    habit: str = "walk"
    glance: tuple[float, float] = (0.0, 0.0)
    raised: str = ""


def pose(manner: Manner, moment: Moment) -> Pose:
    """The pose of a moment."""
    aims: dict[str, Array] = {}
    walking = moment.habit != "stand"
    stride = manner.stride if walking else 0.12
    swing = manner.swing * (1.0 if walking else 0.2)
    for side, sign, offset in (("L", 1, 0.0), ("R", -1, 0.5)):
        phase = (moment.phase + offset) % 1
        aims |= _leg(side, sign, phase, stride)
        aims |= _arm(side, sign, (phase + 0.5) % 1, manner._replace(swing=swing))
    aims |= _held(moment, manner)
    sway = 5 * stride * np.cos(2 * np.pi * moment.phase)
    right, down = moment.glance
    turns = {
        "root": (0.0, 0.0, -sway),
        "spine03": (manner.lean, 0.0, 1.6 * sway),
        "clavicle.L": (0.0, 9.0, 0.0),
        "clavicle.R": (0.0, -9.0, 0.0),
        "neck01": (0.4 * down, 0.0, -0.4 * right),
        "head": (0.6 * down - manner.lean, 0.0, -0.6 * right - 0.6 * sway),
    }
    return Pose(aims, turns)


def _forward(angle: float, outward: float) -> Array:
    """A direction down, `angle` degrees forward and `outward` degrees to the left."""
    a, b = np.radians(angle), np.radians(outward)
    return np.array([np.sin(b), -np.sin(a) * np.cos(b), -np.cos(a) * np.cos(b)])


def _leg(side: str, sign: int, phase: float, stride: float) -> dict[str, Array]:
    def at(curve: tuple[int, ...]) -> float:
        return stride * float(np.interp(phase, PHASES, curve))

    hip, knee, ankle = at(HIP), at(KNEE), at(ANKLE)
    return {
        f"upperleg01.{side}": _forward(hip, sign * 2.0),
        f"lowerleg01.{side}": _forward(hip - knee, sign * 1.0),
        f"foot.{side}": _forward(hip - knee + ankle + 66, sign * 8.0),
    }


def _arm(side: str, sign: int, phase: float, manner: Manner) -> dict[str, Array]:
    """Arms swing against the legs; the elbow bends more in front than behind."""
    forward = np.cos(2 * np.pi * phase)
    shoulder = -2 + 19 * manner.swing * forward
    elbow = 16 + 12 * manner.swing * (forward + 0.6)
    return {
        f"upperarm01.{side}": _forward(shoulder, sign * manner.spread),
        f"lowerarm01.{side}": _forward(shoulder + elbow, sign * manner.spread * 0.5),
    }


def _held(moment: Moment, manner: Manner) -> dict[str, Array]:
    """Arms that do something else than swing."""
    aims: dict[str, Array] = {}
    if moment.habit == "phone":
        aims = {
            "upperarm01.R": _forward(22, -8),
            "lowerarm01.R": _forward(112, 18),
        }
    elif moment.habit == "call":
        aims = {
            "upperarm01.R": _forward(38, -30),
            "lowerarm01.R": _forward(158, 18),
        }
    elif moment.habit == "pockets":
        for side, sign in (("L", 1), ("R", -1)):
            aims[f"upperarm01.{side}"] = _forward(-16, sign * 16)
            aims[f"lowerarm01.{side}"] = _forward(22, sign * -8)
    elif moment.habit == "carry":
        aims = {
            "upperarm01.L": _forward(0, manner.spread),
            "lowerarm01.L": _forward(8, 3),
        }
    if moment.raised:
        sign = 1 if moment.raised == "L" else -1
        aims[f"upperarm01.{moment.raised}"] = _forward(24, sign * 14)
        aims[f"lowerarm01.{moment.raised}"] = _forward(140, sign * -2)
    return aims

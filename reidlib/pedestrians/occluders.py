"""What stands between the camera and a person."""

from collections.abc import Callable
from random import Random

from reidlib.pedestrians.canvas import Canvas, Color, Detail, Frame, shade
from reidlib.pedestrians.figures import Figure, random_pose
from reidlib.pedestrians.identities import random_identity

HIDER = Detail.OCCLUDER


def _any_color(rng: Random) -> Color:
    return rng.randint(50, 215), rng.randint(50, 215), rng.randint(50, 215)


def _car(canvas: Canvas, rng: Random) -> None:
    """A car that hides the legs, sometimes up to the waist."""
    width, height = canvas.image.size
    body = _any_color(rng)
    top = height * rng.uniform(0.56, 0.74)
    nose = rng.choice((-1, 1)) * width * rng.uniform(0.0, 0.35)
    hood = top + height * 0.1
    roof = [(nose + width * x, y) for x, y in ((-0.1, hood), (0.08, top), (0.92, top))]
    canvas.polygon([*roof, (nose + width * 1.1, hood)], shade(body, 0.8), HIDER)
    panes = ((0.02, 0.13, 0.44, 0.4), (0.5, 0.5, 0.88, 0.98))
    for low, high, high_end, low_end in panes:
        corners = [(low, hood), (high, top + 6), (high_end, top + 6), (low_end, hood)]
        glass = [(nose + width * x, y) for x, y in corners]
        canvas.polygon(glass, (66, 82, 96), HIDER)
    canvas.rectangle((-2, hood), (width + 2, height), body, HIDER)
    canvas.rectangle((-2, height * 0.93), (width + 2, height), shade(body, 0.5), HIDER)
    for wheel in (0.12, 0.88):
        center = (nose + width * wheel, height * 0.97)
        canvas.ellipse(center, (width * 0.17, width * 0.17), (34, 34, 36), HIDER)
        canvas.ellipse(center, (width * 0.08, width * 0.08), (150, 152, 154), HIDER)


def _railing(canvas: Canvas, rng: Random) -> None:
    """Bars from the ground to the hips or the chest."""
    width, height = canvas.image.size
    color = rng.choice(((70, 74, 78), (196, 198, 200), (52, 92, 70), (150, 64, 52)))
    top = height * rng.uniform(0.38, 0.62)
    bar, gap = rng.randint(4, 7), rng.randint(15, 22)
    for x in range(rng.randint(-10, 0), width, gap):
        canvas.rectangle((x, top), (x + bar, height), color, HIDER)
    for y in (top, (top + height) / 2):
        canvas.rectangle((0, y), (width, y + 9), shade(color, 0.8), HIDER)


def _tree(canvas: Canvas, rng: Random) -> None:
    """A trunk that hides one side, and leaves that hide a part of the top."""
    width, height = canvas.image.size
    x = width * (0.5 + rng.choice((-1, 1)) * rng.uniform(0.18, 0.34))
    bark, half = (102, 78, 58), width * rng.uniform(0.09, 0.15)
    trunk = [(x - half, 0), (x + half, 0), (x + half * 1.2, height)]
    canvas.polygon([*trunk, (x - half * 1.2, height)], bark, HIDER)
    edge = [(x + half * 0.4, 0), (x + half, 0), (x + half * 1.2, height)]
    canvas.polygon([*edge, (x + half * 0.5, height)], shade(bark, 0.8), HIDER)
    green = (rng.randint(54, 96), rng.randint(108, 146), 60)
    for _ in range(7):
        center = (x + rng.uniform(-0.4, 0.4) * width, rng.uniform(-0.05, 0.16) * height)
        tone = shade(green, rng.uniform(0.75, 1.15))
        canvas.ellipse(center, (width * 0.16, width * 0.14), tone, HIDER)


def _board(canvas: Canvas, rng: Random) -> None:
    """A panel with a poster: from the side, or over the lower half."""
    width, height = canvas.image.size
    frame, poster = (210, 210, 206), _any_color(rng)
    if rng.random() < 0.5:
        left = rng.random() < 0.5
        share = rng.uniform(0.36, 0.52)
        x0, x1 = (0, width * share) if left else (width * (1 - share), width)
        y0 = height * rng.uniform(0.05, 0.2)
    else:
        x0, x1, y0 = 0, width, height * rng.uniform(0.48, 0.68)
    canvas.rectangle((x0, y0), (x1, height), frame, HIDER)
    canvas.rectangle((x0 + 6, y0 + 6), (x1 - 6, height * 0.94), poster, HIDER)
    line = shade(poster, 0.6)
    for i in range(4):
        y = y0 + 22 + 22 * i
        canvas.rectangle((x0 + 14, y), (x0 + (x1 - x0) * 0.75, y + 8), line, HIDER)


def _pedestrian(canvas: Canvas, rng: Random) -> None:
    """Somebody else, nearer to the camera and off to one side."""
    width, height = canvas.image.size
    side = rng.choice((-1, 1)) * rng.uniform(0.26, 0.4)
    frame = Frame(width * (0.5 + side), height * rng.uniform(1.02, 1.16), height * 1.06)
    person, pose = random_identity(rng), random_pose(rng)
    Figure(person, pose, detail=HIDER).paint(canvas, frame)


OCCLUDERS: dict[str, Callable[[Canvas, Random], None]] = {
    "car": _car,
    "railing": _railing,
    "tree": _tree,
    "board": _board,
    "pedestrian": _pedestrian,
}


def occlude(canvas: Canvas, kinds: tuple[str, ...], rng: Random) -> str:
    """Put an occluder in front of what is painted, and name it.

    `kinds` are keys of OCCLUDERS, of which one is drawn. All that it covers shows
    Detail.OCCLUDER from then on.
    """
    name = rng.choice(kinds)
    OCCLUDERS[name](canvas, rng)
    return name

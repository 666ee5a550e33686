"""One picture: who, where, how framed, what is in front, seen by which camera."""

from random import Random
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from reidlib.pedestrians.canvas import (
    HEIGHT,
    SCALE,
    WIDTH,
    Box,
    Canvas,
    Detail,
    Frame,
    parts,
)
from reidlib.pedestrians.captions import background_caption, person_caption
from reidlib.pedestrians.figures import Figure, random_pose
from reidlib.pedestrians.identities import Identity, identity, random_identity
from reidlib.pedestrians.occluders import occlude
from reidlib.pedestrians.scenes import WORLDS, Camera, camera

CANVAS = (WIDTH * SCALE, HEIGHT * SCALE)


class Shot(NamedTuple):
    """What an image is made from; the same shot always gives the same bytes.

    world, split, pid, camid (from 0), index   the seed of everything random
    framing     "whole", "partial" (cropped person) or "junk" (a failed detection)
    occlusion   probability that something stands in front of the person
    """

    world: str
    split: str
    pid: int
    camid: int
    index: int
    framing: str = "whole"
    occlusion: float = 0.0


class Drawing(NamedTuple):
    """An image and what is known of it.

    image, mask          64 wide, 128 high: RGB, and labels of Part
    person, background   captions
    occluder             what stands in front, "" for nothing
    """

    image: Image.Image
    mask: Image.Image
    person: str
    background: str
    occluder: str


def draw(shot: Shot) -> Drawing:
    """Draw one shot. Raises KeyError for a world that is not in WORLDS."""
    rng = Random("/".join(map(str, shot[:5])))
    view = camera(shot.world, shot.camid)
    group = "train" if shot.split == "train" else "test"
    known = shot.pid > 0
    person = identity(shot.world, group, shot.pid) if known else random_identity(rng)
    background, window = _backdrop(view, rng)
    canvas = Canvas(background)
    _passer_by(canvas, rng)
    _stand(canvas, view, person, rng)
    painted = canvas.counts()
    occluder = ""
    if rng.random() < shot.occlusion:
        occluder = occlude(canvas, WORLDS[shot.world].occluders, rng)
    box = _box(shot.framing, rng)
    picture, details = canvas.finished(box)
    seen = _seen(painted, details, box)
    return Drawing(
        image=_as_seen_by(view, picture, rng),
        mask=parts(details),
        person=person_caption(person, seen, rng),
        background=background_caption(view, _cut(window, box), occluder, rng),
        occluder=occluder,
    )


def _backdrop(view: Camera, rng: Random) -> tuple[Image.Image, tuple[float, float]]:
    """A crop of the panorama at canvas size, and the columns it shows."""
    width, height = view.panorama.size
    zoom = rng.uniform(0.98, 1.22)
    wide, tall = CANVAS[0] / zoom, CANVAS[1] / zoom
    left = rng.uniform(0, width - wide)
    top = rng.uniform(0.35, 0.65) * (height - tall)
    box = (left, top, left + wide, top + tall)
    crop = view.panorama.resize(CANVAS, Image.Resampling.BILINEAR, box=box)
    return crop, (left, left + wide)


def _passer_by(canvas: Canvas, rng: Random) -> None:
    """Sometimes somebody walks far behind; to the mask they are background."""
    if rng.random() < 0.2:
        width, height = CANVAS
        frame = Frame(
            width * rng.choice((rng.uniform(0.02, 0.2), rng.uniform(0.8, 0.98))),
            height * rng.uniform(0.66, 0.76),
            height * rng.uniform(0.28, 0.36),
        )
        other, pose = random_identity(rng), random_pose(rng)
        Figure(other, pose, detail=Detail.BACKGROUND).paint(canvas, frame)


def _stand(canvas: Canvas, view: Camera, person: Identity, rng: Random) -> None:
    """Put the person on the ground, off center and off scale as a detector's boxes."""
    width, height = CANVAS
    tall = height * rng.uniform(0.78, 0.9) * person.tallness
    foot_x = width * (0.5 + rng.uniform(-0.09, 0.09))
    foot_y = height * rng.uniform(0.93, 0.985)
    shadow = (foot_x + tall * 0.05, foot_y - 2)
    canvas.ellipse(shadow, (tall * 0.15, tall * 0.022), view.shadow, Detail.BACKGROUND)
    Figure(person, random_pose(rng)).paint(canvas, Frame(foot_x, foot_y, tall))


def _box(framing: str, rng: Random) -> Box | None:
    """The part of the canvas that the picture shows, None for all of it."""
    width, height = CANVAS
    if framing == "partial":
        kind = rng.choice(("upper", "upper", "left", "right", "lower"))
        low, high, left, right = 0.0, 1.0, 0.0, 1.0
        if kind == "upper":
            high = rng.uniform(0.45, 0.65)
        elif kind == "lower":
            low = rng.uniform(0.3, 0.45)
        elif kind == "left":
            right = rng.uniform(0.52, 0.65)
        else:
            left = rng.uniform(0.35, 0.48)
        return left * width, low * height, right * width, high * height
    if framing == "junk":
        size = rng.uniform(0.25, 0.5)
        left, low = rng.uniform(0, 1 - size), rng.uniform(0, 1 - size)
        right, high = left + size, low + size
        return left * width, low * height, right * width, high * height
    return None


def _cut(window: tuple[float, float], box: Box | None) -> tuple[float, float]:
    """What is left of a window of columns when the canvas is cut to `box`."""
    if box is None:
        return window
    (left, right), width = window, CANVAS[0]
    scale = (right - left) / width
    return left + box[0] * scale, left + box[2] * scale


def _seen(
    painted: list[int], details: Image.Image, box: Box | None
) -> dict[Detail, float]:
    """Share of each detail that the finished picture shows, 0 where nothing was."""
    width, height = CANVAS
    cut = 1.0 if box is None else (box[2] - box[0]) * (box[3] - box[1]) / width / height
    canvas_pixels = cut * SCALE * SCALE  # canvas pixels that one mask pixel stands for
    shown = details.histogram()
    return {
        detail: shown[detail] * canvas_pixels / max(painted[detail], 1)
        for detail in Detail
    }


def _as_seen_by(view: Camera, picture: Image.Image, rng: Random) -> Image.Image:
    """The camera's color response, brightness, blur and noise."""
    picture = picture.convert("RGB", view.matrix).point(view.response)
    if view.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(view.blur))
    y, x = rng.randrange(HEIGHT), rng.randrange(WIDTH)
    light = rng.randint(-12, 12)
    pixels = np.asarray(picture, dtype=np.int16) + light
    pixels += view.grain[y : y + HEIGHT, x : x + WIDTH]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

"""What is woven and printed: textures of garments.

A texture is (ROWS, COLUMNS, 3) linear reflectance. Its left half is the front of a
garment and its right half the back; sleeves take their rings from its edges.
"""

import numpy as np

from reidlib.rendered.meshes import Array
from reidlib.rendered.tailor import Marks

ROWS, COLUMNS = 160, 160
SPAN = 0.8  # metres from side to side that one half covers
TALL = 1.05  # body heights that the rows cover

Rgb = tuple[int, int, int]


def linear(color: Rgb, gain: float = 1.0) -> Array:
    """Linear reflectance of an sRGB color; cloth is never quite black nor white."""
    return np.clip((np.array(color) / 255) ** 2.2 * gain, 0.008, 0.82)


def coordinates(m: Marks, arm_from: float = 0.35) -> tuple[Array, Array]:
    """Texture coordinates (V, 2) of front and back for every vertex of a body.

    On arms the rows follow the arm, so that stripes are rings around sleeves.
    """
    row = np.where(m.arm > arm_from, 0.8 - 0.34 * np.clip(m.along_arm, 0, 1), m.level)
    column = np.where(m.arm > arm_from, 0.36 + 0.3 * m.y, m.x) / SPAN
    column = np.clip(0.25 + column / 2, 0.005, 0.495)
    front = np.stack([column, row / TALL], axis=1)
    return front, front + [0.5, 0.0]


def print_texture(
    pattern: str,
    first: Array,
    second: Array,
    rng: np.random.Generator,
    inner: Array | None = None,
) -> Array:
    """A garment's texture; `inner` shows between the halves of an open front."""
    level = (np.arange(ROWS)[:, None] + 0.5) / ROWS * TALL
    side = (np.arange(COLUMNS)[None] + 0.5) / COLUMNS * 2 % 1 * SPAN - SPAN / 2
    is_front = np.broadcast_to(np.arange(COLUMNS)[None] < COLUMNS // 2, (ROWS, COLUMNS))
    level, side = np.broadcast_arrays(level, side)
    mask = PRINTS[pattern](level, side, is_front, rng)
    texture = first + (second - first) * mask[..., None]
    if inner is not None:
        gap = 0.035 + 0.05 * np.clip(0.8 - level, 0, 0.3)
        texture[is_front & (np.abs(side) < gap)] = inner
    wear = 1 + 0.05 * rng.standard_normal((ROWS // 8, COLUMNS // 8)).repeat(
        8, 0
    ).repeat(8, 1)
    return np.clip(texture * wear[..., None], 0.004, 0.85)


def _plain(level: Array, side: Array, front: Array, rng: np.random.Generator) -> Array:
    return np.zeros(level.shape)


def _striped(
    level: Array, side: Array, front: Array, rng: np.random.Generator
) -> Array:
    period = rng.uniform(0.028, 0.07)
    return (level % period < rng.uniform(0.35, 0.55) * period).astype(float)


def _pinstriped(
    level: Array, side: Array, front: Array, rng: np.random.Generator
) -> Array:
    period = rng.uniform(0.05, 0.1)
    return ((side + 1) % period < 0.3 * period).astype(float)


def _checked(
    level: Array, side: Array, front: Array, rng: np.random.Generator
) -> Array:
    period = rng.uniform(0.05, 0.1)
    across = (level * 1.7) % period < period / 2
    return 0.5 * across + 0.5 * ((side + 1) % period < period / 2)


def _dotted(level: Array, side: Array, front: Array, rng: np.random.Generator) -> Array:
    period = rng.uniform(0.06, 0.09)
    up, right = (level * 1.7) % period, (side + 1) % period
    center = period / 2
    return ((up - center) ** 2 + (right - center) ** 2 < (0.3 * period) ** 2) * 1.0


def _two_tone(
    level: Array, side: Array, front: Array, rng: np.random.Generator
) -> Array:
    if rng.random() < 0.5:
        return (level < rng.uniform(0.6, 0.7)).astype(float)
    return (level > rng.uniform(0.72, 0.76)).astype(float)


def _logo(level: Array, side: Array, front: Array, rng: np.random.Generator) -> Array:
    """A block or a disc on the chest, sometimes on the back as well."""
    height, width = rng.uniform(0.03, 0.09), rng.uniform(0.08, 0.2)
    up = (level - rng.uniform(0.7, 0.74)) / (height / 2)
    right = side / (width / 2)
    if rng.random() < 0.5:
        shown = up**2 + right**2 < 1
    else:
        lines = (level % 0.022 < 0.013) | (height < 0.05)
        shown = (np.abs(up) < 1) & (np.abs(right) < 1) & lines
    both = rng.random() < 0.35
    return (shown & (front | both)).astype(float)


def _printed(
    level: Array, side: Array, front: Array, rng: np.random.Generator
) -> Array:
    """Flowers or camouflage: a sum of waves, cut at its mean."""
    field = np.zeros(level.shape)
    for _ in range(7):
        kx, ky = rng.uniform(-70, 70, 2)
        field += np.sin(kx * side + 1.7 * ky * level + rng.uniform(0, 6.28))
    return (field > 0.4).astype(float)


PRINTS = {
    "plain": _plain,
    "striped": _striped,
    "pinstriped": _pinstriped,
    "checked": _checked,
    "dotted": _dotted,
    "two-tone": _two_tone,
    "logo": _logo,
    "printed": _printed,
}


def jeans_texture(color: Array, rng: np.random.Generator) -> Array:
    """Denim, faded on the thighs."""
    level = (np.arange(ROWS)[:, None] + 0.5) / ROWS * TALL
    side = (np.arange(COLUMNS)[None] + 0.5) / COLUMNS * 2 % 1 * SPAN - SPAN / 2
    thigh = np.exp(
        -(((level - 0.38) / 0.09) ** 2) - ((np.abs(side) - 0.11) / 0.05) ** 2
    )
    faded = color + rng.uniform(0, 0.16) * thigh[..., None]
    grain = 1 + 0.06 * rng.standard_normal((ROWS, COLUMNS, 1))
    return np.clip(faded * grain, 0.006, 0.8)

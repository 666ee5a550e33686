"""What places are built of: textures of grounds and walls, linear reflectance.

Each is a function of a generator and gives (SIZE, SIZE, 3), row 0 at the bottom; how
many metres it spans is up to the piece that bears it.
"""

from collections.abc import Callable

import numpy as np

from reidlib.rendered.meshes import Array

SIZE = 256
Random = np.random.Generator


def _noise(rng: Random, cells: int) -> Array:
    """Smooth noise (SIZE, SIZE) about 0 that repeats, `cells` bumps wide."""
    coarse = rng.standard_normal((cells, cells))
    at = np.arange(SIZE) * cells / SIZE
    low, share = at.astype(int), at % 1
    share = share * share * (3 - 2 * share)
    high = (low + 1) % cells
    rows = coarse[low] * (1 - share)[:, None] + coarse[high] * share[:, None]
    return rows[:, low] * (1 - share) + rows[:, high] * share


def _dirt(rng: Random) -> Array:
    """Stains and grain (SIZE, SIZE), to multiply with."""
    stains = 0.07 * _noise(rng, 3) + 0.06 * _noise(rng, 9) + 0.05 * _noise(rng, 40)
    return np.clip(1 + stains + 0.05 * rng.standard_normal((SIZE, SIZE)), 0.4, 1.6)


def _cells(rows: int, columns: int, shifted: bool) -> tuple[Array, Array, Array]:
    """Number of each pixel's slab, and where it lies in it: (up, right) in 0..1."""
    up = (np.arange(SIZE)[:, None] + 0.5) / SIZE * rows
    right = (np.arange(SIZE)[None] + 0.5) / SIZE * columns
    right = right + np.where(shifted, 0.5 * (up.astype(int) % 2), 0.0)
    number = up.astype(int) * columns + right.astype(int) % columns
    return number, up % 1 + 0 * right, right % 1 + 0 * up


def _dull(color: Array) -> Array:
    """Colors (..., 3) halfway to their grey: what stands outdoors has faded."""
    return (color + color.mean(axis=-1, keepdims=True)) / 2


def _painted(gray: Array, color: Array) -> Array:
    return np.clip(gray[..., None] * color, 0.005, 0.85)


def _slabs(
    rng: Random,
    rows: int,
    columns: int,
    color: Array,
    *,
    joint: float = 0.05,
    shifted: bool = True,
    contrast: float = 0.1,
) -> Array:
    """Slabs, bricks or tiles with joints between them."""
    number, up, right = _cells(rows, columns, shifted)
    tone = 1 + contrast * rng.standard_normal(rows * columns)
    gray = tone[number] * _dirt(rng)
    in_joint = (up < joint * rows / columns) | (right < joint)
    return _painted(np.where(in_joint, 0.55 * gray, gray), color)


def paving(rng: Random) -> Array:
    """Slabs of stone."""
    rows = int(rng.integers(3, 9))
    tone = rng.uniform(0.16, 0.34)
    color = tone * np.array([1.0, rng.uniform(0.93, 1.0), rng.uniform(0.82, 1.0)])
    return _slabs(rng, rows, rows, color, joint=0.03, shifted=rng.random() < 0.6)


def cobbles(rng: Random) -> Array:
    """Small stones."""
    color = rng.uniform(0.13, 0.24) * np.array([1.0, 0.97, 0.92])
    return _slabs(rng, 20, 20, color, joint=0.14, contrast=0.2)


def tiles(rng: Random) -> Array:
    """A polished floor in two tones."""
    count = int(rng.integers(2, 4)) * 2
    number, up, right = _cells(count, count, False)
    dark = (number // count + number % count) % 2
    tone = np.where(dark, rng.uniform(0.75, 0.97), 1.0) * rng.uniform(0.28, 0.5)
    joint = (up < 0.025) | (right < 0.025)
    gray = tone * np.where(joint, 0.6, 1.0) * (1 + 0.4 * (_dirt(rng) - 1))
    return _painted(gray, np.array([1.0, 0.97, rng.uniform(0.82, 0.98)]))


def asphalt(rng: Random) -> Array:
    """A road, patched here and there."""
    gray = rng.uniform(0.06, 0.13) * _dirt(rng) * (1 + 0.1 * _noise(rng, 90))
    gray = np.where(_noise(rng, 4) > 1.1, 0.75 * gray, gray)
    return _painted(gray, np.array([1.0, 1.0, 1.04]))


def marked_asphalt(rng: Random) -> Array:
    """A parking place, with white lines."""
    road = asphalt(rng)
    road[:, :6] = 0.5 * _dirt(rng)[:, :6, None]
    return road


def planks(rng: Random) -> Array:
    """Boards of a deck."""
    color = rng.uniform(0.14, 0.25) * np.array([1.0, 0.82, 0.62])
    return _slabs(rng, 14, 2, color, joint=0.02, contrast=0.14)


def grass(rng: Random) -> Array:
    """A lawn."""
    gray = (1 + 0.22 * _noise(rng, 60) + 0.15 * _noise(rng, 6)) * _dirt(rng)
    return _painted(gray, rng.uniform(0.7, 1.1) * np.array([0.08, 0.14, 0.04]))


def gravel(rng: Random) -> Array:
    """A path in a park."""
    gray = rng.uniform(0.22, 0.34) * _dirt(rng) * (1 + 0.16 * _noise(rng, 100))
    return _painted(gray, np.array([1.0, 0.9, 0.74]))


def brick(rng: Random) -> Array:
    """A brick wall."""
    color = np.array([rng.uniform(0.2, 0.34), rng.uniform(0.1, 0.16), 0.08])
    return _slabs(rng, 26, 10, color, joint=0.07, contrast=0.16)


def plaster(rng: Random) -> Array:
    """A painted wall with a darker base."""
    shades = [
        (0.5, 0.44, 0.34),
        (0.42, 0.42, 0.4),
        (0.5, 0.36, 0.26),
        (0.34, 0.38, 0.4),
    ]
    wall = _painted(_dirt(rng), np.array(shades[rng.integers(4)]))
    wall[: SIZE // 7] *= 0.6
    return wall


def concrete(rng: Random) -> Array:
    """Cast panels."""
    color = rng.uniform(0.2, 0.34) * np.ones(3)
    return _slabs(rng, 2, 2, color, joint=0.015, shifted=False, contrast=0.05)


def hedge(rng: Random) -> Array:
    """Leaves."""
    gray = 1 + 0.35 * _noise(rng, 50) + 0.25 * _noise(rng, 24) + 0.2 * _noise(rng, 100)
    return _painted(np.clip(gray, 0.15, 2), np.array([0.045, 0.085, 0.025]))


def bark(rng: Random) -> Array:
    """The skin of a tree."""
    return _painted(
        _dirt(rng) * (1 + 0.2 * _noise(rng, 30)), np.array([0.11, 0.085, 0.06])
    )


def water(rng: Random) -> Array:
    """A harbour's water."""
    gray = 1 + 0.25 * _noise(rng, 30) + 0.2 * _noise(rng, 12)
    return _painted(gray, np.array([0.07, 0.1, 0.11]))


def steel(rng: Random) -> Array:
    """Corrugated sheet, as of containers and shutters."""
    wave = 0.8 + 0.25 * np.sin(np.arange(SIZE) / SIZE * 2 * np.pi * 16)
    hue = _dull(rng.dirichlet([1.2, 1.2, 1.2]) * rng.uniform(0.3, 0.7))
    return _painted(wave[None] * _dirt(rng), hue + 0.03)


def windows(rng: Random) -> Array:
    """A storey or two of a house: windows that mirror the sky, in a wall."""
    wall = (brick, plaster, concrete)[rng.integers(3)](rng)
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(1, 3))
    _, up, right = _cells(rows, columns, False)
    frame = (np.abs(right - 0.5) < 0.34) & (np.abs(up - 0.55) < 0.36)
    glass = (np.abs(right - 0.5) < 0.3) & (np.abs(up - 0.55) < 0.32)
    glass &= np.abs(right - 0.5) > 0.015
    mirror = np.clip(0.05 + 0.22 * up + 0.03 * _noise(rng, 8), 0.02, 0.5)
    wall[frame] = rng.uniform(0.1, 0.6)
    wall[glass] = mirror[glass][:, None] * [0.9, 1.0, 1.1]
    return wall


def shop(rng: Random) -> Array:
    """A shop: a sign with letters over a window with goods, and a door."""
    base = rng.uniform(0.06, 0.4) * np.ones(3) * rng.uniform(0.75, 1.1, 3)
    front = np.ones((SIZE, SIZE, 3)) * base
    glass = np.clip(0.05 + 0.05 * _noise(rng, 6)[..., None] * np.ones(3), 0.01, 1)
    goods = _dull(rng.uniform(0.03, 0.5, (10, 16, 3)) ** 1.6)
    shelf = goods.repeat(9, 0).repeat(16, 1)[:90, :SIZE]
    glass[24:114] = np.where(rng.random((90, SIZE, 1)) < 0.85, shelf, glass[24:114])
    front[16:172, 8:-8] = glass[16:172, 8:-8] * 0.8 + 0.03
    for post in np.linspace(8, SIZE - 12, int(rng.integers(3, 6))).astype(int):
        front[16:172, post : post + 4] = base * 0.5
    sign = _dull(rng.dirichlet([0.8, 0.8, 0.8]) * rng.uniform(0.3, 1.2))
    front[184:232] = np.clip(sign, 0.02, 0.8)
    ink = 0.75 if sign.sum() < 0.8 else 0.03
    for start in range(int(rng.integers(30, 60)), 200, 18):
        if rng.random() < 0.85:
            front[196:220, start : start + 11] = ink
            front[204:212, start + 3 : start + 8] = np.clip(sign, 0.02, 0.8)
    return front * (1 + 0.3 * (_dirt(rng) - 1))[..., None]


def glazing(rng: Random) -> Array:
    """A wall of glass in a frame."""
    _, up, right = _cells(3, 4, False)
    mirror = np.clip(0.1 + 0.05 * _noise(rng, 5) + 0.03 * _noise(rng, 14), 0.02, 0.6)
    wall = mirror[..., None] * np.array([0.85, 1.0, 1.05])
    wall[(up < 0.03) | (right < 0.03)] = rng.uniform(0.05, 0.5)
    return wall


def train(rng: Random) -> Array:
    """The side of a wagon: windows in a dark band, a stripe, a door."""
    stripe = np.clip(rng.dirichlet([0.8, 0.8, 0.8]) * 0.8, 0.02, 0.7)
    side = np.ones((SIZE, SIZE, 3)) * rng.uniform(0.35, 0.6)
    side[110:190] = 0.03
    for start in range(10, SIZE, 62):
        side[116:184, start : start + 48] = [0.09, 0.11, 0.12]
    side[60:84] = stripe
    side[10:200, 196:232] = stripe * 0.8
    side[110:180, 202:226] = 0.08
    return side * (1 + 0.4 * (_dirt(rng) - 1))[..., None]


def poster(rng: Random) -> Array:
    """An advertisement: a few blocks of color."""
    sheet = np.ones((SIZE, SIZE, 3)) * _dull(rng.uniform(0.03, 0.8, 3))
    for _ in range(6):
        y, x = rng.integers(0, 190, 2)
        h, w = rng.integers(20, 120, 2)
        sheet[y : y + h, x : x + w] = _dull(rng.uniform(0.02, 0.8, 3))
    return sheet


MATERIALS: dict[str, Callable[[Random], Array]] = {
    made.__name__: made
    for made in (
        paving,
        cobbles,
        tiles,
        asphalt,
        marked_asphalt,
        planks,
        grass,
        gravel,
        brick,
        plaster,
        concrete,
        hedge,
        bark,
        water,
        steel,
        windows,
        shop,
        glazing,
        train,
        poster,
    )
}

"""Where people walk: one panorama per camera, and how the camera sees it.

A camera looks at one place for ever. Its panorama is painted once, with things
standing in it; each image is a crop of it, so images of one camera share their
background as they do in a real data set, and background tempts.
"""

from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from reidlib.pedestrians.canvas import HEIGHT, WIDTH, Color, shade
from reidlib.pedestrians.panorama import Painter, Thing


@dataclass(frozen=True)
class World:
    """What the cameras of one place have in common.

    grounds, skies       names, as captions use them, and colors
    backdrops, things    names that Painter knows
    occluders            names that `occlude` knows
    """

    name: str
    place: str
    grounds: tuple[tuple[str, Color], ...]
    skies: tuple[tuple[str, Color], ...]
    backdrops: tuple[str, ...]
    things: tuple[str, ...]
    occluders: tuple[str, ...]
    cameras: int = 6


_OUTDOOR_SKIES = (
    ("bright sky", (178, 206, 232)),
    ("cloudy sky", (196, 200, 206)),
    ("evening sky", (226, 184, 160)),
)
_PAVING = (
    ("paved ground", (168, 162, 152)),
    ("asphalt", (112, 114, 120)),
    ("grass", (112, 142, 84)),
    ("red brick ground", (160, 112, 92)),
)
_INDOOR_WALLS = (
    ("white wall", (214, 212, 204)),
    ("tiled wall", (176, 192, 190)),
    ("dark hall", (88, 92, 104)),
)
_FLOORS = (
    ("tiled floor", (150, 148, 144)),
    ("stone floor", (126, 118, 110)),
    ("polished floor", (186, 180, 168)),
)
WORLDS = {
    world.name: world
    for world in (
        World(
            "plaza",
            "square",
            _PAVING,
            _OUTDOOR_SKIES,
            ("brick building", "glass building", "row of trees", "shop front"),
            ("lamp post", "bench", "kiosk", "bin", "tree", "parked car", "sign"),
            ("car", "railing", "tree", "board", "pedestrian"),
        ),
        World(
            "station",
            "station",
            _FLOORS,
            _INDOOR_WALLS,
            ("train", "row of doors", "poster wall", "staircase"),
            ("pillar", "bench", "ticket machine", "bin", "clock", "sign", "plant"),
            ("railing", "board", "pedestrian"),
        ),
        *(
            World(
                name,
                "street",
                _PAVING + _FLOORS,
                _OUTDOOR_SKIES + _INDOOR_WALLS,
                ("brick building", "shop front", "row of trees", "train", "poster wall")
                + ("glass building", "row of doors", "staircase"),
                ("lamp post", "bench", "kiosk", "bin", "tree", "parked car", "sign")
                + ("pillar", "ticket machine", "clock", "plant"),
                ("car", "railing", "tree", "board", "pedestrian"),
                cameras=cameras,
            )
            for name, cameras in (("street", 48), ("avenue", 12))
        ),
    )
}


@dataclass(frozen=True)
class Camera:
    """A view of a world: its panorama and its own way of seeing.

    `matrix` is the color response (12 numbers, as PIL's convert takes them),
    `response` the brightness curve (768 entries), `grain` a tile of sensor noise
    (2H, 2W, 3) in grey levels, `blur` a radius in pixels.
    """

    world: str
    camid: int
    panorama: Image.Image
    things: tuple[Thing, ...]
    ground: str
    sky: str
    backdrop: str
    horizon: float
    shadow: Color
    matrix: tuple[float, ...]
    response: tuple[int, ...]
    grain: np.ndarray
    blur: float


@cache
def camera(world: str, camid: int) -> Camera:
    """Camera `camid` (from 0) of a world, painted on first use and kept.

    Raises KeyError for a world that is not in WORLDS.
    """
    rng = Random(f"{world}/camera/{camid}")
    place = WORLDS[world]
    ground, ground_color = rng.choice(place.grounds)
    sky, sky_color = rng.choice(place.skies)
    backdrop = place.backdrops[camid % len(place.backdrops)]
    horizon = rng.uniform(0.34, 0.62)
    painter = Painter(rng, horizon)
    painter.sky(sky_color)
    painter.backdrop(backdrop)
    painter.ground(ground_color)
    things = painter.place(place.things)
    return Camera(
        world=world,
        camid=camid,
        panorama=painter.image.filter(ImageFilter.GaussianBlur(1.0)),
        things=tuple(things),
        ground=ground,
        sky=sky,
        backdrop=backdrop,
        horizon=horizon,
        shadow=shade(ground_color, 0.62),
        matrix=_color_matrix(rng),
        response=_brightness_curve(rng),
        grain=_grain(world, camid, rng.uniform(2.0, 7.0)),
        blur=rng.choice((0.0, 0.0, 0.35, 0.6)),
    )


def _color_matrix(rng: Random) -> tuple[float, ...]:
    """White balance and saturation: rows red, green, blue; columns r, g, b, offset."""
    gains = [rng.uniform(0.9, 1.08) for _ in range(3)]
    saturation = rng.uniform(0.75, 1.08)
    grey = (1 - saturation) / 3
    rows = []
    for i, gain in enumerate(gains):
        row = [gain * (grey + (saturation if i == j else 0.0)) for j in range(3)]
        rows += [*row, rng.uniform(-6, 8)]
    return tuple(rows)


def _brightness_curve(rng: Random) -> tuple[int, ...]:
    gamma, gain = rng.uniform(0.85, 1.2), rng.uniform(0.85, 1.05)
    curve = [min(255, round(255 * gain * (i / 255) ** gamma)) for i in range(256)]
    return tuple(curve * 3)


def _grain(world: str, camid: int, strength: float) -> np.ndarray:
    seed = [ord(letter) for letter in world] + [camid]
    noise = np.random.default_rng(seed).standard_normal((2 * HEIGHT, 2 * WIDTH, 3))
    return np.rint(noise * strength).astype(np.int16)

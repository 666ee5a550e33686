"""Camera networks: where each camera stands, in which light, and how well it sees."""

from dataclasses import dataclass
from functools import cache
from random import Random

from reidlib.rendered.places import KINDS

NUM_CAMERAS = 6
NETWORKS: dict[str, tuple[str, ...]] = {  # the place of each camera
    "concourse": ("hall", "street", "gates", "square", "platform", "parking"),
    "harbour": ("quay", "yard", "passage", "crossing", "park", "street"),
    "arcade": ("passage", "crossing", "square", "hall", "park", "parking"),
    "boulevard": ("crossing", "park", "street", "passage", "square", "gates"),
    "atrium": ("passage", "gates", "square", "parking", "quay", "hall"),
}
HOURS = ("sunny", "overcast", "low sun", "evening")


@dataclass(frozen=True)
class Camera:
    """What does not change from picture to picture of a camera.

    height                metres over the ground      near, far  to the people, metres
    walkway               direction people mostly walk in, degrees from towards it
    sky, sun, sunlight    radiance and irradiance (linear RGB) and direction of rays
    exposure              factor from light to the brightness of a pixel
    balance, saturation   errors of its colors, 1 for none
    contrast              steepness of its tone curve
    haze                  share of light lost a metre
    focal                 pixels that a metre covers at a distance of one metre
    blur, motion          of the lens and of movement, in pixels
    noise                 standard deviation in levels of 255 where it is bright
    sharpening            percent      quality    of its JPEG compression
    rain                  share of pictures with umbrellas up
    """

    world: str
    camid: int
    place: str
    hour: str
    height: float
    near: float
    far: float
    walkway: float
    sky: tuple[float, float, float]
    sun: tuple[float, float, float]
    sunlight: tuple[float, float, float]
    exposure: float
    balance: tuple[float, float, float]
    saturation: float
    contrast: float
    haze: float
    focal: float
    blur: float
    motion: float
    noise: float
    sharpening: int
    quality: int
    rain: float


# sky, sun (times a tint), height of the sun's rays, noise, motion
LIGHTS = {
    "sunny": ((0.42, 0.5, 0.64), (2.1, 1.95, 1.7), (-1.0, -0.6), 1.2, 0.3),
    "overcast": ((0.74, 0.78, 0.84), (0.12, 0.12, 0.12), (-1.5, -1.0), 1.5, 0.4),
    "low sun": ((0.34, 0.38, 0.5), (1.6, 1.2, 0.75), (-0.42, -0.3), 1.8, 0.4),
    "evening": ((0.1, 0.12, 0.17), (0.34, 0.24, 0.12), (-2.5, -1.6), 4.0, 1.0),
    "lamps": ((0.44, 0.43, 0.39), (0.5, 0.47, 0.4), (-3.5, -2.0), 2.2, 0.6),
}


@cache
def camera(world: str, camid: int) -> Camera:
    """The camera `camid` (from 0) of a world in NETWORKS."""
    rng = Random(f"{world}/{camid}/camera")
    place = NETWORKS[world][camid]
    hour = "lamps" if KINDS[place].indoors else HOURS[(camid + rng.randrange(2)) % 4]
    sky, sun, (steep, flat), noise, motion = LIGHTS[hour]
    side = rng.choice((-1, 1))
    warmth = rng.gauss(0, 0.07)
    brightness = sum(sky) / 3 + 0.35 * sum(sun) / 3
    return Camera(
        world=world,
        camid=camid,
        place=place,
        hour=hour,
        height=rng.uniform(2.3, 4.6),
        near=rng.uniform(5.0, 6.5),
        far=rng.uniform(8.5, 11.0),
        walkway=rng.choice((0, 30, 60, 90, 120, 150)) + rng.uniform(-10, 10),
        sky=sky,
        sun=sun,
        sunlight=(
            side * rng.uniform(0.3, 1.0),
            rng.uniform(-0.8, 0.9),
            rng.uniform(steep, flat),
        ),
        exposure=rng.uniform(0.8, 1.25) * 1.0 / brightness,
        balance=(1 + warmth, 1 + rng.gauss(0, 0.025), 1 - warmth),
        saturation=rng.uniform(0.8, 1.15),
        contrast=rng.uniform(1.0, 1.3),
        haze=max(0.0, rng.gauss(0.0, 0.003)),
        focal=rng.uniform(380, 780),
        blur=rng.uniform(0.32, 0.7),
        motion=motion * rng.uniform(0.6, 1.4),
        noise=noise * rng.uniform(0.7, 1.3),
        sharpening=rng.choice((0, 20, 40, 60)),
        quality=rng.choice((45, 55, 65, 75, 85)),
        rain=0.25 if hour == "overcast" else 0.0,
    )

"""What a camera makes of light: haze, blur, few pixels, tone, noise and compression."""

from io import BytesIO
from random import Random

import numpy as np
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter

from reidlib.rendered.cameras import Camera
from reidlib.rendered.meshes import Array
from reidlib.rendered.shot import HEIGHT

HAZE = np.array([0.62, 0.66, 0.7])
LUMA = np.array([0.2126, 0.7152, 0.0722])


def develop(
    light: Array, depth: Array, camera: Camera, native: float, rng: Random
) -> Image.Image:
    """A picture from linear light (H, W, 3) and depth (H, W) in metres.

    native   height in pixels at which the camera itself saw this window, were it
             HEIGHT pixels high here; with more, the camera is so much better
    """
    height, width = depth.shape
    zoom = height / HEIGHT
    air = 1 - np.exp(-camera.haze * np.where(depth > 0, depth, 60.0))[..., None]
    bright = light * camera.exposure * rng.uniform(0.86, 1.16)
    seen = bright * (1 - air) + HAZE * air
    seen = _blurred(seen, camera, zoom, rng)
    scale = min(1.0, zoom * native / height)
    if scale < 1:
        size = (max(16, round(width * scale)), max(32, round(height * scale)))
        seen = _resized(seen, size)
    tone = _toned(seen * camera.balance, camera)
    noisy = tone * 255 + _noise(tone, camera, rng)
    picture = Image.fromarray(np.clip(noisy + 0.5, 0, 255).astype(np.uint8))
    if camera.sharpening:
        picture = picture.filter(ImageFilter.UnsharpMask(1.0, camera.sharpening, 2))
    quality = camera.quality + rng.randrange(-8, 9)
    return _compressed(picture, quality).resize(
        (width, height), Image.Resampling.BICUBIC
    )


def _blurred(seen: Array, camera: Camera, zoom: float, rng: Random) -> Array:
    """The lens, and movement mostly across."""
    across = camera.blur + camera.motion * rng.uniform(0, 1)
    up = camera.blur + 0.3 * camera.motion * rng.uniform(0, 1)
    widths = (zoom * up, zoom * across, 0)
    return gaussian_filter(seen, widths, mode="nearest", truncate=3)


def _resized(seen: Array, size: tuple[int, int]) -> Array:
    """Linear light at fewer pixels."""
    bands = [
        Image.fromarray(np.ascontiguousarray(seen[..., band], np.float32))
        for band in range(3)
    ]
    small = [np.asarray(band.resize(size, Image.Resampling.BOX)) for band in bands]
    return np.stack(small, axis=-1).astype(float)


def _toned(seen: Array, camera: Camera) -> Array:
    """Gamma, contrast about a middle grey, and a soft shoulder; in 0..1."""
    tone = np.clip(seen, 0, None) ** (1 / 2.2)
    tone = 0.45 + (tone - 0.45) * camera.contrast
    gray = (tone @ LUMA)[..., None]
    tone = gray + (tone - gray) * camera.saturation
    over = np.clip(tone - 0.8, 0, None)
    return np.clip(np.minimum(tone, 0.8) + 0.2 * (1 - np.exp(-over / 0.2)), 0, 1)


def _noise(tone: Array, camera: Camera, rng: Random) -> Array:
    """Noise in levels of 255: more in the dark, of brightness and of color."""
    draw = np.random.default_rng(rng.getrandbits(63))
    gray = draw.standard_normal((*tone.shape[:2], 1))
    hue = gaussian_filter(draw.standard_normal(tone.shape), (0.8, 0.8, 0))
    dark = 0.6 + 0.8 * (1 - tone)
    return camera.noise * dark * (0.8 * gray + 0.7 * hue)


def _compressed(picture: Image.Image, quality: int) -> Image.Image:
    """Through the camera's own JPEG."""
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")

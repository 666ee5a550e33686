"""Pictures from files: one opener for all readers, right or refused by name.

A picture comes upright (EXIF), in RGB of 8 bits a channel. What cannot be brought there
without a guess is refused, as is what would fill the memory.
"""

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

from reidlib.reading import printable, shown

LARGEST = Image.MAX_IMAGE_PIXELS  # Pillow warns beyond it, and fails beyond twice this
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM")  # none runs a program
SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")
AGAIN = "copy them from the release again"
FAULTS = {  # of several files, and the remedy
    "are not there": AGAIN,
    "are empty": AGAIN,
    "do not lead to a file": AGAIN,  # folders, pipes, links that lead to themselves
    "may not be read": "change their permissions",
    "cannot be opened": "let this user open more files (ulimit -n), or copy them again",
    "cannot be decoded": AGAIN,
    "are damaged inside": AGAIN,
    "have too many pixels": f"make them smaller than {LARGEST:,} pixels",
    "have transparent pixels": "put them on a background and save them without alpha",
    "have pixels of 32 bits": "save them with 8 bits a channel",
}
DAMAGE = ("Corrupt JPEG data", "Inconsistent progression")  # in libjpeg's words
ONE = {"are": "is", "do": "does", "have": "has", "them": "it", "their": "its"}

Image.init()  # else Pillow knows a few of the formats only


class PictureError(ValueError):
    """A file that is no usable picture; `fault` is a key of FAULTS."""

    def __init__(self, message: str, fault: str = "cannot be decoded") -> None:
        super().__init__(message)
        self.fault = fault


def refused(path: Path, fault: str, reason: str = "") -> PictureError:
    """The error for a picture with a fault, a key of FAULTS."""
    said = f"{shown(path)} {of_one(fault)}"
    if reason:
        said += f" ({printable(reason)})"
    return PictureError(f"{said}: {of_one(FAULTS[fault])}", fault)


def of_one(text: str) -> str:
    """A fault or a remedy of several files, said of one.

    >>> of_one("are in a list twice"), of_one("change their permissions")
    ('is in a list twice', 'change its permissions')
    """
    many = re.compile(rf"\b({'|'.join(ONE)})\b")
    return many.sub(lambda found: ONE[found[0]], text, count=1)


def read_picture(path: Path) -> Image.Image:
    """Decode an image file: upright, as RGB; `filename` says where it came from.

    Gray of 16 bits keeps its upper 8. Raises FileNotFoundError, and PictureError for a
    file that is damaged, no file or too large, and for pixels that have no one meaning:
    partly transparent, or numbers of 32 bits.
    """
    picture = as_rgb(decoded(path), path)
    picture.filename = os.fspath(path)
    return picture


def as_rgb(image: Image.Image, path: Path) -> Image.Image:
    """A decoded image upright and in RGB, as read_picture gives it.

    path   that a PictureError names
    """
    try:
        return _rgb(path, _upright(image))
    except ValueError as error:
        if isinstance(error, PictureError):
            raise
        raise refused(path, "cannot be decoded", str(error)) from error


def read_undamaged(path: Path) -> Image.Image:
    """Decode as read_picture does, and refuse a JPEG that libjpeg only warns of.

    Pillow keeps such warnings to itself and shows gray where data are missing. No
    reader sees a flipped bit that leaves a valid code, nor any in a BMP, PPM or WebP;
    PNG has checksums.
    """
    picture = read_picture(path)
    content = path.read_bytes()
    if content.startswith(b"\xff\xd8"):
        try:
            simplejpeg.decode_jpeg(content, "GRAY", strict=True)
        except ValueError as error:
            if str(error).startswith(DAMAGE):
                raise refused(path, "are damaged inside", str(error)) from None
    return picture


def decoded(path: Path) -> Image.Image:
    """Decode an image file upright, in whatever mode it has.

    Raises as read_picture does, but for the meaning of its pixels.
    """
    refuse_no_file(path)
    try:
        with _opened(path) as file, Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > LARGEST:
                raise refused(path, "have too many pixels")
            image.load()
            return _upright(image)
    except (FileNotFoundError, PictureError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise refused(path, "have too many pixels") from None
    except Exception as error:  # Pillow's readers raise many kinds
        reason = str(error).replace(repr(file), "it") or type(error).__name__
        raise refused(path, "cannot be decoded", reason) from error


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise
    except PermissionError:
        raise refused(path, "may not be read") from None
    except OSError as error:
        raise refused(path, "cannot be opened", error.strerror) from None


def refuse_no_file(path: Path) -> None:
    """Raise PictureError for what is empty or no file: a pipe may never end."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise
    except PermissionError:
        raise refused(path, "may not be read") from None
    except OSError as error:
        raise refused(path, "do not lead to a file", error.strerror) from None
    if not stat.S_ISREG(found.st_mode):
        raise refused(path, "do not lead to a file")
    if not found.st_size:
        raise refused(path, "are empty")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # metadata that cannot be read turn nothing
        return image


def _rgb(path: Path, image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise refused(path, "have pixels of 32 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] < 255:
            raise refused(path, "have transparent pixels")
    return image.convert("RGB")

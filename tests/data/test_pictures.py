"""One opener: what a file shows, in RGB and upright, or a refusal that names it."""

import errno
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidlib.benchmarks.readers.folders import faults
from reidlib.data import pictures
from reidlib.data.pictures import (
    FAULTS,
    PictureError,
    decoded,
    of_one,
    read_picture,
    read_undamaged,
)
from reidlib.reading import shown

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
ORIENTATION = 274  # of EXIF


def of_mode(mode: str) -> Image.Image:
    return Image.fromarray(COLOURS).convert(mode)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr", "LA", "RGBA"])
def test_every_mode_of_eight_bits_is_read_as_it_is_meant(tmp_path, mode, suffix):
    image, path = of_mode(mode), tmp_path / f"a{suffix}"
    try:
        image.save(path, quality=95)
    except OSError:
        pytest.skip(f"no {suffix} has {mode}")
    found = read_picture(path)
    assert found.mode == "RGB" and found.size == (4, 6)
    with Image.open(path) as again:
        expected = np.asarray(again.convert("RGB"))
    assert np.array_equal(np.asarray(found), expected)
    if suffix != ".jpg" and mode != "YCbCr":  # nothing is lost on the way
        assert np.array_equal(expected, np.asarray(image.convert("RGB")))
    assert found.filename == str(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_of_sixteen_bits_keeps_its_upper_eight(tmp_path, suffix):
    true = np.linspace(0, 65535, 64 * 32).reshape(64, 32).astype(np.uint16)
    Image.fromarray(true).save(path := tmp_path / f"a{suffix}")
    found = np.asarray(read_picture(path))
    assert found.shape == (64, 32, 3)
    assert all(np.array_equal(found[..., c], true >> 8) for c in range(3))


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def test_colour_of_sixteen_bits_keeps_its_upper_eight(tmp_path):
    true = np.random.default_rng(1).integers(0, 65536, (5, 3, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in true)
    header = struct.pack(">IIBBBBB", 3, 5, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b""))
    assert np.abs(np.asarray(read_picture(path)) - (true / 257)).max() <= 1


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).swapaxes(0, 1)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_a_picture_stands_upright_as_its_metadata_say(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(COLOURS).save(path := tmp_path / "a.png", exif=exif)
    assert np.array_equal(np.asarray(read_picture(path)), turned(COLOURS))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_metadata_that_cannot_be_read_turn_nothing(tmp_path):
    exif = b"Exif\0\0MM\0*" + b"\xff" * 30
    Image.fromarray(COLOURS).save(path := tmp_path / "a.jpg", exif=exif, quality=100)
    assert read_picture(path).size == (4, 6)


def test_labels_of_a_palette_are_its_indices(tmp_path):
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    image.putpalette(COLOURS.flatten().tolist()[:18])
    image.save(path := tmp_path / "a.png")
    assert np.asarray(decoded(path)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert np.array_equal(
        np.asarray(read_picture(path)),
        COLOURS[:2, :].reshape(-1, 3)[:6].reshape(2, 3, 3),
    )


def transparent(path):
    image = of_mode("RGBA")
    image.putpixel((1, 1), (9, 9, 9, 254))
    image.save(path)


def of_key(path):
    """A palette whose third colour is transparent."""
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    image.putpalette(range(18))
    image.save(path, transparency=2)


def cut_in_the_middle(path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = bytearray(path.read_bytes())
    content[5000:5040] = bytes(40)
    path.write_bytes(content)


def huge(path):
    Image.new("1", (20_000, 20_000)).save(path)


def rather_large(path):
    Image.new("1", (10_000, 9_000)).save(path)


def postscript(path):
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 2 2\nshowpage\n")


REFUSED = {
    "transparent": (transparent, "has transparent pixels: put it on a background"),
    "a transparent colour": (of_key, "has transparent pixels"),
    "32 bits": (
        lambda path: Image.fromarray(np.eye(3, dtype=np.float32)).save(path, "TIFF"),
        "has pixels of 32 bits: save it with 8 bits a channel",
    ),
    "damaged in its middle": (cut_in_the_middle, "cannot be decoded"),
    "huge": (huge, "has too many pixels: make it smaller than 89,478,485 pixels"),
    "rather large": (rather_large, "has too many pixels"),
    "empty": (lambda path: path.write_bytes(b""), "is empty: copy it from the release"),
    "no picture": (lambda path: path.write_text("<html>"), "cannot be decoded"),
    "a program": (postscript, "cannot be decoded"),
    "folder": (lambda path: path.mkdir(), "does not lead to a file: copy"),
    "pipe": (os.mkfifo, "does not lead to a file: copy"),
    "loop": (
        lambda path: path.symlink_to(path.name),
        r"lead to a file \(Too many levels",
    ),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_usable_picture_is_refused_by_name(tmp_path, case):
    make, said = REFUSED[case]
    path = tmp_path / "evil\x1b[2J.png"
    make(path)
    with pytest.raises(PictureError, match=said) as caught:
        read_picture(path)
    assert str(caught.value).startswith(shown(path))
    again = pickle.loads(pickle.dumps(caught.value))  # from a worker process
    assert str(again) == str(caught.value)


def test_what_the_system_does_not_open_is_refused_with_its_reason(
    tmp_path, monkeypatch
):
    path = tmp_path / "a.png"
    of_mode("RGB").save(path)

    def refuse(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PictureError, match=r"opened \(Too many open files\): .*ulimit"):
        read_picture(path)


def test_an_absent_picture_is_the_callers_to_judge(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        read_picture(tmp_path / "a.png")


def test_every_fault_can_be_said_of_one_file():
    assert of_one("have too many pixels") == "has too many pixels"
    assert not {"are", "have"} & {of_one(fault).split()[0] for fault in FAULTS}
    assert pictures.LARGEST == 89_478_485


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("damage", [bytes(300), b""])
def test_a_jpeg_that_pillow_shows_with_a_hole_is_found_out(
    tmp_path, damage, progressive
):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(noise).save(path, progressive=progressive)
    assert np.array_equal(read_undamaged(path), read_picture(path))
    content, middle = path.read_bytes(), path.stat().st_size // 2
    path.write_bytes(content[:middle] + damage + content[middle + 300 :])
    assert read_picture(path).size == (64, 64), "nothing is said"
    with pytest.raises(PictureError, match=r"a\.jpg is damaged inside \(\w.*: copy it"):
        read_undamaged(path)
    assert list(faults([path], decode=True)) == [([path], "are damaged inside")]


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
def test_whole_pictures_are_damaged_in_no_mode(tmp_path, mode):
    path = tmp_path / "a.jpg"
    of_mode("RGB").convert(mode).save(path)
    path.write_bytes(path.read_bytes() + bytes(9))  # as some programs leave it
    assert read_undamaged(path).size == of_mode("RGB").size
    other = tmp_path / "a.png"
    of_mode("RGB").save(other)
    assert np.array_equal(read_undamaged(other), read_picture(other))

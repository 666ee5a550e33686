"""Images decoded and resized once, and then read from a file mapped into memory.

<folder>/256x128-bicubic-<key>.npy    uint8 (N, H, W, 3), in the order of the list

The key is a digest of each image's place below the data root, size in bytes and time of
last change, of Pillow's version, which may decode to other bits, and of how
`read_picture` reads. A file is there whole or not at all: what was killed is made anew.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import PIL
from PIL import Image
from torchvision.transforms import v2
from tqdm import tqdm

from reidlib.data.pictures import read_picture
from reidlib.data.transforms import Transform, resize_of
from reidlib.files import alone, written_whole

THREADS = 4  # decoding frees the interpreter, and a file server answers several at once
READ_AS = 2  # what read_picture makes of a file; 1 was before EXIF and 16 bits
PART = 256  # images that are decoded, and in memory, at a time


class Pictures:
    """Decoded images by their position in the list.

    A copy that a worker process gets maps the file again, where it is.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.pixels = np.load(file, mmap_mode="r")  # (N, H, W, 3)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index])

    def __reduce__(self) -> tuple:
        return Pictures, (self.file,)


class ImageCache(NamedTuple):
    """Where decoded images are kept; their places are told from the data root."""

    folder: Path
    data_root: Path

    @classmethod
    def at(cls, folder: str, data_root: str) -> Self | None:
        """The cache in a folder, which is made when needed; "" is none."""
        return cls(Path(folder), Path(data_root)) if folder else None

    def pictures(self, paths: Sequence[Path], transform: Transform) -> Pictures:
        """The images of a list of files behind the resize that a transform begins with.

        They are decoded where they are not kept yet; who asks at the same time waits.
        Raises ValueError for an image that cannot be decoded, a damaged file, and a
        folder that is not writable.
        """
        resize = resize_of(transform)
        file = self._file(paths, resize)
        height, width = resize.size
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not file.is_file():
                with alone(file.with_suffix(".lock")):
                    if not file.is_file():
                        _decode(file, paths, resize)
        except OSError as error:
            size = len(paths) * height * width * 3 / 2**30
            raise ValueError(
                f"image_cache {self.folder} cannot be used ({error}): choose a folder "
                f'that can be written and has room for {size:.2f} GiB, or "" for none'
            ) from error
        try:
            return Pictures(file)
        except (EOFError, ValueError) as error:
            raise ValueError(
                f"{file} is damaged ({error}): delete it, and the images are decoded "
                "anew"
            ) from error

    def _file(self, paths: Sequence[Path], resize: v2.Resize) -> Path:
        key = hashlib.sha256(f"{PIL.__version__} {READ_AS}".encode())
        for path in paths:
            place, stat = os.path.relpath(path, self.data_root), path.stat()
            key.update(os.fsencode(f"\n{place} {stat.st_size} {stat.st_mtime_ns}"))
        height, width = resize.size
        name = f"{height}x{width}-{resize.interpolation.value}-{key.hexdigest()[:16]}"
        return self.folder / f"{name}.npy"


def _decode(file: Path, paths: Sequence[Path], resize: v2.Resize) -> None:
    read = partial(_pixels, resize=resize)
    shape = (len(paths), *resize.size, 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    bar = tqdm(total=len(paths), desc="decoding", unit="image", leave=False)
    with (
        written_whole(file, by_any=True) as temporary,
        temporary.open("wb") as out,
        ThreadPoolExecutor(THREADS) as pool,
        bar,
    ):
        np.lib.format.write_array_header_1_0(out, header)
        for start in range(0, len(paths), PART):
            for pixels in pool.map(read, paths[start : start + PART]):
                out.write(pixels.data)
                bar.update()


def _pixels(path: Path, resize: v2.Resize) -> np.ndarray:
    return np.asarray(resize(read_picture(path)))  # (H, W, 3)

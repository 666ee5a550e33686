"""cuhk-03.mat, the raw release of CUHK03: its images, written as files.

The file is HDF5 (MATLAB v7.3). Under `labeled` and `detected` lie five pairs of
cameras, each a table of people by ten images, five of either view; an empty cell is no
image.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from tqdm import tqdm

from reidlib.readers.cuhk03 import RAW, RAW_FOLDERS, config_name, kind_of
from reidlib.readers.files import DataError, candidates, shown

PER_VIEW = 5  # images of a person by one camera


def extract(root: Path, name: str) -> tuple[Path, int]:
    """Write the images of cuhk-03.mat as files; return their folder and number.

    root   the folder with the file and the new protocol's configuration, or one above
    name   cuhk03np_labeled or cuhk03np_detected: boxes drawn by hand, or detected
    They are called <pair>_<person>_<view>_<image>.png, as the configuration lists them,
    and lie beside it, or beside the file where there is none, in images_<kind>; those
    that are there stay. Raises DataError where there is no such file, or another one.
    """
    kind, places = kind_of(name), candidates(root, RAW_FOLDERS)
    found = [place for place in places if (place / RAW).is_file()]
    if not found:
        raise DataError(f"no {RAW} in {shown(root)}; name the folder that holds it")
    listed = [place for place in places if (place / config_name(name)).is_file()]
    folder, count = [*listed, *found][0] / f"images_{kind}", 0
    with _opened(found[0] / RAW) as file:
        if kind not in file:
            raise DataError(f"{shown(found[0] / RAW)} has no {kind!r}; another file?")
        folder.mkdir(exist_ok=True)
        cells = tqdm(_cells(file, kind), f"images_{kind}", unit="image", leave=False)
        for image, cell in cells:
            if not (folder / image).is_file():
                _write(folder / image, cell)
            count += 1
    return folder, count


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        message = f"{shown(path)} cannot be read ({error}); copy it again"
        raise DataError(message) from None


def _cells(file: h5py.File, kind: str) -> Iterator[tuple[str, Any]]:
    """File name and cell of every image; HDF5 has MATLAB's axes in reverse."""
    for pair, table in enumerate(file[kind][()].ravel(), 1):
        for person, cells in enumerate(file[table][()].T, 1):
            for image, cell in enumerate(cells, 1):
                if file[cell].ndim == 3:  # an empty cell holds its two sizes
                    view = 1 if image <= PER_VIEW else 2
                    yield f"{pair}_{person:03d}_{view}_{image:02d}.png", file[cell]


def _write(path: Path, cell: h5py.Dataset) -> None:
    pixels = np.ascontiguousarray(cell[()].T)  # (3, W, H) -> (H, W, 3)
    partial = path.with_name(f".{path.name}.tmp")
    Image.fromarray(pixels).save(partial, format="PNG")
    partial.replace(path)

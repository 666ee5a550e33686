"""CUHK03 in the new protocol: Market-style folders, or the raw release's images.

The raw release is one file, cuhk-03.mat, in HDF5 (MATLAB v7.3). `extract` writes its
images into a folder, under the names that the configuration of the new protocol (a
.mat file of its own) gives them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from PIL import Image
from tqdm import tqdm

from reidlib.benchmarks.readers import market
from reidlib.benchmarks.readers.folders import (
    DataError,
    absent,
    candidates,
    not_there,
    refuse,
)
from reidlib.benchmarks.readers.layouts import TREES
from reidlib.data.samples import Benchmark, Sample
from reidlib.files import written_whole
from reidlib.reading import reading, shown

RAW = "cuhk-03.mat"
RAW_FOLDERS = ("cuhk03", "cuhk03np", "cuhk03release")
RAW_NAME = re.compile(r"\d+_\d+_(\d+)_\d+\.png")
RAW_EXAMPLE = "1_001_1_01.png"
PER_VIEW = 5  # images of a person by one camera, in a row of the raw release
KEYS = ("camId", "filelist", "labels", "train_idx", "query_idx", "gallery_idx")


class Listed(NamedTuple):
    """One line of the configuration: file name, identity from 1, camera from 0."""

    name: str
    pid: int
    camid: int


def kind_of(name: str) -> str:
    """labeled or detected."""
    return name.rpartition("_")[2]


def config_name(name: str) -> str:
    """The file of the new protocol."""
    return f"cuhk03_new_protocol_config_{kind_of(name)}.mat"


def find_cuhk03(root: Path, name: str) -> Path:
    """The folder with the three splits, else the one with the configuration."""
    found = market.find_folders(root, name)
    if found is not None:
        return found
    own, _ = market.FOLDERS[name]
    for folder in candidates(root, (*own, *RAW_FOLDERS)):
        if (folder / config_name(name)).is_file():
            return folder
    raise absent(root, (*market.SPLIT_FOLDERS.values(), config_name(name)), TREES[name])


def read_cuhk03(root: Path, name: str) -> Benchmark:
    """Read what `find_cuhk03` found. Raises DataError as `read_folders` does."""
    config = root / config_name(name)
    if not config.is_file():
        return market.read_folders(root, name)
    folder = root / f"images_{kind_of(name)}"
    if not folder.is_dir():
        raise DataError(
            f"no folder {shown(folder)} with the images of {RAW}:"
            f" `reid data extract {name} {shown(root)}` writes them"
        )
    splits = {
        split: tuple(Sample(folder / file, pid, camid) for file, pid, camid in listed)
        for split, listed in read_config(config).items()
    }
    missing = not_there(s.path for split in splits.values() for s in split)
    refuse(missing, f"of {config.name} are not there", f"complete {shown(folder)}")
    return Benchmark(name, **splits)


def read_config(path: Path) -> dict[str, list[Listed]]:
    """The files of each split as the new protocol's configuration names them, sorted.

    Cameras are the views, third in a file name; the pair, first, is none. Raises
    DataError for a file that is no such configuration.
    """
    content = _load(path)
    missing = [key for key in KEYS if key not in content]
    if missing:
        raise DataError(f"{shown(path)} has no {missing}; is it another file?")
    with reading(path, "copy it from the new protocol again", raises=DataError):
        names = _names(content["filelist"])
        pids, cameras = (_whole(content, key) for key in ("labels", "camId"))
        if min(pids, default=1) < 1:
            raise ValueError(f"labels has {min(pids)}, but people are counted from 1")
        if not len(names) == len(pids) == len(cameras):
            counts = f"{len(names)} names, {len(pids)} labels, {len(cameras)} camId"
            raise ValueError(f"there are {counts}, but of each file one is wanted")
        for file, camera in zip(names, cameras, strict=True):
            if RAW_NAME.fullmatch(file)[1] != str(camera):
                raise ValueError(f"camId {camera} is not the view of {shown(file)}")
        listed = [
            Listed(name, pid, camera - 1)
            for name, pid, camera in zip(names, pids, cameras, strict=True)
        ]
        return {
            split: _chosen(listed, content, split) for split in market.SPLIT_FOLDERS
        }


def _names(cells: np.ndarray) -> list[str]:
    """The file names of a column of cells, as MATLAB has them."""
    names = [str(np.ravel(cell)[0]) for cell in cells.ravel()]
    for name in names:
        if not RAW_NAME.fullmatch(name):
            raise ValueError(f"{shown(name)!r} in filelist is not like {RAW_EXAMPLE}")
    return names


def _whole(content: dict, key: str) -> list[int]:
    """The whole numbers of an array, which MATLAB keeps as floats."""
    values = np.asarray(content[key]).ravel()
    if values.dtype.kind not in "iuf" or not np.array_equal(values, np.rint(values)):
        raise ValueError(f"{key} holds other than whole numbers")
    return [int(value) for value in values]


def _chosen(listed: list[Listed], content: dict, split: str) -> list[Listed]:
    """The files of a split by their indices, which count from 1, sorted."""
    indices = _whole(content, f"{split}_idx")
    for i in indices:
        if not 1 <= i <= len(listed):
            raise ValueError(f"{split}_idx has {i}, but files are 1 to {len(listed)}")
    return sorted(listed[i - 1] for i in indices)


def _load(path: Path) -> dict:
    from scipy.io import loadmat  # here, as every command would wait half a second

    try:
        with reading(path, "copy it again", raises=DataError):
            return loadmat(path)
    except DataError as error:
        if not isinstance(error.__cause__, NotImplementedError):  # scipy's for HDF5
            raise
        message = f"{shown(path)} is HDF5, not the configuration; is it {RAW}?"
        raise DataError(message) from None


def extract(root: Path, name: str) -> tuple[Path, int]:
    """Write the images of cuhk-03.mat as files; return their folder and number.

    root   the folder with the file and the new protocol's configuration, or one above
    name   cuhk03np_labeled or cuhk03np_detected: boxes drawn by hand, or detected
    The images are called <pair>_<person>_<view>_<image>.png, as the configuration lists
    them. Their folder, images_<kind>, lies beside the configuration, or beside
    cuhk-03.mat where there is none; images that are already there are not written
    again. Raises DataError for a missing or another file.
    """
    kind, places = kind_of(name), candidates(root, RAW_FOLDERS)
    found = [place for place in places if (place / RAW).is_file()]
    if not found:
        raise DataError(f"no {RAW} in {shown(root)}; name the folder that holds it")
    listed = [place for place in places if (place / config_name(name)).is_file()]
    folder, count = [*listed, *found][0] / f"images_{kind}", 0
    raw = found[0] / RAW
    with _opened(raw) as file:
        if kind not in file:
            raise DataError(f"{shown(raw)} has no {kind!r}; another file?")
        folder.mkdir(exist_ok=True)
        cells = _cells(raw, file, kind)
        for image, pixels in tqdm(cells, folder.name, unit="image", leave=False):
            if not (folder / image).is_file():
                _write(folder / image, pixels)
            count += 1
    return folder, count


def _opened(path: Path) -> h5py.File:
    with reading(path, "copy it again", raises=DataError):
        return h5py.File(path, "r")


def _cells(path: Path, file: h5py.File, kind: str) -> Iterator[tuple[str, np.ndarray]]:
    """File name and pixels of every image; HDF5 has MATLAB's axes in reverse."""
    with reading(path, "copy it again", raises=DataError):
        for pair, table in enumerate(file[kind][()].ravel(), 1):
            for person, cells in enumerate(file[table][()].T, 1):
                for image, cell in enumerate(cells, 1):
                    if file[cell].ndim == 3:  # an empty cell holds its two sizes
                        view = 1 if image <= PER_VIEW else 2
                        name = f"{pair}_{person:03d}_{view}_{image:02d}.png"
                        yield name, _pixels(file[cell])


def _pixels(cell: h5py.Dataset) -> np.ndarray:
    """An image (H, W, 3) of a cell (3, W, H)."""
    if cell.shape[0] != 3 or cell.dtype != np.uint8:
        found = f"{cell.dtype} {cell.shape}"
        raise ValueError(f"{cell.name} is {found}, where uint8 (3, W, H) is wanted")
    return np.ascontiguousarray(cell[()].T)


def _write(path: Path, pixels: np.ndarray) -> None:
    with written_whole(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")

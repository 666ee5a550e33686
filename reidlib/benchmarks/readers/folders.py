"""What readers share: to find folders, list images, and name every faulty file."""

import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reidlib.data.pictures import (
    FAULTS,
    PictureError,
    of_one,
    read_picture,
    read_undamaged,
    refuse_no_file,
)
from reidlib.data.samples import Benchmark
from reidlib.reading import read_lines, shown

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})  # in any case
PART = 256  # files a thread takes at a time; a file server answers several threads
SHOWN = 200  # bad files named in a message; the rest is counted
END_MARKS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}  # by first bytes: JPEG, PNG
LEFTOVERS = ("__MACOSX",)  # what archives of macOS hold besides
PERMIT = "change its permissions"


class DataError(ValueError):
    """A data set that cannot be used, and what to do about it."""


class AbsentError(DataError):
    """A folder that holds nothing of a data set; `said` says so without the tree."""

    def __init__(self, said: str, tree: str) -> None:
        remedy = "Name this folder or the one above it (data_root, --data)."
        super().__init__(f"{said}. Expected:\n{tree}\n{remedy}")
        self.said, self.tree = said, tree


def absent(root: Path, missing: Iterable[str], tree: str) -> AbsentError:
    """The error for a folder that holds nothing of a data set, or is none."""
    said = f"no data in {shown(root)}: missing {', '.join(missing)}"
    if not is_folder(root):
        what = "a file, no folder" if os.access(root, os.F_OK) else "no folder"
        said = f"{shown(root)} is {what}"
    return AbsentError(said, tree)


def complaint(paths: Sequence[Path], fault: str, remedy: str) -> str:
    """Name every file with a fault, or the first ones of very many."""
    lines = [f"{len(paths)} files {fault}; {remedy}:"]
    if len(paths) == 1:
        lines = [f"1 file {of_one(fault)}; {of_one(remedy)}:"]
    lines += [f"  {shown(path)}" for path in paths[:SHOWN]]
    if len(paths) > SHOWN:
        lines.append(f"  and {len(paths) - SHOWN} more")
    return "\n".join(lines)


def refuse(paths: Sequence[Path], fault: str, remedy: str) -> None:
    """Raise DataError where there are files with a fault."""
    if paths:
        raise DataError(complaint(paths, fault, remedy))


def candidates(
    root: Path, own: Collection[str], above: Collection[str] = ()
) -> list[Path]:
    """The folder itself, then what is spelled as one of `own` up to two levels below.

    `above` may lie between. Spellings are compared as `plain` makes them.
    """
    found = [root]
    for folder in subfolders(root):
        name = plain(folder.name)
        if name in own:
            found.append(folder)
        if name in own or name in above:
            inner = subfolders(folder)
            found += [below for below in inner if plain(below.name) in own]
    return found


def plain(name: str) -> str:
    """A folder's name without case, - _ and dots.

    >>> plain("Market-1501-v15.09.15")
    'market1501v150915'
    """
    return re.sub(r"[\W_]", "", name).casefold()


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; none in what is no folder."""
    if not is_folder(folder):
        return []
    return [Path(entry.path) for entry in listing(folder) if is_folder(entry)]


def is_folder(path: Path | os.DirEntry) -> bool:
    """Whether a path leads to a folder; a name too long or a loop of links does not."""
    try:
        return path.is_dir()
    except PermissionError:
        raise DataError(f"{shown(path)} may not be read; {PERMIT}") from None
    except OSError:
        return False


def listing(folder: Path) -> list[os.DirEntry]:
    """What lies in a folder, sorted by name, without hidden files and leftovers."""
    try:
        with os.scandir(folder) as entries:
            seen = [e for e in entries if not e.name.startswith((".", *LEFTOVERS))]
    except PermissionError:
        raise DataError(f"{shown(folder)} may not be read; {PERMIT}") from None
    return sorted(seen, key=lambda entry: entry.name)


def not_there(paths: Iterable[Path]) -> list[Path]:
    """The paths where no file is; folders are listed, no file is opened."""
    names: dict[Path, set[str]] = {}
    missing = []
    for path in paths:
        folder = path.parent
        if folder not in names:
            inside = listing(folder) if is_folder(folder) else []
            names[folder] = {entry.name for entry in inside}
        if path.name not in names[folder]:
            missing.append(path)
    return missing


def images(folder: Path, split: str, tree: str, *, nested: bool = False) -> list[Path]:
    """Every image of a folder, sorted; with `nested` also of the folders in it.

    Other files are ignored. Raises DataError where there is no folder or no image, and
    for names that are not UTF-8.
    """
    if not is_folder(folder):
        message = f"{split}: no folder {shown(folder)}. Expected:\n{tree}"
        raise DataError(message)
    inner = subfolders(folder)
    below = [path for place in inner for path in _images_in(place)] if nested else []
    found = sorted(_images_in(folder) + below)
    if not found:
        where = f"{split}: no images in {shown(folder)}"
        if any(_images_in(place) for place in inner):
            raise DataError(f"{where}, but in the folders below it: move them up")
        raise DataError(f"{where}; put the {split} split there")
    strange = [path for path in found if not _is_utf8(path)]
    refuse(strange, "are not named in UTF-8", "rename them")
    return found


def _images_in(folder: Path) -> list[Path]:
    return [
        Path(entry.path)
        for entry in listing(folder)
        if Path(entry.name).suffix.lower() in SUFFIXES and not is_folder(entry)
    ]


def _is_utf8(path: Path) -> bool:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_lines(path: Path, name: str) -> list[str]:
    """The lines of a list of the benchmark `name` that hold something, stripped."""
    remedy = f"copy it from the release; `reid data tree {name}` shows where to"
    try:
        return [line for _, line in read_lines(path, remedy, raises=DataError)]
    except FileNotFoundError:
        raise DataError(f"no list {shown(path)}: {remedy}") from None


def duplicates(paths: Iterable[Path]) -> list[Path]:
    """What has the name of an earlier path, up to case and suffix."""
    known: set[str] = set()
    again = []
    for path in paths:
        key = str(path.with_suffix("")).casefold()
        if key in known:
            again.append(path)
        known.add(key)
    return again


def paths_of(benchmark: Benchmark) -> list[Path]:
    """Every file of a benchmark once, sorted."""
    return sorted({sample.path for split in benchmark[1:] for sample in split})


def repeated(benchmark: Benchmark) -> tuple[list[Path], str, str]:
    """Files that are in a split twice, what that is called, and the remedy."""
    again = [p for split in benchmark[1:] for p in duplicates(s.path for s in split)]
    fault = "are in a split twice, up to case and suffix"
    return again, fault, "delete or unlist the copies"


def faults(paths: Sequence[Path], *, decode: bool) -> Iterator[tuple[list[Path], str]]:
    """Every group of files that cannot be used, with what is wrong with them.

    `decode` reads them in full; else the two ends of JPEG and PNG files are looked at.
    """
    look = read_undamaged if decode else _look_at_ends
    parts = [paths[start : start + PART] for start in range(0, len(paths), PART)]
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("ignore")  # of odd metadata; what decodes is good
        done = pool.map(lambda part: [_fault(path, look) for path in part], parts)
        found = [fault for part in done for fault in part]
    for fault in FAULTS:
        bad = [p for p, of in zip(paths, found, strict=True) if of == fault]
        if bad:
            yield bad, fault


def _fault(path: Path, look: Callable[[Path], object]) -> str:
    try:
        look(path)
    except FileNotFoundError:
        return "are not there"
    except PermissionError:
        return "may not be read"
    except PictureError as error:
        return error.fault
    return ""


def _look_at_ends(path: Path) -> None:
    """Cheap test for a truncated file: the mark of its end has to be near its end."""
    refuse_no_file(path)
    with path.open("rb") as file:
        mark = END_MARKS.get(file.read(2))
        size = file.seek(0, 2)
        file.seek(max(0, size - 512))
        tail = file.read()
    if mark is None or mark not in tail:
        read_picture(path)

"""Somebody's own data, `own:<name>`: Market-1501's folders, or a table samples.csv.

The table has a line for each image: path, pid, camid, split. Where no camid is known,
every file is given a camera of its own: the rule that ignores a query's images from its
own camera then ignores the query itself, and nothing else.
"""

import csv
import hashlib
import io
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from reidlib.benchmarks.readers import market
from reidlib.benchmarks.readers.folders import (
    DataError,
    absent,
    is_folder,
    listing,
    plain,
    subfolders,
)
from reidlib.benchmarks.readers.layouts import TREES
from reidlib.checks import nearest
from reidlib.data.samples import Benchmark, Sample
from reidlib.reading import read_text, shown

OWN = "own"
NAME = re.compile(r"own:(\w[\w.]*(?:-[\w.]+)*)")
DIGEST = re.compile(r"(.*)-([0-9a-f]{8})")
LIST, COLUMNS = "samples.csv", ("path", "pid", "camid", "split")
SPLITS = tuple(market.SPLIT_FOLDERS)
NUMBER = re.compile(r"\d{1,9}")
SHOWN = 50  # faults in a message; the rest is counted
OTHERS = "train on other people than are searched for"
SAVE = "save the table as CSV in UTF-8, with commas"


def is_own(name: str) -> bool:
    """Whether a name is of somebody's own data: own:<name>, or `own` for a check."""
    return name.partition(":")[0] == OWN


def place_name(name: str, data_root: Path | str) -> str:
    """The name of own data with a digest of the folder that it is looked for in.

    Runs of two folders then never share a place or a row of a table. Raises DataError
    for a name that cannot be one, or that has the digest of another folder.
    """
    if not NAME.fullmatch(name):
        raise DataError(f"{name!r}: write own:<name>, of letters, digits, _ and -")
    where = os.fsencode(Path(data_root).resolve())
    digest = hashlib.sha256(where).hexdigest()[:8]
    given = DIGEST.fullmatch(name)
    if given and given[2] != digest:
        remedy = f"--data names another folder now, ask for {given[1]}"
        raise DataError(f"{name} is of the folder with the digest {given[2]}; {remedy}")
    return name if given else f"{name}-{digest}"


def find_own(root: Path, name: str) -> Path:
    """The folder itself, or the one of the data's name in it."""
    word = DIGEST.sub(r"\1", name.partition(":")[2])
    inner = [f for f in subfolders(root) if word and plain(f.name) == plain(word)]
    for folder in (root, *inner):
        names = (LIST, *market.SPLIT_FOLDERS.values())
        if any((folder / name).exists() for name in names):
            return folder
    raise absent(root, (LIST, *market.SPLIT_FOLDERS.values()), TREES[OWN])


def read_own(root: Path, name: str) -> Benchmark:
    """Read what `find_own` found; the table where there is one.

    Raises DataError with a line for every fault of the table, as `market.read_folders`
    for folders, and where no query has a match that is not ignored.
    """
    if (root / LIST).exists():
        benchmark = Benchmark(name, **_read_table(root))
    else:
        benchmark = market.read_folders(root, OWN)._replace(name=name)
    _refuse_without_match(root, benchmark)
    return benchmark


def _refuse_without_match(root: Path, benchmark: Benchmark) -> None:
    known = {(sample.pid, sample.camid) for sample in benchmark.gallery}
    cameras = defaultdict(set)
    for pid, camid in known:
        cameras[pid].add(camid)
    if not any(cameras[s.pid] - {s.camid} for s in benchmark.query):
        raise DataError(
            f"{shown(root)}: no query has an image of its person in the gallery from"
            " another camera: add some, or leave camid empty where cameras are unknown"
        )


class _Row(NamedTuple):
    """A line of the table whose cells are as they should be; camid None: unknown."""

    line: int
    path: Path
    pid: int
    camid: int | None
    split: str


def _read_table(root: Path) -> dict[str, tuple[Sample, ...]]:
    """The samples of each split. Raises DataError with all faults, one a line."""
    path, rows, faults = root / LIST, [], []
    files = _Files(root)
    for line, cells in _lines(path):
        found = list(_cell_faults(cells, files))
        faults += [(line, fault) for fault in found]
        if not found:
            camid = int(cells["camid"]) if cells.get("camid") else None
            place = files.find(cells["path"])
            rows.append(_Row(line, place, int(cells["pid"]), camid, cells["split"]))
    faults += _faults_between(rows)
    if not faults:
        faults = list(_missing_splits(rows))
    if faults:
        raise DataError(_complaint(path, sorted(faults)))
    return _samples(rows)


def _complaint(path: Path, faults: list[tuple[int, str]]) -> str:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = [f"{shown(path)} has {count}:"]
    lines += [f"  line {line}: {fault}" for line, fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        lines.append(f"  and {len(faults) - SHOWN} more")
    return "\n".join(lines)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The cells of each line by column, with its number; empty lines are left out."""
    reader = csv.reader(io.StringIO(read_text(path, SAVE, raises=DataError)))
    header = [name.strip() for name in next(reader, [])]
    if fault := _header_fault(header):
        raise DataError(_complaint(path, [(1, fault)]))
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) != len(header):
                    fault = f"it has {len(cells)} cells, the first line {len(header)}"
                    said = f"{fault}: put a path that has a comma in quotes"
                    raise DataError(_complaint(path, [(reader.line_num, said)]))
                named = zip(header, (cell.strip() for cell in cells), strict=True)
                yield reader.line_num, dict(named)
    except csv.Error as error:
        said = f"{error}: {SAVE}"
        raise DataError(_complaint(path, [(reader.line_num, said)])) from None


def _header_fault(header: list[str]) -> str:
    """What is wrong with the names of the columns; "" where nothing is."""
    wanted = ", ".join(COLUMNS)
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        return f"columns are not separated by commas: write {wanted}"
    for name in header:
        if name not in COLUMNS:
            near = nearest(name, COLUMNS) or f": columns are {wanted}"
            return f"column {name!r} is not known{near}"
    missing = [name for name in COLUMNS if name not in header and name != "camid"]
    if missing:
        return f"no column {', '.join(missing)}: the first line names {wanted}"
    twice = sorted({name for name in header if header.count(name) > 1})
    return f"column {twice[0]} stands twice: leave one" if twice else ""


class _Files:
    """The files below a folder, found as a table spells them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.known: dict[Path, dict[str, str]] = {}

    def find(self, place: str) -> Path | None:
        """The file, however its accents are composed; None where there is none."""
        folder = self.root
        *above, last = PurePosixPath(place).parts or ("",)
        for part in above:
            name = self._names(folder).get(_composed(part))
            if name is None:
                return None
            folder /= name
        name = self._names(folder).get(_composed(last))
        return None if name is None else folder / name

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self.known:
            entries = listing(folder) if is_folder(folder) else []
            self.known[folder] = {_composed(e.name): e.name for e in entries}
        return self.known[folder]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _cell_faults(cells: dict[str, str], files: _Files) -> Iterator[str]:
    """What is wrong with the cells of a line."""
    place, pid, split = (cells[name] for name in ("path", "pid", "split"))
    if not place:
        yield "path is empty: name the image as seen from the table's folder"
    elif place.startswith(("/", "~")) or ".." in PurePosixPath(place).parts:
        yield f"path {place!r} leads out of the folder: write it as seen from there"
    elif files.find(place) is None:
        slash = "write / between folders" if "\\" in place else "correct or add it"
        yield f"path {place!r} is no file in the folder: {slash}"
    if not NUMBER.fullmatch(pid):
        yield f"pid is {pid!r}: number the people with whole numbers from 0"
    camid = cells.get("camid", "")
    if camid and not NUMBER.fullmatch(camid):
        yield f"camid is {camid!r}: number the cameras from 0, or leave all empty"
    if split not in SPLITS:
        near = nearest(split, SPLITS) or f": write {', '.join(SPLITS)}"
        yield f"split is {split!r}{near}"


def _faults_between(rows: Iterable[_Row]) -> Iterator[tuple[int, str]]:
    """What two lines of the table cannot both say; the later one is named."""
    seen: dict[tuple[Path, str], _Row] = {}
    images: dict[Path, _Row] = {}
    people: dict[int, _Row] = {}
    first: _Row | None = None
    for row in rows:
        first = first or row
        again = seen.setdefault((row.path, row.split), row)
        same = images.setdefault(row.path, row)
        other = people.setdefault(row.pid, row)
        if again is not row:
            said = f"the image of line {again.line} again in {row.split}: delete one"
            yield row.line, said
        elif (same.pid, same.camid) != (row.pid, row.camid):
            camera = "" if same.camid is None else f" and camid {same.camid}"
            said = f"the image of line {same.line}, which has pid {same.pid}{camera}"
            yield row.line, f"{said}: give both the same"
        if (first.camid is None) != (row.camid is None):
            value = "empty" if row.camid is None else row.camid
            said = f"camid is {value}, unlike in line {first.line}"
            yield row.line, f"{said}: fill in all or none"
        if (other.split == "train") != (row.split == "train"):
            said = f"pid {row.pid} is in {row.split}, and in {other.split}"
            yield row.line, f"{said} in line {other.line}: {OTHERS}"


def _missing_splits(rows: Iterable[_Row]) -> Iterator[tuple[int, str]]:
    there = {row.split for row in rows}
    for split in ("query", "gallery"):
        if split not in there:
            yield 1, f"no line has the split {split}: a test needs query and gallery"


def _samples(rows: list[_Row]) -> dict[str, tuple[Sample, ...]]:
    """Samples sorted by path; cameras are numbered from 0 in their order."""
    if any(row.camid is None for row in rows):
        files = sorted({row.path for row in rows})
        own = {path: number for number, path in enumerate(files)}
        camera_of = {row: own[row.path] for row in rows}
    else:
        known = sorted({row.camid for row in rows})
        numbers = {camid: number for number, camid in enumerate(known)}
        camera_of = {row: numbers[row.camid] for row in rows}
    return {
        split: tuple(
            sorted(
                Sample(row.path, row.pid, camera_of[row])
                for row in rows
                if row.split == split
            )
        )
        for split in SPLITS
    }

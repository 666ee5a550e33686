"""What `reid data check` says of a folder: every number beside the published one."""

import filecmp
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from reidlib.benchmarks.catalog import MADE_HERE, PICTURES, TITLES, title_of
from reidlib.benchmarks.counts import (
    SPLITS,
    Row,
    Tally,
    count,
    describe,
    drawn_counts,
    expected,
    namesakes,
    rows,
)
from reidlib.benchmarks.loading import kind_of, read_below
from reidlib.benchmarks.made import marked, marker, on_first_use
from reidlib.benchmarks.readers.folders import (
    AbsentError,
    DataError,
    complaint,
    faults,
    paths_of,
    repeated,
)
from reidlib.benchmarks.readers.own import is_own
from reidlib.data.pictures import FAULTS
from reidlib.data.samples import Benchmark, Sample, has_cameras


class Report(NamedTuple):
    """What was found in a folder.

    title    which data set, and whether it is drawn
    table    split, what, found, published ("as drawn" for a small drawn set; "" where
             nothing is), verdict
    faults   what is wrong, in words; none for a folder that is as it should be
    """

    title: str
    table: pd.DataFrame
    faults: list[str]


def check(name: str, folder: Path | str) -> Report:
    """Count what `folder` holds of the benchmark `name` and decode every image.

    `folder` is the benchmark's own or holds it; nothing is drawn or written. Raises
    DataError for what its reader refuses.
    """
    kind_of(name)
    try:
        root, benchmark = read_below(name, folder)
    except AbsentError as error:
        if name not in MADE_HERE:
            raise
        raise DataError(f"{error.said}: {on_first_use(name, Path(folder))}") from None
    about = {} if is_own(name) else marker(root)
    wanted = None if is_own(name) else expected(name, about)
    small = drawn_counts(name, about) is not None
    again = repeated(benchmark)
    bad = list(faults(paths_of(benchmark), decode=True))
    counted = _counted(benchmark)
    found = [*rows(counted, wanted), *_rules(benchmark, wanted)]
    unreadable = sum(len(files) for files, _ in bad)
    found.append(Row("all", "files twice in a split", len(again[0]), 0))
    found.append(Row("all", "unreadable files", unreadable, 0))
    said = namesakes(counted, wanted) if wanted else []
    said += [describe(row) for row in found if row.differs and row.split != "all"]
    said += [complaint(*again)] if again[0] else []
    said += [complaint(files, of, FAULTS[of]) for files, of in bad]
    return Report(_title(name, about), _table(found, small), said)


def _counted(benchmark: Benchmark) -> Tally:
    """What the splits hold; no cameras where they are not known."""
    counted = count(benchmark)
    if has_cameras([s for split in benchmark[1:] for s in split]):
        return counted
    unknown = {name: getattr(counted, name)._replace(cameras=0) for name in SPLITS}
    return counted._replace(**unknown)


def _rules(benchmark: Benchmark, wanted: Tally | None) -> list[Row]:
    """What must hold between splits, whatever their size."""
    pids = [{s.pid for s in split if s.pid > 0} for split in benchmark[1:]]
    overlap = len(pids[0] & (pids[1] | pids[2]))
    alone = _without_match(benchmark.query, benchmark.gallery)
    copies = _copies(benchmark.query, benchmark.gallery)
    shared = wanted.shared if wanted else None
    learned = Row("train", "identities that are in the test too", overlap, 0)
    return [
        *([learned] if benchmark.train else []),
        Row("query", "images without a match", alone, None),
        Row("query", "images that are in the gallery too", copies, shared),
    ]


def _without_match(query: Iterable[Sample], gallery: Iterable[Sample]) -> int:
    """Queries for which the camera rule leaves no image of their identity."""
    cameras = defaultdict(set)
    for sample in gallery:
        cameras[sample.pid].add(sample.camid)
    return sum(not cameras[sample.pid] - {sample.camid} for sample in query)


def _copies(query: Iterable[Sample], gallery: Iterable[Sample]) -> int:
    """Queries that the gallery has under the same file name with the same bytes."""
    named = {sample.path.name: sample.path for sample in gallery}
    return sum(
        sample.path.name in named and _same(sample.path, named[sample.path.name])
        for sample in query
    )


def _same(first: Path, second: Path) -> bool:
    try:
        return first == second or filecmp.cmp(first, second, shallow=False)
    except OSError:  # said elsewhere
        return False


def _title(name: str, about: dict) -> str:
    if about and name not in MADE_HERE:
        return f"{PICTURES[marked(about)]} in the layout of {TITLES[name]}"
    return title_of(name)


def _table(found: Iterable[Row], small: bool) -> pd.DataFrame:
    lines = [
        {
            "split": row.split,
            "what": row.what,
            "found": f"{row.found:,}",
            "as drawn" if small else "published": _number(row.wanted),
            "verdict": _verdict(row),
        }
        for row in found
    ]
    return pd.DataFrame(lines)


def _verdict(row: Row) -> str:
    if row.wanted is None:
        return "nothing to compare"
    return "differs" if row.differs else "ok"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"

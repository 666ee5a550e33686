"""From the name of a benchmark and a folder to its images, whole and complete."""

import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from reidlib.benchmarks.catalog import MADE_HERE, TITLES, TRAINED_ON, title_of
from reidlib.benchmarks.counts import (
    JUNK,
    SPLITS,
    count,
    differences,
    expected,
    namesakes,
)
from reidlib.benchmarks.made import ensure, is_at_hand, marked, marker
from reidlib.benchmarks.readers import (
    cuhk03,
    market,
    msmt17,
    occluded_duke,
    occluded_partial,
    own,
)
from reidlib.benchmarks.readers.folders import (
    AbsentError,
    DataError,
    absent,
    complaint,
    faults,
    is_folder,
    paths_of,
    plain,
    refuse,
    repeated,
    subfolders,
)
from reidlib.benchmarks.readers.layouts import TREES
from reidlib.checks import unknown
from reidlib.data.pictures import FAULTS
from reidlib.data.samples import Benchmark
from reidlib.reading import shown

BENCHMARKS = tuple(sorted(TITLES))
logger = logging.getLogger(__name__)
DEEPEST, WIDEST = 5, 200  # levels, and folders of each, searched for what is meant


class Reader(NamedTuple):
    """How a layout is found at or below a folder, and how it is read."""

    find: Callable[[Path, str], Path]
    read: Callable[[Path, str], Benchmark]


FOLDERS = Reader(market.find_market, market.read_folders)
CUHK03 = Reader(cuhk03.find_cuhk03, cuhk03.read_cuhk03)
MSMT17 = Reader(msmt17.find_msmt17, msmt17.read_msmt17)
OCCLUDED_DUKE = Reader(
    occluded_duke.find_occluded_duke, occluded_duke.read_occluded_duke
)
P_DUKE = Reader(occluded_partial.find_bodies, occluded_partial.read_p_duke)
TEST_ONLY = Reader(occluded_partial.find_bodies, occluded_partial.read_test_only)
READERS = dict.fromkeys(BENCHMARKS, FOLDERS) | {
    **{name: CUHK03 for name in BENCHMARKS if name.startswith("cuhk03")},
    **{name: MSMT17 for name in BENCHMARKS if name.startswith("msmt17")},
    **dict.fromkeys(TRAINED_ON, TEST_ONLY),
    "occluded_duke": OCCLUDED_DUKE,
    own.OWN: Reader(own.find_own, own.read_own),
    "p_dukemtmcreid": P_DUKE,
}


class Found(NamedTuple):
    """A benchmark as it lies on disk: its own folder, and every image with the junk."""

    root: Path
    benchmark: Benchmark


def kind_of(name: str) -> str:
    """The name under which a benchmark's reader and its layout are known.

    Raises DataError for an unknown one.

    >>> kind_of("market1501"), kind_of("own:crops")
    ('market1501', 'own')
    """
    kind = own.OWN if own.is_own(name) else name
    if kind not in READERS:
        raise DataError(unknown("benchmark", name, (*BENCHMARKS, "own:<name>")))
    return kind


def pictures_of(name: str, data_root: Path | str | None = None) -> str:
    """What the pictures of a benchmark are: drawn, rendered or photographs.

    By its name alone; with `data_root` also as the marker in its folder says. Raises
    DataError for a marker that cannot be read.
    """
    kind = MADE_HERE.get(name, "photographs")
    if name in MADE_HERE or data_root is None or name not in BENCHMARKS:
        return kind
    try:
        root = _find(name, start_of(name, data_root))
    except DataError:
        return kind
    return marked(marker(root))


def training_fault(name: str) -> str:
    """Why nothing can be trained on a benchmark, and on what instead; "" if it can."""
    if name not in TRAINED_ON:
        return ""
    others = " or ".join(TRAINED_ON[name])
    return (
        f"{name} is for testing only, it has no training images: train on {others}"
        f" and test on it too, with -p also_on {name}"
    )


def load_benchmark(name: str, data_root: Path | str) -> Benchmark:
    """Read the benchmark `name` below `data_root`.

    A drawn one is drawn when absent, a rendered one unpacked where it is shipped. Junk
    is left out. `train` is empty where a set is for testing only. Raises DataError for
    an unknown name, for damaged, missing or repeated images, of which all are named,
    for counts other than the published ones, and for what its reader refuses.
    """
    found = find_benchmark(name, data_root)
    paths = paths_of(found.benchmark)
    refuse(*repeated(found.benchmark))
    damaged = faults(paths, decode=False)
    if said := [complaint(bad, fault, FAULTS[fault]) for bad, fault in damaged]:
        raise DataError("\n".join(said))
    if name not in MADE_HERE and not own.is_own(name):
        _refuse_other_counts(found)
    return without_junk(found.benchmark)


def views_of(name: str, data_root: Path | str) -> list[str]:
    """From where each query shows its person: front, left, back or right.

    In the order of the queries; [] where that is not known: rendered sets alone say it.
    """
    if pictures_of(name) != "rendered":
        return []
    found = find_benchmark(name, data_root)
    rows = map(json.loads, (found.root / "captions.jsonl").read_text().splitlines())
    views = {row["image"]: row["view"] for row in rows}
    return [views[f"query/{sample.path.name}"] for sample in found.benchmark.query]


def load_benchmarks(
    names: Sequence[str], data_root: Path | str
) -> dict[str, Benchmark]:
    """Read the benchmark that is trained on, the first, and others to test on.

    One of the others that is not below `data_root` is left out with a warning: few
    people hold every set of a paper. Raises as load_benchmark does for the rest.
    """
    first, *others = names
    there = [name for name in others if not _is_absent(name, data_root)]
    for name in sorted(set(others) - set(there)):
        logger.warning("%s is not in %s: not tested on", name, shown(Path(data_root)))
    return {name: load_benchmark(name, data_root) for name in (first, *there)}


def _is_absent(name: str, data_root: Path | str) -> bool:
    kind_of(name)
    if is_folder(Path(data_root) / name):
        return False
    if name in MADE_HERE:
        return not is_at_hand(name, Path(data_root) / name)
    try:
        _find(name, Path(data_root))
    except DataError:
        return True
    return False


def _refuse_other_counts(found: Found) -> None:
    name = found.benchmark.name
    wanted = expected(name, marker(found.root))
    wrong = differences(count(found.benchmark), wanted)
    if wrong:
        what = f"{shown(found.root)} is not {title_of(name)}"
        more = f"reid data check {name} says more"
        also = namesakes(count(found.benchmark), wanted)
        raise DataError("\n".join([f"{what}; {more}:", *also, *wrong]))


def find_benchmark(name: str, data_root: Path | str) -> Found:
    """Find and read a benchmark, but look into no image."""
    kind_of(name)
    if name in MADE_HERE:
        ensure(name, Path(data_root) / name)
    return read_found(name, find_or_suggest(name, start_of(name, data_root)))


def read_below(name: str, folder: Path | str) -> Found:
    """The same for the benchmark's own folder, or one that holds it."""
    return read_found(name, find_or_suggest(name, Path(folder)))


def read_found(name: str, root: Path) -> Found:
    """Read what lies in the benchmark's own folder."""
    return Found(root, READERS[kind_of(name)].read(root, name))


def start_of(name: str, data_root: Path | str) -> Path:
    """Where to look for a benchmark: in the folder of its name, if there is one."""
    named = Path(data_root) / name
    return named if is_folder(named) else Path(data_root)


def _find(name: str, start: Path) -> Path:
    """The benchmark's own folder, at or below `start`; else AbsentError."""
    if not is_folder(start):
        raise absent(start, (), TREES[kind_of(name)])
    return READERS[kind_of(name)].find(start, name)


def find_or_suggest(name: str, start: Path) -> Path:
    """As `_find`, but the error names a folder further below that can be read."""
    try:
        return _find(name, start)
    except AbsentError as error:
        if near := _deeper(name, start):
            said = f"{error.said}, but {shown(near)} has this layout: name that"
            raise AbsentError(said, error.tree) from None
        raise


def _deeper(name: str, start: Path) -> Path | None:
    """The first folder that reads as `name` and is not named as another data set."""
    others = {other for other in BENCHMARKS if READERS[other] is not MSMT17} - {name}
    named = {plain(other) for other in others}
    named |= {own for other in others for own in market.FOLDERS.get(other, ((),))[0]}
    level = [start]
    for _ in range(DEEPEST):
        level = [inner for folder in level for inner in _photographs(folder)][:WIDEST]
        for folder in level:
            with contextlib.suppress(DataError):
                found = _find(name, folder)
                if plain(found.name) not in named and read_found(name, found):
                    return found
    return None


def _photographs(folder: Path) -> list[Path]:
    """The folders in a folder but those of masks, which have the images' names."""
    with contextlib.suppress(DataError):
        if not marker(folder):
            return [inner for inner in subfolders(folder) if inner.name != "masks"]
    return []


def read_market1501(root: Path | str) -> Benchmark:
    """Read a folder in Market-1501's layout; junk (pid -1) is left out.

    `root` may be the folder itself or hold it. Raises DataError when a split is
    missing or empty, or when names do not parse; all of them are named.
    """
    return without_junk(read_below("market1501", root).benchmark)


def without_junk(benchmark: Benchmark) -> Benchmark:
    """The benchmark without images of pid -1.

    Raises DataError where a split has no other.
    """
    kept = {}
    for split in SPLITS:
        samples = getattr(benchmark, split)
        kept[split] = tuple(s for s in samples if s.pid != JUNK)
        if samples and not kept[split]:
            message = f"{split}: all {len(samples)} images are junk (pid {JUNK})"
            raise DataError(message)
    return benchmark._replace(**kept)

"""Whether a benchmark is there and fit for a run, said before anything starts."""

from pathlib import Path

from reidlib.benchmarks.catalog import MADE_HERE
from reidlib.benchmarks.loading import (
    find_benchmark,
    find_or_suggest,
    kind_of,
    start_of,
)
from reidlib.benchmarks.made import is_at_hand, not_at_hand
from reidlib.benchmarks.readers.folders import AbsentError, DataError
from reidlib.benchmarks.readers.own import is_own
from reidlib.data.samples import has_cameras


def missing_data(name: str, data_root: Path | str) -> str:
    """Say in a line that a benchmark is not in `data_root`; "" where it is.

    What is made here is drawn or unpacked where it is absent. Only folders are looked
    at, of somebody's own data the whole table.
    """
    if name in MADE_HERE:
        root = Path(data_root) / name
        return "" if is_at_hand(name, root) else not_at_hand(name, root)
    try:
        find_or_suggest(name, start_of(name, data_root))
        if is_own(name):
            find_benchmark(name, data_root)
    except AbsentError as error:
        see = f"see `reid data tree {kind_of(name)}`"
        return f"{name}: {error.said}; --data names its folder, {see}"
    except DataError as error:
        return f"{name}: {error}"
    return ""


def unfit_for_training(
    name: str, data_root: Path | str, *, names_cameras: bool = False
) -> str:
    """Why somebody's own data cannot train; "" where they can, or are not there.

    names_cameras   whether the method learns to tell cameras apart
    """
    if not is_own(name) or missing_data(name, data_root):
        return ""
    benchmark = find_benchmark(name, data_root).benchmark
    if not benchmark.train:
        return f"{name} has no image of the split train: there is nothing to train on"
    if names_cameras and not has_cameras(benchmark.train):
        return (
            f"{name} has no camid, but this method learns to name cameras, and would"
            " learn to name images: fill in camid, or take another method, or a variant"
            " without background (fanet: --variant baseline)"
        )
    return ""


def knows_cameras(name: str, data_root: Path | str | None = None) -> bool:
    """Whether a benchmark's cameras are known, as they are of all but own data.

    Of own data that are not there, nothing is known.
    """
    if not is_own(name) or data_root is None:
        return True
    try:
        benchmark = find_benchmark(name, data_root).benchmark
    except DataError:
        return True
    return has_cameras((*benchmark.train, *benchmark.query, *benchmark.gallery))

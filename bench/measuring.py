"""How the benchmark measures: work beside its floor, in turns, in one process.

Machines differ and are rarely quiet, so what counts is a ratio: the time of the work
over that of the least that anyone would have to do for it, the floor. Both run in
turns, so that what else the machine does slows both, and each counts with its median.
Processor time stands beside wall time: on a shared machine it is the steadier one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

CLEAR_REFS = Path("/proc/self/clear_refs")  # Linux: a 5 in it forgets the peak
STATUS = Path("/proc/self/status")


class Seconds(NamedTuple):
    """What some work took."""

    wall: float
    processor: float  # of all threads together


class Record(NamedTuple):
    """A measurement as the page and outputs/benchmarks hold it."""

    what: str
    floor: str
    ratio: float  # wall time, median over median
    processor_ratio: float
    wall: float  # seconds, median, as the three below
    processor: float
    floor_wall: float
    floor_processor: float
    rounds: int
    threads: int
    most: float | None = None  # the ratio that is promised
    memory_mib: int | None = None  # beyond what was there before, floor included


def seconds(work: Callable[[], Any]) -> Seconds:
    """Time one call, with all kernels of an accelerator done."""
    start = time.perf_counter(), time.process_time()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Seconds(time.perf_counter() - start[0], time.process_time() - start[1])


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Let torch have so many threads, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def beside_floor(
    what: str,
    work: Callable[[], Any],
    *,
    floor_name: str,
    floor: Callable[[], Any],
    rounds: int,
    threads: int,
    floor_share: float = 1.0,
    most: float | None = None,
) -> Record:
    """Measure work and floor in turns.

    floor_share   how much of its work the floor does, where the whole takes too long;
                  its seconds are divided by it
    """
    works, floors = [], []
    with using_threads(threads), peak_memory() as peak:
        for _ in range(rounds):
            floors.append(seconds(floor))
            works.append(seconds(work))
    ours = Seconds(*map(median, zip(*works, strict=True)))
    least = Seconds(*(median(x) / floor_share for x in zip(*floors, strict=True)))
    return Record(
        what=what,
        floor=floor_name,
        ratio=ours.wall / least.wall,
        processor_ratio=ours.processor / least.processor,
        wall=ours.wall,
        processor=ours.processor,
        floor_wall=least.wall,
        floor_processor=least.processor,
        rounds=rounds,
        threads=threads,
        most=most,
        memory_mib=peak["mib"],
    )


@contextmanager
def peak_memory() -> Iterator[dict[str, int | None]]:
    """How far the host's memory rose above where it began: "mib", known at the end.

    None where the system does not tell: the peak must be forgotten at the beginning.
    """
    found: dict[str, int | None] = {"mib": None}
    if not CLEAR_REFS.exists():
        yield found
        return
    CLEAR_REFS.write_text("5")
    before = _kib("VmRSS")
    yield found
    found["mib"] = (_kib("VmHWM") - before) >> 10


def _kib(name: str) -> int:
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines[name].split()[0])

"""How the benchmark measures: work beside its floor, in turns, in one process.

Machines differ and are rarely quiet, so what counts is a ratio: the time of the work
over that of the least that anyone would have to do for it, the floor. Both run in
turns, so that what else the machine does slows both, and each counts with its median.
Processor time stands beside wall time: on a shared machine it is the steadier one.
"""

import json
import math
import re
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from reidlib.files import write_text
from reidrun.runs.environment import ROOT, environment

FOLDER = ROOT / "outputs" / "benchmarks"  # of pages and records
CLEAR_REFS = Path("/proc/self/clear_refs")  # Linux: a 5 in it forgets the peak
STATUS = Path("/proc/self/status")
CARD_COLUMNS = ["paper", "images", "per_second", "peak_share", "memory_mib"]
CARD_COLUMNS += ["compiled_per_second"]


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
    most_mib: int | None = None  # that is promised


def seconds(work: Callable[[], Any]) -> Seconds:
    """Time one call, with all kernels of an accelerator and all processes done."""
    start = time.perf_counter(), processor_time()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Seconds(time.perf_counter() - start[0], processor_time() - start[1])


def processor_time() -> float:
    """Seconds of processors that this process and its ended children have used."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Let torch and NumPy have so many threads, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count, user_api="blas"):
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
    most_mib: int | None = None,
) -> Record:
    """Measure work and floor in turns, and print what came out.

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
    record = Record(
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
        most_mib=most_mib,
    )
    say(
        f"{what}, {threads} threads: {record.ratio:.2f} x the floor by the clock,"
        f" {record.processor_ratio:.2f} x by processor time, {ours.wall:.2f} s"
    )
    return record


def say(line: str) -> None:
    """Print a line at once: a benchmark takes minutes."""
    print(line, flush=True)


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


def table(records: Iterable[Record]) -> pd.DataFrame:
    """The records as a page shows them: ratios first, then seconds and memory."""
    frame = pd.DataFrame(records, columns=Record._fields).set_index("what")
    shown = {
        "floor": frame["floor"],
        "threads": frame["threads"],
        "× floor, clock": frame["ratio"].round(2),
        "× floor, processor": frame["processor_ratio"].round(2),
        "promised": frame["most"],
        "seconds": frame["wall"].round(3),
        "processor seconds": frame["processor"].round(3),
        "MiB beyond": frame["memory_mib"],
        "MiB promised": frame["most_mib"],
    }
    return pd.DataFrame(shown).astype(object).where(pd.DataFrame(shown).notna(), "")


def broken(records: Iterable[Record]) -> list[str]:
    """Which promises were not kept, a line each; by processor time, the steadier one.

    Where nobody else computes, both times say the same.
    """
    found = []
    for record in records:
        if record.most is not None and record.processor_ratio > record.most:
            said = f"{record.processor_ratio:.2f} x its floor, {record.most} promised"
            found.append(f"{record.what}, {record.threads} threads: {said}")
        if (record.memory_mib or 0) > (record.most_mib or math.inf):
            said = f"{record.memory_mib} MiB, {record.most_mib} promised"
            found.append(f"{record.what}, {record.threads} threads: {said}")
    return found


def cards(folder: Path = FOLDER) -> pd.DataFrame:
    """Steps that were measured on accelerators, by the records in a folder.

    A row for each card and paper, columns as `steps.OnCard` has them; nan for what was
    not measured. Records of machines without an accelerator have none.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text("utf-8"))
        card = record["hardware"]["accelerator"]
        measured = [row for row in record["accelerator"] if row["per_second"]]
        found += [{"card": card} | row for row in measured]
    table = pd.DataFrame(found, columns=["card", *CARD_COLUMNS])
    return table.set_index(["card", "paper"])


def machine() -> str:
    """A name for this machine by its processor and cores: neither host nor path."""
    hardware = environment()["hardware"]
    return name(hardware["processor"], hardware["cores"])


def name(processor: str, cores: int) -> str:
    """Words of a processor's model, and its cores, as the name of a file.

    >>> name("AMD EPYC 7B13 (2.4 GHz)", 2)
    'amd-epyc-7b13-2-4-ghz-2-cores'
    """
    plain = re.sub(r"\((?:r|tm)\)", "", processor.lower())
    words = re.findall(r"[a-z0-9]+", f"{plain} {cores} cores")
    return "-".join(words)


def keep(outputs: Path, records: Iterable[Record], others: dict[str, Any]) -> Path:
    """Write <machine>.json: where and with what, every record, other numbers."""
    found = environment()
    content = {
        "hardware": found["hardware"],
        "versions": found["versions"],
        "records": [record._asdict() for record in records],
        **others,
    }
    path = outputs / f"{machine()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path

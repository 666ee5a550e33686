"""RGANet at tiny scale for one epoch on Occluded-Duke's full structure, drawn people.

From an empty folder to scores: 15,618 / 2,210 / 17,661 images under the real set's
names, read, trained on, and searched in whole. Minutes and peak memory of the run; the
set and the run stay in the folder, and a set that is there is not drawn again.

    OMP_NUM_THREADS=2 python -m bench.whole_path FOLDER

ends with exit code 1 beyond the limits.
"""

import sys
from pathlib import Path
from typing import NamedTuple

from bench.measuring import say, seconds
from reidlib.benchmarks import PUBLISHED
from reidrun.cli import main as cli
from reidrun.runs.environment import ROOT
from reidrun.runs.folder import read_metrics

MINUTES, MIB = 15, 4096  # that are promised, on two cores
BENCHMARK = "occluded_duke"
RUN = ("run", "rganet", "--on", BENCHMARK, "--scale", "tiny", "-p", "epochs", "1")


class WholePath(NamedTuple):
    """What a run took from the first image to its scores."""

    minutes: float
    processor_minutes: float
    memory_mib: int

    @property
    def keeps_its_promise(self) -> bool:
        """Whether the run took no more than MINUTES and MIB."""
        return self.minutes <= MINUTES and self.memory_mib <= MIB


def whole_path(folder: Path) -> WholePath:
    """Draw what is not there, run, and see that every query is counted."""
    data, outputs = folder / "data", folder / "outputs"
    if not (data / BENCHMARK).is_dir():
        reid("data", "fixture", BENCHMARK, data / BENCHMARK, "--full-size")
    places = "--fresh", "--data", data, "--outputs", outputs
    took = seconds(lambda: reid(*RUN, *places))
    (path,) = outputs.glob("*/*/*/metrics.json")
    record = read_metrics(path.parent)
    found, wanted = record["scores"][BENCHMARK], PUBLISHED[BENCHMARK]
    queries = found["num_valid"] + found["num_skipped"]
    assert queries == wanted.query.images, "every query is counted"
    peak = record["peak_memory_mib"]["host"]
    made = WholePath(took.wall / 60, took.processor / 60, peak)
    say(f"the whole path: {made.minutes:.1f} minutes, peak {peak:,} MiB")
    return made


def reid(*arguments: str | Path) -> None:
    """A command `reid`, which must succeed."""
    if code := cli.main([str(argument) for argument in arguments], ROOT):
        raise RuntimeError(f"reid {arguments[0]} ended with exit code {code}")


if __name__ == "__main__":
    sys.exit(not whole_path(Path(sys.argv[1])).keeps_its_promise)

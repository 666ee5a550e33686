"""RGANet at tiny scale for one epoch on Occluded-Duke's full structure, drawn people.

From an empty folder to scores: 15,618 / 2,210 / 17,661 images under the real set's
names, read, trained on, and searched in whole. Prints minutes and peak memory of the
run, and ends with exit code 1 beyond the limits.

    OMP_NUM_THREADS=2 python bench/bench_whole_path.py FOLDER

The set and the run stay in FOLDER; a set that is there is not drawn again.
"""

# ruff: noqa: T201
import argparse
import os
import sys
import time
from pathlib import Path

from reidlib.benchmarks import PUBLISHED
from reidrun.cli import main as cli
from reidrun.runs.environment import ROOT, environment
from reidrun.runs.folder import read_metrics

MINUTES, MIB = 15, 4096  # on two cores
BENCHMARK = "occluded_duke"
RUN = ("run", "rganet", "--on", BENCHMARK, "--scale", "tiny", "-p", "epochs", "1")


def timed(*arguments: str | Path) -> tuple[float, float]:
    """Minutes and processor minutes of a command `reid`, which must succeed."""
    start = time.perf_counter(), sum(os.times()[:4])  # with the children's
    if code := cli.main([str(argument) for argument in arguments], ROOT):
        sys.exit(code)
    spent = time.perf_counter() - start[0], sum(os.times()[:4]) - start[1]
    return spent[0] / 60, spent[1] / 60


def main(arguments: list[str] | None = None) -> int:
    """Draw, run, print; 1 where the run took too long or too much."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args(arguments).folder
    data, outputs = folder / "data", folder / "outputs"
    if not (data / BENCHMARK).is_dir():
        drawing = timed("data", "fixture", BENCHMARK, data / BENCHMARK, "--full-size")
        print("drawing: {:.1f} minutes, {:.1f} of a processor".format(*drawing))
    minutes, busy = timed(*RUN, "--fresh", "--data", data, "--outputs", outputs)
    (path,) = outputs.glob("*/*/*/metrics.json")
    record = read_metrics(path.parent)
    peak = record["peak_memory_mib"]["host"]
    found, wanted = record["scores"][BENCHMARK], PUBLISHED[BENCHMARK]
    queries = found["num_valid"] + found["num_skipped"]
    assert queries == wanted.query.images, "every query is counted"
    print(
        f"{environment()['hardware']['processor']}, {record['hardware']['threads']}"
        f" threads: {queries:,} x {wanted.gallery.images:,} images searched,"
        f" {minutes:.1f} minutes, {busy:.1f} of a processor, peak {peak:,} MiB"
    )
    return int(minutes > MINUTES or peak > MIB)


if __name__ == "__main__":
    sys.exit(main())

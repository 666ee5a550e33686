"""What this machine does at best: multiply, move memory, decode; floors are of it."""

from pathlib import Path
from typing import NamedTuple

import torch

from bench.measuring import seconds, using_threads
from reidlib.benchmarks import load_benchmark
from reidlib.data.pictures import read_picture
from reidrun.runs.environment import ROOT

ROUNDS = 3  # the fastest counts: it is what the machine can do
BYTES, GIGA = 4, 1e9


class Floor(NamedTuple):
    """What the machine does in a second, by its clock."""

    what: str
    threads: int
    per_second: float
    unit: str


def product(side: int = 2048, *, threads: int = 1) -> Floor:
    """A product of two square matrices in float32; a multiply and its add are two."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    took = fastest(lambda: a @ b, threads)
    return Floor("matrix product", threads, 2 * side**3 / took / GIGA, "GFLOP")


def bandwidth(mib: int = 256, *, threads: int = 1) -> Floor:
    """A copy of memory that no cache holds: read once and written once."""
    source = torch.ones(mib << 18)
    target = torch.empty_like(source)
    took = fastest(lambda: target.copy_(source), threads)
    moved = 2 * BYTES * source.numel()
    return Floor("copying memory", threads, moved / took / GIGA, "GB")


def decoding(*, images: int | None = None, data: Path = ROOT / "data") -> Floor:
    """JPEG files of 128 x 64 pixels, as they lie on the disk."""
    paths = [sample.path for sample in load_benchmark("smoke", data).train[:images]]
    took = fastest(lambda: [read_picture(path) for path in paths], 1)
    return Floor("decoding", 1, len(paths) / took, "images")


def fastest(work, threads: int) -> float:
    """Seconds of the fastest round, behind one that warms up."""
    with using_threads(threads):
        return min([seconds(work).wall for _ in range(1 + ROUNDS)][1:])

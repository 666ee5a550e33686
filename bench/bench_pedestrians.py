"""How fast pedestrians are drawn, and written with masks and captions, on one core."""

# ruff: noqa: T201
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from reidlib.pedestrians import RECIPES, draw, write_benchmark
from reidlib.pedestrians.benchmark import entries

ROUNDS = 3  # the fastest counts: what else the machine does only slows


def seconds(work: Callable[[], object]) -> float:
    """Shortest time of a few rounds of `work`."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print images per second of drawing alone and of drawing and writing."""
    shots = [entry.shot for entry in entries(RECIPES["smoke"])]
    for world in ("plaza", "station"):
        chosen = [shot._replace(world=world) for shot in shots]
        rate = len(chosen) / seconds(lambda chosen=chosen: list(map(draw, chosen)))
        print(f"drawing {world:8} {rate:6.0f} images/s")
    with tempfile.TemporaryDirectory() as folder:
        places = (Path(folder) / str(round_) for round_ in range(ROUNDS))
        writing = seconds(lambda: write_benchmark("smoke", next(places)))
    print(f"drawing and writing {len(shots) / writing:4.0f} images/s")


if __name__ == "__main__":
    sys.exit(main())

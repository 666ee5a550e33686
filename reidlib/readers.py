"""From a folder on disk to a Benchmark, or to a message that says what is wrong."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image

from reidlib.data import Benchmark, Sample
from reidlib.pedestrians import RECIPES, ensure_benchmark
from reidlib.schema import unknown

SPLITS = {
    "train": "bounding_box_train",
    "query": "query",
    "gallery": "bounding_box_test",
}
SUFFIXES = {".jpg", ".jpeg", ".png"}
JUNK = -1
MARKET_NAME = re.compile(r"(-?\d+)_c(\d+)")
MARKET_ROOTS = ("", "Market-1501-v15.09.15", "market1501")
MARKET_TREE = """\
<data_root>/market1501/            or Market-1501-v15.09.15/, or nested in it
  bounding_box_train/0002_c1s1_000451_03.jpg
  query/0001_c1s1_001051_00.jpg
  bounding_box_test/0001_c1s1_001051_03.jpg"""
DRAWN_TREE = """\
<data_root>/{name}/                 drawn on first use; nothing to fetch
  bounding_box_train/ query/ bounding_box_test/     as in Market-1501
  masks/<split>/*.png captions.jsonl about.json"""
TREES = {"market1501": MARKET_TREE} | {
    name: DRAWN_TREE.format(name=name) for name in RECIPES
}
BENCHMARKS = tuple(sorted(TREES))
SHOWN = 200  # bad files named in a message; the rest is counted
END_MARKS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}  # by first bytes: JPEG, PNG


class DataError(ValueError):
    """A data set that cannot be used, and what to do about it."""


def is_drawn(name: str) -> bool:
    """Whether a benchmark shows drawn pedestrians rather than real people."""
    return name in RECIPES


def load_benchmark(name: str, data_root: Path | str) -> Benchmark:
    """Read the benchmark `name` below `data_root`; a drawn one is drawn when absent.

    Raises DataError for an unknown name, for damaged images, of which all are named,
    and for what its reader refuses.
    """
    if name not in TREES:
        raise DataError(unknown("benchmark", name, BENCHMARKS))
    root = Path(data_root) / name
    if is_drawn(name):
        ensure_benchmark(name, root)
    elif not root.is_dir():
        root = Path(data_root)
    benchmark = read_market1501(root)._replace(name=name)
    damaged = [
        sample.path
        for split in benchmark[1:]
        for sample in split
        if not _looks_whole(sample.path)
    ]
    _refuse(damaged, "cannot be decoded", "replace or delete them")
    return benchmark


def read_market1501(root: Path | str) -> Benchmark:
    """Read a folder in Market-1501's layout; junk (pid -1) is left out.

    `root` may be the folder itself or hold it. Raises DataError when a split is
    missing or empty, or when names do not parse; all of them are named.
    """
    found = _market_root(Path(root))
    paths = {split: _images(found / folder, split) for split, folder in SPLITS.items()}
    strange = [
        path
        for split in paths.values()
        for path in split
        if not MARKET_NAME.match(path.name)
    ]
    remedy = "names begin with <pid>_c<camera>, as in 0002_c1s1_000451_03.jpg"
    _refuse(strange, "do not parse", remedy)
    splits = {split: _samples(paths[split], split) for split in SPLITS}
    return Benchmark("market1501", **splits)


def _market_root(root: Path) -> Path:
    for nested in MARKET_ROOTS:
        if (root / nested / SPLITS["train"]).is_dir():
            return root / nested
    missing = [f for f in SPLITS.values() if not (root / f).is_dir()]
    raise DataError(
        f"no data in {root}: missing {', '.join(missing)}. Expected:\n{MARKET_TREE}\n"
        "Set data_root to the folder above it."
    )


def _images(folder: Path, split: str) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{split}: no folder {folder}. Expected:\n{MARKET_TREE}")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataError(f"{split}: no images in {folder}; put the {split} split there")
    return paths


def _samples(paths: Sequence[Path], split: str) -> tuple[Sample, ...]:
    fields = [
        (path, *map(int, MARKET_NAME.match(path.name).groups())) for path in paths
    ]
    samples = tuple(
        Sample(path, pid, camera - 1) for path, pid, camera in fields if pid != JUNK
    )
    if not samples:
        raise DataError(f"{split}: all {len(paths)} images are junk (pid {JUNK})")
    return samples


def _refuse(paths: Sequence[Path], fault: str, remedy: str) -> None:
    if paths:
        shown = "\n".join(f"  {path}" for path in paths[:SHOWN])
        more = f"\n  and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        raise DataError(f"{len(paths)} files {fault}; {remedy}:\n{shown}{more}")


def _looks_whole(path: Path) -> bool:
    """Cheap test for a truncated file: the mark of its end has to be near its end."""
    with path.open("rb") as file:
        mark = END_MARKS.get(file.read(2))
        size = file.seek(0, 2)
        file.seek(max(0, size - 512))
        tail = file.read()
    return (mark is not None and mark in tail) or _decodes(path)


def _decodes(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def check(folder: Path | str) -> pd.DataFrame:
    """Decode every image of a Market-style folder and count what is there.

    Returns one row per split: identities, images, cameras, distractors (pid 0).
    Raises DataError naming every file that cannot be decoded.
    """
    benchmark = read_market1501(folder)
    samples = [sample for split in SPLITS for sample in getattr(benchmark, split)]
    damaged = [sample.path for sample in samples if not _decodes(sample.path)]
    _refuse(damaged, "cannot be decoded", "replace or delete them")
    rows = [
        {
            "split": split,
            "identities": len({s.pid for s in getattr(benchmark, split) if s.pid > 0}),
            "images": len(getattr(benchmark, split)),
            "cameras": len({s.camid for s in getattr(benchmark, split)}),
            "distractors": sum(s.pid == 0 for s in getattr(benchmark, split)),
        }
        for split in SPLITS
    ]
    return pd.DataFrame(rows).set_index("split")

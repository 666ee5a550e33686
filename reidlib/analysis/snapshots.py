"""Small arrays that a run keeps of pictures made here, which can be had again.

One .npz per kind in a run's folder; keys <benchmark>/<name>. Of photographs nothing is
kept: names and maps would lead back to people.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reidlib.data.samples import Benchmark
from reidlib.evaluation.search import Search, ranking, spread
from reidlib.files import written_whole
from reidlib.pedestrians import RECIPES, draw_again, place_of
from reidlib.reading import reading
from reidlib.rendered import is_shipped, shipped_picture

LOOKS = "looks"  # a kind: what a model sees


def write(
    run_dir: str, kind: str, arrays: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
    """Write arrays by benchmark and name to <run_dir>/<kind>.npz, of what is made here.

    Nothing is written for run_dir "" or without arrays; what is there of other
    benchmarks stays. Floats are kept in half precision.
    """
    flat = {
        f"{benchmark}/{name}": _halved(np.asarray(values))
        for benchmark, named in arrays.items()
        for name, values in named.items()
        if benchmark in RECIPES or is_shipped(benchmark)
    }
    if not (run_dir and flat):
        return
    folder = Path(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}.npz"
    flat = _arrays(path) | flat
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **flat)


def _halved(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16) if values.dtype.kind == "f" else values


def read(folder: Path, kind: str, benchmark: str) -> dict[str, np.ndarray]:
    """Read a benchmark's arrays of one kind by name; empty where none was kept.

    Raises ValueError naming a file that is damaged.
    """
    found = _arrays(folder / f"{kind}.npz")
    keys = {key: key.rpartition("/") for key in found}
    return {
        name: found[key] for key, (place, _, name) in keys.items() if place == benchmark
    }


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of a file; none where there is no file. Checksums are compared."""
    remedy = "delete it, and what it shows; running its notebook again makes it anew"
    try:
        with reading(path, remedy), path.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        return {}


def keep_looks(
    run_dir: str, looks: Mapping[str, tuple[Sequence[Path], Mapping[str, np.ndarray]]]
) -> None:
    """Keep arrays of some images in looks.npz: (paths, arrays by name) by benchmark."""
    arrays = {
        benchmark: {"names": _names_of(paths), **named}
        for benchmark, (paths, named) in looks.items()
    }
    write(run_dir, LOOKS, arrays)


def kept_maps(
    folder: Path, benchmark: str
) -> tuple[list[Image.Image], dict[str, Tensor]]:
    """Pictures, had again, and the maps (n, h, w) by name that a run kept of them."""
    found = read(folder, LOOKS, benchmark)
    maps = {name.removeprefix("map "): x for name, x in found.items() if x.ndim == 3}
    named = {name: torch.from_numpy(values).float() for name, values in maps.items()}
    return pictures(benchmark, found.get("names", ())), named


def _names_of(paths: Sequence[Path]) -> np.ndarray:
    """The names under which pictures can be had again."""
    return np.array([place_of(path) for path in paths])


def pictures(benchmark: str, names: Sequence[str]) -> list[Image.Image]:
    """Draw pictures of a benchmark again, or take them from its archive."""
    again = draw_again if benchmark in RECIPES else shipped_picture
    return [again(benchmark, str(name)) for name in names]


def ranked(folder: Path, benchmark: str) -> tuple[list, list, tuple[np.ndarray, ...]]:
    """Queries, gallery pictures and ranking that a run kept, for plots.ranked_lists."""
    found = read(folder, "ranked", benchmark)
    for name in {"queries", "nearest", "hits"} - found.keys():
        raise ValueError(f"{folder / 'ranked.npz'} has no {benchmark}/{name}")
    names, order = np.unique(found["nearest"], return_inverse=True)
    order = order.reshape(found["nearest"].shape)  # (q, k)
    counts = np.full(len(order), order.shape[1])
    queries = pictures(benchmark, found["queries"])
    return queries, pictures(benchmark, names), (order, found["hits"], counts)


def keep_ranked(
    found: Search, benchmark: Benchmark, run_dir: str, *, queries: int, count: int = 10
) -> None:
    """Keep the nearest images of some queries in ranked.npz, of what is made here.

    queries   how many, spread over the set      count  of images for each
    """
    chosen = spread(len(benchmark.query), queries)
    order, hits, _ = (part.cpu() for part in ranking(found, chosen))
    places = _names_of([sample.path for sample in benchmark.gallery])
    arrays = {
        "queries": _names_of([benchmark.query[i].path for i in chosen]),
        "nearest": places[order[:, :count].numpy()],
        "hits": hits[:, :count].numpy(),
    }
    write(run_dir, "ranked", {benchmark.name: arrays})

"""What is true of a benchmark's images: who stands where, and which parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from reidlib.data.masks import cell_shares, read_mask
from reidlib.data.samples import Benchmark, mask_path
from reidlib.pedestrians import Part
from reidlib.pedestrians.canvas import PERSON
from reidlib.reading import shown


def person_shares(paths: Sequence[Path], grid: tuple[int, int]) -> Tensor | None:
    """Share (N, h, w) of each cell on the person; None where there are no masks.

    The images, and so their masks, may be of several sizes.
    """
    parts = true_parts(paths, grid)
    return None if parts is None else parts[:, PERSON].sum(dim=1)


def true_parts(paths: Sequence[Path], grid: tuple[int, int]) -> Tensor | None:
    """Share (n, Part, h, w) of each part in the cells of images; None without masks."""
    try:
        masks = [read_mask(path, len(Part))[None] for path in paths]
    except FileNotFoundError:
        return None
    return torch.cat([cell_shares(mask, grid, len(Part)) for mask in masks])


def check_masks(sets: Mapping[str, Benchmark]) -> None:
    """Read the part masks of all queries, which are looked at after training.

    A benchmark may have none. Raises ValueError for masks that cannot be used, and
    where some queries have a mask and others have none.
    """
    for name, benchmark in sets.items():
        paths = [sample.path for sample in benchmark.query]
        missing = [path for path in paths if not mask_path(path).is_file()]
        if missing and len(missing) < len(paths):
            raise ValueError(
                f"{len(missing)} of {len(paths)} queries of {name} have no part mask,"
                f" the first is {shown(missing[0])}: make those that are missing with"
                " notebooks/prepare/masks.ipynb"
            )
        for path in paths if not missing else []:
            read_mask(path, len(Part))

"""What is true of a benchmark's images: who stands where, and which parts."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from reidlib.data.masks import cell_shares, read_mask
from reidlib.pedestrians import Part
from reidlib.pedestrians.canvas import PERSON


def person_shares(paths: Sequence[Path], grid: tuple[int, int]) -> Tensor | None:
    """Share (N, h, w) of each cell on the person; None where there are no masks."""
    try:
        masks = torch.stack([read_mask(path) for path in paths])  # (N, H, W)
    except FileNotFoundError:
        return None
    return cell_shares(masks, grid, len(Part))[:, PERSON].sum(dim=1)


def true_parts(paths: Sequence[Path], grid: tuple[int, int]) -> Tensor | None:
    """Share (n, Part, h, w) of each part in the cells of images; None without masks."""
    try:
        masks = [read_mask(path)[None] for path in paths]
    except FileNotFoundError:
        return None
    return torch.cat([cell_shares(mask, grid, len(Part)) for mask in masks])

"""Part masks of images, and their shares of the cells of a map."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.data.pictures import decoded, refused
from reidlib.data.samples import mask_path
from reidlib.reading import shown

ONE_CHANNEL = "save the number of the part of each pixel, in one channel or a palette"


def read_mask(image_path: Path, num_labels: int | None = None) -> Tensor:
    """Part mask (H, W) of an image, from `masks/` below its benchmark's root.

    Integers, for drawn pedestrians the labels of Part. Raises FileNotFoundError for an
    image without a mask, ValueError as read_labels does.
    """
    return read_labels(mask_path(image_path), num_labels)


def read_labels(path: Path, num_labels: int | None = None) -> Tensor:
    """A mask (H, W) by its own path, as integers; of a palette, its indices.

    num_labels   where given, labels have to be below it
    Raises ValueError for masks in colour, and for labels that are not below num_labels,
    as 255 is where a mask is black and white.
    """
    image = decoded(path)
    if image.mode == "F":
        raise refused(path, "have pixels of 32 bits")
    if image.mode in ("LA", "RGBA"):
        image = image.convert(image.mode[:-1])
    mask = np.array(image).astype(np.int64)  # (H, W), or (H, W, C) of equal C
    if mask.ndim == 3:
        if (mask != mask[..., :1]).any():
            raise ValueError(f"{shown(path)} is in colour: {ONE_CHANNEL}")
        mask = mask[..., 0]
    if num_labels is not None and mask.max(initial=0) >= num_labels:
        raise ValueError(
            f"{shown(path)} has the label {mask.max()}, but parts are numbered 0 to"
            f" {num_labels - 1}: {ONE_CHANNEL}"
        )
    return torch.from_numpy(mask)


def cell_labels(masks: Tensor, grid: tuple[int, int], num_classes: int) -> Tensor:
    """Label each cell of a grid by the class that most of its pixels have.

    masks (B, H, W) integer labels below `num_classes`; returns (B, h, w). Ties go to
    the smaller label.
    """
    return cell_shares(masks, grid, num_classes).argmax(dim=1)


def cell_shares(masks: Tensor, grid: tuple[int, int], num_classes: int) -> Tensor:
    """Share of each class (B, N, h, w) among the pixels of each cell of a grid."""
    one_hot = F.one_hot(masks.long(), num_classes).movedim(-1, 1).float()  # (B,N,H,W)
    return F.adaptive_avg_pool2d(one_hot, grid)  # (B, N, h, w)

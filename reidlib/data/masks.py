"""Part masks of images, and their shares of the cells of a map."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from reidlib.data.samples import mask_path


def read_mask(image_path: Path) -> Tensor:
    """Part mask (H, W) of an image, from `masks/` below its benchmark's root.

    Integers, for drawn pedestrians the labels of Part. Raises FileNotFoundError for an
    image without a mask.
    """
    return read_labels(mask_path(image_path))


def read_labels(path: Path) -> Tensor:
    """A mask (H, W) by its own path, as integers."""
    with Image.open(path) as mask:
        return torch.from_numpy(np.array(mask)).long()


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

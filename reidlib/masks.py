"""How well masks and regions fit the true parts of a picture.

B images, (H, W) pixels, (h, w) cells of a patch grid or feature map, N classes
"""

import torch
import torch.nn.functional as F
from torch import Tensor


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


def region_iou(predicted: Tensor, true: Tensor, num_classes: int) -> Tensor:
    """Intersection over union of each class, over all cells of all images together.

    predicted, true   integer labels of one shape
    Returns (N,), nan for a class that neither has.
    """
    classes = torch.arange(num_classes, device=true.device)
    ours = predicted.flatten() == classes[:, None]  # (N, cells)
    theirs = true.flatten() == classes[:, None]
    both, either = (ours & theirs).sum(dim=1), (ours | theirs).sum(dim=1)
    return both / either


def soft_iou(masks: Tensor, shares: Tensor) -> Tensor:
    """Overlap of a soft mask with the true one: sum of minima over sum of maxima.

    masks, shares   (B, h, w) in [0, 1]; for hard masks this is the usual IoU
    Returns (B,), nan where both are empty.
    """
    smaller = torch.minimum(masks, shares).flatten(1).sum(dim=1)
    larger = torch.maximum(masks, shares).flatten(1).sum(dim=1)
    return smaller / larger


def share_inside(energy: Tensor, shares: Tensor) -> Tensor:
    """Share of a map's energy that falls on the true mask.

    energy (B, h, w) >= 0; shares (B, h, w) in [0, 1], how much of each cell is inside
    Returns (B,) in [0, 1], nan where the map has no energy. A uniform map scores the
    mask's area.
    """
    total = energy.flatten(1).sum(dim=1)
    return (energy * shares).flatten(1).sum(dim=1) / total


def mask_auc(masks: Tensor, inside: Tensor) -> float:
    """Probability that a cell inside the true mask scores above one outside it.

    masks    (...) scores, any range, so that only their order matters
    inside   (...) booleans of the same shape
    The area under the ROC curve with ties counted half; 0.5 is chance.
    """
    scores, truth = masks.flatten().double(), inside.flatten()
    if truth.all() or not truth.any():
        return float("nan")
    values, position = scores.unique(return_inverse=True)
    positives = torch.bincount(position[truth], minlength=len(values)).double()
    negatives = torch.bincount(position[~truth], minlength=len(values)).double()
    below = negatives.cumsum(0) - negatives
    wins = (positives * (below + negatives / 2)).sum()
    return float(wins / (positives.sum() * negatives.sum()))

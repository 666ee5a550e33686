"""How well masks and regions fit the true parts of a picture.

B images, (H, W) pixels, (h, w) cells of a patch grid or feature map, N classes
"""

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor


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
    The area under the ROC curve with ties counted half; 0.5 is chance. nan where no
    cell is inside, or all are.
    """
    scores, truth = masks.flatten().double().cpu(), inside.flatten().cpu()
    if truth.all() or not truth.any():
        return float("nan")
    return float(roc_auc_score(truth, scores))

"""Triplet losses (Hermans et al. 2017), and the distances they compare."""

import torch
from torch import Tensor
from torch.nn.functional import softplus


def euclidean_distances(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances (A, B) of embeddings (A, D) and (B, D), in float32.

    Squares below 1e-12 count as 1e-12, so that the root has a finite gradient.
    """
    with torch.autocast(first.device.type, enabled=False):
        first, second = first.float(), second.float()
        squares = first.square().sum(1)[:, None] + second.square().sum(1)  # (A, B)
        squares = squares - 2 * first @ second.T
        return squares.clamp_min(1e-12).sqrt()


def triplet_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    margin: float = 0.3,
    soft_margin: bool = False,
) -> Tensor:
    """Batch-hard triplet loss. Hermans et al. 2017, Eq. 5, as a mean.

        L = mean over anchors a of  [ m + max_p d(a, p) - min_n d(a, n) ]_+
                                          same label      other label

    a, p, n  anchor, positive, negative      m  margin      d  Euclidean, not squared
    soft_margin puts ln(1 + exp(max_p d - min_n d)) in place of the hinge; the margin
    is then not used.
    embeddings (B, D), not normalised; labels (B,); returns a scalar. Anchors without a
    positive or without a negative are left out; if none remains the loss is 0.
    """
    distances = euclidean_distances(embeddings, embeddings)  # (B, B)
    same = labels[:, None] == labels  # (B, B)
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=same.device)
    anchors = positive.any(1) & ~same.all(1)  # (B,)
    hardest_positive = distances.masked_fill(~positive, -torch.inf).amax(1)  # (B,)
    hardest_negative = distances.masked_fill(same, torch.inf).amin(1)  # (B,)
    excess = hardest_positive - hardest_negative  # -inf where one of them is missing
    terms = softplus(excess) if soft_margin else (margin + excess).relu()
    return terms.sum() / anchors.sum().clamp_min(1)


def mean_triplet_loss(
    embeddings: Tensor, labels: Tensor, *, margin: float = 0.3
) -> Tensor:
    """The loss of all triplets of a batch. Hermans et al. 2017, Eq. 6, as a mean.

        L = mean over a, p, n of  [ m + d(a, p) - d(a, n) ]_+

    This is what triplets drawn at random have on average. Symbols and shapes as in
    triplet_loss; without a triplet the loss is 0.
    """
    distances = euclidean_distances(embeddings, embeddings)  # (B, B)
    same = labels[:, None] == labels  # (B, B)
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=same.device)
    triplets = positive[:, :, None] & ~same[:, None, :]  # (B, B, B)
    excess = distances[:, :, None] - distances[:, None, :]  # (B, B, B)
    terms = (margin + excess).relu() * triplets
    return terms.sum() / triplets.sum().clamp_min(1)

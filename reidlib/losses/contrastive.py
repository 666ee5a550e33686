"""Contrastive losses between images and texts."""

import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.checks import check_choice


def contrastive_loss(
    queries: Tensor,
    keys: Tensor,
    labels: Tensor,
    temperature: float,
    positives: str = "mean",
) -> Tensor:
    """Each query finds the keys of its own label among all. FLaN-Net, Eq. 12-13.

        L = - mean over i of  mean over p with y_p = y_i of
              log [ exp(<q_i, k_p> / tau) / sum over n of exp(<q_i, k_n> / tau) ]

    <,>  cosine      tau  temperature, > 0
    positives: the mean over p, or the sum that the equations print (FLN-10), which is
    K times as large where a batch has K images of each identity: mean | sum
    queries q, keys k (B, D) of the same images, computed in float32; labels y (B,);
    returns a scalar.
    """
    check_choice("positives", positives, ("mean", "sum"))
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys = (F.normalize(x.float(), dim=1) for x in (queries, keys))
        logarithms = (queries @ keys.T / temperature).log_softmax(1)  # (B, B)
    positive = (labels[:, None] == labels).float()
    found = (logarithms * positive).sum(1)  # (B,)
    return -(found / positive.sum(1) if positives == "mean" else found).mean()


def info_nce_loss(ours: Tensor, theirs: Tensor, scale: Tensor) -> Tensor:
    """Each vector finds its partner among all. Radford et al. 2021, Fig. 3 (InfoNCE).

        L = 1/2 [ CE(s A B^T) + CE(s B A^T) ],  the own partner on the diagonal

    CE  cross-entropy, a mean over rows      s  scale, one over the temperature
    ours A, theirs B (B, J), rows of length 1, the i-th of each a pair; scale a scalar
    tensor, which may learn; returns a scalar.
    """
    logits = scale * ours @ theirs.T  # (B, B)
    pairs = torch.arange(len(ours), device=ours.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2

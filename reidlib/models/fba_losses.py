"""FBA's losses: what is of one meaning draws together, two meanings apart.

*Background Matters Too: A Language-Enhanced Adversarial Framework for Person
Re-Identification*.
Sections   "Objective Function": Eq. 5-6, 9 -> tri_div_loss; Eq. 7 -> consistency_loss;
           Eq. 4, 10 -> objective
Shapes     B images, W width
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlib.losses import triplet_loss


def tri_div_loss(foreground: Tensor, background: Tensor, margin: float = 0.3) -> Tensor:
    """Draw the two features of a region together, the regions apart. FBA, Eq. 5-6, 9.

        L = sum over (a, b | c, d) in P of [|a - b|^2 - |a - c|^2 + m]_+
                                         + [|a - b|^2 - |a - d|^2 + m]_+

    foreground  F_f^V, F_f^T (B, 2, W)      background  F_b^V, F_b^T (B, 2, W)
    P           each of the four features as a, with b the other of its own region and
                c, d those of the other region
    m           margin      |.|  of features of length 1, in float32
    A mean over images; 0 where every pair is nearer than the other region by m.
    """
    with torch.autocast(foreground.device.type, enabled=False):
        ours = F.normalize(foreground.float(), dim=-1)
        theirs = F.normalize(background.float(), dim=-1)
        across = _squared(ours[:, :, None], theirs[:, None])  # (B, 2, 2)
        within = [_squared(x[:, 0], x[:, 1])[:, None, None] for x in (ours, theirs)]
        hinges = [(pair - across + margin).relu() for pair in within]
        return sum(hinge.sum((1, 2)).mean() for hinge in hinges)


def _squared(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).square().sum(-1)


def consistency_loss(foreground: Tensor, background: Tensor) -> Tensor:
    """Draw text and image of each region together. FBA, Eq. 7.

        L = (1 - s(F_f^T, F_f^V)) + (1 - s(F_b^T, F_b^V)),      s  cosine

    foreground, background (B, 2, W); a mean over images, in [0, 4].
    """
    regions = torch.stack([foreground, background], 1).float()  # (B, 2, 2, W)
    cosines = F.cosine_similarity(regions[:, :, 0], regions[:, :, 1], dim=-1)
    return (1 - cosines).sum(1).mean()


def objective(
    output: NamedTuple,
    batch: NamedTuple,
    *,
    diversity: bool = True,
    label_smoothing: float = 0.1,
    margin: float = 0.3,
) -> dict[str, Tensor]:
    """Return the terms of Eq. 10, not weighted; terms of absent parts are absent.

        identity, triplet                  of the class token
        crossed_identity, crossed_triplet  sums over F_f^V and F_f^T
        tri_div, consistency               L_div of Eq. 8, where diversity asks for it

    batch   has labels (B,) from 0
    margin  of the triplet losses, batch-hard as in losses.py, and of tri_div
    Raises ValueError for diversity without a background branch.
    """
    triplet = partial(triplet_loss, labels=batch.labels, margin=margin)
    identity = partial(
        F.cross_entropy, target=batch.labels, label_smoothing=label_smoothing
    )
    visual, crossed = output.embedding
    terms = {"identity": identity(output.logits), "triplet": triplet(visual)}
    if output.crossed_logits is not None:
        terms["crossed_identity"] = sum(identity(x) for x in output.crossed_logits)
        terms["crossed_triplet"] = sum(triplet(x) for x in crossed.unbind(1))
    if diversity:
        if output.background is None:
            raise ValueError(
                "diversity compares the branches: build the model with cross_modal and "
                "background, or set diversity=False"
            )
        regions = crossed, output.background
        terms["tri_div"] = tri_div_loss(*regions, margin)
        terms["consistency"] = consistency_loss(*regions)
    return terms

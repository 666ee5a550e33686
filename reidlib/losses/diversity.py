"""FBA's diversity loss: foreground and background apart, image and text of each alike.

*Background Matters Too: A Language-Enhanced Adversarial Framework for Person
Re-Identification*, "Objective Function".
Equations  5-6, 9 -> tri_div_loss; 7 -> consistency_loss; 8 is their sum
Shapes     B images, W width
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def tri_div_loss(foreground: Tensor, background: Tensor, margin: float = 0.3) -> Tensor:
    """Draw the two features of a region together, the regions apart. FBA, Eq. 5-6, 9.

        L = mean over images of sum over (a, b | c, d) in P of
              [|a - b|^2 - |a - c|^2 + m]_+  +  [|a - b|^2 - |a - d|^2 + m]_+

    P    each of the four features of an image as a, with b the other of its own region
         and c, d those of the other region
    m    margin
    |.|  length of a difference of features, which have length 1 here

    foreground F_f^V, F_f^T (B, 2, W); background F_b^V, F_b^T (B, 2, W); computed in
    float32; returns a scalar, 0 where each region is nearer to itself by m.
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

        L = mean over images of (1 - s(F_f^T, F_f^V)) + (1 - s(F_b^T, F_b^V))

    s  cosine
    foreground F_f^V, F_f^T (B, 2, W); background F_b^V, F_b^T (B, 2, W); returns a
    scalar in [0, 4].
    """
    regions = torch.stack([foreground, background], 1).float()  # (B, 2, 2, W)
    cosines = F.cosine_similarity(regions[:, :, 0], regions[:, :, 1], dim=-1)
    return (1 - cosines).sum(1).mean()

"""ArcFace: an additive margin on the angle to the own class (FLaN-Net, Eq. 16)."""

import math

from torch import Tensor
from torch.nn import functional as F


def arcface_loss(
    cosines: Tensor, labels: Tensor, *, margin: float, scale: float
) -> Tensor:
    """Cross-entropy with a wider angle to the own identity. FLaN-Net, Eq. 16.

        L = - mean over images of log softmax(s z)_y,  z_j = cos theta_j,
        z_y = cos(theta_y + m),  or cos theta_y - m sin m where theta_y > pi - m

    theta_j  angle between a feature and the weight of identity j; y  its own identity
    m        margin in radians      s  scale
    The equation prints theta_{y+m} (FLN-2); the second form goes on falling where the
    first would rise again (Deng et al. 2019). Sines below 1e-3 count as 1e-3.
    cosines cos theta (B, N); labels y (B,), 0..N-1; returns a scalar.
    """
    own = cosines.float().gather(1, labels[:, None])  # (B, 1)
    sine = (1 - own.square()).clamp_min(1e-6).sqrt()
    cos, sin = math.cos(margin), math.sin(margin)
    wider = (own * cos - sine * sin).where(own > -cos, own - margin * sin)
    logits = cosines.float().scatter(1, labels[:, None], wider)
    return F.cross_entropy(scale * logits, labels)

"""RGANet's segmentation loss for its prompts (Eq. 3)."""

from torch import Tensor
from torch.nn import functional as F

UNCOUNTED = -1


def segmentation_loss(
    logits: Tensor, labels: Tensor, *, background: bool = False
) -> Tensor:
    """Teach masks the parts of the body. RGANet, Eq. 3, with a minus and as a mean.

        L_seg = - mean over cells with a label j in 1..N of log S_j,
        S = softmax over regions k = 0..N of the logits gamma <F, p_k>        (Eq. 1)

    S  share of each region in a cell; 0 is background. background makes it j in 0..N.
    logits (B, N+1, H, W); labels (B, H, W), 0..N, negative where not known, which is
    left out; returns a scalar, 0 where no cell counts. Raises ValueError for labels
    above N.
    """
    regions = logits.shape[1] - 1
    if not labels.is_cuda and labels.max() > regions:  # a GPU refuses them without us
        raise ValueError(
            f"labels reach {int(labels.max())}, but there are masks of {regions} "
            "regions: give the label -1 to what is none of them, occluders too"
        )
    counted = labels >= (0 if background else 1)  # (B, H, W)
    labels = labels.where(counted, UNCOUNTED)
    total = F.cross_entropy(logits, labels, ignore_index=UNCOUNTED, reduction="sum")
    return total / counted.sum().clamp_min(1)

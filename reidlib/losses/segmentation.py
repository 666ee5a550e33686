"""RGANet's segmentation loss for its prompts (Eq. 3)."""

from torch import Tensor


def segmentation_loss(
    masks: Tensor, labels: Tensor, *, background: bool = False
) -> Tensor:
    """Teach masks the parts of the body. RGANet, Eq. 3, with a minus and as a mean.

        L_seg = - mean over cells with a label j in 1..N of log S_j

    S  share of each region in a cell, which sums to 1 over regions; 0 is background
    background makes it 0..N. Shares below 1e-38 count as 1e-38.
    masks S (B, N+1, H, W); labels (B, H, W), 0..N, negative where not known, which is
    left out; returns a scalar, 0 where no cell counts. Raises ValueError for labels
    above N.
    """
    regions = masks.shape[1] - 1
    if labels.max() > regions:
        raise ValueError(
            f"labels reach {int(labels.max())}, but there are masks of {regions} "
            "regions: give the label -1 to what is none of them, occluders too"
        )
    counted = labels >= (0 if background else 1)  # (B, H, W)
    shares = masks.gather(1, labels.clamp_min(0)[:, None])[:, 0]  # (B, H, W)
    logarithms = shares.clamp_min(1e-38).log()
    return -(logarithms * counted).sum() / counted.sum().clamp_min(1)

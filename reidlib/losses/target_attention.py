"""FA-Net's target attention loss (Eq. 4-5, and the variants of Table II)."""

from torch import Tensor
from torch.nn.functional import normalize

from reidlib.checks import check_choice

FORMS = ("eq4", "v1", "v2")


def target_attention_loss(
    foreground_map: Tensor, background_map: Tensor, mask: Tensor, form: str = "eq4"
) -> Tensor:
    """Punish responses outside a branch's own region. FA-Net, Eq. 4-5; Eq. 7: v1, v2.

        eq4  L_t = avg[ F' (1 - Z) + B' Z ]     F'(c) = F(c) / ||F(c)||_2, B' alike
        v1   L_t = avg[ F + B ]
        v2   L_t = avg[ F (1 - Z) + B Z ]

    F, B   foreground and background map (B, C, H, W), both after a ReLU
    Z      mask (B, 1, H, W) in [0, 1], high on the person
    ||.||  over the H * W positions of one channel of one image, at least 1e-6
    Returns a scalar; gradients reach F, B and Z. For maps >= 0, eq4 lies in
    [0, sqrt(2 / (H W))].
    """
    check_choice("target_attention", form, FORMS)
    if form == "v1":
        return (foreground_map + background_map).mean()
    if form == "eq4":
        foreground_map = normalize(foreground_map.float(), dim=(2, 3), eps=1e-6)
        background_map = normalize(background_map.float(), dim=(2, 3), eps=1e-6)
    return (foreground_map * (1 - mask) + background_map * mask).mean()

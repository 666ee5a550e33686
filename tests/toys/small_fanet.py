"""FA-Net small enough for loops; TABLE_I holds the ablation's rows as arguments."""

from types import SimpleNamespace

import torch

from reidlib.backbones.resnet import load_resnet
from reidlib.models.fanet import FANet

OFF = {"background": False, "interaction": False, "pyramid": False}
TABLE_I = {
    "baseline": OFF | {"enhancement": False},
    "TEM": OFF,
    "BG": {"interaction": False, "pyramid": False},
    "IA": {"pyramid": False},
    "HPP": {},
}
BATCH = SimpleNamespace(
    labels=torch.tensor([0, 0, 1, 1, 2, 2]), camids=torch.tensor([0, 1, 0, 1, 0, 1])
)


def tiny(seed: int = 0, **parts) -> FANet:
    """FA-Net on 64x32 images: maps of 128 channels, 8 rows and 4 columns."""
    torch.manual_seed(seed)
    parts = {"attention_maps": 4, "stripe_width": 16} | parts
    return FANet(load_resnet("tiny-resnet"), num_identities=3, num_cameras=2, **parts)


def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 3, 64, 32, generator=generator)

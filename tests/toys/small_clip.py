"""A CLIP model of toy size for tests: all widths differ, as in ViT-B/16."""

from copy import deepcopy

import open_clip
import torch

from reidlib.backbones.clip import Clip

SETTINGS = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 64,
        "layers": 3,
        "width": 32,
        "head_width": 16,
        "patch_size": 16,
    },
    "text_cfg": {"width": 16, "heads": 2, "layers": 2},
}


def small_clip(seed: int = 0) -> tuple[open_clip.CLIP, Clip]:
    """Build open_clip's model with random weights, and our two towers around it."""
    torch.manual_seed(seed)
    settings = deepcopy(SETTINGS)
    model = open_clip.CLIP(**settings).eval()
    return model, Clip(model, settings, torch.arange(model.vocab_size))

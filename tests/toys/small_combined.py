"""The combination small enough for loops; ROWS holds its ablation's rows."""

from open_clip.tokenizer import tokenize
from toys.small_clip import small_clip
from toys.small_rganet import NAMES
from toys.small_rganet import images as images_of

from reidlib.backbones.clip import set_grid
from reidlib.models.combined import Combined
from reidlib.models.rganet_prompts import encode_prompts

SIZE = 128, 32
ROWS = {
    "baseline": {"regions": False, "stripes": "none"},
    "regions": {"stripes": "none"},
    "stripes": {"regions": False},
    "whole-stripes": {"stripes": "image"},
    "pyramid": {"regions": False, "stripes": "image"},
    "full": {},
}


def images(seed: int = 1, count: int = 6):
    return images_of(seed, count, SIZE)


def tiny(seed: int = 0, image_size=SIZE, **parts) -> Combined:
    """The combination on 128x32 images: a grid of 8 x 2 patches, joint width 24."""
    model, clip = small_clip(seed)
    set_grid(model.visual, image_size, 16)
    tower = type(clip.image)(model.visual)
    prototypes = encode_prompts(clip.text, tokenize(NAMES))
    return Combined(tower, prototypes, num_identities=3, **parts)

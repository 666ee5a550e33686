"""FLaN-Net small enough for loops; TABLE_5 and TABLE_6 hold the ablations' rows."""

from types import SimpleNamespace

import torch
from open_clip.tokenizer import tokenize
from toys.small_clip import small_clip
from toys.small_rganet import images as images

from reidlib.backbones.clip import TextTower, set_grid
from reidlib.models.flannet import FLaNNet
from reidlib.models.flannet_prompts import PROMPTS, WORDS, PromptEncoder, spell

FIXED, FULL = PROMPTS[0], PROMPTS[-1]
TABLE_5 = {
    "none": {"prompt": "", "cross_attention": False},
    "f": {"cross_attention": False, "fusion": "average"},
    "c": {"prompt": FIXED, "fusion": "average"},
    "average": {"fusion": "average"},
    "full": {},
}
TABLE_6 = {"sum": {"fusion": "sum"}, "concat": {"fusion": "concat"}}
READINGS = {"literal": {"literal": True}, "logit": {"fusion_of": "logit"}}
ROWS = TABLE_5 | TABLE_6 | READINGS
BATCH = SimpleNamespace(labels=torch.tensor([0, 0, 1, 1, 2, 2]))


def encoder(text_tower: TextTower, prompt: str = FULL, **parts) -> PromptEncoder:
    """A PromptEncoder of a prompt in words, with two blocks unless told otherwise."""
    ids = tokenize([spell(prompt), *WORDS.values()])
    return PromptEncoder(text_tower, ids[0], ids[1:, 1], **{"blocks": 2, **parts})


def tiny(
    seed: int = 0, prompt: str = FULL, literal=False, queries=3, **parts
) -> FLaNNet:
    """FLaN-Net on 80x32 images: a grid of 5 x 2 patches, joint width 24, text 16."""
    model, clip = small_clip(seed)
    set_grid(model.visual, (80, 32), 16)
    tower = type(clip.image)(model.visual)
    words = {"literal": literal, "queries": queries}
    prompts = encoder(clip.text, prompt, **words) if prompt else None
    return FLaNNet(tower, prompts, num_identities=3, literal=literal, **parts)

"""FBA small enough for loops; TABLE_3 holds the ablation's rows as arguments."""

from types import SimpleNamespace

import torch
from open_clip.tokenizer import tokenize
from toys.small_clip import small_clip

from reidlib.backbones.clip import set_grid
from reidlib.models.fba import FBA

TABLE_3 = {
    "baseline": {"cross_modal": False},
    "crossed": {"background": False, "mask": "none"},
    "diversity": {"mask": "none"},
    "full": {},
}
PEOPLE = (
    "a person in a red shirt",
    "a walker with short black hair wearing blue jeans, white shoes and a cap",
    "a pedestrian",
)
SCENES = (
    "a street with a wall and a tree, and a parked car",
    "a square",
    "a person behind a metal fence in a hall",
)
BATCH = SimpleNamespace(labels=torch.tensor([0, 0, 1, 1, 2, 2]))


def tiny(seed: int = 0, image_size=(80, 32), **parts) -> FBA:
    """FBA on 80x32 images: 5 x 2 patches, widths 32 (image), 16 (text), 24 (joint)."""
    model, clip = small_clip(seed)
    set_grid(model.visual, image_size, 16)
    towers = type(clip.image)(model.visual), clip.text
    options = {"num_identities": 3, "heads": 2, "depth": 2} | parts
    return FBA(*towers, **options)


def images(seed: int = 1, count: int = 6, image_size=(80, 32)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, *image_size, generator=generator)


def captions(count: int = 6, people=PEOPLE, scenes=SCENES, length=20) -> torch.Tensor:
    """Token ids (count, 2, length), texts of several lengths in turn."""
    chosen = [
        [texts[i % len(texts)] for i in range(count)] for texts in (people, scenes)
    ]
    return torch.stack([tokenize(texts, length) for texts in chosen], 1)

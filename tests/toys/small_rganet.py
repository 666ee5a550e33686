"""RGANet small enough for loops; TABLE_V holds the ablation's rows as arguments."""

from types import SimpleNamespace

import torch
from open_clip.tokenizer import tokenize
from toys.small_clip import small_clip
from toys.toy_training import ToyImages

from reidlib.backbones.clip import set_grid
from reidlib.models.rganet import Embedding, Output, RGANet
from reidlib.models.rganet_prompts import REGIONS, encode_prompts

KINDS = ("none", "even", "dai", "iai", "both")
TABLE_V = {"baseline": {"regions": "none"}} | {
    f"{regions}-{assessment}": {"regions": regions, "assessment": assessment}
    for regions in ("stripe", "text")
    for assessment in KINDS
}
NAMES = list(REGIONS[4])
BATCH = SimpleNamespace(labels=torch.tensor([0, 0, 1, 1, 2, 2]))


def tiny(seed: int = 0, image_size=(80, 32), names=NAMES, **parts) -> RGANet:
    """RGANet on 80x32 images: a grid of 5 x 2 patches, joint width 24."""
    model, clip = small_clip(seed)
    set_grid(model.visual, image_size, 16)
    tower = type(clip.image)(model.visual)
    prototypes = encode_prompts(clip.text, tokenize(names))
    rganet = RGANet(tower, prototypes, num_identities=3, **parts)
    if rganet.memory is not None:
        rganet.memory.start(rganet.stripes(images(image_size=image_size)))
    return rganet


def images(seed: int = 1, count: int = 6, image_size=(80, 32)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, *image_size, generator=generator)


def embeddings(seed: int, count: int, regions: int = 4, width: int = 5) -> Embedding:
    """Random features of all signs and weights in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return Embedding(
        torch.randn(count, width, generator=generator),
        torch.randn(count, regions, width, generator=generator),
        torch.rand(count, regions, generator=generator),
    )


def output_of(regions: torch.Tensor, alpha: torch.Tensor | None) -> Output:
    """What a memory sees of an output."""
    weights = torch.ones_like(regions[..., 0])
    embedding = Embedding(regions.mean(1), regions, weights)
    return Output(embedding, None, alpha, None, None, None)


class Patterns(ToyImages):
    """The toy's patterns, each cell as large as a patch."""

    def __getitem__(self, index):
        image, *rest = super().__getitem__(index)
        return image.repeat_interleave(20, 1).repeat_interleave(16, 2), *rest

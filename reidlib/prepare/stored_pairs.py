"""Images of a benchmark with captions and part masks, to pre-train the tiny CLIP on.

In place of drawings that are made while training goes on: rendering takes too long.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from reidlib.backbones.clip import Clip
from reidlib.data.captions import Captions, captions_of
from reidlib.data.masks import cell_labels, read_mask
from reidlib.data.pictures import read_picture
from reidlib.data.samples import Sample
from reidlib.prepare.clip_pretraining import REGION_WORDS, FreshBatches, collate

SIDES = {"left": "right", "right": "left"}
ATTRIBUTES = {  # of rendered people: sentences with which they are asked for
    "upper_color": "a person in a {} top.",
    "upper": "a person wearing a {}.",
    "lower_color": "a person in {} trousers.",
    "lower": "a person wearing {}.",
    "shoes_color": "a person with {} shoes.",
    "hair": "a person with {} hair.",
    "bag": "a person with a {}.",
}


class StoredPairs(Dataset):
    """Images, captions and masks by index, without end: each pass has a new order.

    In every other pass an image is mirrored, and so are the sides that its caption
    names.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        tokenizer,
        size: tuple[int, int],
        grid: tuple[int, int],
    ) -> None:
        """`size` of images in pixels, `grid` of patches, both (rows, columns)."""
        self.paths = [sample.path for sample in samples]
        self.captions = captions_of(samples)
        self.tokenizer, self.size, self.grid = tokenizer, size, grid
        self.to_tensor = v2.Compose(
            [v2.ToImage(), v2.Resize(size), v2.ToDtype(torch.float32, scale=True)]
            + [v2.Normalize((0.5,) * 3, (0.5,) * 3)]
        )

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        turn, place = divmod(index, len(self.paths))
        chosen = int(_order(len(self.paths), turn)[place])
        path = self.paths[chosen]
        image, mask = self.to_tensor(read_picture(path)), read_mask(path)
        texts = self.captions[path]
        if (turn + chosen) % 2:
            image, mask, texts = image.flip(-1), mask.flip(-1), mirrored(texts)
        regions = cell_labels(mask[None], self.grid, len(REGION_WORDS))[0].flatten()
        person, background = self.tokenizer(list(texts))
        return image, person, background, regions


@cache
def _order(count: int, turn: int) -> np.ndarray:
    """The order of a pass over the images; the same every time."""
    return np.random.default_rng(turn).permutation(count)


def mirrored(texts: Captions) -> Captions:
    """Captions of a mirror image.

    >>> mirrored(Captions("A man seen from the left.", "a car")).person
    'A man seen from the right.'
    """
    sides = re.compile(r"\b(left|right)\b")
    return Captions(*(sides.sub(lambda found: SIDES[found[0]], text) for text in texts))


def stored_loader(
    samples: Sequence[Sample],
    tokenizer,
    *,
    size: tuple[int, int],
    grid: tuple[int, int],
    steps: int,
    batch_size: int,
    workers: int = 0,
) -> DataLoader:
    """Loader of `steps` CaptionedBatches per epoch of a benchmark's images.

    Raises FileNotFoundError where captions or masks are missing.
    """
    return DataLoader(
        StoredPairs(samples, tokenizer, size, grid),
        batch_sampler=FreshBatches(steps, batch_size),
        collate_fn=partial(collate, tokenizer),
        num_workers=workers,
    )


def name_images(clip: Clip, images: Tensor, prompts: Tensor) -> Tensor:
    """Index (B,) of the prompt that is nearest to each image's class token.

    images (B, 3, H, W); prompts (C, L) token ids
    """
    seen = F.normalize(clip.image(images).joint[:, 0], dim=-1)  # (B, J)
    words = F.normalize(clip.text(prompts).sentence, dim=-1)  # (C, J)
    return (seen @ words.T).argmax(dim=-1)


def attribute_prompts(
    truth: Sequence[Mapping[str, object]], templates: Mapping[str, str] = ATTRIBUTES
) -> dict[str, dict[str, str]]:
    """Sentences for each value of some attributes, those that occur: by both names.

    truth       attributes of people, as captions.jsonl of rendered sets has them
    templates   by attribute, with {} where the value is to stand
    """
    found = {}
    for name, template in templates.items():
        values = sorted({str(each[name]) for each in truth if each[name]})
        found[name] = {value: template.format(value) for value in values}
    return found

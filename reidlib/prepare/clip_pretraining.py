"""A small CLIP taught on drawn pedestrians, in place of training on the web.

Four contrastive terms: the class token with person captions, the mean of all patches
with the same, background patches with background captions (all InfoNCE as in Radford et
al. 2021), and patches with the names of the parts that the true masks show there. The
last makes it more local than OpenAI's CLIP, whose patches were never told their names.
Shapes     B images, N patches, L text positions, J joint width, C region classes
"""

import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from reidlib.backbones.clip import Clip
from reidlib.data.masks import cell_labels
from reidlib.losses.contrastive import info_nce_loss
from reidlib.pedestrians import Part, Shot, draw
from reidlib.pedestrians.scenes import WORLDS

WORLD = "street"  # its cameras and people are in no benchmark
REGION_WORDS = {
    Part.BACKGROUND: ("background", "scene behind a person", "surroundings"),
    Part.HEAD: ("head", "face", "head and hair"),
    Part.UPPER_BODY: ("upper body", "torso", "chest and arms"),
    Part.LOWER_BODY: ("lower body", "legs", "hips and legs"),
    Part.FOOT: ("foot", "feet", "shoes"),
    Part.OCCLUDER: ("occluder", "object in front of a person", "obstacle"),
}
TEMPLATES = (
    "a {} part of a person.",
    "a photo of a {} part of a person.",
    "a photo of a {}.",
    "a person photo of a {}.",
    "{}",
)
BACKGROUND_TEMPLATES = ("a photo of a {}.", "the {} of a photo.", "{}")
HAND_CRAFTED = (
    "a photo of a background.",
    "a head part of a person.",
    "a upper body part of a person.",
    "a lower body part of a person.",
    "a foot part of a person.",
)


class CaptionedBatch(NamedTuple):
    """Drawn images with their captions and the true label of each patch.

    images (B, 3, H, W); person, background token ids (B, L); words token ids (C, L),
    one text per region class; regions (B, N) labels of Part
    """

    images: Tensor
    person: Tensor
    background: Tensor
    words: Tensor
    regions: Tensor

    def to(self, device: torch.device | str) -> Self:
        """The same batch on `device`."""
        return type(self)(*(tensor.to(device) for tensor in self))


class DrawnPairs(Dataset):
    """Drawings by index, without end; no person is in two of them."""

    def __init__(self, tokenizer, grid: tuple[int, int], occlusion: float) -> None:
        self.tokenizer = tokenizer
        self.grid = grid
        self.occlusion = occlusion
        self.to_tensor = v2.Compose(
            [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
            + [v2.Normalize((0.5,) * 3, (0.5,) * 3)]
        )

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        drawing = draw(_shot(index, self.occlusion))
        image = self.to_tensor(drawing.image)
        mask = torch.from_numpy(np.array(drawing.mask))
        if index // WORLDS[WORLD].cameras % 2:
            image, mask = image.flip(-1), mask.flip(-1)
        regions = cell_labels(mask[None], self.grid, len(REGION_WORDS))[0].flatten()
        person, background = self.tokenizer([drawing.person, drawing.background])
        return image, person, background, regions


class FreshBatches(Sampler[list[int]]):
    """Batches of indices that no earlier epoch has used."""

    def __init__(self, steps: int, batch_size: int) -> None:
        self.steps = steps
        self.batch_size = batch_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose indices come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.epoch * self.steps, (self.epoch + 1) * self.steps):
            yield list(range(step * self.batch_size, (step + 1) * self.batch_size))


def collate(tokenizer, items: list[tuple[Tensor, ...]]) -> CaptionedBatch:
    """Stack items of DrawnPairs, with region words drawn anew for every batch."""
    images, person, background, regions = map(torch.stack, zip(*items, strict=True))
    words = tokenizer(region_prompts(random))
    return CaptionedBatch(images, person, background, words, regions)


def pairs_loader(
    tokenizer,
    *,
    grid: tuple[int, int],
    steps: int,
    batch_size: int,
    occlusion: float,
    workers: int = 0,
) -> DataLoader:
    """Loader of `steps` CaptionedBatches per epoch, drawn while training goes on."""
    return DataLoader(
        DrawnPairs(tokenizer, grid, occlusion),
        batch_sampler=FreshBatches(steps, batch_size),
        collate_fn=partial(collate, tokenizer),
        num_workers=workers,
    )


def region_prompts(rng) -> list[str]:
    """One random wording for each region class, all body parts in one template."""
    template = rng.choice(TEMPLATES)
    words = [rng.choice(words) for words in REGION_WORDS.values()]
    prompts = [template.format(word) for word in words]
    prompts[Part.BACKGROUND] = rng.choice(BACKGROUND_TEMPLATES).format(words[0])
    return prompts


def vocabulary(tokenizer, texts: Sequence[str]) -> list[int]:
    """Sorted token ids of texts and of all region prompts: the rows worth keeping."""
    words = [word for words in REGION_WORDS.values() for word in words]
    templates = (*TEMPLATES, *BACKGROUND_TEMPLATES)
    prompts = [template.format(word) for template in templates for word in words]
    return sorted(set(tokenizer([*texts, *prompts, *HAND_CRAFTED]).flatten().tolist()))


def sampled_captions(count: int) -> list[str]:
    """Captions of the first `count` drawings, to know which words occur."""
    drawings = (draw(_shot(index, occlusion=0.5)) for index in range(count))
    return [text for drawing in drawings for text in drawing[2:4]]


def _shot(index: int, occlusion: float) -> Shot:
    """What is drawn first, second, ...: cameras take turns."""
    camid = index % WORLDS[WORLD].cameras
    return Shot(WORLD, "pairs", 0, camid, index, occlusion=occlusion)


def build_clip(settings: dict) -> Clip:
    """A randomly initialised Clip of open_clip's model configuration."""
    model = open_clip.CLIP(**settings)
    return Clip(model, settings, torch.arange(model.vocab_size))


class Output(NamedTuple):
    """Unit vectors of the joint space, and the learned scale of each contrast."""

    images: Tensor  # (B, J) class token
    pooled: Tensor  # (B, J) mean of the patches as the tower gives them
    patches: Tensor  # (B, N, J)
    person: Tensor  # (B, J)
    background: Tensor  # (B, J)
    words: Tensor  # (C, J)
    scales: Tensor  # (4,) person, pooled, background, region


class PretrainedClip(nn.Module):
    """A Clip with the scales of its four contrasts."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip
        self.log_scales = nn.Parameter(torch.full((4,), 10.0).log())

    def forward(
        self, images: Tensor, person: Tensor, background: Tensor, words: Tensor
    ) -> Output:
        """Encode images (B, 3, H, W) and the ids of captions and region words."""
        joint = self.clip.image(images).joint.float()  # (B, 1+N, J)
        ids = torch.cat([person, background, words])
        longest = int((ids != 0).sum(dim=1).max())  # padding behind it changes nothing
        texts = F.normalize(self.clip.text(ids[:, :longest]).sentence.float(), dim=-1)
        person, background, words = texts.split(
            [len(person), len(background), len(words)]
        )
        return Output(
            images=F.normalize(joint[:, 0], dim=-1),
            pooled=F.normalize(joint[:, 1:].mean(dim=1), dim=-1),
            patches=F.normalize(joint[:, 1:], dim=-1),
            person=person,
            background=background,
            words=words,
            scales=self.log_scales.exp(),
        )

    def embed(self, images: Tensor) -> Tensor:
        """The class token (B, J): a retrieval without any identity training."""
        return self.clip.image(images).joint[:, 0]


def tensors_of(batch: CaptionedBatch) -> tuple[Tensor, ...]:
    """What PretrainedClip sees of a batch; the regions are for the objective."""
    return batch[:4]


def objective(
    output: Output, batch: CaptionedBatch, *, class_weights: Sequence[float]
) -> dict[str, Tensor]:
    """Return the terms, not weighted.

        person      InfoNCE of class tokens and person captions
        pooled      InfoNCE of means over all patches and person captions
        background  InfoNCE of the mean of the background's patches and its captions
        region      cross-entropy of patches over the region words

    class_weights  weight of each Part in the region term: head and foot cover few
                   patches and would not be learned without
    """
    person_scale, pooled_scale, background_scale, region_scale = output.scales
    outside = (batch.regions == Part.BACKGROUND).float()[..., None]  # (B, N, 1)
    surroundings = F.normalize((output.patches * outside).sum(dim=1), dim=-1)
    logits = region_scale * output.patches @ output.words.T  # (B, N, C)
    weights = torch.tensor(class_weights, device=logits.device)
    return {
        "person": info_nce_loss(output.images, output.person, person_scale),
        "pooled": info_nce_loss(output.pooled, output.person, pooled_scale),
        "background": info_nce_loss(surroundings, output.background, background_scale),
        "region": F.cross_entropy(
            logits.flatten(0, 1), batch.regions.flatten(), weight=weights
        ),
    }


def name_patches(clip: Clip, images: Tensor, prompts: Tensor) -> Tensor:
    """Index of the nearest prompt (B, rows, columns) of each patch.

    images (B, 3, H, W); prompts (C, L) token ids
    """
    patches = F.normalize(clip.image(images).joint[:, 1:], dim=-1)  # (B, N, J)
    words = F.normalize(clip.text(prompts).sentence, dim=-1)  # (C, J)
    return (patches @ words.T).argmax(dim=-1).unflatten(1, clip.image.grid)

"""RGANet, stage 0: names of regions as prompts, by hand or learned, to prototypes.

*Region Generation and Assessment Network for Occluded Person Re-Identification*, TIFS.
Sections   III-C prompts -> fill_template, encode_prompts, PromptLearner
           Eq. 3 -> segmentation_loss, objective      IV-B the stage, IV-D Table VI
Readings   Eq. 3 is minus the mean over labelled cells. The background prototype p_0
           stays as it is here: only the context vectors are said to be trained.
Shapes     B images, H x W patches, N regions, D joint width, L text positions, K
           context vectors
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from reidlib.backbones.clip import TextTower
from reidlib.losses.segmentation import segmentation_loss

BODY = ("head", "upper body", "lower body", "foot")
REGIONS = {2: BODY[1:3], 3: BODY[:3], 4: BODY, 5: (*BODY, "bags")}  # Fig. 3a, by N
TEMPLATES = (  # Table VI; the last is the default
    "a photo of a [CLASS].",
    "a person photo of a [CLASS].",
    "a photo of a [CLASS] part of a person.",
    "a [CLASS] part of a person.",
)


def fill_template(template: str, names: Iterable[str]) -> list[str]:
    """Put each name in the place of [CLASS]."""
    if "[CLASS]" not in template:
        raise ValueError(f"prompt {template!r} has no place for a name: add [CLASS]")
    return [template.replace("[CLASS]", name) for name in names]


@torch.no_grad()
def encode_prompts(text_tower: TextTower, ids: Tensor) -> Tensor:
    """Return the prototypes (N, D) of N texts, token ids (N, L)."""
    return text_tower(ids).sentence


class PromptLearner(nn.Module):
    """[V]_1 ... [V]_K [CLASS]: K context vectors for all classes, all else frozen.

    model            the RGANet whose masks are taught, with regions="text"
    ids              token ids (N, L) of the class words alone
    context_vectors  K, initialised from N(0, 0.02) as in CoOp (Zhou et al. 2022)
    Model and text tower are copied and frozen; those given stay as they are. What is
    learned are `prototypes`, which go into model.prototypes.
    """

    LOADED = ("model", "text_tower")

    def __init__(
        self,
        model: nn.Module,
        text_tower: TextTower,
        ids: Tensor,
        *,
        context_vectors: int = 8,
    ) -> None:
        super().__init__()
        self.model = deepcopy(model).requires_grad_(False)
        self.text_tower = deepcopy(text_tower).requires_grad_(False)
        self.context = nn.Parameter(torch.empty(context_vectors, text_tower.width))
        length = int(ids.argmax(1).max()) + 1  # the end of text has the largest id
        places = ids.new_zeros(len(ids), context_vectors)  # any id but the end's
        ids = torch.cat([ids[:, :1], places, ids[:, 1:length]], dim=1)
        self.register_buffer("ids", ids, persistent=False)  # (N, K + L)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the context vectors from N(0, 0.02)."""
        nn.init.normal_(self.context, std=0.02)

    def prototypes(self) -> Tensor:
        """Return p_1..p_N (N, D); gradients reach the context vectors."""
        words = self.text_tower.embed_tokens(self.ids)  # (N, K + L, text width)
        context = self.context.expand(len(words), -1, -1)
        class_words = words[:, 1 + len(self.context) :]
        embeddings = torch.cat([words[:, :1], context, class_words], dim=1)
        return self.text_tower.encode(embeddings, self.ids).sentence

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, N+1, H, W) of masks, of images (B, 3, height, width).

        Their softmax over regions is S, whose logarithm would lose what is below 1e-38.
        """
        patches = self.model.image_tower(images).joint[:, 1:]
        return self.model.mask_logits(patches, self.prototypes())


def objective(
    logits: Tensor, batch: NamedTuple, *, background: bool = False
) -> dict[str, Tensor]:
    """Return the term of stage 0; batch has regions (B, H, W), labels of the cells."""
    loss = segmentation_loss(logits, batch.regions, background=background)
    return {"segmentation": loss}

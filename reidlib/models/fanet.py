"""FA-Net: a foreground-aware network for person re-identification.

*An End-to-End Foreground-Aware Network for Person Re-Identification*, TIP 2021.
Sections   III-A two branches, pyramid -> FANet, StripeHead
           III-B target enhancement, Eq. 1-3 -> TargetEnhancement, gate
           III-C target attention, Eq. 4-5 -> target_attention_loss (Eq. 7: its forms)
           III-D objective, Eq. 6 -> objective; the weights stand in the notebook
Readings   B is the last map of the background branch: the low-level map, as printed,
           has not F's shape and cannot be gated. Where the paper is silent, stripes
           are pooled by mean + maximum and their losses averaged (switches).
Shapes     B images, C channels, H x W positions, k attention maps, S stripes (15 with
           the pyramid, else 1), D stripe width, N identities, M cameras
"""

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reidlib.backbones.resnet import ResNetStages
from reidlib.checks import check_choice
from reidlib.losses.target_attention import FORMS, target_attention_loss
from reidlib.models.layers import SCALES, Classifier
from reidlib.recipes import recorded

POOLING = {  # (B, C, stripes, rows, W) -> (B, C, stripes)
    "avg": lambda stripes: stripes.mean((3, 4)),
    "max": lambda stripes: stripes.amax((3, 4)),
    "sum": lambda stripes: stripes.mean((3, 4)) + stripes.amax((3, 4)),
}


class Output(NamedTuple):
    """What each loss sees; parts that a variant leaves out are None."""

    embedding: Tensor  # (B, S * D) compared at test time
    identity_logits: Tensor  # (S, B, N)
    camera_logits: Tensor | None  # (S, B, M)
    foreground_map: Tensor  # F (B, C, H, W), not gated
    background_map: Tensor | None  # B (B, C, H, W), not gated
    mask: Tensor | None  # Z (B, 1, H, W) in (0, 1), high on the person


class TargetEnhancement(nn.Module):
    """The mean of k attention maps as a soft foreground mask (Eq. 1, Fig. 4).

    The last convolution and the mean are together one 1x1 convolution with averaged
    weights: k changes the initial mask and the learning rate, not what can be learned.
    """

    def __init__(self, width: int, attention_maps: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, 256, 1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 128, 3, padding=1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, attention_maps, 1),
        )

    def forward(self, foreground_map: Tensor) -> Tensor:
        """Return Z (B, 1, H, W) of F (B, C, H, W)."""
        return self.layers(foreground_map).float().mean(1, keepdim=True).sigmoid()


class StripeHead(nn.Module):
    """Pool horizontal stripes, embed and classify each on its own (Fu et al. 2019).

    Without the pyramid the average of the whole map is the one stripe, not embedded.
    """

    def __init__(
        self, width: int, num_classes: int, pyramid: bool, stripe_width: int, pool: str
    ) -> None:
        super().__init__()
        self.scales = SCALES if pyramid else (1,)
        self.pool = POOLING[pool if pyramid else "avg"]
        self.embeddings = nn.ModuleList()
        self.classifiers = nn.ModuleList()
        for _ in range(sum(self.scales)):
            embedding = nn.Sequential(
                nn.Linear(width, stripe_width, bias=False),
                nn.BatchNorm1d(stripe_width),
                nn.ReLU(inplace=True),
            )
            self.embeddings.append(embedding if pyramid else nn.Identity())
            embedding_width = stripe_width if pyramid else width
            self.classifiers.append(Classifier(embedding_width, num_classes))

    def stripes(self, feature_map: Tensor) -> Tensor:
        """Return stripes (S, B, D) of a map (B, C, H, W), the whole image first."""
        rows, finest = feature_map.shape[2], self.scales[-1]
        if rows % finest:
            raise ValueError(
                f"the feature map has {rows} rows, not a multiple of {finest} stripes: "
                "choose another image height (384 pixels give 24 rows with resnet50)"
            )
        pooled = [self.pool(feature_map.unflatten(2, (s, -1))) for s in self.scales]
        pairs = zip(self.embeddings, torch.cat(pooled, 2).unbind(2), strict=True)
        return torch.stack([embed(stripe) for embed, stripe in pairs])

    def classify(self, stripes: Tensor) -> Tensor:
        """Return logits (S, B, N) of stripes (S, B, D)."""
        pairs = zip(self.classifiers, stripes, strict=True)
        return torch.stack([classifier(stripe) for classifier, stripe in pairs])


class FANet(nn.Module):
    """A foreground and a background branch on one trunk, coupled by a soft mask.

    stages          trunk and branch of a loaded ResNet; the background branch starts
                    as a copy of the branch and shares nothing with it
    enhancement     TEM: predict the mask and gate the foreground map
    background      BG: add the background branch and its camera classifiers
    interaction     IA: gate the background map by 1 - mask
    pyramid         HPP: stripes in place of global average pooling
    attention_maps  k of Eq. 1      stripe_width  D, with the pyramid
    pooling         of the pyramid's stripes: avg | max | sum of both

    Table I turns on enhancement, background, interaction, the target_attention of
    `objective` and the pyramid, one after the other.
    """

    LOADED = ("trunk", "foreground_branch", "background_branch")

    @recorded
    def __init__(
        self,
        stages: ResNetStages,
        *,
        num_identities: int,
        num_cameras: int,
        enhancement: bool = True,
        background: bool = True,
        interaction: bool = True,
        pyramid: bool = True,
        attention_maps: int = 256,
        stripe_width: int = 256,
        pooling: str = "sum",
    ) -> None:
        super().__init__()
        check_choice("pooling", pooling, POOLING)
        if interaction and not (enhancement and background):
            raise ValueError(
                f"interaction=True needs enhancement (is {enhancement}) and background "
                f"(is {background}): set both to True, or interaction=False"
            )
        width = stages.width
        heads = {"pyramid": pyramid, "stripe_width": stripe_width, "pool": pooling}
        self.interaction = interaction
        self.trunk = stages.trunk
        self.foreground_branch = stages.branch
        self.enhancement = None
        if enhancement:
            self.enhancement = TargetEnhancement(width, attention_maps)
        self.foreground_head = StripeHead(width, num_identities, **heads)
        self.background_branch = self.background_head = None
        if background:
            self.background_branch = deepcopy(stages.branch)
            self.background_head = StripeHead(width, num_cameras, **heads)

    def foreground(self, low_level: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return F (B, C, H, W), Z (B, 1, H, W) or None, and stripes (S, B, D)."""
        foreground_map = self.foreground_branch(low_level)
        mask = None if self.enhancement is None else self.enhancement(foreground_map)
        stripes = self.foreground_head.stripes(gate(foreground_map, mask))
        return foreground_map, mask, stripes

    def embed(self, images: Tensor) -> Tensor:
        """Return embeddings (B, S * D); the background branch is not run."""
        _, _, stripes = self.foreground(self.trunk(images))
        return stripes.transpose(0, 1).flatten(1)

    def forward(self, images: Tensor) -> Output:
        """Run both branches on images (B, 3, height, width)."""
        low_level = self.trunk(images)  # resnet50 (B, 512, 2H, 2W)
        foreground_map, mask, stripes = self.foreground(low_level)
        background_map = camera_logits = None
        if self.background_branch is not None:
            background_map = self.background_branch(low_level)  # (B, C, H, W)
            gated = gate(background_map, 1 - mask if self.interaction else None)
            background_stripes = self.background_head.stripes(gated)
            camera_logits = self.background_head.classify(background_stripes)
        return Output(
            embedding=stripes.transpose(0, 1).flatten(1),  # (B, S * D)
            identity_logits=self.foreground_head.classify(stripes),
            camera_logits=camera_logits,
            foreground_map=foreground_map,
            background_map=background_map,
            mask=mask,
        )


def gate(feature_map: Tensor, mask: Tensor | None) -> Tensor:
    """Weigh every position of a map by a mask, or by 1 (Eq. 2-3): F_g = F * Z."""
    return feature_map if mask is None else feature_map * mask


def stripe_loss(logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of logits (S, B, N) and labels (B,), mean or sum over stripes."""
    mean = cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)))
    return mean * len(logits) if reduction == "sum" else mean


def objective(
    output: Output,
    batch: NamedTuple,
    *,
    target_attention: str = "eq4",
    reduction: str = "mean",
) -> dict[str, Tensor]:
    """Return the terms of Eq. 6, not weighted; terms of absent parts are absent.

        L = 1/2 (identity + camera) + target_attention,  without background L = identity

    batch             has labels (B,) and camids (B,), both from 0
    target_attention  none | v1 | v2 | eq4, the rows of Table II
    reduction         of the losses of the S stripes: mean | sum
    """
    check_choice("target_attention", target_attention, ("none", *FORMS))
    check_choice("reduction", reduction, ("mean", "sum"))
    maps = output.foreground_map, output.background_map, output.mask
    terms = {"identity": stripe_loss(output.identity_logits, batch.labels, reduction)}
    if output.camera_logits is not None:
        terms["camera"] = stripe_loss(output.camera_logits, batch.camids, reduction)
    if target_attention != "none":
        if any(part is None for part in maps):
            raise ValueError(
                f"target_attention={target_attention!r} needs enhancement=True and "
                "background=True: it compares both branches under the mask; or 'none'"
            )
        terms["target_attention"] = target_attention_loss(*maps, target_attention)
    return terms

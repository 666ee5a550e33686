"""The plain baselines: a ResNet and a CLIP image tower with identity and triplet loss.

Source     ResNet: the strong baseline of Luo et al. 2019. CLIP: the baseline of
           CLIP-ReID (Li et al. 2023), whose recipe the CLIP papers share.
Sections   BNNeck -> layers.BNNeck      triplet loss -> losses.triplet_loss
Shapes     B images, W feature width, J joint width, D embedding width, N identities
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reidlib.backbones.clip import ImageTower
from reidlib.backbones.resnet import ResNetStages
from reidlib.checks import check_choice
from reidlib.losses.triplet import triplet_loss
from reidlib.models.layers import BNNeck

TEST_FEATURES = ("before", "after")  # the batch norm


class Output(NamedTuple):
    """What each loss sees; the CLIP baseline has several features of each kind."""

    embedding: Tensor  # (B, D) compared at test time
    triplet_embeddings: tuple[Tensor, ...]  # each (B, its width), before the BNNeck
    identity_logits: tuple[Tensor, ...]  # each (B, N), behind a BNNeck


class ResNetBaseline(nn.Module):
    """Global average of a ResNet's map, BNNeck, classifier.

    test_feature  after (the strong baseline) | before the batch norm; D = C
    """

    LOADED = ("trunk", "branch")

    def __init__(
        self, stages: ResNetStages, *, num_identities: int, test_feature: str = "after"
    ) -> None:
        super().__init__()
        check_choice("test_feature", test_feature, TEST_FEATURES)
        self.after = test_feature == "after"
        self.trunk = stages.trunk
        self.branch = stages.branch
        self.neck = BNNeck(stages.width, num_identities)

    def pool(self, images: Tensor) -> Tensor:
        """Return the map's average over positions, (B, C)."""
        return self.branch(self.trunk(images)).mean((2, 3))

    def embed(self, images: Tensor) -> Tensor:
        """Return embeddings (B, C) of images (B, 3, height, width)."""
        pooled = self.pool(images)
        return self.neck.norm(pooled) if self.after else pooled

    def forward(self, images: Tensor) -> Output:
        """Embed and classify images (B, 3, height, width)."""
        pooled = self.pool(images)
        normalised, logits = self.neck(pooled)
        embedding = normalised if self.after else pooled
        return Output(embedding, (pooled,), (logits,))


class ClipBaseline(nn.Module):
    """The class token of a CLIP image tower at three depths, two of them classified.

    test_feature  before (CLIP-ReID) | after the batch norms; D = W + J, the class
                  token after the last block beside its projection
    """

    LOADED = ("image_tower",)

    def __init__(
        self,
        image_tower: ImageTower,
        *,
        num_identities: int,
        test_feature: str = "before",
    ) -> None:
        super().__init__()
        check_choice("test_feature", test_feature, TEST_FEATURES)
        self.after = test_feature == "after"
        self.image_tower = image_tower
        self.neck = BNNeck(image_tower.width, num_identities)
        self.joint_neck = BNNeck(image_tower.joint_width, num_identities)

    def embed(self, images: Tensor) -> Tensor:
        """Return embeddings (B, W + J) of images (B, 3, height, width)."""
        return self(images).embedding

    def forward(self, images: Tensor) -> Output:
        """Embed and classify images (B, 3, height, width)."""
        tokens = self.image_tower(images)
        penultimate, last, joint = (depth[:, 0] for depth in tokens)
        normalised, logits = self.neck(last)
        joint_normalised, joint_logits = self.joint_neck(joint)
        compared = (normalised, joint_normalised) if self.after else (last, joint)
        return Output(
            embedding=torch.cat(compared, dim=1),  # (B, W + J)
            triplet_embeddings=(penultimate, last, joint),
            identity_logits=(logits, joint_logits),
        )


def objective(
    output: Output,
    batch: NamedTuple,
    *,
    label_smoothing: float = 0.1,
    margin: float = 0.3,
    soft_margin: bool = False,
) -> dict[str, Tensor]:
    """Return the terms identity and triplet, not weighted, summed over the features.

    batch has labels (B,) from 0; margin and soft_margin as in losses.triplet_loss.
    Summed as in CLIP-ReID: two cross-entropies and three triplet losses there, one and
    one for the ResNet.
    """
    identity = [
        cross_entropy(logits, batch.labels, label_smoothing=label_smoothing)
        for logits in output.identity_logits
    ]
    triplet = [
        triplet_loss(embedding, batch.labels, margin=margin, soft_margin=soft_margin)
        for embedding in output.triplet_embeddings
    ]
    return {
        "identity": torch.stack(identity).sum(),
        "triplet": torch.stack(triplet).sum(),
    }

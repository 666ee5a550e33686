"""The plain baseline: a ResNet with identity and triplet loss.

Source     the strong baseline of Luo et al. 2019
Sections   BNNeck -> layers.BNNeck      triplet loss -> losses.triplet_loss
Shapes     B images, C channels of the map, N identities
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reidlib.backbones.resnet import ResNetStages
from reidlib.checks import check_choice
from reidlib.losses.triplet import triplet_loss
from reidlib.models.layers import BNNeck
from reidlib.recipes import recorded

TEST_FEATURES = ("before", "after")  # the batch norm


class Output(NamedTuple):
    """What each loss sees."""

    embedding: Tensor  # (B, C) compared at test time
    triplet_embedding: Tensor  # (B, C) before the BNNeck
    identity_logits: Tensor  # (B, N) behind it


class ResNetBaseline(nn.Module):
    """Global average of a ResNet's map, BNNeck, classifier.

    test_feature  after (the strong baseline) | before the batch norm
    """

    LOADED = ("trunk", "branch")

    @recorded
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
        return Output(normalised if self.after else pooled, pooled, logits)


def objective(
    output: Output,
    batch: NamedTuple,
    *,
    label_smoothing: float = 0.1,
    margin: float = 0.3,
) -> dict[str, Tensor]:
    """Return the terms identity and triplet, not weighted; batch has labels (B,)."""
    return {
        "identity": cross_entropy(
            output.identity_logits, batch.labels, label_smoothing=label_smoothing
        ),
        "triplet": triplet_loss(output.triplet_embedding, batch.labels, margin=margin),
    }

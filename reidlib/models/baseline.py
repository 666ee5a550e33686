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
from reidlib.losses.centre import Centres
from reidlib.losses.triplet import mean_triplet_loss, triplet_loss
from reidlib.models.layers import BNNeck, NeckOutput
from reidlib.recipes import recorded

TEST_FEATURES = ("before", "after")  # the batch norm
TRIPLETS = ("hardest", "all")  # of a batch


class Output(NamedTuple):
    """What each loss sees."""

    embedding: Tensor  # (B, C) compared at test time
    triplet_embedding: Tensor  # (B, C) before the BNNeck
    identity_logits: Tensor  # (B, N) behind it


class PlainNeck(nn.Module):
    """In place of a BNNeck: the classifier, with a bias, sees the feature as it is.

    Its weights start at torch's usual size, as in the code of Luo et al. 2019.
    """

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.Identity()
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, embeddings: Tensor) -> NeckOutput:
        """Classify embeddings (B, W)."""
        return NeckOutput(embeddings, self.classifier(embeddings))


class ResNetBaseline(nn.Module):
    """Global average of a ResNet's map, BNNeck, classifier.

    test_feature  after (the strong baseline) | before the batch norm
    bnneck        False: no batch norm and a plain classifier, the standard baseline
    centred       whether it keeps the centres of a centre loss
    """

    LOADED = ("trunk", "branch")

    @recorded
    def __init__(
        self,
        stages: ResNetStages,
        *,
        num_identities: int,
        test_feature: str = "after",
        bnneck: bool = True,
        centred: bool = False,
    ) -> None:
        super().__init__()
        check_choice("test_feature", test_feature, TEST_FEATURES)
        self.after = test_feature == "after"
        self.trunk = stages.trunk
        self.branch = stages.branch
        neck = BNNeck if bnneck else PlainNeck
        self.neck = neck(stages.width, num_identities)
        self.centres = Centres(num_identities, stages.width) if centred else None

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
    triplets: str = "hardest",
    centres: Centres | None = None,
) -> dict[str, Tensor]:
    """Return the terms identity and triplet, not weighted; batch has labels (B,).

    triplets   hardest in the batch | all, whose mean triplets drawn at random have
    centres    that a further term, centre, compares the feature with
    """
    check_choice("triplets", triplets, TRIPLETS)
    loss = triplet_loss if triplets == "hardest" else mean_triplet_loss
    feature = output.triplet_embedding
    terms = {
        "identity": cross_entropy(
            output.identity_logits, batch.labels, label_smoothing=label_smoothing
        ),
        "triplet": loss(feature, batch.labels, margin=margin),
    }
    if centres is not None:
        terms["centre"] = centres.loss(feature, batch.labels)
    return terms

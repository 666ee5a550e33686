"""Layers that two models share."""

from typing import NamedTuple

from torch import Tensor, nn


class NeckOutput(NamedTuple):
    normalised: Tensor  # (B, W) after the batch norm
    logits: Tensor  # (B, N)


class BNNeck(nn.Module):
    """Batch norm without a shift, then a bias-free classifier. Luo et al. 2019.

    The triplet loss sees its input, the identity loss its logits; which side of the
    norm is compared at test time is the model's choice.
    """

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.norm.bias.requires_grad_(False)  # stays 0
        self.classifier = nn.Linear(width, num_classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, embeddings: Tensor) -> NeckOutput:
        """Normalise and classify embeddings (B, W)."""
        normalised = self.norm(embeddings)
        return NeckOutput(normalised, self.classifier(normalised))

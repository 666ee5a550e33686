"""Layers that several models share."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCALES = (1, 2, 4, 8)  # of a pyramid: stripes that a map is cut into (Fu et al. 2019)


class NeckOutput(NamedTuple):
    normalised: Tensor  # (B, W) after the batch norm
    logits: Tensor  # (B, N)


class Classifier(nn.Linear):
    """Logits of embeddings, without a bias; weights start near zero."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__(width, num_classes, bias=False)

    def reset_parameters(self) -> None:
        """Draw the weights from N(0, 0.001), as in Luo et al. 2019."""
        nn.init.normal_(self.weight, std=0.001)


class BNNeck(nn.Module):
    """Batch norm without a shift, then a bias-free classifier. Luo et al. 2019.

    The triplet loss sees its input, the identity loss its logits; which side of the
    norm is compared at test time is the model's choice.
    """

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.norm.bias.requires_grad_(False)  # stays 0
        self.classifier = Classifier(width, num_classes)

    def forward(self, embeddings: Tensor) -> NeckOutput:
        """Normalise and classify embeddings (B, W)."""
        normalised = self.norm(embeddings)
        return NeckOutput(normalised, self.classifier(normalised))


class CrossAttention(nn.Module):
    """Multi-head attention of one sequence to another, each behind its own LayerNorm.

    Without a residual: the caller adds the one that its paper has. As in IRRA (Jiang
    and Ye 2023) and PromptSG. Q queries, K keys, D width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(width)
        self.key_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(
        self, queries: Tensor, keys: Tensor, padding: Tensor | None = None
    ) -> Tensor:
        """Return what queries (B, Q, D) find among keys (B, K, D): (B, Q, D).

        padding (B, K) is True where there is no key; each row needs one.
        """
        return self._attend(queries, keys, padding, need_weights=False)[0]

    def attend(
        self, queries: Tensor, keys: Tensor, padding: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the same and the weights (B, Q, K), their mean over heads."""
        return self._attend(queries, keys, padding, need_weights=True)

    def _attend(self, queries, keys, padding, *, need_weights: bool):
        keys = self.key_norm(keys)
        return self.attention(
            self.query_norm(queries),
            keys,
            keys,
            key_padding_mask=padding,
            need_weights=need_weights,
        )


class PlainAttention(nn.Module):
    """softmax(Q K^T / sqrt(D)) V with one head, as papers print it: no norm, no bias.

    projected  Q, K and V by a matrix each; else K and V are the keys as they are
    """

    def __init__(self, width: int, *, projected: bool) -> None:
        super().__init__()
        kind = (
            partial(nn.Linear, width, width, bias=False) if projected else nn.Identity
        )
        self.query = kind()
        self.key = kind()
        self.value = kind()

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return what queries (B, Q, D) find among keys (B, K, D): (B, Q, D)."""
        return F.scaled_dot_product_attention(
            self.query(queries), self.key(keys), self.value(keys)
        )

    def attend(self, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same and the weights (B, Q, K)."""
        scores = self.query(queries) @ self.key(keys).mT / queries.shape[-1] ** 0.5
        weights = scores.softmax(-1)  # (B, Q, K)
        return weights @ self.value(keys), weights


def region_masks(patches: Tensor, prototypes: Tensor, gamma: float) -> Tensor:
    """Share (B, N+1, P) of each region in each patch, in float32. RGANet, Eq. 1.

        S_j = exp(gamma <F, p_j>) / sum over k = 0..N of exp(gamma <F, p_k>)

    F  patches (B, P, D)    p  prototypes (N+1, D), background first    <,>  cosine
    """
    return mask_logits(patches, prototypes, gamma).softmax(1)


def mask_logits(patches: Tensor, prototypes: Tensor, gamma: float) -> Tensor:
    """Return gamma <F, p_j> of Eq. 1, (B, N+1, P), of patches (B, P, D), in float32."""
    with torch.autocast(patches.device.type, enabled=False):
        patches = F.normalize(patches.float(), dim=-1)
        cosines = patches @ F.normalize(prototypes.float(), dim=-1).T  # (B, P, N+1)
        return (gamma * cosines).mT


def masked_mean(patches: Tensor, masks: Tensor) -> Tensor:
    """Mean of patches (B, P, D) under masks (B, N, P): (B, N, D). RGANet, Eq. 2.

    A mass below 1e-12 counts as 1e-12: a region without any has the feature 0.
    """
    return masks @ patches / masks.sum(-1, keepdim=True).clamp_min(1e-12)

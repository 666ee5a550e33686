"""FLaN-Net: an image, what a text says of it and what both share, fused by certainty.

*Categorical Attention: Fine-grained Language-guided Noise Filtering Network for
Occluded Person Re-Identification*.
Sections   3.1, Eq. 1-6 -> flannet_prompts.py
           3.2, Eq. 7 -> FLaNNet.encode; Eq. 8-10 -> entropy, certainty, FLaNNet
           3.3, Eq. 12-13, 16, 17 -> contrastive_loss, arcface_loss, objective
Readings   v are projected tokens, v_g the class token among them. Identity and triplet
           losses see the class token before the projection, v_g and the fused feature;
           ArcFace the fused one alone. One scale and one classifier serve all features
           of the joint space, each with batch statistics of its own.
Shapes     B images, P patches, D joint width, W width of the image tower, M features
           to fuse, N identities
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reidlib.backbones.clip import ImageTokens, ImageTower
from reidlib.checks import check_choice
from reidlib.losses.arcface import arcface_loss
from reidlib.losses.contrastive import contrastive_loss
from reidlib.losses.triplet import triplet_loss
from reidlib.models.layers import BNNeck, CrossAttention, PlainAttention
from reidlib.recipes import recorded

FUSIONS = ("dynamic", "average", "sum", "concat")


class Output(NamedTuple):
    """What each loss sees; parts that a variant leaves out are None."""

    embedding: Tensor  # (B, W + D) compared at test time
    visual: Tensor  # v_g (B, D)
    text: Tensor | None  # t_p (B, D)
    weights: Tensor | None  # lambda (B, M) of v_g, t_p and s_att; they sum to one
    features: tuple[Tensor, ...]  # class token, v_g, fused: seen by the triplet loss
    logits: tuple[Tensor, ...]  # of the same, each (B, N)
    cosines: Tensor  # (B, N) of the fused feature and ArcFace's weight


def entropy(logits: Tensor) -> Tensor:
    """Uncertainty (...) in [0, log N] of logits (..., N). FLaN-Net, Eq. 8.

    E = - sum over identities k of p(k) log p(k),   p = softmax of the logits
    """
    logarithms = logits.log_softmax(-1)
    return -(logarithms.exp() * logarithms).sum(-1)


def certainty(entropies: Tensor) -> Tensor:
    """Weights lambda of features by their entropies, both (B, M). FLaN-Net, Eq. 9.

        lambda_m = exp(max E - E_m) / sum over q of exp(max E - E_q)

    They sum to one; the maximum drops out: it is the softmax of -E.
    """
    return (entropies.amax(-1, keepdim=True) - entropies).softmax(-1)


def tied_necks(count: int, width: int, num_classes: int) -> nn.ModuleList:
    """BNNecks with one scale and one classifier, each with its own statistics."""
    necks = nn.ModuleList(BNNeck(width, num_classes) for _ in range(count))
    norm, classifier = necks[0].norm, necks[0].classifier
    for neck in necks[1:]:
        neck.norm.weight, neck.norm.bias = norm.weight, norm.bias
        neck.classifier = classifier
    return necks


class FLaNNet(nn.Module):
    """A CLIP image tower that learns with words, and needs none at test time.

    prompts          the PromptEncoder, or None: no text (Table 5, row 1)
    cross_attention  adds s_att of Eq. 7 to what is fused
    fusion           dynamic (Eq. 8-10) | average | sum | concat, as in Table 6
    fusion_of        the identity loss sees the fused feature, or the fused logits of
                     all features (FLN-4): feature | logit
    detach           no gradient through the weights of Eq. 9 (FLN-6)
    literal          Eq. 7 as printed, without parameters; heads are not used then
    always_fused     without a text v_g is supervised once more, as the fused feature:
                     as many terms as with one
    """

    LOADED = ("image_tower",)

    @recorded
    def __init__(
        self,
        image_tower: ImageTower,
        prompts: nn.Module | None = None,
        *,
        num_identities: int,
        cross_attention: bool = True,
        fusion: str = "dynamic",
        fusion_of: str = "feature",
        detach: bool = True,
        heads: int = 8,
        literal: bool = False,
        always_fused: bool = False,
    ) -> None:
        super().__init__()
        check_choice("fusion", fusion, FUSIONS)
        check_choice("fusion_of", fusion_of, ("feature", "logit"))
        if cross_attention and prompts is None:
            raise ValueError("cross_attention=True needs prompts: give some, or False")
        if fusion == "concat" and fusion_of == "logit":
            raise ValueError("fusion='concat' lays features end to end, not logits")
        D = image_tower.joint_width
        M = 1 + (prompts is not None) + cross_attention
        width = M * D if fusion == "concat" else D
        self.sees_fused = M > 1 or always_fused
        fused_is_classified = self.sees_fused and fusion_of == "feature"
        self.fusion = fusion
        self.fusion_of = fusion_of
        self.num_features = M
        self.detach = detach
        self.image_tower = image_tower
        self.prompts = prompts
        self.attention = None
        if cross_attention and literal:
            self.attention = PlainAttention(D, projected=False)
        elif cross_attention:
            self.attention = CrossAttention(D, heads)
        self.image_neck = BNNeck(image_tower.width, num_identities)
        # One for each feature, and behind them that of the fused one.
        tied = M + (fused_is_classified and width == D)
        self.joint_necks = tied_necks(tied, D, num_identities)
        if width > D:
            self.joint_necks.append(BNNeck(width, num_identities))
        self.arcface = nn.Parameter(torch.empty(num_identities, width))  # W
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw ArcFace's weight from N(0, 1); its rows count by direction alone."""
        nn.init.normal_(self.arcface)

    def embed(self, images: Tensor) -> Tensor:
        """Return unit vectors (B, W + D) of images; the image tower alone is run."""
        return _compared(self.image_tower(images))

    def encode(self, tokens: Tensor) -> Tensor:
        """Return v_g, t_p (Eq. 6) and s_att (Eq. 7), (B, M, D), of joint tokens."""
        found = [tokens[:, 0]]
        if self.prompts is not None:
            found.append(self.prompts(tokens))
        if self.attention is not None:
            found.append(self.attention(found[1][:, None], tokens)[:, 0])
        return torch.stack([feature.float() for feature in found], 1)

    def fuse(self, features: Tensor, logits: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return weights (B, M) of features (B, M, D) and what they make. Eq. 8-10.

        logits (B, M, N). Sums (B, D) and features end to end (B, M D) have no weights.
        """
        if self.fusion == "concat":
            return None, features.flatten(1)
        if self.fusion == "sum":
            return None, features.sum(1)
        weights = torch.full_like(features[..., 0], 1 / features.shape[1])
        if self.fusion == "dynamic":
            weights = certainty(entropy(logits))
        weights = weights.detach() if self.detach else weights
        return weights, (weights[..., None] * features).sum(1)

    def classify(self, fused: Tensor, weights: Tensor | None, logits: Tensor) -> Tensor:
        """Return logits (B, N) of the fused feature, or of logits (B, M, N) fused."""
        if self.fusion_of == "feature":
            fused_neck = self.joint_necks[self.num_features]  # behind those of features
            return fused_neck(fused).logits
        shares = 1 if weights is None else weights[..., None]  # 1: their sum
        return (shares * logits).sum(1)

    def forward(self, images: Tensor) -> Output:
        """Describe, fuse and classify images (B, 3, height, width)."""
        tokens = self.image_tower(images)
        class_token = tokens.last[:, 0].float()
        features = self.encode(tokens.joint)  # (B, M, D)
        visual, *others = features.unbind(1)
        with torch.autocast(visual.device.type, enabled=False):
            necks = self.joint_necks[: self.num_features]
            pairs = zip(necks, features.unbind(1), strict=True)
            joint = torch.stack([neck(x).logits for neck, x in pairs], 1)  # (B, M, N)
            weights, fused = self.fuse(features, joint)
            seen = (class_token, visual)
            logits = (self.image_neck(class_token).logits, joint[:, 0])
            if self.sees_fused:  # else it is v_g, which is seen already
                seen = (*seen, fused)
                logits = (*logits, self.classify(fused, weights, joint))
            cosines = F.normalize(fused) @ F.normalize(self.arcface).T  # (B, N)
        return Output(
            embedding=_compared(tokens),
            visual=visual,
            text=others[0] if others else None,
            weights=weights,
            features=seen,
            logits=logits,
            cosines=cosines,
        )

    def attend(self, images: Tensor) -> dict[str, Tensor]:
        """Return where queries look, (B, m, H, W) by word; "prompt" is t_p in Eq. 7.

        "class" is the class token in the tower's last block, which every variant has.
        """
        seen = self.image_tower(images)
        tokens = seen.joint
        found = {} if self.prompts is None else self.prompts.attend(tokens)
        if self.attention is not None:
            query = self.prompts(tokens)[:, None]  # (B, 1, D)
            found["prompt"] = self.attention.attend(query, tokens)[1][..., 1:]
        found["class"] = self.image_tower.attend(seen)[:, None]
        grid = self.image_tower.grid
        return {name: maps.unflatten(2, grid) for name, maps in found.items()}


def _compared(tokens: ImageTokens) -> Tensor:
    pair = tokens.last[:, 0], tokens.joint[:, 0]
    return F.normalize(torch.cat(pair, 1).float(), dim=1)


def objective(
    output: Output,
    batch: NamedTuple,
    *,
    temperature: float = 0.07,
    positives: str = "mean",
    label_smoothing: float = 0.1,
    margin: float = 0.3,
    arcface_margin: float = 0.5,
    arcface_scale: float = 30.0,
) -> dict[str, Tensor]:
    """Return the terms of Eq. 17, not weighted; without a text there is no `align`.

        triplet   sum over the class token, v_g and the fused feature      (Eq. 14)
        identity  sum over the logits of the same three                    (Eq. 15)
        arcface   of the fused feature                                     (Eq. 16)
        align     v_g to t_p, and t_p to v_g                               (Eq. 11-13)

    temperature     tau of Eq. 12-13
    positives       of Eq. 12-13: mean | sum, as printed
    arcface_margin  in radians
    batch has labels (B,) from 0. Without a text nothing is fused: two features, not
    three.
    """
    labels, visual, text = batch.labels, output.visual, output.text
    triplet = partial(triplet_loss, labels=labels, margin=margin)
    identity = partial(F.cross_entropy, target=labels, label_smoothing=label_smoothing)
    terms = {
        "triplet": sum(triplet(feature) for feature in output.features),
        "identity": sum(identity(logits) for logits in output.logits),
        "arcface": arcface_loss(
            output.cosines, labels, margin=arcface_margin, scale=arcface_scale
        ),
    }
    if text is not None:
        align = partial(
            contrastive_loss,
            labels=labels,
            temperature=temperature,
            positives=positives,
        )
        terms["align"] = align(visual, text) + align(text, visual)
    return terms

"""RGANet: body regions found by their names, and assessed before they are compared.

*Region Generation and Assessment Network for Occluded Person Re-Identification*, TIFS.
Sections   III-C, Eq. 1-2 -> layers.region_masks, layers.masked_mean
           stage 0 -> rganet_prompts.py
           III-D, 4-6 -> RGANet.assess, RegionMemory; III-E -> objective, distances
Shapes     B images, H x W patches (P in all), N regions, D joint width, M identities
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reidlib.backbones.clip import ImageTower
from reidlib.checks import check_choice
from reidlib.losses.triplet import triplet_loss
from reidlib.models.layers import BNNeck, mask_logits, masked_mean, region_masks
from reidlib.recipes import recorded

KINDS = ("none", "stripe", "text")  # of regions
ASSESSMENTS = ("none", "even", "dai", "iai", "both")


class Embedding(NamedTuple):
    """What `distances` compares; N is 0 without regions."""

    global_feature: Tensor  # F_g (B, D)
    regions: Tensor  # F^r (B, N, D)
    weights: Tensor  # w (B, N) in [0, 1]


class Output(NamedTuple):
    """What each loss sees; parts that a variant leaves out are None."""

    embedding: Embedding  # before the BNNecks: compared, seen by the triplet losses
    masks: Tensor | None  # S (B, N+1, H, W), background first
    alpha: Tensor | None  # (B, N) in [0, 1]
    beta: Tensor | None  # (B, N) in [0, 1]
    logits: Tensor  # (B, M) of the global feature
    region_logits: tuple[Tensor, ...] | None  # N of (B, M)


class RegionMemory(nn.Module):
    """Centres C_j (N, D) of the regions' features (Sec. III-D); empty until `start`.

    kept        weight of the old centre
    threshold   of alpha, above which a region moves its centre
    pass_rates  share (N,) of regions above it, a mean over all updates
    """

    def __init__(self, shape: tuple[int, int], kept: float, threshold: float) -> None:
        super().__init__()
        self.kept = kept
        self.threshold = threshold
        self.started = False
        self.register_buffer("centers", torch.zeros(shape))
        self.register_buffer("pass_rates", torch.zeros(shape[0]))
        self.register_buffer("updates", torch.tensor(0))

    def start(self, stripes: Tensor) -> None:
        """Begin with the mean of the training set's stripes (images, N, D)."""
        self.centers.copy_(stripes.detach().mean(0))

    @torch.no_grad()
    def update(self, output: Output, batch: object = None) -> None:
        """Move each centre to the mean of its regions that pass. RGANet, Eq. 5.

            C_j = m_u C_j + (1 - m_u) mean over images with alpha_j > 0.85 of F^r_j

        After every step, as training's `after_step`. Without alpha all regions pass; a
        centre for which none does stays. Raises RuntimeError before `start`.
        """
        self.started = self.started or bool(self.centers.any())  # a GPU waits once
        if not self.started:
            raise RuntimeError("the memory is empty: start it with the model's stripes")
        regions, alpha = output.embedding.regions, output.alpha
        scores = torch.ones_like(regions[..., 0]) if alpha is None else alpha
        passing = (scores > self.threshold).float()  # (B, N)
        counts = passing.sum(0)[:, None]  # (N, 1)
        means = (regions * passing[..., None]).sum(0) / counts.clamp_min(1)  # (N, D)
        moved = self.kept * self.centers + (1 - self.kept) * means
        self.centers.copy_(moved.where(counts > 0, self.centers))
        self.updates += 1
        self.pass_rates.lerp_(passing.mean(0), 1 / self.updates)


class RGANet(nn.Module):
    """A CLIP image tower; a neck and a classifier for the image and for each region.

    prototypes   p_1..p_N (N, D), not trained here; stripes only need their number
    regions      none (the baseline) | stripe (Table V, 1-4) | text (5-8)
    assessment   none (w = 1) | even (w = 1 / N) | dai (alpha) | iai (beta) | both
    ram          w is the softmax | the mean of the indicators; beta alone is a softmax
    dai_alone    w of alpha alone is its softmax | alpha itself
    dai_bias     W_a^T F of Eq. 4 has a bias
    gamma        of Eq. 1
    class_token  is the global feature, in place of the mean over patches
    momentum     m_u of Eq. 5, the weight of the old centre (as printed) | the new
    threshold    of alpha, above which a region moves its centre
    """

    LOADED = ("image_tower",)

    @recorded
    def __init__(
        self,
        image_tower: ImageTower,
        prototypes: Tensor,
        *,
        num_identities: int,
        regions: str = "text",
        assessment: str = "both",
        ram: str = "softmax",
        dai_alone: str = "softmax",
        dai_bias: bool = True,
        gamma: float = 20.0,
        class_token: bool = False,
        momentum: float = 0.3,
        momentum_of: str = "old",
        threshold: float = 0.85,
    ) -> None:
        super().__init__()
        check_choice("regions", regions, KINDS)
        check_choice("assessment", assessment, ASSESSMENTS)
        check_choice("ram", ram, ("softmax", "mean"))
        check_choice("dai_alone", dai_alone, ("softmax", "alpha"))
        check_choice("momentum_of", momentum_of, ("old", "new"))
        N = 0 if regions == "none" else len(prototypes)
        D = image_tower.joint_width
        self.image_tower = image_tower
        self.grid = image_tower.grid
        self.num_regions = N
        self.gamma = gamma
        self.class_token = class_token
        self.mean_ram = ram == "mean"
        self.alpha_is_weight = dai_alone == "alpha"
        self.even = 1 / N if N and assessment == "even" else 1.0  # w
        self.register_buffer("prototypes", None)
        self.background = None  # p_0
        if regions == "text":
            self.prototypes = prototypes.detach().clone()
            self.background = nn.Parameter(torch.empty(D))
        self.discrimination = None  # W_a
        if N and assessment in ("dai", "both"):
            self.discrimination = nn.Linear(D, 1, bias=dai_bias)
        self.memory = None
        if N and assessment in ("iai", "both"):
            kept = momentum if momentum_of == "old" else 1 - momentum
            self.memory = RegionMemory((N, D), kept, threshold)
        self.neck = BNNeck(D, num_identities)
        self.region_necks = nn.ModuleList(BNNeck(D, num_identities) for _ in range(N))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw p_0 from N(0, 0.02)."""
        if self.background is not None:
            nn.init.normal_(self.background, std=0.02)

    def segment(self, patches: Tensor) -> Tensor:
        """Return masks (B, N+1, H, W) of patches (B, P, D)."""
        every = torch.cat([self.background[None], self.prototypes])  # (N+1, D)
        return region_masks(patches, every, self.gamma).unflatten(2, self.grid)

    def mask_logits(self, patches: Tensor, prototypes: Tensor) -> Tensor:
        """Return what the masks are a softmax of, for p_0 and other p_1..p_N."""
        every = torch.cat([self.background[None], prototypes])  # (N+1, D)
        return mask_logits(patches, every, self.gamma).unflatten(2, self.grid)

    def stripes(self, images: Tensor) -> Tensor:
        """Return means over N horizontal stripes (B, N, D), to start the memory."""
        return self.pool_stripes(self.image_tower(images).joint[:, 1:].float())

    def pool_stripes(self, patches: Tensor) -> Tensor:
        """Return means (B, N, D) of patches (B, P, D); stripes may share a row."""
        maps = patches.mT.unflatten(2, self.grid)
        return F.adaptive_avg_pool2d(maps, (self.num_regions, 1))[..., 0].mT

    def assess(self, regions: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor]:
        """Return alpha, beta and w, each (B, N), of regions (B, N, D). Eq. 4 and 6."""
        alpha = beta = None
        if self.discrimination is not None:
            alpha = self.discrimination(regions)[..., 0].sigmoid()
        if self.memory is not None:
            cosines = F.cosine_similarity(regions, self.memory.centers, dim=-1)
            beta = cosines.clamp_min(0) if self.mean_ram else cosines.softmax(-1)
        scores = [score for score in (alpha, beta) if score is not None]
        weights = sum(scores) if scores else torch.full_like(regions[..., 0], self.even)
        if self.mean_ram and scores:
            weights = weights / len(scores)
        elif alpha is not None and not (beta is None and self.alpha_is_weight):
            weights = weights.softmax(-1)
        return alpha, beta, weights

    def embed(self, images: Tensor) -> Embedding:
        """Return what `distances` compares of images (B, 3, height, width)."""
        return self(images).embedding

    def forward(self, images: Tensor) -> Output:
        """Embed, assess and classify images (B, 3, height, width)."""
        tokens = self.image_tower(images).joint.float()  # (B, 1+P, D)
        patches, masks = tokens[:, 1:], None
        pooled = tokens[:, 0] if self.class_token else patches.mean(1)
        with torch.autocast(tokens.device.type, enabled=False):
            if self.background is None:
                regions = self.pool_stripes(patches)
            else:
                masks = self.segment(patches)
                regions = masked_mean(patches, masks[:, 1:].flatten(2))
            alpha, beta, weights = self.assess(regions)
        pairs = zip(self.region_necks, regions.unbind(1), strict=True)
        logits = tuple(neck(region).logits for neck, region in pairs)
        return Output(
            embedding=Embedding(pooled, regions, weights),
            masks=masks,
            alpha=alpha,
            beta=beta,
            logits=self.neck(pooled).logits,
            region_logits=logits or None,
        )


def objective(
    output: Output,
    batch: NamedTuple,
    *,
    label_smoothing: float = 0.1,
    margin: float = 0.3,
    soft_margin: bool = False,
) -> dict[str, Tensor]:
    """Return the terms of Eq. 8, not weighted; without regions only the first two.

        identity         CE of F_g, a mean over images
        triplet          of F_g
        region_identity  sum over j of mean over images of w_j CE_j      (Eq. 7)
        region_triplet   sum over j of the triplet loss of F^r_j

    CE  cross-entropy. batch has labels (B,) from 0. Gradients reach w.
    """
    triplet = partial(
        triplet_loss, labels=batch.labels, margin=margin, soft_margin=soft_margin
    )
    smoothed = {"target": batch.labels, "label_smoothing": label_smoothing}
    identity = partial(F.cross_entropy, **smoothed, reduction="none")  # (B,)
    pooled, regions, weights = output.embedding
    terms = {"identity": identity(output.logits).mean(), "triplet": triplet(pooled)}
    if output.region_logits is not None:
        pairs = zip(weights.unbind(1), output.region_logits, strict=True)
        terms["region_identity"] = sum(
            (weight * identity(logits)).mean() for weight, logits in pairs
        )
        terms["region_triplet"] = sum(triplet(region) for region in regions.unbind(1))
    return terms


def distances(query: Embedding, gallery: Embedding) -> Tensor:
    """Distances (Q, G) in [0, 2], in float32. RGANet, Eq. 9-10.

        d = (sum_j w_j^q w_j^g d_j + d_g) / (sum_j w_j^q w_j^g + 1) = 1 - s / (1 + W)

    d_j, d_g are 1 - <,>, 1 for an empty region; s is one product, w_j in the factors.
    """
    with torch.autocast(query.weights.device.type, enabled=False):
        shared = query.weights.float() @ gallery.weights.float().T  # W (Q, G)
        similarities = _scaled(query) @ _scaled(gallery).T  # s (Q, G)
        return (1 - similarities / (1 + shared)).clamp_min(0)


def _scaled(embedding: Embedding) -> Tensor:
    pooled, regions, weights = (part.float() for part in embedding)
    regions = regions * (weights / regions.norm(dim=-1).clamp_min(1e-12))[..., None]
    return torch.cat([regions.flatten(1), F.normalize(pooled)], 1)  # (B, ND + D)

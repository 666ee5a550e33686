"""A combination: RGANet's regions from words and FA-Net's stripes within the person.

Of no paper. From RGANet its CLIP tower and the regions that prototypes of words make
(Eq. 1-2), without what judges them: all count the same. From FA-Net the pyramid of
stripes, pooled where the regions see the person, in the place of its mask.
Sections   RGANet III-C, Eq. 1-2 -> layers.region_masks, layers.masked_mean
           FA-Net III-A, Fu et al. 2019 -> stripe_rows; Luo et al. 2019 -> layers.BNNeck
Shapes     B images, H x W patches (P in all), N regions, S stripes (15), D joint width,
           M identities
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reidlib.backbones.clip import ImageTower
from reidlib.checks import check_choice
from reidlib.losses.triplet import triplet_loss
from reidlib.models.layers import SCALES, BNNeck, mask_logits, masked_mean
from reidlib.recipes import recorded

STRIPES = ("none", "image", "person")  # where a stripe is pooled


class Output(NamedTuple):
    """What each loss sees; parts that a variant leaves out are None."""

    embedding: Tensor  # (B, (1 + N + S) * D) compared at test time
    class_token: Tensor  # (B, D), as all parts before its BNNeck
    regions: Tensor | None  # (B, N, D)
    stripes: Tensor | None  # (B, S, D)
    masks: Tensor | None  # S_0..S_N (B, N+1, H, W), background first
    logits: Tensor  # (B, M) of the class token
    region_logits: Tensor | None  # (N, B, M)
    stripe_logits: Tensor | None  # (S, B, M)


def stripe_rows(grid: tuple[int, int], scales: Sequence[int] = SCALES) -> Tensor:
    """Which patches each stripe of a pyramid has: (S, P) of zeros and ones.

    grid   rows and columns of patches
    Coarse stripes first, those of a scale from top to bottom. Raises ValueError where
    the rows cannot be shared out evenly.
    """
    rows, columns = grid
    if rows % max(scales):
        raise ValueError(
            f"the patches have {rows} rows, not a multiple of {max(scales)} stripes: "
            "choose another image height or stride (256 pixels give 16 rows of 16)"
        )
    cut = [torch.eye(s).repeat_interleave(rows // s, 1) for s in scales]  # (s, rows)
    return torch.cat(cut).repeat_interleave(columns, 1)


class Combined(nn.Module):
    """A CLIP image tower; a neck and a classifier for its class token and every part.

    prototypes   p_1..p_N (N, D) of the regions' names, not trained here
    regions      whether regions are parts
    stripes      none | image (means over whole stripes, FA-Net's pyramid without a
                 mask) | person (means under one minus the background's share)
    gamma        of RGANet's Eq. 1
    Compared by cosine, class token, regions and stripes count the same, however many.
    Without regions and without the person there is nothing to segment, and p_0 is None.
    """

    LOADED = ("image_tower",)

    @recorded
    def __init__(
        self,
        image_tower: ImageTower,
        prototypes: Tensor,
        *,
        num_identities: int,
        regions: bool = True,
        stripes: str = "person",
        gamma: float = 20.0,
    ) -> None:
        super().__init__()
        check_choice("stripes", stripes, STRIPES)
        D = image_tower.joint_width
        self.image_tower = image_tower
        self.grid = image_tower.grid
        self.gamma = gamma
        self.num_regions = len(prototypes) if regions else 0
        self.within_person = stripes == "person"
        self.register_buffer("prototypes", None)
        self.background = None  # p_0
        if regions or self.within_person:
            self.prototypes = prototypes.detach().clone()
            self.background = nn.Parameter(torch.empty(D))
        rows = None if stripes == "none" else stripe_rows(self.grid)
        self.register_buffer("rows", rows, persistent=False)
        S = 0 if rows is None else len(rows)
        self.neck = BNNeck(D, num_identities)
        self.region_necks = necks(self.num_regions, D, num_identities)
        self.stripe_necks = necks(S, D, num_identities)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw p_0 from N(0, 0.02), as RGANet does."""
        if self.background is not None:
            nn.init.normal_(self.background, std=0.02)

    def mask_logits(self, patches: Tensor, prototypes: Tensor) -> Tensor:
        """Return what masks are a softmax of, (B, N+1, H, W), for p_0 and p_1..p_N."""
        every = torch.cat([self.background[None], prototypes])  # (N+1, D)
        return mask_logits(patches, every, self.gamma).unflatten(2, self.grid)

    def pool(self, patches: Tensor, masks: Tensor | None) -> list[Tensor | None]:
        """Return regions (B, N, D) and stripes (B, S, D) of patches (B, P, D)."""
        shares = None if masks is None else masks[:, 1:].flatten(2)  # (B, N, P)
        regions = masked_mean(patches, shares) if self.num_regions else None
        if self.rows is None:
            return [regions, None]
        where = self.rows  # (S, P)
        if self.within_person:  # the sum of S_1..S_N is 1 - S_0
            where = where * shares.sum(1, keepdim=True)  # (B, S, P)
        return [regions, masked_mean(patches, where)]

    def embed(self, images: Tensor) -> Tensor:
        """Return embeddings (B, (1 + N + S) * D) of images (B, 3, height, width)."""
        return self(images).embedding

    def forward(self, images: Tensor) -> Output:
        """Embed and classify images (B, 3, height, width)."""
        tokens = self.image_tower(images).joint.float()  # (B, 1+P, D)
        token, patches, masks = tokens[:, 0], tokens[:, 1:], None
        with torch.autocast(tokens.device.type, enabled=False):
            if self.background is not None:
                masks = self.mask_logits(patches, self.prototypes).softmax(1)
            regions, stripes = self.pool(patches, masks)
        kinds = [
            kind for kind in (token[:, None], regions, stripes) if kind is not None
        ]
        return Output(
            embedding=torch.cat([side_by_side(kind) for kind in kinds], 1),
            class_token=token,
            regions=regions,
            stripes=stripes,
            masks=masks,
            logits=self.neck(token).logits,
            region_logits=classify(self.region_necks, regions),
            stripe_logits=classify(self.stripe_necks, stripes),
        )


def side_by_side(parts: Tensor) -> Tensor:
    """Parts (B, N, D), each made as long as the others, as one vector (B, N * D).

    Its length is 1: the cosine of two such vectors is the mean of the parts' cosines.
    """
    return F.normalize(parts, dim=-1).flatten(1) / parts.shape[1] ** 0.5


def necks(count: int, width: int, num_identities: int) -> nn.ModuleList:
    """A BNNeck and a classifier for each of some parts."""
    return nn.ModuleList(BNNeck(width, num_identities) for _ in range(count))


def classify(necks: nn.ModuleList, parts: Tensor | None) -> Tensor | None:
    """Return logits (N, B, M) of parts (B, N, D), each behind its own neck."""
    if parts is None:
        return None
    pairs = zip(necks, parts.unbind(1), strict=True)
    return torch.stack([neck(part).logits for neck, part in pairs])


def objective(
    output: Output,
    batch: NamedTuple,
    *,
    label_smoothing: float = 0.1,
    margin: float = 0.3,
) -> dict[str, Tensor]:
    """Return the terms, not weighted; those of absent parts are absent.

        identity, triplet                  of the class token
        region_identity, region_triplet    sums over regions (RGANet, Eq. 8, w = 1)
        stripe_identity, stripe_triplet    means over stripes, as FA-Net's are

    batch has labels (B,) from 0.
    """
    identity = partial(
        F.cross_entropy, target=batch.labels, label_smoothing=label_smoothing
    )
    triplet = partial(triplet_loss, labels=batch.labels, margin=margin)
    terms = {
        "identity": identity(output.logits),
        "triplet": triplet(output.class_token),
    }
    if output.regions is not None:
        terms["region_identity"] = sum(map(identity, output.region_logits))
        terms["region_triplet"] = sum(map(triplet, output.regions.unbind(1)))
    if output.stripes is not None:
        count = len(output.stripe_logits)
        terms["stripe_identity"] = sum(map(identity, output.stripe_logits)) / count
        terms["stripe_triplet"] = sum(map(triplet, output.stripes.unbind(1))) / count
    return terms

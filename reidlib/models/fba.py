"""FBA: a person and what surrounds them, each read in picture and in words.

*Background Matters Too: A Language-Enhanced Adversarial Framework for Person
Re-Identification*.
Sections   "Dual-Branch Cross-modal Attention Module" -> CrossModal, FBA
           Eq. 2-3 -> map_similarity, differential_mask (fba_attention.py)
           Eq. 5-7, 9 -> losses/diversity.py      Eq. 4, 8, 10 -> objective
Readings   V_f = V_b. Only words count in Eq. 2-3: no start, end or padding of a text.
Shapes     B images, N patches, K captions each (foreground first), L text positions,
           W width, M identities
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reidlib.backbones.clip import ImageTower, TextTower
from reidlib.checks import check_choice
from reidlib.losses.diversity import consistency_loss, tri_div_loss
from reidlib.losses.triplet import triplet_loss
from reidlib.models.fba_attention import CrossModal, differential_mask, map_similarity
from reidlib.models.layers import BNNeck
from reidlib.recipes import recorded

MASKS = ("none", "literal", "one_minus")
PAIRINGS = ("index", "background_mean")


class Embedding(NamedTuple):
    """What `distances` compares; R is 2, or 0 where captions take no part."""

    visual: Tensor  # class token of V (B, W)
    crossed: Tensor  # F_f^V, F_f^T (B, R, W)


class Output(NamedTuple):
    """What each loss sees; parts that a variant leaves out are None."""

    embedding: Embedding  # before the BNNecks: compared, seen by the triplet losses
    background: Tensor | None  # F_b^V, F_b^T (B, 2, W)
    logits: Tensor  # (B, M) of the class token
    crossed_logits: Tensor | None  # (2, B, M)
    attention: Tensor | None  # W (B, K, L, N): each text position and each patch
    mask: Tensor | None  # m (B, L) in [0, 1], 0 off words


class Texts(NamedTuple):
    """Captions as the text tower reads them, T = [start, t^1 ... t^M, end, padding]."""

    tokens: Tensor  # T (K * B, L, W), all foregrounds first
    padding: Tensor  # (K * B, L) True behind the end
    words: Tensor  # (K * B, L) True for t^1 ... t^M
    ends: Tensor  # (K * B,)


class FBA(nn.Module):
    """Image and text towers, one cross-modal module for four uses, a neck per role.

    text_tower   is frozen here: no gradient, no update
    cross_modal  without it this is the baseline (Table 3, row 1), captions unread
    background   the background branch as well (rows 3-4); a mask needs it
    mask         of Eq. 3: none (F_f^T is the end of text) | literal | one_minus
    pairing      of Eq. 2: index | background_mean
    maps_of      W of Eq. 2 is where words look (Q = T), or which words patches look at
                 (Q = V): text | image
    detach_mask  no gradient passes through m

    heads, depth and residual are those of CrossModal.
    """

    LOADED = ("image_tower", "text_tower")

    @recorded
    def __init__(
        self,
        image_tower: ImageTower,
        text_tower: TextTower,
        *,
        num_identities: int,
        heads: int,
        cross_modal: bool = True,
        background: bool = True,
        mask: str = "one_minus",
        pairing: str = "index",
        maps_of: str = "text",
        detach_mask: bool = True,
        depth: int = 4,
        residual: bool = True,
    ) -> None:
        super().__init__()
        check_choice("mask", mask, MASKS)
        check_choice("pairing", pairing, PAIRINGS)
        check_choice("maps_of", maps_of, ("text", "image"))
        if cross_modal and mask != "none" and not background:
            raise ValueError(f"mask={mask!r} needs background=True, or set it to none")
        width = image_tower.width
        self.num_captions = 1 + background
        self.mask = mask
        self.pairing = pairing
        self.maps_of = maps_of
        self.detach_mask = detach_mask
        self.image_tower = image_tower
        self.grid = image_tower.grid
        self.text_tower = self.projection = self.module = None
        if cross_modal:
            self.text_tower = text_tower.requires_grad_(False)
            self.projection = nn.Linear(text_tower.joint_width, width)
            self.module = CrossModal(width, heads=heads, depth=depth, residual=residual)
        self.neck = BNNeck(width, num_identities)
        self.crossed_necks = nn.ModuleList(  # of F_f^V and F_f^T
            BNNeck(width, num_identities) for _ in range(2 * cross_modal)
        )

    def read(self, captions: Tensor) -> Texts:
        """Read token ids (B, K, L) of captions; the tower gets no gradient."""
        ids = captions.transpose(0, 1).flatten(0, 1)  # (K * B, L)
        with torch.no_grad():
            tokens = self.text_tower(ids).tokens  # (K * B, L, joint width)
        places = torch.arange(ids.shape[1], device=ids.device)
        ends = ids.argmax(1)  # the end of text has the largest id
        return Texts(
            tokens=self.projection(tokens),
            padding=places > ends[:, None],
            words=(places > 0) & (places < ends[:, None]),
            ends=ends,
        )

    def by_image(
        self, tokens: Tensor, texts: Texts, count: int
    ) -> tuple[Tensor, Tensor | None]:
        """Return F^V (B, count, W) of tokens V (B, 1+N, W) and the first captions.

        And how much each patch looks at each word (B, count, L, N), where `maps_of` is
        image.
        """
        size = count * tokens.shape[0]
        queries, maps = tokens.repeat(count, 1, 1), None
        keys, padding = texts.tokens[:size], texts.padding[:size]
        if self.maps_of == "text":
            found = self.module(queries, keys, padding)
        else:
            found, weights = self.module.attend(queries, keys, key_padding=padding)
            maps = weights[:, 1:].mT.unflatten(0, (count, -1)).transpose(0, 1)
        return found[:, 0].unflatten(0, (count, -1)).transpose(0, 1), maps

    def by_text(
        self, tokens: Tensor, texts: Texts, maps: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return F^T (B, K, W), W of Eq. 2 (B, K, L, N), and m (B, L) or None.

        maps   of `by_image`, which are then that W
        """
        folded = (self.num_captions, -1)
        keys = tokens.repeat(self.num_captions, 1, 1)
        found, weights = self.module.attend(texts.tokens, keys, texts.padding)
        ends = found[torch.arange(found.shape[0], device=found.device), texts.ends]
        features = ends.unflatten(0, folded).transpose(0, 1)  # (B, K, W)
        attention = maps
        if maps is None:
            attention = weights[..., 1:].unflatten(0, folded).transpose(0, 1)
        if self.mask == "none":
            return features, attention, None
        words = texts.words.unflatten(0, folded).transpose(0, 1)  # (B, K, L)
        similarity = map_similarity(attention, words, self.pairing)
        mask = differential_mask(similarity, words[:, 0], self.mask)
        shares = mask / mask.sum(1, keepdim=True)
        shares = shares.detach() if self.detach_mask else shares
        pooled = (shares[..., None] * found[: tokens.shape[0]]).sum(1)  # (B, W)
        features = torch.stack([pooled, *features.unbind(1)[1:]], 1)
        return features, attention, mask

    def embed(self, images: Tensor, captions: Tensor | None = None) -> Embedding:
        """Return what `distances` compares; without captions the image's part alone."""
        tokens = self.image_tower(images).last  # (B, 1+N, W)
        if captions is None or self.module is None:
            return Embedding(tokens[:, 0], tokens[:, :0])
        texts = self.read(captions[:, : self.num_captions])
        count = 1 if self.maps_of == "text" else self.num_captions
        by_image, maps = self.by_image(tokens, texts, count)
        by_text, _, _ = self.by_text(tokens, texts, maps)
        crossed = torch.cat([by_image[:, :1], by_text[:, :1]], 1)
        return Embedding(tokens[:, 0], crossed)

    def forward(self, images: Tensor, captions: Tensor | None = None) -> Output:
        """Run all branches on images (B, 3, height, width).

        captions  token ids (B, K, L), the person's first; the baseline reads none
        """
        tokens = self.image_tower(images).last  # (B, 1+N, W)
        visual = tokens[:, 0]
        logits = self.neck(visual).logits
        if self.module is None:
            alone = Embedding(visual, tokens[:, :0])
            return Output(alone, None, logits, None, None, None)
        texts = self.read(captions[:, : self.num_captions])
        by_image, maps = self.by_image(tokens, texts, self.num_captions)
        by_text, attention, mask = self.by_text(tokens, texts, maps)
        both = torch.stack([by_image, by_text], 2)  # (B, K, 2, W)
        pairs = zip(self.crossed_necks, both[:, 0].unbind(1), strict=True)
        return Output(
            embedding=Embedding(visual, both[:, 0]),
            background=both[:, 1] if self.num_captions > 1 else None,
            logits=logits,
            crossed_logits=torch.stack([neck(x).logits for neck, x in pairs]),
            attention=attention,
            mask=mask,
        )


def distances(query: Embedding, gallery: Embedding, feature: str = "all") -> Tensor:
    """Cosine distances (Q, G) in [0, 2], in float32, of one long vector per image.

    feature  all: class token, F_f^V and F_f^T, each of length 1 | visual: class token
    """
    check_choice("feature", feature, ("all", "visual"))
    with torch.autocast(query.visual.device.type, enabled=False):
        ours, theirs = (_unit(embedding, feature) for embedding in (query, gallery))
        return (1 - ours @ theirs.T).clamp_min(0)


def _unit(embedding: Embedding, feature: str) -> Tensor:
    parts = embedding.visual[:, None].float()  # (B, 1, W)
    if feature == "all":
        parts = torch.cat([parts, embedding.crossed.float()], 1)  # (B, 1+R, W)
    return F.normalize(F.normalize(parts, dim=-1).flatten(1))


def objective(
    output: NamedTuple,
    batch: NamedTuple,
    *,
    diversity: bool = True,
    label_smoothing: float = 0.1,
    margin: float = 0.3,
) -> dict[str, Tensor]:
    """Return the terms of Eq. 10, not weighted; terms of absent parts are absent.

        identity          of the class token                         (Eq. 4)
        triplet           of the class token
        crossed_identity  sum over F_f^V and F_f^T                   (Eq. 4)
        crossed_triplet   sum over F_f^V and F_f^T
        tri_div           of F_f and F_b                             (Eq. 5-6, 9)
        consistency       of F_f and F_b, with tri_div L_div         (Eq. 7-8)

    margin  of the triplet losses, which are batch-hard, and of tri_div
    batch has labels (B,) from 0. Raises ValueError for diversity without a background
    branch.
    """
    triplet = partial(triplet_loss, labels=batch.labels, margin=margin)
    identity = partial(
        F.cross_entropy, target=batch.labels, label_smoothing=label_smoothing
    )
    visual, crossed = output.embedding
    terms = {"identity": identity(output.logits), "triplet": triplet(visual)}
    if output.crossed_logits is not None:
        terms["crossed_identity"] = sum(
            identity(logits) for logits in output.crossed_logits
        )
        terms["crossed_triplet"] = sum(
            triplet(feature) for feature in crossed.unbind(1)
        )
    if diversity:
        if output.background is None:
            raise ValueError(
                "diversity compares the branches: build the model with cross_modal and "
                "background, or set diversity=False"
            )
        terms["tri_div"] = tri_div_loss(crossed, output.background, margin)
        terms["consistency"] = consistency_loss(crossed, output.background)
    return terms

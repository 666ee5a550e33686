"""FBA's cross-modal attention and the mask from the difference of its maps."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reidlib.models.layers import CrossAttention

FLAT = 1e-6  # similarities closer together than this are all alike


class CrossModal(nn.Module):
    """One attention across modalities, then blocks of self-attention: IRRA's, wider.

    residual   around the cross-attention; IRRA (Jiang and Ye 2023) has none

    Q query tokens, K key tokens; paddings (B, Q), (B, K) are True where there is none.
    """

    def __init__(self, width: int, *, heads: int, depth: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.attention = CrossAttention(width, heads)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                heads,
                dim_feedforward=4 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, keys: Tensor, key_padding: Tensor) -> Tensor:
        """Return tokens (B, Q, W): queries that have seen keys (B, K, W)."""
        return self.refine(queries, self.attention(queries, keys, key_padding))

    def attend(
        self,
        queries: Tensor,
        keys: Tensor,
        padding: Tensor | None = None,
        key_padding: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the same for padded queries, and the attention's weights (B, Q, K)."""
        found, weights = self.attention.attend(queries, keys, key_padding)
        return self.refine(queries, found, padding), weights

    def refine(
        self, queries: Tensor, found: Tensor, padding: Tensor | None = None
    ) -> Tensor:
        """Add what queries (B, Q, W) found, mix by self-attention, normalise."""
        tokens = queries + found if self.residual else found
        for block in self.blocks:
            tokens = block(tokens, src_key_padding_mask=padding)
        return self.norm(tokens)


def map_similarity(attention: Tensor, words: Tensor, pairing: str = "index") -> Tensor:
    """How alike both branches see the image at each word: s (B, L), in float32.

        s_j = <W_f(:, j), W_b(:, j)> / (||W_f(:, j)|| ||W_b(:, j)||)     FBA, Eq. 2

    attention  W (B, 2, L, N) over patches, foreground first; words (B, 2, L)
    pairing    index: with the background's j-th word as printed, its mean map if it
               has none | background_mean: every word with that mean map
    """
    with torch.autocast(attention.device.type, enabled=False):
        foreground, background = attention.float().unbind(1)  # (B, L, N)
        theirs = words[:, 1, :, None]  # (B, L, 1)
        mean = (background * theirs).sum(1) / theirs.sum(1).clamp_min(1)
        partner = mean[:, None].expand_as(background)
        if pairing == "index":
            partner = background.where(theirs, partner)
        return F.cosine_similarity(foreground, partner, dim=-1)


def differential_mask(similarity: Tensor, words: Tensor, kind: str) -> Tensor:
    """How much each word counts: m (B, L) in [0, 1], 0 off words. FBA, Eq. 3.

        literal    m_j = (s_j - min s) / (max s - min s)                 as printed
        one_minus  m_j = 1 - the same: what tells the branches apart     as described

    Minimum and maximum are over the words of a caption; alike words all have m = 1.
    """
    low = similarity.masked_fill(~words, torch.inf).amin(1, keepdim=True)
    high = similarity.masked_fill(~words, -torch.inf).amax(1, keepdim=True)
    height = similarity - low if kind == "literal" else high - similarity
    mask = height / (high - low).clamp_min(FLAT)
    return mask.where(high - low > FLAT, 1).where(words, 0)

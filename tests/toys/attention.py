"""Attention as a slow loop, for the layers that have it."""

import torch
from torch.nn.functional import layer_norm

from reidlib.models.layers import CrossAttention


def attend_slowly(layer: CrossAttention, queries, keys, heads: int):
    """Attention of one image by a loop over heads and queries."""
    width = queries.shape[1]
    query_in, key_in = (layer_norm(x, (width,)) for x in (queries, keys))
    weight = layer.attention.in_proj_weight.unflatten(0, (3, heads, width // heads))
    bias = layer.attention.in_proj_bias.unflatten(0, (3, heads, width // heads))
    found, shares = [], []
    for query in query_in:
        parts, share = [], torch.zeros(len(keys))
        for head in range(heads):
            q = weight[0, head] @ query + bias[0, head]
            scores = [q @ (weight[1, head] @ key + bias[1, head]) for key in key_in]
            chances = (torch.stack(scores) / (width // heads) ** 0.5).softmax(0)
            values = [weight[2, head] @ key + bias[2, head] for key in key_in]
            parts.append(sum(p * v for p, v in zip(chances, values, strict=True)))
            share += chances / heads
        found.append(layer.attention.out_proj(torch.cat(parts)))
        shares.append(share)
    return torch.stack(found), torch.stack(shares)

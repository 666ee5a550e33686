"""RGANet's distance beside one cosine over its features laid end to end.

Both as `evaluate` asks for them: a chunk of queries and the whole gallery at a time.
"""

import torch
from torch import Tensor

from bench.measuring import Record, beside_floor
from reidlib.evaluation.metrics import cosine_distances, take
from reidlib.models.rganet import Embedding, distances

MARKET1501, QUICK = (3368, 15913), (60, 240)  # queries, gallery
REGIONS, WIDTH = 4, 512  # ViT-B/16
CHUNK = 64  # queries, as in `evaluate`


def region_distances(
    sizes: tuple[int, int] = MARKET1501, *, threads: int = 1, rounds: int = 1
) -> Record:
    """Eq. 10 of RGANet over all pairs, none of them kept."""
    torch.manual_seed(0)
    query, gallery = (embedding(size) for size in sizes)
    flat_query, flat_gallery = laid_out(query), laid_out(gallery)
    return beside_floor(
        f"RGANet's distances, {sizes[0]} x {sizes[1]}, {REGIONS} regions",
        lambda: chunks(distances, query, gallery, sizes[0]),
        floor_name="one cosine over the same features",
        floor=lambda: chunks(cosine_distances, flat_query, flat_gallery, sizes[0]),
        rounds=rounds,
        threads=threads,
        most=2.5,
        most_mib=1024,
    )


def embedding(count: int) -> Embedding:
    """Random features and weights of `count` images."""
    regions = torch.randn(count, REGIONS, WIDTH)
    weights = torch.rand(count, REGIONS).softmax(1)
    return Embedding(torch.randn(count, WIDTH), regions, weights)


def laid_out(embedded: Embedding) -> Tensor:
    """All features of an image as one, (images, (N + 1) D)."""
    return torch.cat([embedded.global_feature, embedded.regions.flatten(1)], dim=1)


def chunks(measure, query, gallery, queries: int) -> None:
    """All distances, chunk by chunk."""
    for first in range(0, queries, CHUNK):
        measure(take(query, slice(first, first + CHUNK)), gallery)

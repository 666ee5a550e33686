"""What RGANet's distance costs against one cosine over its features laid end to end.

Both as `evaluate` asks for them: a chunk of queries and the whole gallery at a time.
"""

# ruff: noqa: T201
import resource
import sys
import time

import torch
from torch import Tensor

from reidlib.evaluation.metrics import cosine_distances, take
from reidlib.models.rganet import Embedding, distances

QUERIES, GALLERY, REGIONS, WIDTH = 3368, 15913, 4, 512  # Market-1501, ViT-B/16
CHUNK = 64  # queries, as in `evaluate`
ROUNDS = 3  # the fastest counts: what else the machine does only slows
MOST_TIME, MOST_MEMORY = 2.5, 1024  # times the cosine's; MiB beyond the features


def embedding(count: int) -> Embedding:
    """Random features and weights of `count` images."""
    regions = torch.randn(count, REGIONS, WIDTH)
    weights = torch.rand(count, REGIONS).softmax(1)
    return Embedding(torch.randn(count, WIDTH), regions, weights)


def laid_out(embedded: Embedding) -> Tensor:
    """All features of an image as one, (images, (N + 1) D)."""
    return torch.cat([embedded.global_feature, embedded.regions.flatten(1)], dim=1)


def seconds(measure, query, gallery) -> float:
    """Time of all distances, chunk by chunk, none of them kept."""
    start = time.perf_counter()
    for first in range(0, QUERIES, CHUNK):
        measure(take(query, slice(first, first + CHUNK)), gallery)
    return time.perf_counter() - start


def peak() -> int:
    """Most memory that this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> int:
    """Print seconds and memory; 1 where they exceed what is promised."""
    torch.manual_seed(0)
    query, gallery = embedding(QUERIES), embedding(GALLERY)
    flat_query, flat_gallery = laid_out(query), laid_out(gallery)
    before = peak()
    ours = seconds(distances, query, gallery)
    grown = peak() - before
    theirs = seconds(cosine_distances, flat_query, flat_gallery)
    for _ in range(ROUNDS - 1):
        ours = min(ours, seconds(distances, query, gallery))
        theirs = min(theirs, seconds(cosine_distances, flat_query, flat_gallery))
    print(
        f"RGANet, {QUERIES} x {GALLERY}, {REGIONS} regions {ours:6.1f} s, +{grown} MiB"
    )
    print(f"cosine over the same features {theirs:15.1f} s, ratio {ours / theirs:.2f}")
    return int(ours > MOST_TIME * theirs or grown > MOST_MEMORY)


if __name__ == "__main__":
    sys.exit(main())

"""Re-ranking by k-reciprocal neighbours. Zhong et al., CVPR 2017 (arXiv 1701.08398).

Two images of one person tend to stand in each other's lists of nearest neighbours. So
each image is described by its mutual neighbours, and two images are compared by how
far these sets overlap:

    R(p, k)    those of the k + 1 nearest of p, itself included, that have p among
               their own k + 1 nearest                                    (Sec. 3.2)
    R*(p)      R(p, k1), and R(c, k1/2) for each c in it that has more than two thirds
               of R(c, k1/2) inside R(p, k1)                              (Sec. 3.2)
    V(p)       exp(-d(p, g)) for each g in R*(p), 0 elsewhere; it sums to one;
               then the mean of V over the k2 nearest of p            (Sec. 3.3, 3.4)
    d_J(p, g)  1 - sum min(V(p), V(g)) / sum max(V(p), V(g))              (Sec. 3.3)
    d*(p, g)   (1 - lambda) d_J(p, g) + lambda d(p, g)                    (Sec. 3.5)

d is the squared Euclidean distance of L2-normalised embeddings over queries and
gallery together, each row divided by its largest value; k1/2 is rounded. That d and V
are divided is how the field runs it; it makes sum max = 2 - sum min.

The distances of all pairs are made once, for a chunk of images at a time; of them stay
each image's nearest and its largest. V has (Q + G)² entries, nearly all of them 0: only
the others are made and kept. Where the usual implementation holds several (Q + G)²
matrices (35 GB each on MSMT17), this one holds none.

Shapes     Q queries, G gallery images, N = Q + G, D embedding width,
           n images of one chunk (q where they are queries), K nearest, H at half k1
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlib.evaluation.metrics import Scores, distances_of_normalised, evaluate
from reidlib.evaluation.ranks import JUNK_PID

TINY = torch.finfo(torch.float32).tiny


class Sparse(NamedTuple):
    """The entries of a matrix that are not 0, one row after another."""

    starts: Tensor  # (rows,) place of a row's first entry
    counts: Tensor  # (rows,) number of its entries
    columns: Tensor  # (entries,)
    values: Tensor  # (entries,)


class Nearest(NamedTuple):
    """What is kept of the distances of all pairs: every image's nearest, K of them."""

    images: Tensor  # (N, K) the own number first
    distances: Tensor  # (N, K) each row divided by its image's largest distance
    largest: Tensor  # (N,)


class Neighbourhoods(NamedTuple):
    """All that re-ranked distances are made from; queries come before the gallery."""

    embeddings: Tensor  # (N, D) L2-normalised
    largest: Tensor  # (N,) every image's largest distance, by which its row is divided
    nearest: Tensor  # (N, k2) the images over which V is averaged
    vectors: Sparse  # V before this mean, N rows
    gallery: Sparse  # V after it, transposed: N rows, G columns
    num_queries: int
    lambda_value: float


def rerank(
    query: Tensor,
    gallery: Tensor,
    *,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    chunk_size: int = 128,
    memory_limit_gb: float = 8.0,
) -> Tensor:
    """k-reciprocal distances between queries and gallery; lambda 1 is d itself.

    query (Q, D), gallery (G, D), normalised here, without junk (pid -1), which would
    take part as neighbours; returns (Q, G) float32 in [0, 1] on their device.
    Raises ValueError when the result is larger than memory_limit_gb (10⁹ bytes).
    """
    gigabytes = 4 * len(query) * len(gallery) / 1e9
    if gigabytes > memory_limit_gb:
        raise ValueError(
            f"re-ranked distances of {len(query)} queries to {len(gallery)} gallery "
            f"images take {gigabytes:.3g} GB, more than {memory_limit_gb=}: raise it, "
            "or score with evaluate_reranked, which holds a chunk of them at a time"
        )
    found = find_neighbourhoods(query, gallery, k1, k2, lambda_value, chunk_size)
    result = torch.empty(len(query), len(gallery), device=query.device)
    for rows in torch.arange(len(query), device=query.device).split(chunk_size):
        result[rows] = reranked_distances(found, rows)
    return result


def evaluate_reranked(
    query: Tensor,
    gallery: Tensor,
    *,
    query_pids: Tensor,
    gallery_pids: Tensor,
    query_camids: Tensor,
    gallery_camids: Tensor,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    max_rank: int = 50,
    chunk_size: int = 128,
) -> Scores:
    """Drop the junk, re-rank, and score as `evaluate` does, camera filter included."""
    kept = torch.as_tensor(gallery_pids, device=gallery.device) != JUNK_PID
    if kept.shape != gallery.shape[:1]:
        raise ValueError(f"{len(kept)} gallery_pids for {len(gallery)} gallery images")
    gallery = gallery[kept]
    found = find_neighbourhoods(query, gallery, k1, k2, lambda_value, chunk_size)
    return evaluate(
        torch.arange(len(query), device=query.device),
        torch.arange(len(gallery), device=query.device),
        query_pids=query_pids,
        gallery_pids=torch.as_tensor(gallery_pids, device=query.device)[kept],
        query_camids=query_camids,
        gallery_camids=torch.as_tensor(gallery_camids, device=query.device)[kept],
        distances=lambda rows, _: reranked_distances(found, rows),
        max_rank=max_rank,
        chunk_size=chunk_size,
    )


@torch.no_grad()
def find_neighbourhoods(
    query: Tensor,
    gallery: Tensor,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    chunk_size: int = 128,
) -> Neighbourhoods:
    """Describe each image of query (Q, D) and gallery (G, D) by its neighbours."""
    if min(k1, k2, chunk_size) < 1 or not 0 <= lambda_value <= 1:
        raise ValueError(
            f"{k1=}, {k2=} and {chunk_size=} must be at least 1, {lambda_value=} in 0…1"
        )
    embeddings = _joined(query, gallery)
    images = torch.arange(len(embeddings), device=query.device)
    chunks = images.split(chunk_size)
    near = _nearest(embeddings, chunks, max(k1 + 1, k2))
    vectors = _vectors(embeddings, near, chunks, k1)
    nearest = near.images[:, :k2]  # (N, k2)
    inverted = _inverted(vectors, nearest, images[len(query) :].split(chunk_size))
    return Neighbourhoods(
        embeddings, near.largest, nearest, vectors, inverted, len(query), lambda_value
    )


@torch.no_grad()
def reranked_distances(found: Neighbourhoods, rows: Tensor) -> Tensor:
    """Re-ranked distances (q, G) of the queries with numbers rows (q,)."""
    gallery = found.embeddings[found.num_queries :]
    original = _distances(found.embeddings[rows], gallery)  # (q, G)
    original /= found.largest[rows, None]
    row, column, value = _averaged(found.vectors, found.nearest[rows])
    entry, image, other_value = _rows_of(found.gallery, column)
    smaller = torch.minimum(value[entry], other_value)
    # float64: the order of summation on a GPU then leaves no trace in float32
    overlap = original.new_zeros(original.shape, dtype=torch.float64)
    place = row[entry] * original.shape[1] + image
    overlap.view(-1).index_add_(0, place, smaller.double())
    overlap = overlap.float()
    jaccard = 1 - overlap / (2 - overlap)
    return jaccard.lerp_(original, found.lambda_value)


def _joined(query: Tensor, gallery: Tensor) -> Tensor:
    """Queries, then gallery: (N, D), finite, L2-normalised."""
    for role, embeddings in (("query", query), ("gallery", gallery)):
        if embeddings.ndim != 2 or len(embeddings) == 0:
            raise ValueError(
                f"{role} must be embeddings of at least one image, (images, width), "
                f"got {tuple(embeddings.shape)}"
            )
        if not embeddings.isfinite().all():
            image = int((~embeddings.isfinite()).any(1).nonzero()[0])
            raise ValueError(f"embedding of {role} image {image} has nan or inf in it")
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"query embeddings have width {query.shape[1]}, gallery {gallery.shape[1]}"
        )
    return F.normalize(torch.cat([query, gallery]).float(), dim=1)


def _distances(some: Tensor, others: Tensor) -> Tensor:
    """d before its division, of normalised embeddings: (n, others)."""
    return distances_of_normalised(some, others).clamp_min_(0)


def _nearest(embeddings: Tensor, chunks: Sequence[Tensor], count: int) -> Nearest:
    """The nearest images of each, `count` or all, and how near they are."""
    lists = []
    for rows in chunks:
        distances = _distances(embeddings[rows], embeddings)  # (n, N)
        largest = distances.amax(1).clamp_min(TINY)
        distances[torch.arange(len(rows)), rows] = -1  # itself, before any duplicate
        found = distances.topk(min(count, len(embeddings)), largest=False)
        relative = found.values.clamp_min(0) / largest[:, None]
        lists.append(Nearest(found.indices, relative, largest))
    return Nearest(*map(torch.cat, zip(*lists, strict=True)))


def _mutual(nearest: Tensor, rows: Tensor) -> Tensor:
    """Which of an image's nearest (N, K) have it among theirs: (n, K) bool."""
    return (nearest[nearest[rows]] == rows[:, None, None]).any(-1)


def _members(
    rows: Tensor, whole: Tensor, whole_mutual: Tensor, half: Tensor, half_mutual: Tensor
) -> tuple[Tensor, Tensor]:
    """R* of the images rows (n,), from the nearest at k1 (N, K) and at k1/2 (N, H).

    Pairs of image and member as one number, image · N + member: those of R(p, k1), and
    those that were added.
    """
    candidates, mutual = whole[rows], whole_mutual[rows]  # (n, K)
    offered, offers = half[candidates], half_mutual[candidates]  # (n, K, H)
    same = offered[..., None] == candidates[:, None, None, :]  # (n, K, H, K)
    inside = (same & mutual[:, None, None, :]).any(-1)  # (n, K, H)
    accepted = 3 * (inside & offers).sum(-1) > 2 * offers.sum(-1)  # (n, K)
    added = offers & (accepted & mutual)[..., None]  # (n, K, H)

    first = rows * len(whole)  # (n,) an image and its member as one number
    own = (first[:, None] + candidates)[mutual]
    added = (first[:, None, None] + offered)[added].unique()
    return own, added[~torch.isin(added, own)]


def _vectors(
    embeddings: Tensor, near: Nearest, chunks: Sequence[Tensor], k1: int
) -> Sparse:
    """V before the mean: N rows, N columns."""
    whole = near.images[:, : k1 + 1]  # (N, K)
    half = near.images[:, : round(k1 / 2) + 1]  # (N, H)
    whole_mutual = torch.cat([_mutual(whole, rows) for rows in chunks])  # (N, K)
    half_mutual = torch.cat([_mutual(half, rows) for rows in chunks])  # (N, H)
    entries = []
    for rows in chunks:
        own, added = _members(rows, whole, whole_mutual, half, half_mutual)
        pairs, beyond = torch.cat([own, added]), slice(len(own), None)
        image, member = pairs // len(whole), pairs % len(whole)
        known = near.distances[rows, : k1 + 1][whole_mutual[rows]]
        cosine = (embeddings[image[beyond]] * embeddings[member[beyond]]).sum(1)
        made = (2 - 2 * cosine).clamp_min(0) / near.largest[image[beyond]]
        value, row = torch.cat([known, made]).neg().exp(), image - rows[0]
        total = value.new_zeros(len(rows), dtype=torch.float64)
        total.index_add_(0, row, value.double())
        entries.append((image, member, value / total.float()[row]))
    return _sparse(entries, len(whole))


def _inverted(vectors: Sparse, nearest: Tensor, gallery: Sequence[Tensor]) -> Sparse:
    """V of the gallery after the mean, transposed: who shares a neighbour."""
    first, entries = int(gallery[0][0]), []
    for rows in gallery:
        image, column, value = _averaged(vectors, nearest[rows])
        entries.append((column, image + (rows[0] - first), value))
    return _sparse(entries, len(nearest))


def _averaged(vectors: Sparse, nearest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean of V over an image's nearest (n, k2): which of the n, column, value."""
    which, column, value = _rows_of(vectors, nearest.flatten())
    place = torch.stack([which // nearest.shape[1], column])
    shape = len(nearest), len(vectors.starts)
    terms = torch.sparse_coo_tensor(place, value, shape, check_invariants=False)
    total = terms.coalesce()  # one entry per place, their sum
    return *total.indices(), total.values() / nearest.shape[1]


def _rows_of(matrix: Sparse, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All entries of some rows (n,): which of the n, column, value."""
    counts = matrix.counts[rows]
    first = matrix.starts[rows] - (counts.cumsum(0) - counts)
    which = torch.arange(len(rows), device=rows.device).repeat_interleave(counts)
    place = first[which] + torch.arange(len(which), device=rows.device)
    return which, matrix.columns[place], matrix.values[place]


def _sparse(entries: list[tuple[Tensor, Tensor, Tensor]], num_rows: int) -> Sparse:
    """Collect entries (row, column, value), in any order, row by row."""
    rows, columns, values = map(torch.cat, zip(*entries, strict=True))
    order = rows.argsort(stable=True)
    counts = torch.bincount(rows, minlength=num_rows)
    return Sparse(counts.cumsum(0) - counts, counts, columns[order], values[order])

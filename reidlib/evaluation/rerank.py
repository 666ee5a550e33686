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

V has (Q + G)² entries, nearly all of them 0. Only the others are kept, and distances
are made for a chunk of rows at a time: where the usual implementation holds several
(Q + G)² matrices (35 GB each on MSMT17), this one holds none.

Shapes     Q queries, G gallery images, N = Q + G, D embedding width,
           n images of one chunk, q of them queries, K nearest, H nearest at half k1
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlib.evaluation.metrics import JUNK_PID, Scores, evaluate

TINY = torch.finfo(torch.float32).tiny


class Sparse(NamedTuple):
    """The entries of a matrix that are not 0, one row after another."""

    starts: Tensor  # (rows,) place of a row's first entry
    counts: Tensor  # (rows,) number of its entries
    columns: Tensor  # (entries,)
    values: Tensor  # (entries,)


class Neighbourhoods(NamedTuple):
    """All that re-ranked distances are made from; queries come before the gallery."""

    embeddings: Tensor  # (N, D)
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
    depth = max(k1 + 1, k2)
    nearest = torch.cat([_nearest(embeddings, rows, depth) for rows in chunks])
    half = nearest[:, : round(k1 / 2) + 1]  # (N, H)
    vectors = _vectors(embeddings, nearest[:, : k1 + 1], half, chunks)
    nearest = nearest[:, :k2]  # (N, k2)
    inverted = _inverted(vectors, nearest, images[len(query) :].split(chunk_size))
    return Neighbourhoods(
        embeddings, nearest, vectors, inverted, len(query), lambda_value
    )


@torch.no_grad()
def reranked_distances(found: Neighbourhoods, rows: Tensor) -> Tensor:
    """Re-ranked distances (q, G) of the queries with numbers rows (q,)."""
    original = _relative_distances(found.embeddings, rows)[:, found.num_queries :]
    vectors = _expand(found.vectors, found.nearest[rows])  # (q, N)
    row, column, value = _entries_of(vectors, torch.arange(len(rows)).to(rows))
    entry, image, other_value = _rows_of(found.gallery, column)
    smaller = torch.minimum(value[entry], other_value)
    # float64: the order of summation on a GPU then leaves no trace in float32
    overlap = original.new_zeros(original.shape, dtype=torch.float64)
    place = row[entry] * original.shape[1] + image
    overlap.view(-1).index_add_(0, place, smaller.double())
    jaccard = 1 - overlap / (2 - overlap)
    return torch.lerp(jaccard, original.double(), found.lambda_value).float()


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


def _relative_distances(embeddings: Tensor, rows: Tensor) -> Tensor:
    """d: (n, N), each row divided by its largest value."""
    with torch.autocast(embeddings.device.type, enabled=False):
        distances = (2 - 2 * embeddings[rows] @ embeddings.T).clamp_min(0)
    return distances / distances.amax(1, keepdim=True).clamp_min(TINY)


def _nearest(embeddings: Tensor, rows: Tensor, count: int) -> Tensor:
    """The nearest images, each image's own number first: (n, count or N)."""
    distances = _relative_distances(embeddings, rows)
    distances[torch.arange(len(rows)), rows] = -1  # itself, before any duplicate
    return distances.topk(min(count, len(embeddings)), largest=False).indices


def _mutual(nearest: Tensor, rows: Tensor) -> Tensor:
    """Which of an image's nearest (N, K) have it among theirs: (n, K) bool."""
    return (nearest[nearest[rows]] == rows[:, None, None]).any(-1)


def _members(
    rows: Tensor, whole: Tensor, whole_mutual: Tensor, half: Tensor, half_mutual: Tensor
) -> Tensor:
    """R*: (n, N) bool, from the nearest at k1 (N, K) and at k1/2 (N, H)."""
    candidates, mutual = whole[rows], whole_mutual[rows]  # (n, K)
    offered, offers = half[candidates], half_mutual[candidates]  # (n, K, H)
    same = offered[..., None] == candidates[:, None, None, :]  # (n, K, H, K)
    inside = (same & mutual[:, None, None, :]).any(-1)  # (n, K, H)
    accepted = 3 * (inside & offers).sum(-1) > 2 * offers.sum(-1)  # (n, K)
    added = offers & (accepted & mutual)[..., None]  # (n, K, H)

    members = torch.zeros(len(rows), len(whole), dtype=torch.bool, device=rows.device)
    row, place = mutual.nonzero(as_tuple=True)
    members[row, candidates[row, place]] = True
    row, candidate, place = added.nonzero(as_tuple=True)
    members[row, offered[row, candidate, place]] = True
    return members


def _vectors(
    embeddings: Tensor, whole: Tensor, half: Tensor, chunks: Sequence[Tensor]
) -> Sparse:
    """V before the mean: N rows, N columns."""
    whole_mutual = torch.cat([_mutual(whole, rows) for rows in chunks])  # (N, K)
    half_mutual = torch.cat([_mutual(half, rows) for rows in chunks])  # (N, H)
    entries = []
    for rows in chunks:
        members = _members(rows, whole, whole_mutual, half, half_mutual)  # (n, N)
        distances = _relative_distances(embeddings, rows)
        weights = (-distances).masked_fill(~members, -math.inf).softmax(1)
        entries.append(_entries_of(weights, rows))
    return _sparse(entries, len(embeddings))


def _inverted(vectors: Sparse, nearest: Tensor, gallery: Sequence[Tensor]) -> Sparse:
    """V of the gallery after the mean, transposed: who shares a neighbour."""
    first, entries = int(gallery[0][0]), []
    for rows in gallery:
        image, column, value = _entries_of(_expand(vectors, nearest[rows]), rows)
        entries.append((column, image - first, value))
    return _sparse(entries, len(nearest))


def _expand(vectors: Sparse, nearest: Tensor) -> Tensor:
    """Mean of V over an image's nearest (n, k2): (n, N)."""
    total = vectors.values.new_zeros(len(nearest), len(vectors.starts))
    for neighbour in nearest.T:
        row, column, value = _rows_of(vectors, neighbour)
        total[row, column] += value
    return total / nearest.shape[1]


def _entries_of(matrix: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row number, column and value of each entry that is not 0."""
    row, column = matrix.nonzero(as_tuple=True)
    return rows[row], column, matrix[row, column]


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

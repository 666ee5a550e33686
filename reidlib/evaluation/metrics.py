"""How a retrieval is scored: distances, camera filter, average precision, CMC.

The single-query protocol of Market-1501 (Zheng et al., ICCV 2015). Where code bases
differ, here average precision is rectangular, equal distances are ranked by gallery
index, and a query without a match is skipped and counted.

A gallery image is, for one query,
    a match    same pid, other camera;
    ignored    same pid and same camera, or pid -1 (junk): it takes no rank;
    wrong      everything else, the distractors of pid 0 included.

Scores need only the ranks of the matches, which `ranks` counts; `rank_gallery` sorts
the whole gallery, for pictures.

Shapes     Q queries, q of them in a chunk, G gallery images, D embedding width,
           M matches of the query that has the most
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlib.evaluation.ranks import JUNK_PID, match_ranks, relations

Features = Tensor | tuple[Tensor, ...]


class Ranking(NamedTuple):
    """The gallery as every query sees it, nearest first."""

    order: Tensor  # (q, G) gallery indices; what a query ignores comes last
    hits: Tensor  # (q, G) bool, in that order: is it a match?
    num_ranked: Tensor  # (q,) how many are ranked; those behind them are ignored


class Scores(NamedTuple):
    """What a retrieval scored; shares lie in [0, 1], not in percent."""

    mean_ap: float  # over the valid queries
    cmc: Tensor  # (max_rank,) float64; cmc[0] is rank-1
    average_precisions: Tensor  # (Q,) float64; nan where the query was skipped
    first_ranks: Tensor  # (Q,) rank of the first match, from 1; 0 where it was skipped
    query_pids: Tensor  # (Q,) who was searched for
    num_valid: int  # queries with at least one match
    num_skipped: int  # queries without

    def summary(self, ranks: Sequence[int] = (1, 5, 10, 20)) -> dict[str, float]:
        """mAP and rank-k by name, as tables and histories hold them."""
        cmc = {f"rank{k}": self.cmc[k - 1].item() for k in ranks}
        return {"mean_ap": self.mean_ap, **cmc}


def cosine_distances(query: Tensor, gallery: Tensor) -> Tensor:
    """2 - 2 cos: the squared Euclidean distance of L2-normalised embeddings.

    query (Q, D), gallery (G, D), normalised here; returns (Q, G) in [0, 4].
    Computed in float32 even from half-precision embeddings or under autocast.

    >>> east, north, west = torch.tensor([[3.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> cosine_distances(east[None], torch.stack([east, north, west]))
    tensor([[0., 2., 4.]])
    """
    return distances_of_normalised(*_normalised(query, gallery))


def rank_gallery(
    distances: Tensor,
    *,
    query_pids: Tensor,
    gallery_pids: Tensor,
    query_camids: Tensor,
    gallery_camids: Tensor,
) -> Ranking:
    """Sort the gallery for every query; what the query ignores goes to the end.

    distances (q, G), finite; query_pids, query_camids (q,); gallery_… (G,).
    Equal distances are ranked by gallery index.

    One query of person 7 by camera 0; the gallery holds junk, the same camera,
    another person, a match:

    >>> ranking = rank_gallery(
    ...     torch.tensor([[0.1, 0.2, 0.3, 0.4]]),
    ...     query_pids=torch.tensor([7]),
    ...     gallery_pids=torch.tensor([-1, 7, 5, 7]),
    ...     query_camids=torch.tensor([0]),
    ...     gallery_camids=torch.tensor([1, 0, 1, 1]),
    ... )
    >>> ranking.order.tolist(), ranking.num_ranked.tolist()
    ([[2, 3, 0, 1]], [2])
    >>> ranking.hits.tolist()
    [[False, True, False, False]]
    """
    same_pid = query_pids[:, None] == gallery_pids  # (q, G)
    same_camid = query_camids[:, None] == gallery_camids  # (q, G)
    junk = gallery_pids == JUNK_PID  # (G,)
    ignored = (same_pid & same_camid) | junk  # (q, G)
    order = distances.masked_fill(ignored, math.inf).argsort(dim=1, stable=True)
    hits = (same_pid & ~ignored).gather(1, order)
    return Ranking(order, hits, num_ranked=(~ignored).sum(1))


def average_precision(ranks: Tensor) -> Tensor:
    """Mean, over the matches, of the precision at the rank of each.

        AP = 1/M sum over m of  m / r_m

    M   number of matches          r_1 < ... < r_M  their ranks, from 1
    ranks (..., M), inf behind the last; returns (...) float64, nan without a match.
    No interpolation: rectangles, not trapezoids.

    >>> average_precision(torch.tensor([1.0, 3.0, math.inf]))  # (1/1 + 2/3) / 2
    tensor(0.8333, dtype=torch.float64)
    """
    found = torch.arange(1, ranks.shape[-1] + 1, device=ranks.device)
    precision = found / ranks.double()  # (..., M), 0 behind the last match
    # summed one by one: what stands behind the last match leaves no trace
    return precision.cumsum(-1)[..., -1] / ranks.isfinite().sum(-1)


@torch.no_grad()
def evaluate(
    query: Features,
    gallery: Features,
    *,
    query_pids: Tensor,
    gallery_pids: Tensor,
    query_camids: Tensor,
    gallery_camids: Tensor,
    distances: Callable[[Any, Any], Tensor] = cosine_distances,
    max_rank: int = 50,
    chunk_size: int = 64,
) -> Scores:
    """Score a retrieval: mAP and CMC over the queries that have a match.

    query, gallery   embeddings (Q, D) and (G, D), or a paper's NamedTuples of tensors
                     with the images on axis 0
    pids, camids     one integer per image; junk has pid -1
    distances        called with chunk_size queries or fewer and the whole gallery,
                     returns (q, G): the only things of that size are made here
    max_rank         length of the CMC, padded with its last value
    Raises ValueError when shapes disagree, when a distance is not finite, and when no
    query has a match.

    >>> scores = evaluate(
    ...     torch.tensor([[1.0, 0.0]]),
    ...     torch.tensor([[1.0, 0.1], [1.0, 0.2], [1.0, 0.3]]),
    ...     query_pids=torch.tensor([7]), gallery_pids=torch.tensor([7, 5, 7]),
    ...     query_camids=torch.tensor([0]), gallery_camids=torch.tensor([1, 1, 2]),
    ...     max_rank=4,
    ... )
    >>> round(scores.mean_ap, 4), scores.cmc.tolist()
    (0.8333, [1.0, 1.0, 1.0, 1.0])
    """
    if max_rank < 1 or chunk_size < 1:
        raise ValueError(f"{max_rank=} and {chunk_size=} must be at least 1")
    query_labels = _labels("query", query, pids=query_pids, camids=query_camids)
    gallery_labels = _labels(
        "gallery", gallery, pids=gallery_pids, camids=gallery_camids
    )
    total, width = num_images(query), num_images(gallery)
    if distances is cosine_distances:  # normalise the gallery once, not for each chunk
        query, gallery = _normalised(query, gallery)
        distances = distances_of_normalised
    known = relations(**query_labels, **gallery_labels)
    precisions, first_ranks = [], []
    for start in range(0, total, chunk_size):
        rows = slice(start, start + chunk_size)
        size = min(chunk_size, total - start)
        measured = distances(take(query, rows), gallery)
        measured = checked_distances(measured, (size, width), start)
        ranks = match_ranks(measured, known, rows)
        precisions.append(average_precision(ranks))
        first_ranks.append(ranks[:, 0].nan_to_num(posinf=0).long())
    found = torch.cat(precisions), torch.cat(first_ranks)
    return _scores(*found, query_labels["query_pids"], max_rank)


def evaluate_distances(distances: Tensor, **labels_and_options: Any) -> Scores:
    """Score distances (Q, G) that are already there; the rest as in `evaluate`.

    >>> evaluate_distances(
    ...     torch.tensor([[0.3, 0.1, 0.2]]),
    ...     query_pids=torch.tensor([7]), gallery_pids=torch.tensor([7, 5, 7]),
    ...     query_camids=torch.tensor([0]), gallery_camids=torch.tensor([1, 1, 2]),
    ... ).mean_ap  # (1/2 + 2/3) / 2
    0.5833333333333333
    """
    if distances.ndim != 2:
        raise ValueError(f"distances must be (Q, G), got {tuple(distances.shape)}")
    columns = torch.arange(distances.shape[1], device=distances.device)
    return evaluate(
        distances, columns, distances=lambda rows, _: rows, **labels_and_options
    )


def take(features: Features, rows: slice | Tensor) -> Features:
    """Some of the images, from a tensor or from every tensor of a NamedTuple."""
    if isinstance(features, Tensor):
        return features[rows]
    chosen = [tensor[rows] for tensor in features]
    return features._make(chosen) if hasattr(features, "_make") else tuple(chosen)


def num_images(features: Features) -> int:
    """Length of axis 0, which all tensors of a NamedTuple must share."""
    tensors = [features] if isinstance(features, Tensor) else features
    lengths = [len(tensor) for tensor in tensors]
    if len(set(lengths)) != 1:
        raise ValueError(f"axis 0 must be the images in all tensors, got {lengths}")
    return lengths[0]


def checked_distances(
    distances: Tensor, shape: tuple[int, int], first_query: int = 0
) -> Tensor:
    """Return the distances, or raise when their shape is wrong or one is not finite."""
    if distances.shape != shape or not distances.is_floating_point():
        raise ValueError(
            f"distances must be floating point of shape {shape} (queries, gallery), "
            f"got {distances.dtype} {tuple(distances.shape)}"
        )
    if not torch.stack(distances.aminmax()).isfinite().all():  # nan is seen by both
        row, column = (~distances.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"distance of query {first_query + row} to gallery image {column} is "
            f"{distances[row, column].item()}: look for nan or inf in the embeddings "
            "of both"
        )
    return distances


def _normalised(query: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32 and of length one; raises where their widths differ."""
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise ValueError(
            "embeddings must be (images, width) with one width, "
            f"got query {tuple(query.shape)} and gallery {tuple(gallery.shape)}"
        )
    return F.normalize(query.float(), dim=1), F.normalize(gallery.float(), dim=1)


def distances_of_normalised(query: Tensor, gallery: Tensor) -> Tensor:
    """2 - 2 cos of embeddings of length one: (Q, G)."""
    with torch.autocast(query.device.type, enabled=False):
        return (-2 * query @ gallery.T).add_(2)


def _labels(role: str, features: Features, **labels: Tensor) -> dict[str, Tensor]:
    """{"pids": …} -> {"query_pids": …}, checked and on the features' device."""
    length = num_images(features)
    if length == 0:
        raise ValueError(f"{role} is empty: there is nothing to score")
    device = features.device if isinstance(features, Tensor) else features[0].device
    checked = {}
    for name, values in labels.items():
        values = torch.as_tensor(values, device=device)
        if values.shape != (length,) or values.is_floating_point():
            raise ValueError(
                f"{role}_{name} must be {length} integers, one per image of the "
                f"{role}, got {values.dtype} {tuple(values.shape)}"
            )
        checked[f"{role}_{name}"] = values
    return checked


def _scores(
    precisions: Tensor, first_ranks: Tensor, query_pids: Tensor, max_rank: int
) -> Scores:
    """precisions (Q,), nan where there is no match; first_ranks (Q,), 0 there."""
    precisions, first_ranks = precisions.cpu(), first_ranks.cpu()
    valid = first_ranks > 0
    num_valid = int(valid.sum())
    if num_valid == 0:
        raise ValueError(
            f"none of the {len(valid)} queries has a match from another camera in the "
            "gallery: do both number pids alike, and are camids cameras?"
        )
    found = torch.bincount(first_ranks[valid] - 1, minlength=max_rank)[:max_rank]
    return Scores(
        mean_ap=precisions[valid].mean().item(),
        cmc=found.cumsum(0).double() / num_valid,
        average_precisions=precisions,
        first_ranks=first_ranks,
        query_pids=query_pids.cpu(),
        num_valid=num_valid,
        num_skipped=len(valid) - num_valid,
    )

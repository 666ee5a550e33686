"""One benchmark, one model: embed query and gallery, and score them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from reidlib.data.image_cache import ImageCache
from reidlib.data.loaders import Batch, test_loader
from reidlib.data.samples import Benchmark, Sample
from reidlib.data.transforms import Transform
from reidlib.evaluation.extraction import Embedded, extract, images_of
from reidlib.evaluation.metrics import (
    Ranking,
    Scores,
    cosine_distances,
    evaluate,
    rank_gallery,
    take,
)
from reidlib.evaluation.rerank import evaluate_reranked


class Search(NamedTuple):
    """The embedded queries and gallery of a benchmark, and how well they match."""

    query: Embedded
    gallery: Embedded
    scores: Scores
    distances: Callable[[Any, Any], Tensor]

    @property
    def labels(self) -> dict[str, Tensor]:
        """Identities and cameras by the names that metrics and rerank know them by."""
        return {
            "query_pids": self.query.pids,
            "gallery_pids": self.gallery.pids,
            "query_camids": self.query.camids,
            "gallery_camids": self.gallery.camids,
        }


def search(
    embed: Callable[..., Any],
    benchmark: Benchmark,
    transform: Transform,
    *,
    device: torch.device | str,
    batch_size: int,
    workers: int = 0,
    cache: ImageCache | None = None,
    flip_average: bool = False,
    inputs: Callable[[Batch], tuple] = images_of,
    distances: Callable[[Any, Any], Tensor] = cosine_distances,
) -> Search:
    """Embed a benchmark's queries and gallery with `embed` and score the ranking.

    The arguments are those of extract, test_loader and evaluate.
    """

    def embedded(samples: Sequence[Sample]) -> Embedded:
        loader = test_loader(
            samples, transform, batch_size=batch_size, workers=workers, cache=cache
        )
        return extract(
            embed, loader, device=device, inputs=inputs, flip_average=flip_average
        )

    query, gallery = embedded(benchmark.query), embedded(benchmark.gallery)
    return compared(Search(query, gallery, None, distances), distances)


def compared(found: Search, distances: Callable[[Any, Any], Tensor]) -> Search:
    """The same embeddings under another distance, scored again."""
    embeddings = found.query.embeddings, found.gallery.embeddings
    scores = evaluate(*embeddings, distances=distances, **found.labels)
    return found._replace(scores=scores, distances=distances)


def search_scores(*arguments: Any, **options: Any) -> dict[str, float]:
    """`mAP` and `rank1` of `search`, shares in [0, 1], for a training's history."""
    scores = search(*arguments, **options).scores
    return {"mAP": scores.mean_ap, "rank1": float(scores.cmc[0])}


def reranked_scores(found: Search) -> Scores:
    """Scores of a search after k-reciprocal re-ranking of its embeddings."""
    return evaluate_reranked(
        found.query.embeddings, found.gallery.embeddings, **found.labels
    )


def examples(found: Search, *, successes: int, failures: int) -> Tensor:
    """Queries worth a look: hits at rank 1 spread over the set, then the worst misses.

    Returns indices of queries, fewer than asked for where there are not as many.
    """
    rank = found.scores.first_ranks
    hits, misses = (rank == 1).nonzero()[:, 0], (rank > 1).nonzero()[:, 0]
    chosen = hits[spread(len(hits), successes)]
    worst = misses[rank[misses].argsort(descending=True, stable=True)]
    return torch.cat([chosen, worst[:failures]])


def ranking(found: Search, queries: Tensor) -> Ranking:
    """The gallery as the given queries (indices) see it."""
    rows = queries.to(found.query.pids.device)
    labels = found.labels
    labels |= {name: labels[name][rows] for name in ("query_pids", "query_camids")}
    some = take(found.query.embeddings, rows)
    return rank_gallery(found.distances(some, found.gallery.embeddings), **labels)


def spread(total: int, count: int) -> Tensor:
    """Which images are kept or shown: indices of `count`, spread over all in order.

    >>> spread(10, 4).tolist(), spread(2, 4).tolist(), spread(0, 4).tolist()
    ([0, 3, 6, 9], [0, 1], [])
    """
    return torch.linspace(0, total - 1, min(count, total)).long()

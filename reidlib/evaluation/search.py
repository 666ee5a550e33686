"""One benchmark, one model: embed query and gallery, and score them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from reidlib.data.image_cache import ImageCache
from reidlib.data.loaders import TestBatch, test_loader
from reidlib.data.samples import Benchmark, Sample
from reidlib.data.transforms import Transform
from reidlib.evaluation.extraction import Embedded, extract, images_of, observe
from reidlib.evaluation.metrics import (
    Ranking,
    Scores,
    cosine_distances,
    evaluate,
    rank_gallery,
    take,
)
from reidlib.evaluation.ranks import JUNK_PID
from reidlib.evaluation.rerank import evaluate_reranked

NOBODY = -2  # a pid that no image has


@dataclass(frozen=True)
class Search:
    """The embedded queries and gallery of a benchmark, and how well they match."""

    query: Embedded
    gallery: Embedded
    distances: Callable[[Any, Any], Tensor]

    @cached_property
    def scores(self) -> Scores:
        """What the search scores; ValueError where no query has a match.

        Computed when it is first asked for: a search among pictures that nobody has
        labelled has a ranking, but no scores.
        """
        return evaluate(
            self.query.embeddings,
            self.gallery.embeddings,
            distances=self.distances,
            **self.labels,
        )

    @property
    def labels(self) -> dict[str, Tensor]:
        """Identities and cameras by the names that metrics and rerank know them by."""
        return {
            "query_pids": self.query.pids,
            "gallery_pids": self.gallery.pids,
            "query_camids": self.query.camids,
            "gallery_camids": self.gallery.camids,
        }


@dataclass(frozen=True)
class Tester:
    """How models are tested: the same for all benchmarks, and at any time of a run.

    transform, batch_size, workers, cache   as data.test_loader takes them
    inputs, flip_average                    as extract takes them
    distances                               of embeddings (Q, ...), (G, ...): (Q, G)
    """

    transform: Transform
    device: torch.device | str
    batch_size: int
    workers: int = 0
    cache: ImageCache | None = None
    flip_average: bool = False
    inputs: Callable[[TestBatch], tuple] = images_of
    distances: Callable[[Any, Any], Tensor] = cosine_distances

    def search(self, model: nn.Module, benchmark: Benchmark) -> Search:
        """Embed a benchmark's queries and gallery, to be ranked and scored."""
        query = self.embedded(model, benchmark.query)
        gallery = self.embedded(model, benchmark.gallery)
        return Search(query, gallery, self.distances)

    def scores(self, model: nn.Module, benchmark: Benchmark) -> dict[str, float]:
        """`mAP` and `rank1` of a search, shares in [0, 1], as a history holds them."""
        scores = self.search(model, benchmark).scores
        return {"mAP": scores.mean_ap, "rank1": float(scores.cmc[0])}

    def embedded(self, model: nn.Module, samples: Sequence[Sample]) -> Embedded:
        """The embeddings of samples, by model.embed."""
        options = {"device": self.device, "inputs": self.inputs}
        options |= {"flip_average": self.flip_average}
        return extract(model, self._loader(samples), **options)

    def observed(
        self,
        model: nn.Module,
        samples: Sequence[Sample],
        read: Callable[[Any], dict[Any, Tensor]],
    ) -> dict[Any, Tensor]:
        """What `read` takes of the model's outputs, joined as by `observe`."""
        options = {"device": self.device, "inputs": self.inputs}
        return observe(model, self._loader(samples), read, **options)

    def _loader(self, samples: Sequence[Sample]) -> DataLoader:
        return test_loader(
            samples,
            self.transform,
            batch_size=self.batch_size,
            workers=self.workers,
            cache=self.cache,
        )


def compared(found: Search, distances: Callable[[Any, Any], Tensor]) -> Search:
    """The same embeddings under another distance, with scores of their own."""
    return Search(found.query, found.gallery, distances)


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


def ranking(found: Search, queries: Tensor | Sequence[int]) -> Ranking:
    """The gallery as the given queries (indices) see it.

    Of a query that nobody has labelled (pid 0 or -1) nothing is a match and nothing is
    ignored but junk; a gallery of nothing but pid -1 is unlabelled too, not junk.
    """
    labels = found.labels
    rows = torch.as_tensor(queries, dtype=torch.long, device=found.query.pids.device)
    labels |= {name: labels[name][rows] for name in ("query_pids", "query_camids")}
    gallery_pids = labels["gallery_pids"]
    if (gallery_pids == JUNK_PID).all():
        labels["gallery_pids"] = torch.zeros_like(gallery_pids)
    is_unlabelled = labels["query_pids"] <= 0
    labels["query_pids"] = labels["query_pids"].masked_fill(is_unlabelled, NOBODY)
    some = take(found.query.embeddings, rows)
    return rank_gallery(found.distances(some, found.gallery.embeddings), **labels)


def spread(total: int, count: int) -> Tensor:
    """Which images are kept or shown: indices of `count`, spread over all in order.

    >>> spread(10, 4).tolist(), spread(2, 4).tolist(), spread(0, 4).tolist()
    ([0, 3, 6, 9], [0, 1], [])
    """
    return torch.linspace(0, total - 1, min(count, total)).long()

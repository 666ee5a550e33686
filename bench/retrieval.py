"""Evaluation and re-ranking, measured against the products that they cannot do without.

Every function returns a record (bench/measuring.py). The floor of evaluation is the
product of the embeddings, a chunk of queries and the whole gallery at a time, nothing
kept. That of re-ranking is the same product over queries and gallery together: the
distances from which all nearest neighbours come. Embeddings are drawn around the centre
of their person, so that neighbourhoods look like those of a trained network.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.measuring import Record, beside_floor
from bench.plain_rerank import plain_rerank
from reidlib.evaluation.metrics import evaluate
from reidlib.evaluation.rerank import evaluate_reranked

MARKET1501 = (3368, 15913, 750)  # queries, gallery images without junk, persons
MSMT17 = (11659, 82161, 3060)
QUICK = (60, 240, 12)  # to see that all works; says nothing of speed
WIDTH = 768  # ViT-B/16
SPREAD = 3.2  # of a person's embeddings around their centre, which has spread 1
CHUNK, RERANK_CHUNK = 64, 128  # as evaluate and evaluate_reranked have them
PRODUCT = "product of the embeddings, chunk by chunk"
ALL_PAIRS = "product of all pairs of embeddings, chunk by chunk"


class Retrieval(NamedTuple):
    """Embeddings of a query and a gallery set, and their labels by name."""

    query: Tensor
    gallery: Tensor
    labels: dict[str, Tensor]


def drawn(queries: int, gallery: int, persons: int, width: int = WIDTH) -> Retrieval:
    """A retrieval of that size; six cameras, every tenth gallery image a distractor."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(persons + 1, width, generator=generator)
    labels, sides = {}, []
    for role, size in (("query", queries), ("gallery", gallery)):
        pids = torch.randint(1, persons + 1, (size,), generator=generator)
        embeddings = torch.randn(size, width, generator=generator)
        embeddings.mul_(SPREAD)
        for rows in torch.arange(size).split(4096):  # no second matrix in memory
            embeddings[rows] += centres[pids[rows]]
        if role == "gallery":
            pids[::10] = 0
        labels[f"{role}_pids"] = pids
        cameras = torch.randint(0, 6, (size,), generator=generator)
        labels[f"{role}_camids"] = cameras
        sides.append(embeddings)
    return Retrieval(*sides, labels)


def product(some: Tensor, others: Tensor, chunk_size: int, every: int = 1) -> None:
    """Every chunk of `some`, or each tenth and so on, times all others."""
    for rows in some.split(chunk_size)[::every]:
        rows @ others.T


def evaluation(
    sizes: tuple[int, int, int] = MARKET1501, *, threads: int = 1, rounds: int = 5
) -> Record:
    """`evaluate` beside its product; at Market-1501's size by default."""
    query, gallery, labels = drawn(*sizes)
    some, others = F.normalize(query, dim=1), F.normalize(gallery, dim=1)
    return beside_floor(
        f"evaluation, {sizes[0]} x {sizes[1]} x {WIDTH}",
        lambda: evaluate(query, gallery, **labels),
        floor_name=PRODUCT,
        floor=lambda: product(some, others, CHUNK),
        rounds=rounds,
        threads=threads,
        most=2.0,
    )


def evaluation_large(
    sizes: tuple[int, int, int] = MSMT17, *, threads: int = 1, rounds: int = 1
) -> Record:
    """`evaluate` at MSMT17's size: what it needs beyond the features (600 MB at most).

    The floor is measured on every tenth chunk, without normalised copies of its own.
    """
    query, gallery, labels = drawn(*sizes)
    every = 10
    return beside_floor(
        f"evaluation, {sizes[0]} x {sizes[1]} x {WIDTH}",
        lambda: evaluate(query, gallery, **labels),
        floor_name=f"{PRODUCT}, from one chunk in {every}",
        floor=lambda: product(query, gallery, CHUNK, every),
        floor_share=share(len(query), CHUNK, every),
        rounds=rounds,
        threads=threads,
        most_mib=600,
    )


def reranking(
    sizes: tuple[int, int, int] = MARKET1501, *, threads: int = 1, rounds: int = 3
) -> Record:
    """`evaluate_reranked`, scores included, beside the product of all pairs."""
    query, gallery, labels = drawn(*sizes)
    images = F.normalize(torch.cat([query, gallery]), dim=1)
    return beside_floor(
        f"re-ranking and scores, N = {len(images):,}",
        lambda: evaluate_reranked(query, gallery, **labels),
        floor_name=ALL_PAIRS,
        floor=lambda: product(images, images, RERANK_CHUNK),
        rounds=rounds,
        threads=threads,
        most=2.5,
        most_mib=1024,
    )


def reranking_large(
    sizes: tuple[int, int, int] = MSMT17, *, threads: int = 2, rounds: int = 1
) -> Record:
    """`evaluate_reranked` at MSMT17's size, under 8 GB; the floor from some chunks."""
    query, gallery, labels = drawn(*sizes)
    images = F.normalize(torch.cat([query, gallery]), dim=1)
    every = 10
    return beside_floor(
        f"re-ranking and scores, N = {len(images):,}",
        lambda: evaluate_reranked(query, gallery, **labels),
        floor_name=f"{ALL_PAIRS}, from one chunk in {every}",
        floor=lambda: product(images, images, RERANK_CHUNK, every),
        floor_share=share(len(images), RERANK_CHUNK, every),
        rounds=rounds,
        threads=threads,
        most_mib=8192,
    )


def beside_plain_numpy(
    sizes: tuple[int, int, int] = MARKET1501, *, threads: int = 1, rounds: int = 1
) -> Record:
    """Our re-ranking beside the paper's algorithm in plain NumPy: a third at most."""
    query, gallery, labels = drawn(*sizes)
    arrays = query.numpy(), gallery.numpy()
    return beside_floor(
        f"re-ranking and scores against NumPy, N = {sum(sizes[:2]):,}",
        lambda: evaluate_reranked(query, gallery, **labels),
        floor_name="the paper's algorithm in plain NumPy, no floor",
        floor=lambda: plain_rerank(*arrays),
        rounds=rounds,
        threads=threads,
        most=1 / 3,
    )


def share(images: int, chunk_size: int, every: int) -> float:
    """Which share of all images stand in one chunk of every so many."""
    rows = torch.arange(images).split(chunk_size)[::every]
    return sum(map(len, rows)) / images

"""Rankings to score: golden files, hand-made labels, random problems, a slow loop."""

import math
from pathlib import Path

import numpy as np
import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor

from reidlib.evaluation.metrics import rank_gallery

GOLDEN = Path(__file__).parents[1] / "golden"
LABELS = ("query_pids", "gallery_pids", "query_camids", "gallery_camids")


def golden(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        tensors = {key: torch.from_numpy(values) for key, values in arrays.items()}
    return tensors, {key: tensors[key] for key in LABELS}


def labels(query, gallery):
    """Lists of (pid, camid)."""
    pids_and_camids = [[p for p, _ in query], [p for p, _ in gallery]]
    pids_and_camids += [[c for _, c in query], [c for _, c in gallery]]
    return dict(zip(LABELS, map(torch.tensor, pids_and_camids), strict=True))


def loop(distances, query_pids, gallery_pids, query_camids, gallery_camids, max_rank):
    """The protocol as one reads it: average precisions and CMC of valid queries."""
    precisions, curves = [], []
    for q, row in enumerate(distances.tolist()):
        ranked = []
        for _, g in sorted((distance, g) for g, distance in enumerate(row)):
            same_pid = gallery_pids[g] == query_pids[q]
            if (
                gallery_pids[g] == -1
                or same_pid
                and gallery_camids[g] == query_camids[q]
            ):
                continue
            ranked.append(bool(same_pid))
        if not any(ranked):
            precisions.append(math.nan)
            continue
        found, total = 0, 0.0
        for rank, hit in enumerate(ranked, start=1):
            if hit:
                found += 1
                total += found / rank
        precisions.append(total / found)
        curves.append([float(any(ranked[:k])) for k in range(1, max_rank + 1)])
    return precisions, np.mean(curves, axis=0)


def by_sorting(distances, **labels):
    """The protocol by sorting the whole gallery: average precisions and first ranks."""
    hits = rank_gallery(distances, **labels).hits
    precision = hits.cumsum(1).double() / torch.arange(1, hits.shape[1] + 1)
    first = torch.where(hits.any(1), hits.byte().argmax(1) + 1, 0)
    return (precision * hits).sum(1) / hits.sum(1), first


@st.composite
def problems(draw, ties=True):
    """Distances (Q, G) and labels with at least one valid query."""
    query_size, gallery_size = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    images = st.tuples(st.integers(-1, 3), st.integers(0, 2))
    query = draw(st.lists(images, min_size=query_size, max_size=query_size))
    gallery = draw(st.lists(images, min_size=gallery_size, max_size=gallery_size))
    assume(any(p >= 0 and p == r and c != d for p, c in query for r, d in gallery))
    if ties:
        row = st.lists(st.integers(0, 3), min_size=gallery_size, max_size=gallery_size)
    else:
        row = st.permutations(range(gallery_size))
    rows = draw(st.lists(row, min_size=query_size, max_size=query_size))
    return torch.tensor(rows, dtype=torch.float32), labels(query, gallery)

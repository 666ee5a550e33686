"""Speed and memory, measured and printed by `make bench`; `make test` skips these."""

import resource
import time

import pytest
import torch

from reidlib.evaluation.metrics import evaluate

pytestmark = pytest.mark.bench


def test_market_1501_is_scored_in_seconds_and_within_a_chunk_of_memory():
    generator = torch.Generator().manual_seed(0)
    sizes, embeddings, pids, camids = (3368, 15913), [], [], []
    for size in sizes:
        embeddings.append(torch.randn(size, 512, generator=generator))
        pids.append(torch.randint(0, 751, (size,), generator=generator))
        camids.append(torch.randint(0, 6, (size,), generator=generator))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    evaluate(
        *embeddings,
        query_pids=pids[0],
        gallery_pids=pids[1],
        query_camids=camids[0],
        gallery_camids=camids[1],
    )
    seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    print(f"\nevaluate {sizes[0]} x {sizes[1]}: {seconds:.1f} s, +{grown} MiB")
    assert seconds < 60
    assert grown < 1024

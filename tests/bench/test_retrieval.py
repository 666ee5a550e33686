"""What measures evaluation and re-ranking, tried small; its NumPy against ours."""

import json
import sys
import time

import numpy as np
import pytest
import torch
from toys.retrieval import golden

from reidlib.evaluation.rerank import rerank
from reidrun.runs.environment import ROOT

SIZES = (30, 120, 6)


@pytest.fixture(scope="module", autouse=True)
def bench_on_the_path():
    sys.path.insert(0, str(ROOT / "bench"))  # as python bench/retrieval.py has it
    yield
    sys.path.remove(str(ROOT / "bench"))


@pytest.fixture
def retrieval():
    import retrieval

    return retrieval


@pytest.fixture
def measuring():
    import measuring

    return measuring


@pytest.mark.parametrize(
    "name",
    [
        *("evaluation", "evaluation_large"),
        *("reranking", "reranking_large", "plain_reranking"),
    ],
)
def test_every_measurement_is_a_record_with_a_named_floor(retrieval, name):
    record = retrieval.MEASUREMENTS[name](SIZES, threads=1, rounds=2)
    assert record.what and record.floor and record.rounds == 2 and record.threads == 1
    assert record.ratio == pytest.approx(record.wall / record.floor_wall)
    processor = record.processor / record.floor_processor
    assert record.processor_ratio == pytest.approx(processor)
    assert json.loads(json.dumps(record._asdict())) == record._asdict()


@pytest.mark.parametrize("name", ["retrieval_a", "retrieval_b"])
def test_plain_numpy_is_the_papers_algorithm(retrieval, name):
    expected, labels = golden(name)
    gallery = expected["gallery_embeddings"][labels["gallery_pids"] != -1]
    arrays = expected["query_embeddings"].numpy(), gallery.numpy()
    found = retrieval.plain_rerank(*arrays)
    np.testing.assert_allclose(found, expected["rerank_distances"], atol=1e-5)


def test_plain_numpy_gives_what_we_give(retrieval):
    query, gallery, _ = retrieval.drawn(*SIZES, width=16)
    found = retrieval.plain_rerank(query.numpy(), gallery.numpy(), k1=9, k2=3)
    ours = rerank(query, gallery, k1=9, k2=3)
    np.testing.assert_allclose(found, ours, atol=2e-6)


def test_a_drawn_retrieval_is_neither_solved_nor_hopeless(retrieval):
    query, gallery, labels = retrieval.drawn(200, 1000, 40)
    scores = retrieval.evaluate(query, gallery, **labels)
    assert 0.3 < scores.mean_ap < 0.99
    again = retrieval.drawn(200, 1000, 40)
    assert torch.equal(query, again.query) and torch.equal(gallery, again.gallery)


def test_a_floor_from_some_chunks_counts_for_all(retrieval, measuring):
    assert retrieval.share(1000, 10, 10) == 0.1
    assert retrieval.share(95, 10, 10) == 10 / 95
    waits = {"work": lambda: time.sleep(0.06), "floor": lambda: time.sleep(0.02)}
    record = measuring.beside_floor(
        "waiting", **waits, floor_name="waiting", floor_share=0.5, rounds=3, threads=1
    )
    assert record.floor_wall >= 0.04  # no sleep is shorter than asked for
    assert record.wall >= 0.06


def test_threads_are_given_back(measuring):
    before = torch.get_num_threads()
    with measuring.using_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_memory_is_that_of_the_work_alone(measuring):
    if not measuring.CLEAR_REFS.exists():
        pytest.skip("this system does not tell")
    held = torch.ones(20 << 20)  # 80 MiB that were there before
    torch.ones(50 << 20)  # and 200 MiB that are gone
    with measuring.peak_memory() as peak:
        torch.ones(30 << 20)
    assert 100 <= peak["mib"] <= 180
    assert len(held) == 20 << 20

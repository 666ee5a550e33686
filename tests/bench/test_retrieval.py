"""What measures evaluation and re-ranking, tried small; its NumPy against ours."""

import json
import platform
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from toys.retrieval import golden

from bench import measuring, retrieval
from bench.plain_rerank import plain_rerank
from reidlib.evaluation.rerank import rerank
from reidrun.runs.environment import ROOT

SIZES = (30, 120, 6)


@pytest.mark.parametrize(
    "name",
    [
        *("evaluation", "evaluation_large"),
        *("reranking", "reranking_large", "beside_plain_numpy"),
    ],
)
def test_every_measurement_is_a_record_with_a_named_floor(name):
    record = getattr(retrieval, name)(SIZES, threads=1, rounds=2)
    assert record.what and record.floor and record.rounds == 2 and record.threads == 1
    assert record.ratio == pytest.approx(record.wall / record.floor_wall)
    processor = record.processor / record.floor_processor
    assert record.processor_ratio == pytest.approx(processor)
    assert json.loads(json.dumps(record._asdict())) == record._asdict()


@pytest.mark.parametrize("name", ["retrieval_a", "retrieval_b"])
def test_plain_numpy_is_the_papers_algorithm(name):
    expected, labels = golden(name)
    gallery = expected["gallery_embeddings"][labels["gallery_pids"] != -1]
    arrays = expected["query_embeddings"].numpy(), gallery.numpy()
    found = plain_rerank(*arrays)
    np.testing.assert_allclose(found, expected["rerank_distances"], atol=1e-5)


def test_plain_numpy_gives_what_we_give():
    query, gallery, _ = retrieval.drawn(*SIZES, width=16)
    found = plain_rerank(query.numpy(), gallery.numpy(), k1=9, k2=3)
    ours = rerank(query, gallery, k1=9, k2=3)
    np.testing.assert_allclose(found, ours, atol=2e-6)


def test_a_drawn_retrieval_is_neither_solved_nor_hopeless():
    query, gallery, labels = retrieval.drawn(200, 1000, 40)
    scores = retrieval.evaluate(query, gallery, **labels)
    assert 0.3 < scores.mean_ap < 0.99
    again = retrieval.drawn(200, 1000, 40)
    assert torch.equal(query, again.query) and torch.equal(gallery, again.gallery)


def test_a_floor_from_some_chunks_counts_for_all():
    assert retrieval.share(1000, 10, 10) == 0.1
    assert retrieval.share(95, 10, 10) == 10 / 95
    waits = {"work": lambda: time.sleep(0.06), "floor": lambda: time.sleep(0.02)}
    record = measuring.beside_floor(
        "waiting", **waits, floor_name="waiting", floor_share=0.5, rounds=3, threads=1
    )
    assert record.floor_wall >= 0.04  # no sleep is shorter than asked for
    assert record.wall >= 0.06


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with measuring.using_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_memory_is_that_of_the_work_alone():
    if not measuring.CLEAR_REFS.exists():
        pytest.skip("this system does not tell")
    held = torch.ones(20 << 20)  # 80 MiB that were there before
    torch.ones(50 << 20)  # and 200 MiB that are gone
    with measuring.peak_memory() as peak:
        torch.ones(30 << 20)
    assert 100 <= peak["mib"] <= 180
    assert len(held) == 20 << 20


def test_a_table_has_ratios_first_and_no_nan():
    record = retrieval.evaluation(SIZES, rounds=1)
    page = measuring.table([record, record._replace(most=None, memory_mib=None)])
    assert list(page.columns[:4]) == [
        "floor",
        "threads",
        "× floor, clock",
        "× floor, processor",
    ]
    assert page["promised"].tolist() == [2.0, ""]
    assert page.notna().all().all()


def test_promises_that_are_not_kept_are_named():
    record = retrieval.evaluation(SIZES, rounds=1)
    kept = record._replace(processor_ratio=2.0, most_mib=600, memory_mib=600)
    assert measuring.broken([kept, kept._replace(memory_mib=None)]) == []
    slow = kept._replace(processor_ratio=2.004, what="slow")
    large = kept._replace(memory_mib=601, what="large")
    assert measuring.broken([slow, kept, large]) == [
        "slow, 1 threads: 2.00 x its floor, 2.0 promised",
        "large, 1 threads: 601 MiB, 600 promised",
    ]


def test_processes_count_as_the_work_that_waits_for_them():
    code = "import time\nwhile time.process_time() < 0.3: pass"
    took = measuring.seconds(lambda: subprocess.run([sys.executable, "-c", code]))
    assert took.processor > 0.29


def test_a_machine_is_called_after_its_processor():
    assert measuring.name("Intel(R) Xeon(R) CPU @ 2.20GHz", 8) == (
        "intel-xeon-cpu-2-20ghz-8-cores"
    )
    assert platform.node() not in ("", measuring.machine())


def test_the_record_of_a_machine_names_no_host_and_no_path(tmp_path):
    record = retrieval.evaluation(SIZES, rounds=1)
    path = measuring.keep(tmp_path / "outputs", [record], {"floors": []})
    assert path == tmp_path / "outputs" / f"{measuring.machine()}.json"
    text = path.read_text()
    content = json.loads(text)
    assert content["records"] == [record._asdict()] and content["floors"] == []
    assert str(tmp_path) not in text and str(ROOT) not in text
    assert set(content) == {"hardware", "versions", "records", "floors"}

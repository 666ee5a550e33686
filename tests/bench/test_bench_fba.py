"""The script that weighs FBA's text tower and counts a step's memory, tried small."""

import re
import runpy
import sys

import pytest

from reidrun.runs.environment import ROOT


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(ROOT / "bench"))  # as python bench/bench_fba.py has it
    yield runpy.run_path(str(ROOT / "bench" / "bench_fba.py"))
    sys.path.remove(str(ROOT / "bench"))


def test_a_step_is_counted_without_running_it(bench):
    work, full, half = bench["counted"]("tiny")
    share = float(re.search(r"text tower ([\d.]+)% of it", work)[1])
    assert 0 < share < 50
    sizes = [re.search(r"(\d+) MiB, (\d+) of them", line) for line in (full, half)]
    peaks, kept = zip(*(map(int, found.groups()) for found in sizes), strict=True)
    assert kept[1] < kept[0] < peaks[0], "half precision keeps less for gradients"
    assert peaks[0] - kept[0] == pytest.approx(peaks[1] - kept[1], abs=1)


def test_what_is_counted_and_what_is_run_are_the_papers_batch(bench):
    model, batch, ids = bench["build"]("tiny")
    assert batch.images.shape[0] == ids.shape[0] == bench["IMAGES"]
    few = batch._replace(images=batch.images[:8], labels=batch.labels[:8])
    loss = bench["loss_of"](model, few, ids[:8], half=False)
    loss.backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    parts = {name.partition(".")[0] for name, _ in model.named_parameters()}
    assert loss.isfinite() and parts - {"text_tower"} == {
        name.partition(".")[0] for name in reached
    }

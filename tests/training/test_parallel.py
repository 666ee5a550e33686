"""Two processes train as one on both their batches, with mining kept inside each."""

import random
import time

import numpy as np
import pytest
from toys import parallel_training as toys
from toys.parallel_training import PAPERS, expected_steps, of
from toys.side_by_side import start, together
from toys.toy_training import ToySampler, toy_loader, toy_run

from reidlib.weights import read_checkpoint


def assert_same_states(found, other, **tolerance):
    assert found.keys() == other.keys()
    for name, value in other.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **tolerance)


@pytest.mark.parametrize("paper", PAPERS)
def test_first_steps_are_those_of_one_process_over_both_batches(paper):
    """Weights after two steps at rate 0.1 tell the gradients of both."""
    expected = expected_steps(paper)
    for found in together(toys.first_step, paper):
        assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5)
        assert_same_states(found["state"], expected["state"], rtol=0, atol=1e-6)


def test_each_process_sees_other_batches_each_epoch_and_together_all_of_them():
    first, second = together(toys.seen_in_epochs, 3)
    sampler, epochs = ToySampler(), range(3)
    assert len(first) == len(second) == 3 * len(sampler) // 2
    for epoch in epochs:
        sampler.set_epoch(epoch)
        own, others = (steps[2 * epoch : 2 * epoch + 2] for steps in (first, second))
        dealt = [step for pair in zip(own, others, strict=True) for step in pair]
        names = [[f"{index:04d}.jpg" for index in batch] for batch in sampler]
        assert [step[0] for step in dealt] == names
    every = [tuple(step[0]) for step in first + second]
    assert len(set(every)) == len(every), "no batch comes again in three epochs"
    draws = [draw for step in first + second for draw in step[1:]]
    assert len(set(draws)) == len(draws), "augmentation and dropout differ"


def test_all_batches_give_the_same_weights_everywhere_and_the_main_one_writes(tmp_path):
    first, second = together(toys.trained_apart, tmp_path)
    assert first["rows"] == second["rows"]
    assert_same_states(first["state"], second["state"], rtol=0, atol=0)
    kept = read_checkpoint(tmp_path / "0" / "checkpoint.pt")
    assert kept["epoch"] == 4
    assert kept["fingerprint"]["processes"] == 2
    assert not (tmp_path / "1").exists()


def test_killed_at_random_moments_two_processes_come_to_the_same(tmp_path):
    expected = together(toys.trained, tmp_path / "whole", 40)
    moments, path = random.Random(5), tmp_path / "killed" / "checkpoint.pt"
    for _ in range(3):
        started = start(toys.trained, path.parent, 40, 0.05)
        _wait_for(path)
        time.sleep(moments.uniform(0, 0.5))
        for process in moments.sample(started.processes, 2):
            process.kill()
            process.join()
    assert 1 <= read_checkpoint(path)["epoch"] < 40
    again = together(toys.trained, path.parent, 40)
    for found, wanted in zip(again, expected, strict=True):
        assert found["rows"] == wanted["rows"]
        assert_same_states(found["state"], wanted["state"], rtol=0, atol=0)
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.pt"]


def _wait_for(path):
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"no {path} in a minute")


def test_a_run_goes_on_in_as_many_processes_only(tmp_path):
    together(toys.trained, tmp_path, 1)
    with pytest.raises(ValueError, match="processes: 2 in the checkpoint, absent now"):
        toy_run(checkpoint=tmp_path / "checkpoint.pt")


def test_processes_that_find_other_checkpoints_do_not_begin(tmp_path):
    together(toys.trained, tmp_path / "0", 1)
    found = together(toys.trained_apart, tmp_path)
    assert {kind for kind, _ in found} == {"ValueError", "OtherProcessError"}
    assert all("processes of this run find [1, 0] epochs" in said for _, said in found)


def test_what_is_not_finite_in_one_process_ends_both_with_its_name(tmp_path):
    first, second = together(toys.failing, tmp_path, 1, "is not finite")
    assert first == second
    assert first[0] == "FloatingPointError"
    assert "loss term 'size' is nan at epoch 2, step 1" in first[1]


@pytest.mark.parametrize("process", [0, 1])
def test_an_error_in_one_process_is_told_by_the_other(tmp_path, process):
    found = together(toys.failing, tmp_path, process, "raises")
    kind, said = found[process]
    assert kind == "OSError"
    assert found[1 - process] == (
        "OtherProcessError",
        f"process {process} of 2: OSError: {said}",
    )


def test_a_loader_that_is_not_dealt_is_refused(monkeypatch):
    with of(0, 2, monkeypatch):
        with pytest.raises(ValueError, match="each of 2 processes the same batches"):
            toy_run(loader=toy_loader())
        with pytest.raises(
            ValueError, match="one for each of 2 processes: start fewer"
        ):
            toy_run(loader=toys.dealt_loader(batches=1))

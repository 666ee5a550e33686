import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.optim import SGD
from toys.killed import of_a_dead_process
from toys.toy_training import KilledAt, toy_fit, toy_loader, toy_parts, toy_run

from reidlib.training.state import Checkpoint
from reidlib.weights import read_checkpoint, write_checkpoint

TESTS = Path(__file__).parents[1]
KILLED_RUN = """
import sys
from pathlib import Path

import torch
from toys.toy_training import KilledAt, toy_run

torch.set_num_threads(int(sys.argv[3]))
toy_run(objective=KilledAt(int(sys.argv[2])), checkpoint=Path(sys.argv[1]))
"""


def assert_equal_runs(run, other):
    (model, history), (other_model, other_history) = run, other
    pd.testing.assert_frame_equal(history, other_history, check_exact=True)
    states = model.state_dict(), other_model.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


class StoppedAt:
    """An evaluation that fails at one call."""

    def __init__(self, call):
        self.call, self.calls = call, 0

    def __call__(self):
        self.calls += 1
        if self.calls == self.call:
            raise InterruptedError
        return {"mAP": 0.25}


def test_resume_with_workers_is_exact(tmp_path):
    path = tmp_path / "checkpoint.pt"
    toy_run(loader=toy_loader(num_workers=1), checkpoint=path, epochs=1)
    resumed = toy_run(loader=toy_loader(num_workers=1), checkpoint=path, epochs=2)
    assert_equal_runs(resumed, toy_run(loader=toy_loader(num_workers=1), epochs=2))


@pytest.mark.parametrize("every", [1, 2])
def test_resume_after_a_failed_evaluation_is_exact(tmp_path, every):
    path = tmp_path / "checkpoint.pt"
    settings = {"evaluate_every": 1, "checkpoint": path, "checkpoint_every": every}
    with pytest.raises(InterruptedError):
        toy_run(evaluate=StoppedAt(4), **settings)
    assert read_checkpoint(path)["epoch"] == {1: 3, 2: 2}[every]
    evaluate = StoppedAt(99)
    resumed = toy_run(evaluate=evaluate, **settings)
    assert evaluate.calls == {1: 2, 2: 3}[every]
    assert_equal_runs(resumed, toy_run(evaluate=StoppedAt(99), evaluate_every=1))
    assert len(resumed[1].attrs["seconds"]) == 5


def test_resume_after_kill_9_is_exact(tmp_path):
    path = tmp_path / "checkpoint.pt"
    threads = str(torch.get_num_threads())  # sums are split by threads, so bits differ
    environment = os.environ | {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": threads}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    step = 3 * len(toy_loader()) + 2  # in the middle of epoch 4
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(path), str(step), threads],
        env=environment,
        check=False,
        capture_output=True,
        timeout=100,
    )
    assert killed.returncode == -9, killed.stderr.decode()
    assert read_checkpoint(path)["epoch"] == 3
    (tmp_path / of_a_dead_process("checkpoint.pt")).write_bytes(b"torn by a kill")
    # The resumed run makes fewer steps than the killed one: it did not start anew.
    resumed = toy_run(objective=KilledAt(step), checkpoint=path)
    assert_equal_runs(resumed, toy_run())
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_finished_run_is_not_trained_again(tmp_path):
    path = tmp_path / "checkpoint.pt"
    finished = toy_run(checkpoint=path, evaluate=StoppedAt(99))
    written = path.stat().st_mtime_ns
    again = toy_run(checkpoint=path, evaluate=StoppedAt(1))
    assert_equal_runs(finished, again)
    assert path.stat().st_mtime_ns == written


def test_more_epochs_go_on_where_the_caller_allows_it(tmp_path):
    path = tmp_path / "checkpoint.pt"
    toy_run(checkpoint=path, epochs=3)
    assert_equal_runs(toy_run(checkpoint=path), toy_run())
    with pytest.raises(ValueError, match="has 5 epochs, more than the 2.*delete"):
        toy_run(checkpoint=path, epochs=2)


def test_other_parameters_are_named(tmp_path):
    path = tmp_path / "checkpoint.pt"
    toy_run(checkpoint=path, epochs=1)
    changed = {"lr": 0.5, "momentum": 0.9, "margin": 0.3}
    with pytest.raises(ValueError, match="made with other parameters") as error:
        toy_run(checkpoint=path, fingerprint=changed, seed=8)
    message = str(error.value)
    assert "lr: 0.05 in the checkpoint, 0.5 now" in message
    assert "margin: absent in the checkpoint, 0.3 now" in message
    assert "milestones: [3] in the checkpoint, absent now" in message
    assert "seed: 7 in the checkpoint, 8 now" in message
    assert "momentum" not in message
    assert "delete the file" in message


def test_other_weights_and_precision_are_named(tmp_path):
    path = tmp_path / "checkpoint.pt"
    toy_run(checkpoint=path, epochs=1)
    with pytest.raises(ValueError, match=r"weights: \{'identity': 1.0, 'size': 0.01\}"):
        toy_run(checkpoint=path, weights={"identity": 1.0, "size": 0.02})
    with pytest.raises(ValueError, match="precision: 'fp32'.*'bf16'"):
        toy_run(checkpoint=path, precision="bf16")


def test_other_architecture_is_named(tmp_path):
    path = tmp_path / "checkpoint.pt"
    toy_run(checkpoint=path, epochs=1)
    with pytest.raises(ValueError, match="another architecture") as error:
        toy_run(width=5, checkpoint=path)
    assert "classifier.weight: (3, 8) in the file, (3, 5)" in str(error.value)


def test_other_optimizers_are_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    toy_run(checkpoint=path, epochs=1)
    model, optimizers, _ = toy_parts()
    with pytest.raises(ValueError, match="schedules 1, but the run has 0"):
        toy_fit(model, optimizers, [], checkpoint=path)
    one = SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"\[\[2, 2\], \[1\]\], but .* \[\[5\]\]"):
        toy_fit(model, [one], [], checkpoint=path)


def test_foreign_files_and_missing_fingerprint(tmp_path):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(TypeError, match="missing.*'fingerprint'"):
        Checkpoint(path)
    write_checkpoint(toy_parts()[0].state_dict(), path)
    with pytest.raises(ValueError, match="no checkpoint of a run"):
        toy_run(checkpoint=path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="damaged"):
        toy_run(checkpoint=path)

"""An epoch under way: what cannot be loaded is named, and no step is lost."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader
from toys.toy_training import (
    KilledAt,
    ToyImages,
    ToySampler,
    collate,
    objective,
    same_weights,
    toy_loader,
    toy_run,
)

from reidlib.data.loaders import SeededBatches, SeededInWorkers
from reidlib.data.pictures import PictureError
from reidlib.training.part import LoadingError
from reidlib.training.stopping import TrainingStopped
from reidlib.weights import read_checkpoint, write_checkpoint

TESTS = Path(__file__).parents[1]
STEPS = len(toy_loader())


class Failing(ToyImages):
    """Images of which one cannot be read from some epoch on."""

    def __init__(self, sampler, epoch, fail):
        super().__init__()
        self.sampler, self.epoch, self.fail = sampler, epoch, fail

    def __getitem__(self, index):
        if index == 7 and self.sampler.epoch >= self.epoch:
            self.fail()
        return super().__getitem__(index)


def unreadable():
    raise ValueError("0007.jpg cannot be decoded: copy it from the release again")


def dying():
    os.kill(os.getpid(), signal.SIGKILL)


def failing_loader(fail, workers):
    loader = toy_loader(num_workers=workers)
    images = Failing(loader.batch_sampler, epoch=2, fail=fail)  # epochs count from 0
    return type(loader)(
        images,
        batch_sampler=loader.batch_sampler,
        collate_fn=loader.collate_fn,
        num_workers=workers,
    )


@pytest.mark.parametrize(
    ("fail", "workers", "named"),
    [
        (unreadable, 0, "^0007.jpg cannot be decoded: copy it"),
        (unreadable, 1, "^ValueError: 0007.jpg cannot be decoded: copy it"),
        (dying, 1, "^a process that loads images has died .*; lower `workers`"),
    ],
)
def test_what_cannot_be_loaded_is_named_and_no_step_is_lost(
    tmp_path, fail, workers, named
):
    path, made = tmp_path / "checkpoint.pt", KilledAt(999)
    broken = failing_loader(fail, workers)
    with pytest.raises(LoadingError, match=named) as error:
        toy_run(loader=broken, checkpoint=path, checkpoint_every=9, objective=made)
    steps = 999 - made.steps_left
    assert 2 * STEPS <= steps < 3 * STEPS
    kept = f"2 epochs and {steps - 2 * STEPS} steps" if steps > 8 else "2 epochs"
    assert f"This was in epoch 3 of 5, behind step {steps - 8}" in str(error.value)
    assert f"; {kept} are in the checkpoint: put it right" in str(error.value)
    made = KilledAt(999)
    model, history = toy_run(
        loader=toy_loader(num_workers=workers), checkpoint=path, objective=made
    )
    assert 999 - made.steps_left == 5 * STEPS - steps
    other, whole = toy_run(loader=toy_loader(num_workers=workers))
    assert same_weights(model, other) and history.equals(whole)


def test_a_process_that_dies_in_the_middle_of_a_step_costs_no_step(tmp_path):
    path, made = tmp_path / "checkpoint.pt", []

    def deadly(output, batch):
        made.append(batch)
        if len(made) == STEPS + 2:
            os.kill(active_children()[0].pid, signal.SIGKILL)
            time.sleep(0.2)  # in which torch's handler has its turn
        return objective(output, batch)

    died = "^a process that loads images has died .* is killed by signal"
    with pytest.raises(LoadingError, match=died) as error:
        toy_run(loader=toy_loader(num_workers=1), checkpoint=path, objective=deadly)
    done = "in epoch 2 of 5, behind step 2; 1 epochs and 2 steps are in the checkpoint"
    assert f"This was {done}: put it right" in str(error.value)
    model, history = toy_run(loader=toy_loader(num_workers=1), checkpoint=path)
    other, whole = toy_run(loader=toy_loader(num_workers=1))
    assert same_weights(model, other) and history.equals(whole)


def staying_loader():
    """Its process stays over epochs, as those of data.train_loader."""
    images = ToyImages()
    images.samples = []
    return DataLoader(
        SeededInWorkers(images),
        batch_sampler=SeededBatches(ToySampler()),
        collate_fn=collate,
        num_workers=1,
        persistent_workers=True,
        generator=torch.Generator(),
    )


def test_a_process_that_dies_between_two_epochs_costs_no_step(tmp_path):
    def watch(history):
        if len(history) == 2:
            os.kill(active_children()[0].pid, signal.SIGKILL)
            time.sleep(0.2)  # in which torch's handler has its turn

    kept = {"checkpoint": tmp_path / "checkpoint.pt", "checkpoint_every": 5}
    died = "(?s)^a process that loads images has died .* 2 epochs are in the check"
    with pytest.raises(LoadingError, match=died):
        toy_run(loader=staying_loader(), watch=watch, **kept)
    model, history = toy_run(loader=staying_loader(), **kept)
    other, whole = toy_run(loader=staying_loader())
    assert same_weights(model, other) and history.equals(whole)


@pytest.mark.parametrize(
    ("raised", "named"),
    [
        (PictureError("0007.jpg cannot be decoded: copy it"), "^0007.jpg cannot be"),
        (FileNotFoundError("no 0007.jpg"), "^no 0007.jpg"),
        (RuntimeError("DataLoader worker (pid 7) is killed"), "^a process that loads"),
    ],
)
def test_an_evaluation_without_its_images_costs_no_step(tmp_path, raised, named):
    def evaluate():
        raise raised

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(LoadingError, match=named) as error:
        toy_run(checkpoint=path, evaluate=evaluate, evaluate_every=2)
    done = "in epoch 2 of 5, behind step 4; 1 epochs and 4 steps are in the checkpoint"
    assert f"This was {done}: put it right" in str(error.value)


def test_a_memory_that_runs_out_while_images_are_loaded_is_said():
    def full():
        raise MemoryError

    with pytest.raises(LoadingError, match="^the memory of this machine .*: lower im"):
        toy_run(loader=failing_loader(full, 0))


def test_where_nothing_is_kept_it_says_so():
    with pytest.raises(LoadingError, match="behind step .; nothing is kept"):
        toy_run(loader=failing_loader(unreadable, 0))


def stopped(path, step):
    with pytest.raises(TrainingStopped):
        toy_run(checkpoint=path, objective=KilledAt(step, signal.SIGTERM))


def test_data_that_have_become_fewer_are_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    stopped(path, 3)
    loader = toy_loader()
    loader.batch_sampler.__class__ = type(
        "Fewer",
        (type(loader.batch_sampler),),
        {"__iter__": lambda self: iter([[0, 1, 2]])},
    )
    with pytest.raises(ValueError, match="has 3 steps .* gives 1 batches: the data"):
        toy_run(checkpoint=path, loader=loader)


def test_a_checkpoint_of_another_version_is_named(tmp_path, caplog):
    path = tmp_path / "checkpoint.pt"
    stopped(path, 6)
    stored = read_checkpoint(path)
    older = {name: value for name, value in stored.items() if name != "format"}
    for contents, found in ((older, 1), (stored | {"format": 3}, 3)):
        write_checkpoint(contents, path)
        with pytest.raises(ValueError, match=f"version: its format is {found}, here"):
            toy_run(checkpoint=path)
        assert read_checkpoint(path).keys() == contents.keys(), "it is still there"
    write_checkpoint(stored | {"torch": "1.13.1"}, path)
    toy_run(checkpoint=path)
    assert "checkpoint.pt was written under torch 1.13.1" in caplog.text


FULL_DISK = """
import resource, sys
from pathlib import Path
from toys.toy_training import toy_run

toy_run(checkpoint=Path(sys.argv[1]), epochs=2)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
toy_run(checkpoint=Path(sys.argv[1]), epochs=3)
"""


def test_a_full_disk_leaves_the_last_checkpoint_and_says_what_is_kept(tmp_path):
    path = tmp_path / "checkpoint.pt"
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert "File too large; 2 epochs are in the checkpoint: make room" in said
    assert said.endswith(f"to go on: '{path}'")
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]
    model, history = toy_run(checkpoint=path, epochs=3)
    other, whole = toy_run(epochs=3)
    assert same_weights(model, other) and history.equals(whole)

"""A training that is told to stop is kept to the step, and goes on to equal bits."""

import os
import signal
import threading

import pytest
from toys.toy_training import KilledAt, objective, same_weights, toy_loader, toy_run

from reidlib.training.stopping import SIGNALS, TrainingStopped, told_to_stop
from reidlib.weights import read_checkpoint

STEPS = len(toy_loader())  # of an epoch


def place_of(path):
    stored = read_checkpoint(path)
    return stored["epoch"], len(stored["part"]["values"])


def assert_equal_runs(run, other):
    assert same_weights(run[0], other[0])
    assert run[1].equals(other[1])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("number", "step", "place"),
    [
        (signal.SIGTERM, 2 * STEPS + 2, (2, 2)),
        (signal.SIGUSR1, STEPS, (1, 0)),  # the last step of an epoch
    ],
)
def test_the_step_is_ended_and_kept_and_the_rest_is_the_same(
    tmp_path, workers, number, step, place
):
    path, loader = tmp_path / "checkpoint.pt", {"num_workers": workers}
    said = f"told to stop by {number.name} in epoch {place[0] + 1} of 5, behind step"
    with pytest.raises(TrainingStopped, match=f"{said} {place[1]}; .*go on"):
        toy_run(
            loader=toy_loader(**loader),
            checkpoint=path,
            checkpoint_every=9,  # nothing else writes it
            objective=KilledAt(step, number),
        )
    assert place_of(path) == place
    counted = KilledAt(999)
    resumed = toy_run(loader=toy_loader(**loader), checkpoint=path, objective=counted)
    assert 999 - counted.steps_left == 5 * STEPS - step, "no step is made twice"
    assert_equal_runs(resumed, toy_run(loader=toy_loader(**loader)))


def test_one_that_is_stopped_every_third_step_ends_as_one_that_never_was(tmp_path):
    path, stops = tmp_path / "checkpoint.pt", 0
    while True:
        try:
            run = toy_run(checkpoint=path, objective=KilledAt(3, signal.SIGTERM))
            break
        except TrainingStopped:
            stops += 1
    assert stops == (5 * STEPS - 1) // 3
    assert_equal_runs(run, toy_run())


def test_an_evaluation_is_not_waited_for_and_made_again(tmp_path):
    path, ended = tmp_path / "checkpoint.pt", []

    def evaluate():
        if not ended:
            ended.append(False)
            os.kill(os.getpid(), signal.SIGTERM)
            ended.append(True)
        return {"mAP": 0.25}

    asked = {"evaluate": evaluate, "evaluate_every": 2, "checkpoint": path}
    with pytest.raises(TrainingStopped, match=f"in epoch 2 of 5, behind step {STEPS}"):
        toy_run(**asked)
    assert ended == [False]
    assert place_of(path) == (1, STEPS)
    whole = toy_run(evaluate=lambda: {"mAP": 0.25}, evaluate_every=2)
    assert_equal_runs(toy_run(**asked), whole)


def test_checkpoints_come_by_the_clock_too(tmp_path):
    path, places = tmp_path / "checkpoint.pt", []

    def looking(output, batch):
        places.append(place_of(path) if path.exists() else None)
        return objective(output, batch)

    asked = {"checkpoint": path, "epochs": 2, "objective": looking}
    kept = toy_run(checkpoint_minutes=1e-9, **asked)
    steps = [(epoch, step) for epoch in range(2) for step in range(STEPS)]
    assert places == [None, *steps[1:]]
    assert place_of(path) == (2, 0)
    assert_equal_runs(kept, toy_run(epochs=2))
    places.clear()
    path.unlink()
    toy_run(checkpoint_minutes=60, **asked)
    assert set(places) == {None, (1, 0)}, "an hour is not over"


def test_signals_are_taken_while_it_trains_and_what_is_kept_only(tmp_path):
    before, seen = [signal.getsignal(number) for number in SIGNALS], []

    def looking(output, batch):
        seen.append([signal.getsignal(number) for number in SIGNALS])
        return objective(output, batch)

    toy_run(epochs=1, objective=looking)
    assert seen == [before] * STEPS, "without a checkpoint it ends as ever"
    seen.clear()
    toy_run(epochs=1, objective=looking, checkpoint=tmp_path / "checkpoint.pt")
    assert before not in seen
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_no_signal_reaches_another_thread():
    found = []

    def run():
        with told_to_stop(kept=True) as stop:
            stop.check()
            found.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [True]

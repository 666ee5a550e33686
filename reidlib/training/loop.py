"""The one training loop of all papers. It knows epochs and files, no paper.

step.py makes one step, optim.py parameter groups and schedules; state.py keeps what a
training has come to, part.py the steps of an epoch under way, stopping.py hears that it
is to stop; preflight.py refuses what cannot be trained, seeding.py seeds.
Epochs count from 0 in samplers and schedules, from 1 in the history and in messages.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from time import perf_counter

import pandas as pd
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from tqdm import tqdm

from reidlib import collectives, processes
from reidlib.checks import check_training
from reidlib.data.loaders import Batch
from reidlib.evaluation.extraction import evaluating
from reidlib.evaluation.memory import Shortage, enough_memory
from reidlib.training.part import LoadingError, batches_left, loading, undisturbed
from reidlib.training.preflight import check_loader, check_numerics, check_optimizers
from reidlib.training.seeding import epoch_seed, seed_everything
from reidlib.training.state import NOT_KEPT, Checkpoint, RunState
from reidlib.training.step import Step
from reidlib.training.stopping import Stop, TrainingStopped, told_to_stop

logger = logging.getLogger(__name__)
Evaluate = Callable[[], Mapping[str, float]]
Watch = Callable[[pd.DataFrame], object]


def fit(
    step: Step,
    loader: DataLoader,
    *,
    schedulers: Sequence[LRScheduler] = (),
    epochs: int,
    seed: int,
    evaluate: Evaluate | None = None,
    evaluate_every: int = 0,
    checkpoint: Checkpoint = NOT_KEPT,
    watch: Watch | None = None,
) -> pd.DataFrame:
    """Train step.model for a number of epochs, one step per batch of the loader.

    evaluate    scores by name, after every evaluate_every epochs (0: none of them)
                and after the last; called in evaluation mode without gradients
    checkpoint  where the run is kept. If the file is there, training goes on from it,
                to equal bits on a CPU with the same number of threads
    watch       called with the history so far: before the first epoch, where it holds
                what an earlier call has come to, and after each, once that is kept

    Every epoch seeds all generators from (seed, epoch). The model is left in evaluation
    mode. State that must survive a kill belongs to the model: it is what is saved.
    Under SIGTERM or SIGUSR1 the step is ended, the checkpoint written, and
    TrainingStopped raised; the same call goes on, to equal bits as well.
    Several processes of a run (processes.py) train as one on all their batches; they
    draw differently, and the main one's file is what all go on from.

    Returns one row per epoch: epoch, loss, the terms and the gradient norm before
    clipping as means over steps, the learning rate of each optimiser's first group (lr,
    lr_2, ...), under fp16 the share of skipped steps, and the scores. No times, so that
    equal runs give equal tables: seconds per epoch are in history.attrs["seconds"], the
    epochs asked for in history.attrs["epochs"].
    Raises ValueError for what does not fit together, before the first step where
    possible, FloatingPointError naming the term or parameter that is not finite,
    LoadingError for a batch that could not be loaded, which loses no step,
    torch.OutOfMemoryError that says what to lower, and KeyboardInterrupt that says what
    is kept.
    """
    check_training(
        seed=seed,
        epochs=epochs,
        evaluate_every=evaluate_every,
        checkpoint_every=checkpoint.every,
    )
    check_numerics(step)
    check_loader(loader)
    check_optimizers(step.model, step.optimizers, schedulers)
    run = RunState(step, schedulers, checkpoint.of(step, seed), epochs)
    with collectives.ending_together():
        step.prepare()
        run.resume()
    watch = watch or _nobody
    watch(run.history())
    evaluations = _due(evaluate_every, epochs) if evaluate else set()
    saves = _due(checkpoint.every, epochs)
    steps = len(loader)
    bar = tqdm(
        total=epochs * steps,
        initial=len(run.rows) * steps + len(run.part),
        unit="step",
    )
    kept, together = run.is_kept_within_epochs, collectives.ending_together()
    with bar, told_to_stop(kept=kept) as stop, together, _explained(run):
        for epoch in range(len(run.rows) + 1, epochs + 1):
            seed_everything(epoch_seed(seed, epoch - 1, processes.number()))
            row = {"epoch": epoch, **_train_epoch(step, loader, run, stop, bar)}
            scores = {}
            if epoch in evaluations:
                with stop.at_once():
                    scores = _scores(evaluate, step.model)
            with undisturbed():
                run.record(_merged(row | run.advance_rates(), scores))
                if epoch in saves:
                    run.save()
                _say_progress(run)
                watch(run.history())
            loss = f"{row['loss']:.4g}"
            bar.set_postfix(epoch=epoch, loss=loss, refresh=False)
        stop.check()
    step.model.eval()
    return run.history()


def _nobody(history: pd.DataFrame) -> None:
    """Watches nothing."""


@contextmanager
def _explained(run: RunState) -> Iterator[None]:
    """Say what is left of a training that did not end, and how it goes on.

    Where its last step is whole, all of it is kept.
    """
    try:
        yield
    except TrainingStopped as told:
        run.save()
        said = f"told to stop by {told} {_where(run)}; {run.kept()}"
        raise TrainingStopped(f"{said}: run the same again to go on") from None
    except LoadingError as error:
        run.save()
        raise LoadingError(
            f"{error}\nThis was {_where(run)}; {run.kept()}: put it right, and run the"
            " same again to go on"
        ) from error
    except torch.OutOfMemoryError as error:  # within a step, which is not whole
        said = f"{error}\nThis was {_where(run)}; {run.kept()}"
        raise torch.OutOfMemoryError(said) from error
    except KeyboardInterrupt:
        remedy = ": run the same again to go on" if any(run.saved) else ""
        said = f"interrupted {_where(run)}; {run.kept()}{remedy}"
        raise KeyboardInterrupt(said) from None


def _where(run: RunState) -> str:
    done, steps = run.place
    if done == run.epochs:
        return f"behind the last of {done} epochs"
    return f"in epoch {done + 1} of {run.epochs}, behind step {steps}"


def _say_progress(run: RunState) -> None:
    """Log epoch, loss and the time that is left, as long as an epoch took so far."""
    done, epochs = len(run.rows), run.epochs
    left = (epochs - done) * sum(run.seconds) / done
    minutes, seconds = divmod(round(left), 60)
    loss = run.rows[-1]["loss"]
    logger.info(
        f"epoch {done} of {epochs}, loss {loss:.4g}, {minutes}:{seconds:02} left"
    )


def _train_epoch(
    step: Step, loader: DataLoader, run: RunState, stop: Stop, bar: tqdm
) -> dict[str, float]:
    """Train the epoch under way to its end; return what was measured, in means."""
    epoch, part = len(run.rows) + 1, run.part
    part.begun = perf_counter()
    step.model.train()
    loader.batch_sampler.set_epoch(epoch - 1)
    for batch in batches_left(loader, part, step.device):
        stop.check()
        where = f"epoch {epoch}, step {len(part) + 1}"
        fitting = partial(_smaller_batch, batch, step)
        with undisturbed():
            with enough_memory(step.device, fitting):
                part.take(step.take(batch, where), step.device)
            bar.update()
            if run.is_due():
                run.save()
    if not len(part):
        raise ValueError(
            f"the loader gave no batch in epoch {epoch}, but promised {len(loader)}"
        )
    with undisturbed():
        means = part.means()
        collectives.take_buffers_of_main(step.model)
    return means


def _smaller_batch(batch: Batch, step: Step, shortage: Shortage) -> str:
    """Say which parameters make a step smaller, and how much; and what that changes."""
    people = len(batch.labels.unique())
    each, fitting = len(batch.labels) // people, max(2, shortage.fitting(people))
    cheaper = "" if step.precision != "fp32" else "; or take precision bf16 for fp32"
    return (
        f"Lower num_identities_per_batch from {people} to {fitting}"
        f" (images_per_identity is {each}){cheaper}; or make images smaller. A smaller"
        " batch is another training than the paper's, bf16 hardly is"
    )


def _scores(evaluate: Evaluate, model: nn.Module) -> dict[str, float]:
    with loading(), evaluating(model):
        return {name: float(value) for name, value in evaluate().items()}


def _merged(row: dict, scores: dict[str, float]) -> dict:
    if clash := sorted(scores.keys() & row.keys()):
        raise ValueError(
            f"evaluate gives {clash}, but the history has columns of that name: "
            "rename the scores"
        )
    return row | scores


def _due(every: int, epochs: int) -> set[int]:
    """The last epoch, and every so many before it; 0: none of them."""
    return {epochs, *(range(every, epochs, every) if every else ())}

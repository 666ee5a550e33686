"""The one training loop of all papers. It knows terms, epochs and files, no paper.

step.py makes one step, optim.py parameter groups and schedules, extraction.py embeds,
checkpoints.py reads and writes. What a notebook needs is imported from here.
Epochs count from 0 in samplers and schedules, from 1 in the history and in messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from tqdm import tqdm

from reidlib.checks import check_settings
from reidlib.evaluation.extraction import evaluating, images_of
from reidlib.training.optim import (
    fuse,
)
from reidlib.training.preflight import check_loader, check_numerics, check_parameters
from reidlib.training.seeding import epoch_seed, seed_everything
from reidlib.training.state import RunState, run_fingerprint
from reidlib.training.step import Step

if TYPE_CHECKING:
    from reidlib.data.loaders import Batch


def fit(
    model: nn.Module,
    loader: DataLoader,
    objective: Callable[[Any, Batch], Mapping[str, Tensor]],
    *,
    weights: Mapping[str, float],
    optimizers: Sequence[Optimizer],
    schedulers: Sequence[LRScheduler] = (),
    epochs: int,
    seed: int,
    device: torch.device | str,
    precision: str = "fp32",
    compile: bool = False,
    inputs: Callable[[Batch], tuple] = images_of,
    after_step: Callable[[Any, Batch], object] | None = None,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    evaluate_every: int = 0,
    max_gradient_norm: float | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 1,
    fingerprint: Mapping[str, object] | None = None,
    description: str = "",
) -> pd.DataFrame:
    """Train a model on weights[name] * objective(model(*inputs(batch)), batch)[name].

    objective       unweighted scalar terms by name; the names are those of weights
    compile         the model's call by torch.compile, in place: checkpoints stay as are
    after_step      called after every step with the output, as a memory's update needs
    evaluate        scores by name, after every evaluate_every epochs (0: none of them)
                    and after the last; called in evaluation mode without gradients
    checkpoint      written after every checkpoint_every epochs and after the last; if
                    it is there, training goes on from it, to equal bits on a CPU
                    with the same number of threads
    fingerprint     the run's resolved parameters; going on with others is refused
    Every epoch seeds all generators from (seed, epoch). The model is left in evaluation
    mode. State that must survive a kill belongs to the model: it is what is saved.

    Returns one row per epoch: epoch, loss, the terms and the gradient norm before
    clipping as means over steps, the learning rate of each optimiser's first group (lr,
    lr_2, ...), under fp16 the share of skipped steps, and the scores. No times, so that
    equal runs give equal tables: seconds per epoch are in history.attrs["seconds"].
    Raises ValueError for what does not fit together, before the first step where
    possible, and FloatingPointError naming the term or parameter that is not finite.
    """
    device = torch.device(device)
    check_settings(
        seed=seed,
        epochs=epochs,
        evaluate_every=evaluate_every,
        checkpoint_every=checkpoint_every,
    )
    check_numerics(weights, precision, device, max_gradient_norm)
    check_loader(loader)
    check_parameters(model, optimizers, schedulers)
    own = {"seed": seed, "precision": precision, "weights": dict(weights)}
    settings = run_fingerprint(checkpoint, fingerprint, own)
    scaler = GradScaler(device.type, enabled=precision == "fp16")
    model.to(device)
    fuse(optimizers, device)
    if compile:
        model.compile()
    run = RunState(model, optimizers, schedulers, scaler, checkpoint, settings)
    run.resume(epochs)
    step = Step(
        model=model,
        objective=objective,
        weights=weights,
        optimizers=optimizers,
        scaler=scaler,
        inputs=inputs,
        after_step=after_step,
        device=device,
        precision=precision,
        max_gradient_norm=max_gradient_norm,
    )
    _train(
        run,
        step,
        loader,
        epochs=epochs,
        seed=seed,
        evaluations=dict.fromkeys(_due(evaluate_every, epochs), evaluate),
        saves=_due(checkpoint_every, epochs),
        description=description,
    )
    model.eval()
    return run.history()


def _train(
    run: RunState,
    step: Step,
    loader: DataLoader,
    *,
    epochs: int,
    seed: int,
    evaluations: Mapping[int, Callable[[], Mapping[str, float]] | None],
    saves: set[int],
    description: str,
) -> None:
    done, steps = len(run.rows), len(loader)
    with tqdm(
        total=epochs * steps,
        initial=done * steps,
        desc=description or None,
        unit="step",
    ) as bar:
        for epoch in range(done + 1, epochs + 1):
            start = perf_counter()
            seed_everything(epoch_seed(seed, epoch - 1))
            row = {"epoch": epoch, **_train_epoch(step, loader, epoch, bar)}
            row |= run.advance_rates()
            if evaluate := evaluations.get(epoch):
                row |= _scores(evaluate, run.model, taken=row)
            run.record(row, perf_counter() - start)
            if epoch in saves:
                run.save()
            bar.set_postfix(epoch=epoch, loss=f"{row['loss']:.4g}", refresh=False)


def _train_epoch(
    step: Step, loader: DataLoader, epoch: int, bar: tqdm
) -> dict[str, float]:
    step.model.train()
    loader.batch_sampler.set_epoch(epoch - 1)
    values = []
    for number, batch in enumerate(loader, 1):
        values.append(step(batch, f"epoch {epoch}, step {number}"))
        bar.update()
    if not values:
        raise ValueError(
            f"the loader gave no batch in epoch {epoch}, but promised {len(loader)}"
        )
    return pd.DataFrame(values).mean().to_dict()


def _scores(
    evaluate: Callable[[], Mapping[str, float]], model: nn.Module, taken: dict
) -> dict[str, float]:
    with evaluating(model):
        scores = {name: float(value) for name, value in evaluate().items()}
    if clash := sorted(scores.keys() & taken.keys()):
        raise ValueError(
            f"evaluate gives {clash}, but the history has columns of that name: "
            "rename the scores"
        )
    return scores


def _due(every: int, epochs: int) -> set[int]:
    return {epochs, *(range(every, epochs, every) if every else ())}

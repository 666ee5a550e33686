"""What is refused before the first step of a training, with the remedy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from reidlib import processes
from reidlib.checks import check_choice
from reidlib.data.loaders import SeededInWorkers
from reidlib.data.sampler import DealtBatches
from reidlib.evaluation.extraction import PRECISIONS
from reidlib.training.step import Step

RESERVED = ("epoch", "loss", "gradient_norm", "skipped_share", "lr")


def check_numerics(step: Step) -> None:
    """Raise a ValueError for weights or a precision that cannot be computed with."""
    if not step.weights:
        raise ValueError("weights is empty: name at least one loss term")
    for name, weight in step.weights.items():
        if not math.isfinite(weight):
            raise ValueError(f"the weight of {name!r} is {weight}, but must be finite")
        if name in RESERVED or name.startswith("lr_"):
            raise ValueError(
                f"a loss term is named {name!r}, which is a column of every history: "
                "rename the term"
            )
    if step.max_gradient_norm is not None and not step.max_gradient_norm > 0:
        raise ValueError(
            f"max_gradient_norm is {step.max_gradient_norm}, but must be above 0, or "
            "None for no clipping"
        )
    _check_precision(step.precision, step.device)


def _check_precision(precision: str, device: torch.device) -> None:
    check_choice("precision", precision, PRECISIONS)
    if precision == "fp16" and device.type != "cuda":
        raise ValueError(
            f"precision 'fp16' needs a CUDA device, but device is {device}: use 'fp32' "
            "or 'bf16'"
        )
    if precision == "bf16" and device.type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        if not supported:
            raise ValueError(f"{device} has no bf16: use precision 'fp16' or 'fp32'")


def check_loader(loader: DataLoader) -> None:
    """Raise a ValueError unless the loader has batches and a draw for each epoch."""
    sampler = getattr(loader, "batch_sampler", None)
    if not hasattr(sampler, "set_epoch"):
        raise ValueError(
            "the loader has no batch_sampler with set_epoch(epoch), which resuming "
            "needs to draw an epoch's batches again: make it by data.train_loader"
        )
    if loader.persistent_workers and not isinstance(loader.dataset, SeededInWorkers):
        raise ValueError(
            "the loader has persistent_workers, whose random state outlives an epoch: "
            "a resumed run would see other augmentations, so make it by "
            "data.train_loader, whose workers are seeded anew, or set it to False"
        )
    several = processes.count()
    if several > 1 and not is_dealt(sampler):
        raise ValueError(
            f"the loader gives each of {several} processes the same batches, so that "
            "they learn no more than one would: make it by data.train_loader, or let "
            "data.DealtBatches deal its batches"
        )
    if len(loader) == 0:
        each = f" for each of {several} processes: start fewer" if several > 1 else ""
        raise ValueError(
            "the loader has no batch: the training split has too few images or "
            f"identities for one{each}"
        )


def is_dealt(sampler: object) -> bool:
    """Whether a batch sampler, or one that it wraps, gives this process its own."""
    inner = getattr(sampler, "sampler", None)
    return isinstance(sampler, DealtBatches) or isinstance(inner, DealtBatches)


def check_optimizers(
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    schedulers: Sequence[LRScheduler],
) -> None:
    """Raise unless each trainable parameter of the model is in exactly one optimiser.

    TypeError for an optimiser or schedule outside a list, else ValueError.
    """
    for name, given in {"optimizers": optimizers, "schedulers": schedulers}.items():
        if not isinstance(given, list | tuple):
            raise TypeError(
                f"{name} is a {type(given).__name__}, but must be a list: [{name[:-1]}]"
            )
    names = {parameter: name for name, parameter in model.named_parameters()}
    trainable = [parameter for parameter in names if parameter.requires_grad]
    if not trainable:
        raise ValueError(
            f"{type(model).__name__} has no trainable parameter: set requires_grad"
        )
    held = Counter(
        parameter
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    )
    _check_ownership(names, trainable, held)
    for number, scheduler in enumerate(schedulers, 1):
        if not any(scheduler.optimizer is optimizer for optimizer in optimizers):
            raise ValueError(
                f"scheduler {number} belongs to an optimizer that is not among "
                "optimizers: its rates would have no effect"
            )


def _check_ownership(
    names: Mapping[nn.Parameter, str],
    trainable: Sequence[nn.Parameter],
    held: Counter[nn.Parameter],
) -> None:
    strangers = [tuple(p.shape) for p in held if p not in names]
    if strangers:
        raise ValueError(
            f"the optimizers hold parameters that the model has not, of shapes "
            f"{strangers[:4]}: make what owns them a part of the model, as only the "
            "model is saved"
        )
    faults = {
        "in no optimizer: freeze them by requires_grad_(False), or add them": [
            names[p] for p in trainable if p not in held
        ],
        "in two optimizers or groups: keep one (leave_out of parameter_groups)": [
            names[p] for p, count in held.items() if count > 1
        ],
    }
    for fault, found in faults.items():
        if found:
            raise ValueError(
                f"{len(found)} parameters are {fault}; the first: "
                + ", ".join(found[:4])
            )

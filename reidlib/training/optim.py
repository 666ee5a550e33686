"""Parameter groups and learning-rate schedules for optimisers; parameters counted.

Schedules are stepped once per epoch, and epochs count from 0: epoch 0 trains with the
first value. They multiply each group's own rate, so the ratios of groups stay.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
)


def parameter_groups(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    lr_multipliers: Mapping[str, float] | None = None,
    bias_lr_multiplier: float = 1.0,
    leave_out: Collection[str] = (),
) -> list[dict]:
    """Put every trainable parameter into exactly one optimiser group.

    lr_multipliers      module or parameter prefix -> factor; the longest prefix wins
    bias_lr_multiplier  a further factor for parameters whose name ends in "bias"
    leave_out           prefixes of parameters that another optimiser trains

    Frozen parameters are left out. Groups come sorted by prefix, so what no prefix
    names is first; each has a "name", which optimisers keep. Raises ValueError for a
    prefix that names nothing in the model.
    """
    multipliers = {"": 1.0, **(lr_multipliers or {})}
    _check_multipliers({**multipliers, "every bias": bias_lr_multiplier})
    _check_prefixes(model, [*multipliers, *leave_out])
    groups: dict[tuple[str, bool], dict] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or _longest_prefix(name, leave_out) is not None:
            continue
        prefix = _longest_prefix(name, multipliers)
        is_bias = name.endswith("bias") and bias_lr_multiplier != 1.0
        factor = multipliers[prefix] * (bias_lr_multiplier if is_bias else 1.0)
        group = {
            "params": [],
            "lr": lr * factor,
            "weight_decay": weight_decay,
            "name": " ".join(filter(None, [prefix or "rest", "bias" * is_bias])),
        }
        groups.setdefault((prefix, is_bias), group)["params"].append(parameter)
    if not groups:
        raise ValueError(
            f"{type(model).__name__} has no trainable parameter here: set "
            "requires_grad on what is to be trained, or shorten leave_out "
            f"({list(leave_out)})"
        )
    return [groups[key] for key in sorted(groups)]


def _matches(name: str, prefix: str) -> bool:
    return prefix == "" or name == prefix or name.startswith(f"{prefix}.")


def _longest_prefix(name: str, prefixes: Collection[str]) -> str | None:
    matching = [prefix for prefix in prefixes if _matches(name, prefix)]
    return max(matching, key=len, default=None)


def _check_multipliers(multipliers: Mapping[str, float]) -> None:
    for prefix, factor in multipliers.items():
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(
                f"learning-rate multiplier of {prefix!r} is {factor}, but must be "
                "above 0: to freeze parameters use requires_grad_(False)"
            )


def _check_prefixes(model: nn.Module, prefixes: Collection[str]) -> None:
    names = [name for name, _ in model.named_parameters()]
    for prefix in prefixes:
        if prefix and not any(_matches(name, prefix) for name in names):
            known = sorted({name.split(".")[0] for name in names})
            raise ValueError(
                f"no parameter of {type(model).__name__} is named {prefix!r} or "
                f"lies under it: known first names are {', '.join(known)}"
            )


def fuse(optimizers: Iterable[Optimizer], device: torch.device) -> None:
    """Let optimisers on a CUDA device update all parameters in one kernel.

    Those that can, as torch's SGD and Adam, and were made with fused=None; others stay.
    """
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    for group in groups:
        if device.type == "cuda" and group.get("fused", False) is None:
            group["fused"] = True


def warmup_multistep(
    optimizer: Optimizer,
    *,
    warmup_epochs: int,
    warmup_factor: float,
    milestones: Sequence[int],
    gamma: float = 0.1,
) -> LRScheduler:
    """Linear warm-up, then times gamma at every milestone (epochs from 0).

    The rate is warmup_factor times the base in epoch 0 and the base itself from epoch
    warmup_epochs on; warmup_epochs=0 switches the warm-up off.

    >>> from torch.nn import Linear
    >>> from torch.optim import SGD
    >>> optimizer = SGD(Linear(1, 1).parameters(), lr=0.6)
    >>> schedule = warmup_multistep(
    ...     optimizer, warmup_epochs=10, warmup_factor=0.1, milestones=[40, 80]
    ... )
    >>> round(optimizer.param_groups[0]["lr"], 6)
    0.06
    """
    _check_warmup(warmup_epochs, warmup_factor)
    if list(milestones) != sorted(set(milestones)) or min(milestones, default=1) < 1:
        raise ValueError(
            f"milestones are {list(milestones)}, but must be epochs from 1 in rising "
            "order, each named once"
        )
    # Chained, not SequentialLR: that one would count milestones from the warm-up's end.
    steps = MultiStepLR(optimizer, list(milestones), gamma)
    if warmup_epochs == 0:
        return steps
    warmup = LinearLR(optimizer, warmup_factor, total_iters=warmup_epochs)
    return ChainedScheduler([warmup, steps])


def warmup_cosine(
    optimizer: Optimizer,
    *,
    warmup_epochs: int,
    warmup_factor: float,
    epochs: int,
    final_factor: float,
    warmup_in_cycle: bool = False,
) -> LRScheduler:
    """Linear warm-up, then a cosine that would reach final_factor at epoch `epochs`.

    warmup_in_cycle=False  the cosine starts at the base rate when the warm-up ends
    warmup_in_cycle=True   its clock starts at epoch 0 as in timm's scheduler, so the
                           rate drops where the warm-up ends (FBA-11)
    The factors are relative to each group's own rate.
    """
    _check_warmup(warmup_epochs, warmup_factor)
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}, but must be at least 1")
    if not 0 <= final_factor <= 1:
        raise ValueError(f"final_factor is {final_factor}, but must lie in 0..1")
    start = 0 if warmup_in_cycle else warmup_epochs

    def factor(epoch: int) -> float:
        if epoch < warmup_epochs:
            return warmup_factor + (1 - warmup_factor) * epoch / warmup_epochs
        progress = min(1.0, (epoch - start) / max(1, epochs - start))
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return final_factor + (1 - final_factor) * cosine

    # Not CosineAnnealingLR: that one ends every group at one absolute rate.
    return LambdaLR(optimizer, factor)


def _check_warmup(warmup_epochs: int, warmup_factor: float) -> None:
    if warmup_epochs < 0:
        raise ValueError(f"warmup_epochs is {warmup_epochs}, but must be 0 or more")
    if not 0 < warmup_factor <= 1:
        raise ValueError(
            f"warmup_factor is {warmup_factor}, but must be above 0 and at most 1: "
            "it is the first epoch's share of the base rate"
        )


def parameter_table(model: nn.Module) -> pd.DataFrame:
    """Count trainable and frozen parameters per top-level module, and in all.

    Columns trainable, frozen; one row per child (or parameter that the model itself
    holds) that has parameters, and "total". A shared parameter counts once, where it
    is met first.
    """
    rows: dict[str, dict[str, int]] = {}
    for name, parameter in model.named_parameters():
        row = rows.setdefault(name.split(".")[0], {"trainable": 0, "frozen": 0})
        row["trainable" if parameter.requires_grad else "frozen"] += parameter.numel()
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["trainable", "frozen"], dtype="int64"
    )
    table.loc["total"] = table.sum()
    return table.rename_axis("module")

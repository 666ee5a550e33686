"""The state of a run between epochs, for resuming to the bit."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from torch import nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from reidlib.weights import load_weights, read_checkpoint, write_checkpoint


def plain(settings: Mapping[str, object]) -> dict:
    """Return settings as numbers, text, lists and dicts; name the one that is not."""
    for name, value in settings.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"fingerprint entry {name!r} is {value!r} of type "
                f"{type(value).__name__}: give plain numbers, text, lists or dicts"
            ) from error
    return json.loads(json.dumps(dict(settings)))


def check_fingerprint(stored: Mapping, current: Mapping, path: Path) -> None:
    """Raise a ValueError naming every setting in which checkpoint and run differ."""
    lines = [
        f"  {name}: {_shown(stored, name)} in the checkpoint, "
        f"{_shown(current, name)} now"
        for name in sorted(stored.keys() | current.keys())
        if (name in stored, stored.get(name)) != (name in current, current.get(name))
    ]
    if lines:
        raise ValueError(
            "\n".join([f"{path} was made with other parameters:", *lines])
            + "\nTo go on with that run set them back; to start anew delete the file "
            "or choose another run folder."
        )


def _shown(settings: Mapping, name: str) -> str:
    return repr(settings[name]) if name in settings else "absent"


def run_fingerprint(
    checkpoint: Path | None, fingerprint: Mapping[str, object] | None, own: dict
) -> dict:
    """Return a run's settings as plain values; a checkpoint needs them to be given."""
    if checkpoint is not None and fingerprint is None:
        raise ValueError(
            f"checkpoint is {checkpoint}, but fingerprint is missing: pass the run's "
            "parameters, so that a run with others is not mistaken for this one"
        )
    return plain({**own, **(fingerprint or {})})


@dataclass
class RunState:
    """What a training's checkpoint holds, and how it is restored."""

    model: nn.Module
    optimizers: Sequence[Optimizer]
    schedulers: Sequence[LRScheduler]
    scaler: GradScaler
    checkpoint: Path | None
    fingerprint: dict
    rows: list[dict] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def advance_rates(self) -> dict[str, float]:
        """Step the schedules; return the rates that the finished epoch had."""
        rates = {
            "lr" if number == 1 else f"lr_{number}": float(o.param_groups[0]["lr"])
            for number, o in enumerate(self.optimizers, 1)
        }
        for scheduler in self.schedulers:
            scheduler.step()
        return rates

    def record(self, row: dict, seconds: float) -> None:
        self.rows.append(row)
        self.seconds.append(seconds)

    def history(self) -> pd.DataFrame:
        history = pd.DataFrame(self.rows)
        history.attrs["seconds"] = list(self.seconds)
        return history

    def _contents(self) -> dict:
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
            "scaler": self.scaler.state_dict(),
            "epoch": len(self.rows),
            "history": self.rows,
            "seconds": self.seconds,
            "fingerprint": self.fingerprint,
        }

    def save(self) -> None:
        if self.checkpoint is not None:
            write_checkpoint(self._contents(), self.checkpoint)

    def resume(self, epochs: int) -> None:
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        stored = read_checkpoint(self.checkpoint)
        self._check_resumable(stored, epochs)
        load_weights(self.model, stored["model"], str(self.checkpoint))
        for name in ("optimizers", "schedulers"):
            for own, state in zip(getattr(self, name), stored[name], strict=True):
                own.load_state_dict(state)
        self.scaler.load_state_dict(stored["scaler"])
        self.rows, self.seconds = stored["history"], stored["seconds"]

    def _check_resumable(self, stored: dict, epochs: int) -> None:
        remedy = "delete it to start anew, or choose another run folder"
        if missing := self._contents().keys() - stored.keys():
            raise ValueError(
                f"{self.checkpoint} is no checkpoint of a run (no {sorted(missing)}): "
                + remedy
            )
        check_fingerprint(stored["fingerprint"], self.fingerprint, self.checkpoint)
        if stored["epoch"] > epochs:
            raise ValueError(
                f"{self.checkpoint} has {stored['epoch']} epochs, more than the "
                f"{epochs} asked for: {remedy}"
            )
        for name, found, expected in [
            (
                "parameters per optimizer group",
                _group_sizes(state["param_groups"] for state in stored["optimizers"]),
                _group_sizes(optimizer.param_groups for optimizer in self.optimizers),
            ),
            ("schedules", len(stored["schedulers"]), len(self.schedulers)),
        ]:
            if found != expected:
                raise ValueError(
                    f"{self.checkpoint} has {name} {found}, but the run has "
                    f"{expected}: {remedy}"
                )


def _group_sizes(optimizers: Iterable[Sequence[Mapping]]) -> list[list[int]]:
    return [[len(group["params"]) for group in groups] for groups in optimizers]

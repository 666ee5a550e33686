"""What a training has come to, and how it goes on from a file to the bit."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, Self

import pandas as pd
import torch
from torch.optim.lr_scheduler import LRScheduler

from reidlib import collectives, processes
from reidlib.training.part import Part
from reidlib.training.step import Step
from reidlib.weights import load_weights, read_checkpoint, write_checkpoint

FORMAT = 2  # of the file; 1 had no steps of an epoch under way
logger = logging.getLogger(__name__)


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


class Checkpoint(NamedTuple):
    """Where a training is kept, so that it can go on after an interruption.

    path         of the file; None keeps nothing
    fingerprint  the run's resolved parameters: going on with others is refused
    every        epochs between two writes; the last epoch is always written
    minutes      between two writes within an epoch; 0: there are none
    """

    path: Path | None
    fingerprint: Mapping[str, object]
    every: int = 1
    minutes: float = 0.0

    def of(self, step: Step, seed: int) -> Self:
        """The same, with what the training itself was given in the fingerprint."""
        own = {
            "seed": seed,
            "precision": step.precision,
            "weights": dict(step.weights),
        }
        if processes.count() > 1:
            own["processes"] = processes.count()
        return self._replace(fingerprint=plain({**own, **self.fingerprint}))


NOT_KEPT = Checkpoint(None, {})


@dataclass
class RunState:
    """What a training has come to: what its checkpoint holds, and is restored from."""

    step: Step
    schedulers: Sequence[LRScheduler]
    checkpoint: Checkpoint
    epochs: int
    rows: list[dict] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    part: Part = field(default_factory=Part)  # of the epoch under way
    saved: tuple[int, int] = (0, 0)  # epochs and further steps that are kept
    written: float = field(default_factory=perf_counter)

    def advance_rates(self) -> dict[str, float]:
        """Step the schedules; return the rates that the finished epoch had."""
        rates = {
            "lr" if number == 1 else f"lr_{number}": float(o.param_groups[0]["lr"])
            for number, o in enumerate(self.step.optimizers, 1)
        }
        for scheduler in self.schedulers:
            scheduler.step()
        return rates

    def record(self, row: dict) -> None:
        self.rows.append(row)
        self.seconds.append(self.part.spent())
        self.part = Part()

    @property
    def is_kept_within_epochs(self) -> bool:
        """Whether a training can go on from the middle of an epoch."""
        return self.checkpoint.path is not None and processes.count() == 1

    @property
    def place(self) -> tuple[int, int]:
        """How many epochs are done, and how many steps of the next one."""
        return len(self.rows), len(self.part)

    def history(self) -> pd.DataFrame:
        history = pd.DataFrame(self.rows)
        history.attrs |= {"seconds": list(self.seconds), "epochs": self.epochs}
        return history

    def _contents(self) -> dict:
        return {
            "model": self.step.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.step.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
            "scaler": self.step.scaler.state_dict(),
            "epoch": len(self.rows),
            "history": self.rows,
            "seconds": self.seconds,
            "part": self.part.contents(),
            "format": FORMAT,
            "torch": str(torch.__version__),
            "fingerprint": self.checkpoint.fingerprint,
        }

    def is_due(self) -> bool:
        """Whether the minutes between two writes are over."""
        pause = 60 * self.checkpoint.minutes
        return 0 < pause <= perf_counter() - self.written

    def save(self) -> None:
        """Write the checkpoint, unless it holds just this or is not wanted.

        Of several processes the main one does, and at the ends of epochs only: within
        an epoch each has random states of its own.
        Raises OSError, naming what is kept, where it cannot be written.
        """
        path = self.checkpoint.path
        if path is None or self.saved == self.place:
            return
        if len(self.part) and not self.is_kept_within_epochs:
            return
        try:
            if processes.is_main():
                write_checkpoint(self._contents(), path)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror}; {self.kept()}: make room or choose other outputs,"
                " and run the same again to go on",
                str(path),
            ) from error
        self.saved, self.written = self.place, perf_counter()

    def kept(self) -> str:
        """What the checkpoint holds, in words."""
        epochs, steps = self.saved if self.checkpoint.path else (0, 0)
        if not epochs + steps:
            return "nothing is kept"
        further = f" and {steps} steps" if steps else ""
        return f"{epochs} epochs{further} are in the checkpoint"

    def resume(self) -> None:
        """Take up what the checkpoint holds, if there is one.

        Raises ValueError where processes of a run find different ones.
        """
        path = self.checkpoint.path
        if path is not None and path.exists():
            self._take_up(path)
        done = collectives.gathered(len(self.rows))
        if len(set(done)) > 1:
            raise ValueError(
                f"the processes of this run find {done} epochs in {path}: all machines "
                "must see the same files"
            )

    def _take_up(self, path: Path) -> None:
        stored = read_checkpoint(path)
        self._check_resumable(stored)
        load_weights(self.step.model, stored["model"], str(path))
        pairs = [
            *zip(self.step.optimizers, stored["optimizers"], strict=True),
            *zip(self.schedulers, stored["schedulers"], strict=True),
        ]
        for own, state in pairs:
            own.load_state_dict(state)
        self.step.scaler.load_state_dict(stored["scaler"])
        self.rows = stored["history"]
        self.seconds = stored["seconds"]
        self.part = Part.restored(stored["part"])
        self.saved = self.place
        if stored["torch"] != torch.__version__:
            logger.warning(
                f"{path} was written under torch {stored['torch']}, this is"
                f" {torch.__version__}: what follows may differ in its last bits"
            )

    def _check_resumable(self, stored: dict) -> None:
        path = self.checkpoint.path
        remedy = "delete it to start anew, or choose another run folder"
        if "fingerprint" in stored and stored.get("format", 1) != FORMAT:
            raise ValueError(
                f"{path} is a checkpoint of another version: its format is"
                f" {stored.get('format', 1)}, here it is {FORMAT}. Finish the run with"
                f" the version that began it, or {remedy}"
            )
        if missing := self._contents().keys() - stored.keys():
            raise ValueError(
                f"{path} is no checkpoint of a run (no {sorted(missing)}): {remedy}"
            )
        check_fingerprint(stored["fingerprint"], self.checkpoint.fingerprint, path)
        if stored["epoch"] > self.epochs:
            raise ValueError(
                f"{path} has {stored['epoch']} epochs, more than the "
                f"{self.epochs} asked for: {remedy}"
            )
        for name, found, expected in [
            (
                "parameters per optimizer group",
                _group_sizes(state["param_groups"] for state in stored["optimizers"]),
                _group_sizes(o.param_groups for o in self.step.optimizers),
            ),
            ("schedules", len(stored["schedulers"]), len(self.schedulers)),
        ]:
            if found != expected:
                raise ValueError(
                    f"{path} has {name} {found}, but the run has {expected}: {remedy}"
                )


def _group_sizes(optimizers: Iterable[Sequence[Mapping]]) -> list[list[int]]:
    return [[len(group["params"]) for group in groups] for groups in optimizers]

"""The part of an epoch that is done, and the batches that are left of it."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import torch
from torch.utils.data import DataLoader

from reidlib.data.pictures import PictureError
from reidlib.training.seeding import random_states, restore_random
from reidlib.training.step import Measured

if TYPE_CHECKING:
    from reidlib.data.loaders import Batch

WORKER_DIED = "DataLoader worker"  # in torch's words


class LoadingError(RuntimeError):
    """A batch that could not be loaded; its steps before are whole."""


@dataclass
class Part:
    """The steps of an epoch under way.

    values    what they measured, as numbers
    seconds   that were spent on them before this process
    random    states of all generators behind the last of them
    """

    values: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    random: Mapping[str, Any] = field(default_factory=dict)
    last: Measured | None = None
    begun: float = field(default_factory=perf_counter)

    def __len__(self) -> int:
        return len(self.values) + (self.last is not None)

    def take(self, measured: Measured, device: torch.device) -> None:
        """Count a step; it is read a step late: meanwhile the device has work."""
        self.settle()
        self.last, self.random = measured, random_states(device)

    def settle(self) -> None:
        """Read what the last step measured."""
        if self.last is not None:
            last, self.last = self.last, None
            self.values.append(last.read())

    def means(self) -> dict[str, float]:
        """What was measured, as means over the steps."""
        self.settle()
        return pd.DataFrame(self.values).mean().to_dict()

    def spent(self) -> float:
        """Seconds of the epoch so far, those before an interruption with them."""
        return self.seconds + perf_counter() - self.begun

    def contents(self) -> dict[str, Any]:
        """What a checkpoint holds of it: plain values and tensors."""
        self.settle()
        return {
            "values": self.values,
            "seconds": self.spent(),
            "random": dict(self.random),
        }

    @classmethod
    def restored(cls, contents: Mapping[str, Any]) -> Self:
        """The part that a checkpoint holds; its clock goes on."""
        return cls(contents["values"], contents["seconds"], contents["random"])


def batches_left(
    loader: DataLoader, part: Part, device: torch.device
) -> Iterator["Batch"]:
    """The batches of an epoch from the one that a training goes on with.

    Those before it are loaded once more and dropped, so that each process that loads
    images comes to the random state that it had. Raises LoadingError.
    """
    batches = iter(loader)
    for number in range(len(part)):
        if _next(batches) is None:
            raise ValueError(
                f"the checkpoint has {len(part)} steps of this epoch, but the loader"
                f" gives {number} batches: the data have changed since"
            )
    restore_random(part.random, device)
    while (batch := _next(batches)) is not None:
        yield batch


def _next(batches: Iterator["Batch"]) -> "Batch | None":
    try:
        return next(batches, None)
    except Exception as error:  # of images, disks, processes: whatever a loader does
        raise LoadingError(_cause(error)) from error


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let the death of a process that loads images wait for the end of what is inside.

    torch raises an error in the main thread as soon as one has died, wherever that is,
    as in the middle of a step. Raises LoadingError behind it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple] = []
    told = signal.signal(signal.SIGCHLD, lambda *one: came.append(one))
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, told or signal.SIG_DFL)
    if came and callable(told):
        with loading():
            told(*came[-1])


@contextmanager
def loading() -> Iterator[None]:
    """Raise LoadingError where images cannot be read, or who reads them has died."""
    try:
        yield
    except (PictureError, FileNotFoundError) as error:
        raise LoadingError(_cause(error)) from error
    except RuntimeError as error:
        if not str(error).startswith(WORKER_DIED):
            raise
        raise LoadingError(_cause(error)) from error


def _cause(error: Exception) -> str:
    """The error in a line; a worker's has a whole traceback in its text."""
    lines = str(error).strip().splitlines()
    if isinstance(error, MemoryError):
        return (
            "the memory of this machine has run out while images were loaded: lower"
            " image_height, image_width or num_identities_per_batch, or free memory"
        )
    if not lines:
        return type(error).__name__
    if lines[0].startswith(WORKER_DIED):
        return (
            f"a process that loads images has died ({lines[0]}): most often the memory"
            " has run out; lower `workers`, or free memory"
        )
    return lines[-1]

"""A training, seen while it goes on: its folder, a figure and a line, event files.

And by the other processes of its run, where there are several.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pandas as pd
from IPython import get_ipython
from IPython.core.interactiveshell import ExecutionResult
from IPython.display import DisplayHandle, Markdown, Pretty, display

from reidlib import collectives, processes
from reidlib.plots.charts import history_curves
from reidrun.runs.folder import PROGRESS
from reidrun.runs.locks import hold, let_go
from reidrun.runs.progress import PACE, write_history
from reidrun.runs.torchrun import global_batch

if TYPE_CHECKING:
    import torch
    from torch.utils.tensorboard import SummaryWriter

SCORES = ("mAP", "rank1")


class Watch:
    """What `training.fit` calls with the history so far.

    run_dir   where history.csv is written; None writes none
    scratch   what lies in it is forgotten when a training is finished; None has none
    events    where TensorBoard's event files are written; None writes none
    live      a figure of the loss and the scores, in the running cell
    """

    def __init__(
        self,
        run_dir: Path | None,
        scratch: Path | None = None,
        *,
        events: Path | None = None,
        live: bool = False,
    ) -> None:
        self.run_dir, self.scratch, self.events = run_dir, scratch, events
        self.lock: IO | None = None
        self.figure = LiveOutput() if live else None
        self.writer: SummaryWriter | None = None

    def __call__(self, history: pd.DataFrame) -> None:
        """Take what a training has come to; without rows it is about to begin."""
        if self.run_dir:
            self._hold(self.run_dir)
            write_history(self.run_dir, history)
        if self.scratch and len(history) == history.attrs["epochs"]:
            for path in self.scratch.iterdir():
                path.unlink()
        if self.events:
            self._log_events(history)
        if self.figure and len(history):
            scores = [name for name in SCORES if name in history]
            panels = ["loss", *([scores] if scores else [])]
            self.figure.show(history_curves(history, *panels))

    def close(self) -> None:
        """End what a run needs while it is made: its lock, its pace, its writer."""
        if self.run_dir:
            (self.run_dir / PACE).unlink(missing_ok=True)
        self._let_go()
        if self.writer:
            self.writer.close()

    def _hold(self, folder: Path) -> None:
        """Say that the run is being made, until it is kept or a cell is interrupted.

        Raises RunError where another process makes it.
        """
        if self.lock:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self.lock, shell = hold(folder), get_ipython()
        if self.lock and shell:
            shell.events.register("post_run_cell", self._after_cell)

    def _after_cell(self, result: ExecutionResult) -> None:
        if isinstance(result.error_in_exec, KeyboardInterrupt):
            self._let_go()

    def _let_go(self) -> None:
        if self.lock is None:
            return
        let_go(self.run_dir, self.lock)
        self.lock, shell = None, get_ipython()
        if shell:
            shell.events.unregister("post_run_cell", self._after_cell)

    def _log_events(self, history: pd.DataFrame) -> None:
        """Write the last epoch's numbers; at first also what the checkpoint holds."""
        new = history.tail(1)
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter  # optional, and slow

            self.writer, new = SummaryWriter(str(self.events), purge_step=1), history
        for row in new.to_dict("records"):
            for name, value in row.items():
                if name != "epoch" and pd.notna(value):
                    self.writer.add_scalar(name, value, int(row["epoch"]))
        self.writer.flush()


class LiveOutput:
    """An output of the running cell that is replaced in place."""

    def __init__(self) -> None:
        self.handle: DisplayHandle | None = None
        self.cell = -1

    def show(self, content: Any) -> None:
        """Show something; a cell that is run again has an output of its own."""
        shell = get_ipython()
        cell = shell.execution_count if shell else 0
        if self.handle is None or cell != self.cell:
            self.handle, self.cell = display(content, display_id=True), cell
        else:
            self.handle.update(content)


class ProgressLine(logging.Handler):
    """Shows in the running cell what was logged last."""

    def __init__(self) -> None:
        super().__init__()
        self.output = LiveOutput()

    def emit(self, record: logging.LogRecord) -> None:
        """Show what is logged in the place of what was."""
        self.output.show(Pretty(self.format(record)))


def is_live() -> bool:
    """Whether a person may look on: in a notebook, and no bars are switched off."""
    return get_ipython() is not None and not os.environ.get("TQDM_DISABLE")


def follow_trainings(run_dir: Path | None, *, live: bool) -> None:
    """Let trainings say how far they are, in the cell, and in a folder that is there.

    `reid run` has made the folder, and shows the lines of its file.
    """
    handlers: list[logging.Handler] = [ProgressLine()] if live else []
    if run_dir and run_dir.is_dir():
        path = run_dir / PROGRESS
        handlers.append(logging.FileHandler(path, "w", encoding="utf-8", delay=True))
    training = logging.getLogger("reidlib.training")
    for handler in training.handlers:
        handler.close()
    training.setLevel(logging.INFO if handlers else logging.NOTSET)
    training.handlers, training.propagate = handlers, not handlers


def join_others(device: "torch.device", parameters: Mapping[str, Any]) -> None:
    """Wait for the other processes of the run, if there are any, and say so.

    What goes wrong in a cell of one of them is from then on told to the others.
    """
    if processes.count() == 1:
        return
    collectives.join(device)
    display(Markdown(global_batch(parameters, processes.count())))
    if shell := get_ipython():
        shell.events.register("post_run_cell", _tell_failure)


def _tell_failure(result: ExecutionResult) -> None:
    if isinstance(result.error_in_exec, Exception):
        collectives.tell_failure(result.error_in_exec)

"""`reid status`: how far every run is, those that go on last."""

import argparse
from pathlib import Path

from reidrun.cli.arguments import add_folder
from reidrun.cli.messages import complain, say, short
from reidrun.runs.errors import RunError
from reidrun.runs.progress import STATES, Progress, progress_of, runs_below

HEAD = ("state", "epoch", "loss", "left", "run")


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid status` its arguments."""
    text = "only runs whose folder has all of these words, e.g. plaza fanet"
    command.add_argument("words", nargs="*", metavar="WORD", help=text)
    add_folder(command, "--outputs", root / "outputs", "of the runs")
    command.set_defaults(command=show_status)


def show_status(args: argparse.Namespace, root: Path) -> int:
    """Print a line for each run; exit code 1 where one cannot be read."""
    folders = {
        f.relative_to(args.outputs).as_posix(): f for f in runs_below(args.outputs)
    }
    chosen = [n for n in folders if all(word in n for word in args.words)]
    if not chosen:
        words = f" whose folder has {' and '.join(args.words)}" if args.words else ""
        raise RunError(f"no run in {short(args.outputs)}{words}: try reid run")
    found, faults = [], []
    for name in chosen:
        try:
            found.append((name, progress_of(folders[name])))
        except RunError as error:
            faults.append(error)
    found.sort(key=lambda one: STATES.index(one[1].state))
    rows = [HEAD, *(_row(name, run) for name, run in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        say("  ".join(cells).rstrip())
    for fault in faults:
        complain(fault)
    return 1 if faults else 0


def _row(name: str, run: Progress) -> tuple[str, ...]:
    """The words of a line, under those of HEAD."""
    known = run.epochs is not None
    epoch = f"{run.epoch}/{run.epochs}" if known else str(run.epoch or "")
    loss = "" if run.loss is None else f"{run.loss:.4g}"
    error = f": {run.error}" if run.error else ""
    return run.state, epoch, loss, _minutes(run.seconds), f"{name}{error}"


def _minutes(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds; nothing where they are not known.

    >>> _minutes(45.2), _minutes(3725.0), _minutes(None)
    ('0:45', '1:02:05', '')
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

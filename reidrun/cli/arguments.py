"""Arguments that several commands have, and the names that their --help lists."""

import argparse
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reidlib.reading import shown
from reidrun.runs.errors import ParameterError, RunError

WIDTH = 88


class Whole(argparse.Action):
    """Stores whole numbers; others are refused in a line that names them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        """Raise ParameterError for the first that is no whole number."""
        several = isinstance(values, list)
        numbers = [_whole(text, option) for text in (values if several else [values])]
        setattr(namespace, self.dest, numbers if several else numbers[0])


def _whole(text: str, option: str | None) -> int:
    try:
        return int(text)
    except ValueError:
        message = f"argument {option}: {text!r} is not a whole number"
        raise ParameterError(message) from None


def list_names(command: argparse.ArgumentParser, **names: Iterable[str]) -> None:
    """Let the help of a command end with the names it knows, a kind each."""
    lines = [f"{kind}: {', '.join(sorted(known))}" for kind, known in names.items()]
    filled = [textwrap.fill(line, WIDTH, subsequent_indent="  ") for line in lines]
    command.epilog = "\n".join(filled)
    command.formatter_class = argparse.RawDescriptionHelpFormatter


def add_values(command: argparse.ArgumentParser, root: Path) -> None:
    """Give a command what changes the parameters of its runs, and where data lie."""
    text = "if not given: tiny on drawn, study on rendered people, full on photographs"
    command.add_argument("--scale", help=text)
    command.add_argument(
        *("-p", "--parameter"),
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="override one parameter; it becomes part of the run's name",
    )
    add_folder(command, "--data", root / "data", "that holds the benchmarks' folders")
    add_folder(command, "--outputs", root / "outputs", "of the runs")


def add_folder(
    command: argparse.ArgumentParser, option: str, default: Path, what: str
) -> None:
    """Give a command an option that names a folder."""
    words = f"folder {what}; {default.name}/ beside notebooks/ if not given"
    command.add_argument(option, type=Path, default=default, metavar="DIR", help=words)


def run_folder(place: Path, outputs: Path) -> Path:
    """The folder of a run, named as seen from here or, as in `reid status`, there."""
    inside = outputs / place
    return inside if inside.is_dir() and not place.exists() else place


def find_run(place: Path, outputs: Path) -> Path:
    """The folder of a finished run, named as seen from here or from the outputs.

    Raises RunError where there is none.
    """
    for folder in (place, outputs / place):
        if (folder / "metrics.json").is_file():
            return folder
    state = "is not finished" if place.is_dir() else "is no run folder"
    remedy = "`reid status` lists runs"
    raise RunError(f"{shown(place)} {state}: it has no metrics.json; {remedy}")


def refuse_outputs(out: Path, *kept: Path) -> None:
    """Raise RunError for a folder among the runs: git keeps some of what lies there."""
    place = out.resolve()
    for runs in (folder.resolve() for folder in kept):
        if place == runs or runs in place.parents:
            raise RunError(
                f"{shown(out)} lies in {shown(runs)}, where runs are kept and no"
                " photographs: name another folder by --out"
            )

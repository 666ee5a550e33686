"""What a command says besides its results."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reidlib.reading import printable, shown


def say(text: str) -> None:
    """Print a text at once, with whatever could move the cursor spelled out."""
    print(printable(text), flush=True)


def complain(message: object, code: int = 1) -> int:
    """Say on stderr what is wrong, a line each; return the exit code."""
    for line in printable(str(message)).split("\n"):
        print(f"reid: {line}", file=sys.stderr)
    return code


def short(path: Path) -> str:
    """A path as seen from here, if it lies here."""
    path, here = path.resolve(), Path.cwd().resolve()
    return shown(path.relative_to(here) if path.is_relative_to(here) else path)


def complain_of(failures: Iterable[tuple[Any, str]], *names: str) -> None:
    """Say which plans of runs failed and why, and name those files that are there."""
    for plan, message in failures:
        complain(f"{plan.title} failed: {message}")
        point_at(plan.folder, *names)


def point_at(folder: Path, *names: str) -> None:
    """Name those files of a folder that are there."""
    for name in names:
        if (folder / name).is_file():
            complain(f"see {short(folder / name)}")

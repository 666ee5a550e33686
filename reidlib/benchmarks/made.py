"""Benchmarks that are made here: drawn on first use, or rendered and unpacked then.

A file about.json at the root of a folder, its marker, says that nobody in it is real.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reidlib import pedestrians, rendered
from reidlib.benchmarks.catalog import MADE_HERE, PICTURES
from reidlib.benchmarks.counts import tallies
from reidlib.benchmarks.readers.folders import DataError
from reidlib.reading import read_text, reading, shown

MARKER = "about.json"
REDRAW = "draw the pictures in a new folder; if they are photographs, delete it"


def marker(root: Path) -> dict:
    """What the marker of a folder says; empty for photographs.

    Raises DataError for one that cannot be read: drawings could be taken for people.
    """
    path = root / MARKER
    try:
        text = read_text(path, REDRAW, raises=DataError)
    except FileNotFoundError:
        return {}
    with reading(path, REDRAW, raises=DataError):
        about = json.loads(text)
        if not isinstance(about, dict) or about.get("drawn") is not True:
            return {}
        if about.get("kind", "drawn") not in PICTURES:
            raise ValueError(
                f"kind: {about['kind']!r} is none of {', '.join(PICTURES)}"
            )
        return about | {"counts": tallies(about.get("counts", {}))}


def marked(about: Mapping[str, Any]) -> str:
    """What pictures are where a marker says this, a key of PICTURES."""
    return about.get("kind", "drawn") if about else "photographs"


def is_at_hand(name: str, root: Path) -> bool:
    """Whether a benchmark is made here, and is in its folder or can be put there."""
    if MADE_HERE.get(name) == "rendered":
        return rendered.is_shipped(name) or rendered.about_in(root) is not None
    return name in MADE_HERE


def not_at_hand(name: str, root: Path) -> str:
    """Say how to make a set that is made here, but not at hand."""
    return (
        f"{name} is rendered, but not shipped: `reid data render {name}"
        f" {shown(root)}` makes it in hours, by the extra [render]"
    )


def on_first_use(name: str, folder: Path) -> str:
    """Say when a set that is made here comes into a folder, or the one above it."""
    root = folder.parent if folder.name == name else folder
    if not is_at_hand(name, root / name):
        return not_at_hand(name, root / name)
    kind = {"drawn": "drawn", "rendered": "shipped as an archive and unpacked"}
    command = f"reid run baseline --on {name} --data {shown(root)}"
    return f"{name} is {kind[MADE_HERE[name]]} on first use, as by `{command}`"


def ensure(name: str, root: Path) -> None:
    """Draw or unpack a benchmark that is made here, unless its folder has it already.

    Raises DataError where that is not possible.
    """
    if MADE_HERE[name] == "drawn":
        pedestrians.ensure_benchmark(name, root)
        return
    if not is_at_hand(name, root):
        raise DataError(not_at_hand(name, root))
    try:
        rendered.ensure_world(name, root)
    except ValueError as error:
        raise DataError(str(error)) from None
    except OSError as error:
        raise DataError(_not_unpacked(error, name, root)) from None


def _not_unpacked(error: OSError, name: str, root: Path) -> str:
    """Say why a set cannot be unpacked: what the system says, or what we do."""
    if error.errno is None:
        return str(error)
    return (
        f"{name} cannot be unpacked into {shown(root)} ({error.strerror}): make room"
        " there, or name another folder by --data"
    )

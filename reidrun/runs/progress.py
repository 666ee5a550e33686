"""How far runs are: what one leaves while it trains, and what `reid status` says of it.

history.csv grows by a row per epoch; pace.json says how many are asked for and how long
each took. Whether a run is being made is told by its lock.
"""

import csv
import importlib.util
import io
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reidlib.files import write_text
from reidlib.reading import read_json, read_text, reading
from reidrun.runs.errors import RunError
from reidrun.runs.folder import AGAIN, ERROR_LOG, MARKS, is_complete
from reidrun.runs.locks import RUNNING, is_running

if TYPE_CHECKING:
    import pandas as pd

ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt|Exit|Stopped)\w*: ")
FEW = 8  # lines of an error that are read as one
PACE, HISTORY = "pace.json", "history.csv"
STATES = ("finished", "stopped", "failed", "running")  # as they are listed


class Progress(NamedTuple):
    """What is known of a run.

    state     one of STATES; stopped is what neither ends nor goes on
    epochs    asked for, None where the run does not say
    loss      of the last epoch, None where there is none yet
    seconds   that are left of the training, as long as its epochs took so far
    error     the last line of what went wrong, "" where nothing did
    """

    folder: Path
    state: str
    epoch: int
    epochs: int | None = None
    loss: float | None = None
    seconds: float | None = None
    error: str = ""


def write_history(folder: Path, history: "pd.DataFrame") -> None:
    """Write history.csv and pace.json of a training, as far as it has come.

    history   as `fit` hands it to who watches; without rows an older one goes
    """
    folder.mkdir(parents=True, exist_ok=True)
    pace = {name: history.attrs[name] for name in ("epochs", "seconds")}
    write_text(folder / PACE, json.dumps(pace) + "\n")
    if history.empty:
        (folder / HISTORY).unlink(missing_ok=True)
    else:
        write_text(folder / HISTORY, history.to_csv(index=False))


def runs_below(outputs: Path) -> list[Path]:
    """The folders of runs under the outputs, sorted: finished, going on, or left."""
    marks = {*MARKS, RUNNING, HISTORY}
    found = {path.parent for mark in marks for path in outputs.glob(f"*/*/*/{mark}")}
    return sorted(found)


def progress_of(folder: Path) -> Progress:
    """Say how far the run of a folder is. Raises RunError for a damaged file."""
    rows = _history(folder / HISTORY)
    loss = _number(rows[-1].get("loss", "")) if rows else None
    pace = _pace(folder / PACE)
    error = last_line(folder / ERROR_LOG)
    state, left = "stopped", None
    if is_running(folder):
        state, error, left = "running", "", _left(pace, len(rows))
    elif is_complete(folder):
        state, error = "finished", ""
    elif error:
        state = "failed"
    epochs = len(rows) if state == "finished" else pace.get("epochs")
    return Progress(folder, state, len(rows), epochs, loss, left, error)


def _history(path: Path) -> list[dict[str, str]]:
    try:
        text = read_text(path, AGAIN, raises=RunError)
    except FileNotFoundError:
        return []
    return list(csv.DictReader(io.StringIO(text)))


def _pace(path: Path) -> dict[str, Any]:
    try:
        with reading(path, AGAIN, raises=RunError):
            pace = read_json(path, AGAIN, raises=RunError)
            epochs, seconds = int(pace["epochs"]), [float(s) for s in pace["seconds"]]
    except FileNotFoundError:
        return {}
    return {"epochs": epochs, "seconds": seconds}


def _left(pace: Mapping[str, Any], done: int) -> float | None:
    taken = pace.get("seconds")
    return (pace["epochs"] - done) * sum(taken) / len(taken) if taken else None


def _number(text: str) -> float | None:
    with suppress(ValueError):
        return float(text)
    return None


def last_line(path: Path) -> str:
    """What a log ends in, whatever its bytes; "" where nothing is said.

    An error of a few lines as one line, for each of them matters, of a longer one the
    first; the last line where there is no error.
    """
    try:
        lines = path.read_text("utf-8", "replace").strip().splitlines()
    except FileNotFoundError:
        return ""
    begins = [number for number, line in enumerate(lines) if ERROR.match(line)]
    last = lines[begins[-1] if begins else -1 :]
    return " ".join(" ".join(last if len(last) <= FEW else last[:1]).split())


def missing_tensorboard(parameters: Mapping[str, Any]) -> str:
    """Say in a line that event files are asked for and cannot be written; else ""."""
    folder = parameters.get("tensorboard")
    if not folder or importlib.util.find_spec("tensorboard"):
        return ""
    return (
        f"tensorboard is {folder}, but the package that writes event files is not"
        " installed: .venv/bin/uv pip install -e '.[tensorboard]' brings it"
    )

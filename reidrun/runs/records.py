"""What a finished run left, checked as it is read: its record, queries and history.

Whatever is damaged, missing, of another type or another run's is a RunError that names
the file and says what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import pandas as pd
from pydantic import BaseModel, ValidationError, field_validator, model_validator

from reidlib.benchmarks import PICTURES
from reidlib.reading import reading, shown
from reidrun.runs.errors import RunError
from reidrun.runs.folder import AGAIN, QUERIES, SCORES, read_metrics
from reidrun.runs.names import run_folder


class Record(BaseModel, strict=True):
    """What is read of metrics.json; more may be in it."""

    paper: str
    benchmark: str
    pictures: str = ""
    drawn: bool | None = None  # in its place, of old
    variant: str
    seed: int
    scores: dict[str, dict[str, float | bool | str]]
    seconds: float
    commit: str
    measures: dict[str, float] = {}
    failed: dict[str, str] = {}

    @field_validator("scores")
    @classmethod
    def are_whole(cls, scores: dict[str, dict[str, float | bool | str]]) -> dict:
        """Every score is there, and shares are shares; what is shown may be."""
        for name, values in scores.items():
            if missing := [score for score in SCORES if score not in values]:
                raise ValueError(f"{name} has no {', '.join(missing)}")
            for word in ("drawn", "cameras"):
                if not isinstance(values.get(word, True), bool):
                    raise ValueError(f"{word} of {name} is {values[word]}, no boolean")
            _refuse_pictures(values.get("pictures", "drawn"))
            for score in (score for score in SCORES if not score.startswith("num_")):
                if type(values[score]) is not float or not 0 <= values[score] <= 1:
                    raise ValueError(f"{score} of {name} is {values[score]}, no share")
        return scores

    @model_validator(mode="after")
    def says_its_pictures(self) -> Self:
        """Of drawings, renderings or photographs, in the new words or the old."""
        if self.drawn is None:
            _refuse_pictures(self.pictures)
        return self


def _refuse_pictures(kind: object) -> None:
    if kind not in PICTURES:
        raise ValueError(f"pictures is {kind!r}, none of {', '.join(PICTURES)}")


class Kept(NamedTuple):
    """A finished run, as its files have it."""

    record: dict[str, Any]
    queries: pd.DataFrame
    history: pd.DataFrame


def read_run(folder: Path) -> Kept:
    """Read all of a finished run; its queries are of the tests in its record."""
    kept = Kept(read_record(folder), read_queries(folder), read_history(folder))
    tests = set(kept.queries.index.unique("tested_on"))
    if tests != kept.record["scores"].keys():
        said = f"{shown(folder / QUERIES)} is of other tests than metrics.json"
        raise RunError(f"{said} ({', '.join(sorted(tests))}): {AGAIN}")
    return kept


def read_record(folder: Path) -> dict[str, Any]:
    """Read metrics.json, unless the run that it is of belongs into another folder."""
    path = folder / "metrics.json"
    with _there(path):
        content = read_metrics(folder)
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "all of it"
        message = f"{shown(path)}: no record of a run: {place}: {fault['msg']}"
        raise RunError(message) from None
    names = record.model_dump(include={"benchmark", "paper", "variant", "seed"})
    own = run_folder(Path(), **names)
    if folder.absolute().parts[-3:] != own.parts:
        said = f"it is the record of {own.as_posix()}, not of this run"
        raise RunError(f"{shown(path)}: {said}")
    return content


def read_queries(folder: Path) -> pd.DataFrame:
    """What every query of a run scored, indexed by (tested_on, query).

    tested_on is what `row_name` calls a test. Columns pid, average_precision (a share,
    nan where the query has no match) and first_rank (from 1; 0 there).
    """
    path, index = folder / QUERIES, ["tested_on", "query"]
    with _there(path), reading(path, AGAIN, raises=RunError):
        table = pd.read_csv(path, index_col=index)
        return table.astype({"pid": int, "average_precision": float, "first_rank": int})


def read_history(folder: Path) -> pd.DataFrame:
    """What training told: a row for each epoch, its number and numbers of any name."""
    path = folder / "history.csv"
    with _there(path), reading(path, AGAIN, raises=RunError):
        table = pd.read_csv(path)
        kinds = {name: float for name in table if name != "epoch"}
        return table.astype(kinds | {"epoch": int})


@contextmanager
def _there(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise RunError(f"{shown(path.parent)} has no {path.name}: {AGAIN}") from None

"""The records of finished runs, checked and gathered as one table."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ValidationError, field_validator

from reidrun.runs.folder import SCORES, RunError, pictures, read_metrics
from reidrun.runs.names import read_row_name, row_name, run_folder

COLUMNS = ["paper", "variant", "seed", "benchmark", "trained_on_drawn", "tested_on"]
COLUMNS += ["search", "drawn", "cameras", *SCORES, "seconds", "commit", "folder"]
RECORDS = "*/*/*/metrics.json"  # below the folder of all runs


class Record(BaseModel, strict=True):
    """What a table needs of metrics.json; more may be in it."""

    paper: str
    benchmark: str
    drawn: bool
    variant: str
    seed: int
    scores: dict[str, dict[str, float | bool]]
    seconds: float
    commit: str

    @field_validator("scores")
    @classmethod
    def are_whole(cls, scores: dict[str, dict[str, float | bool]]) -> dict:
        """Every score is there, and shares are shares; `drawn` and `cameras` may be."""
        for name, values in scores.items():
            if missing := [score for score in SCORES if score not in values]:
                raise ValueError(f"{name} has no {', '.join(missing)}")
            for word in ("drawn", "cameras"):
                if not isinstance(values.get(word, True), bool):
                    raise ValueError(f"{word} of {name} is {values[word]}, no boolean")
            for score in (score for score in SCORES if not score.startswith("num_")):
                if isinstance(values[score], bool) or not 0 <= values[score] <= 1:
                    raise ValueError(f"{score} of {name} is {values[score]}, no share")
        return scores


def read_record(folder: Path) -> dict[str, Any]:
    """Read metrics.json of a finished run.

    Raises RunError, which names the file, where it cannot be read, is no record of a
    run, or is that of a run which belongs into another folder.
    """
    content, path = read_metrics(folder), folder / "metrics.json"
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "all of it"
        message = f"{path}: no record of a run: {place}: {fault['msg']}"
        raise RunError(message) from None
    names = record.model_dump(include={"benchmark", "paper", "variant", "seed"})
    own = run_folder(Path(), **names)
    if folder.resolve().parts[-3:] != own.parts:
        raise RunError(f"{path}: it is the record of {own.as_posix()}, not of this run")
    return content


def collect(outputs: Path, among: Collection[Path] | None = None) -> pd.DataFrame:
    """Gather every finished run under `outputs`, one row per run and scored benchmark.

    among   the files to look at; all that are there if not given
    Scores are shares in [0, 1]; `drawn` says whether the pictures that were tested on
    are, `trained_on_drawn` the same of training; `cameras` whether those of the test
    are known; `search` is "" for the paper's own
    search; `folder` is relative to `outputs`.
    """
    rows = []
    for path in sorted(outputs.glob(RECORDS)):
        if among is None or path in among:
            folder = path.parent.relative_to(outputs).as_posix()
            rows += rows_of(read_record(path.parent), folder)
    return pd.DataFrame(rows, columns=COLUMNS)


def rows_of(record: Mapping[str, Any], folder: str = "") -> list[dict[str, Any]]:
    """Flatten the record of a run: a row per benchmark and how it was searched."""
    run = {**record, "trained_on_drawn": record["drawn"], "folder": folder}
    rows = []
    for name, scores in record["scores"].items():
        tested_on, search = read_row_name(name)
        told = {"tested_on": tested_on, "search": search, "cameras": True}
        row = run | told | scores
        rows.append({column: row[column] for column in COLUMNS})
    return rows


def score_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Make rows of `collect` or `rows_of` readable: percent, and which pictures."""
    table = rows[["paper", "variant", "seed"]].copy()
    table["trained on"] = rows["benchmark"]
    table["tested on"] = rows[["tested_on", "search"]].agg(row_name, axis=1)
    told = rows[["drawn", "cameras"]].to_dict("records")
    table["pictures"] = [pictures(one, drawn=False) for one in told]
    for name in ("mAP", "rank1", "rank5", "rank10"):
        table[name.replace("rank", "rank-")] = (100 * rows[name]).round(1)
    return table


def summary_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The same over seeds: mean ± standard deviation, a row per variant and test."""
    table = score_table(rows).assign(mAP=100 * rows["mAP"])
    table["rank-1"] = 100 * rows["rank1"]
    names = ["paper", "variant", "trained on", "tested on", "pictures"]
    groups = table.groupby(names, sort=False)
    summary = groups.agg(seeds=("seed", "nunique"))
    for score in ("mAP", "rank-1"):
        summary[score] = groups[score].agg(_mean_and_deviation)
    return summary.reset_index()


def _mean_and_deviation(values: pd.Series) -> str:
    deviation = f" ± {values.std():.1f}" if len(values) > 1 else ""
    return f"{values.mean():.1f}{deviation}"

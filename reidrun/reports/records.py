"""The records of finished runs, gathered as one table."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reidrun.runs.errors import RunError
from reidrun.runs.folder import SCORES, pictures, pictures_in
from reidrun.runs.names import read_row_name, row_name
from reidrun.runs.records import read_record

COLUMNS = ["paper", "variant", "seed", "benchmark", "trained_on_pictures", "tested_on"]
COLUMNS += ["search", "pictures", "cameras", *SCORES, "seconds", "commit", "folder"]
RECORDS = "*/*/*/metrics.json"  # below the folder of all runs


def collect(
    outputs: Path,
    among: Collection[Path] | None = None,
    report: Callable[[str], object] | None = None,
) -> pd.DataFrame:
    """Gather every finished run under `outputs`, one row per run and scored benchmark.

    among    the files to look at; all that are there if not given
    report   gets a line for each damaged run, which is left out; without it the first
             one raises RunError
    Scores are shares in [0, 1]; `pictures` says what was tested on, drawn, rendered or
    photographs, `trained_on_pictures` the same of training; `cameras` whether those of
    the test are known; `search` is "" for the paper's own search; `folder` is relative
    to `outputs`.
    """
    rows = []
    for path in sorted(outputs.glob(RECORDS)):
        if among is not None and path not in among:
            continue
        try:
            record = read_record(path.parent)
        except RunError as error:
            if report is None:
                raise
            report(str(error))
            continue
        rows += rows_of(record, path.parent.relative_to(outputs).as_posix())
    return pd.DataFrame(rows, columns=COLUMNS)


def rows_of(record: Mapping[str, Any], folder: str = "") -> list[dict[str, Any]]:
    """Flatten the record of a run: a row per benchmark and how it was searched."""
    kind = pictures_in(record)
    run = {**record, "trained_on_pictures": kind, "folder": folder}
    rows = []
    for name, scores in record["scores"].items():
        tested_on, search = read_row_name(name)
        told = {"tested_on": tested_on, "search": search, "cameras": True}
        row = run | told | scores | {"pictures": pictures_in(scores, record)}
        rows.append({column: row[column] for column in COLUMNS})
    return rows


def score_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Make rows of `collect` or `rows_of` readable: percent, and which pictures."""
    table = rows[["paper", "variant", "seed"]].copy()
    table["trained on"] = rows["benchmark"]
    table["tested on"] = rows[["tested_on", "search"]].agg(row_name, axis=1)
    told = rows[["pictures", "cameras"]].to_dict("records")
    table["pictures"] = [*map(pictures, told)]
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

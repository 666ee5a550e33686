"""Two finished runs, query by query."""

from pathlib import Path

import pandas as pd

from reidlib.evaluation.statistics import (
    UNCLAIMED,
    bootstrap_interval,
    in_points,
    range_in_points,
    side,
)
from reidrun.reports.study import METRICS, query_scores
from reidrun.runs.errors import RunError
from reidrun.runs.folder import pictures
from reidrun.runs.records import read_queries, read_record

COMPARED = ("mAP", "rank1")


def compare_runs(first: Path, second: Path) -> pd.DataFrame:
    """Compare what every query scored in two runs, on what both were tested on.

    The interval is over the people searched for: a bootstrap by identity of paired
    differences. It says nothing of other trainings of the same methods.

    Returns a row for each set and metric: both scores in percent, the difference in
    points with its interval, and which is the higher. Raises RunError for runs that are
    not finished, that share no test, or whose queries are not the same.
    """
    queries = [read_queries(folder) for folder in (first, second)]
    tests = [table.index.unique(0) for table in queries]
    shared = [name for name in tests[0] if name in tests[1]]
    if not shared:
        on = [", ".join(names) for names in tests]
        raise RunError(f"no test is in both runs: one has {on[0]}, the other {on[1]}")
    record = read_record(first)
    rows = []
    for name in shared:
        parts = [table.loc[name].set_index("pid", append=True) for table in queries]
        ours, other = parts
        if not ours.index.equals(other.index):
            raise RunError(f"the runs were tested on {name} with other queries")
        shown = pictures(record["scores"][name], record)
        for metric in COMPARED:
            values = [query_scores(table, metric) for table in (ours, other)]
            rows.append({"tested on": name, "pictures": shown} | _row(*values, metric))
    return pd.DataFrame(rows)


def _row(first: pd.Series, second: pd.Series, metric: str) -> dict[str, str]:
    difference = (first - second).dropna()
    interval = bootstrap_interval(difference, difference.index.get_level_values(1))
    return {
        "metric": METRICS[metric],
        "first": f"{100 * first.mean():.1f}",
        "second": f"{100 * second.mean():.1f}",
        "difference": in_points(first.mean() - second.mean()),
        "95 % over queries": range_in_points(interval),
        "the first is": side(interval, UNCLAIMED),
    }

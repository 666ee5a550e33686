"""Does a world of ours rank methods as photographs do? For notebooks/worlds.ipynb.

A ladder is a study whose rows add to one another, the last being another way to search
in the runs of the row before; a direction is one that many papers agree on.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from reidlib.evaluation.agreement import tau, tau_over_rows, tau_over_runs
from reidlib.evaluation.statistics import (
    Effect,
    Interval,
    compare,
    compare_apart,
    in_points,
    range_in_points,
    verdict,
)
from reidrun.reports.published import published
from reidrun.reports.study import Study
from reidrun.reports.tables import PAPERS_METRICS, mean_and_deviation
from reidrun.runs.plans import Setting

MARKS = ("✓", "✗", "?")  # as papers say, the other way round, cannot be told
NOT_RUN = "not run"
RERANKED, MIRRORED = "re-ranked", "mirrored"


class Row(NamedTuple):
    """A row of a study in a setting."""

    study: Study
    variant: str
    setting: Setting

    @property
    def was_run(self) -> bool:
        """Whether there are runs of it."""
        return (self.variant, self.setting) in self.study.queries

    def per_query(self, metric: str) -> pd.DataFrame:
        """What each query scored, as `Study.per_query` has it."""
        return self.study.per_query(self.variant, self.setting, metric)


class Direction(NamedTuple):
    """What many papers say is better, and what it is better than."""

    says: str
    better: Row
    worse: Row


def steps(study: Study, world: str) -> list[Row]:
    """The rows of a ladder, trained and tested in one world."""
    here = Setting(world, world)
    rows = [Row(study, variant, here) for variant in study.rows]
    return [*rows, rows[-1]._replace(setting=here._replace(search=RERANKED))]


def ladder_table(study: Study, worlds: Sequence[str], metric: str) -> pd.DataFrame:
    """Scores in percent, ours with their deviation over seeds, and as printed."""
    printed = _printed(study, metric)
    ours = {
        f"ours, {world} ({study.pictures(Setting(world, world)) or NOT_RUN})": [
            mean_and_deviation(100 * step.per_query(metric).mean(), ".1f")
            if step.was_run
            else ""
            for step in steps(study, world)
        ]
        for world in worlds
    }
    table = pd.DataFrame(ours, index=printed.index)
    return table.join(printed.map("{:.1f}".format).add_prefix("paper, "))


def agreement(
    study: Study, worlds: Sequence[str], metrics: Sequence[str]
) -> pd.DataFrame:
    """Kendall's tau of each world with each published column, and of these two.

    Of rows that were run, a row for each pair and metric. Columns tau, rows (how many),
    and 95 % intervals: over rows, and of ours over people and the seeds of all rows.
    """
    found = []
    for metric in metrics:
        printed = _printed(study, metric)
        for world, photographs in product(worlds, printed):
            ran = [step.was_run for step in steps(study, world)]
            rows = [step for step in steps(study, world) if step.was_run]
            queries = [row.per_query(metric) for row in rows]
            theirs = printed[photographs][ran].to_numpy()
            over_runs = _over_runs(queries, theirs) if len(rows) > 2 else None
            ours = [each.mean().mean() for each in queries]
            pair = f"{world}, {photographs}"
            found.append(_agreement(pair, metric, ours, theirs, over_runs))
        columns = (printed[name].to_numpy() for name in printed)
        found.append(_agreement(", ".join(printed), metric, *columns, None))
    return pd.DataFrame(found).set_index(["metric", "columns"])


def _over_runs(
    queries: Sequence[pd.DataFrame], theirs: Sequence[float]
) -> Interval | None:
    """By the seeds that all rows have; None where there is none."""
    shared = sorted(set.intersection(*(set(each) for each in queries)))
    return tau_over_runs([q[shared] for q in queries], theirs) if shared else None


def _agreement(
    pair: str,
    metric: str,
    first: Sequence[float],
    second: Sequence[float],
    over_runs: Interval | None,
) -> dict[str, object]:
    enough = len(first) > 2
    over_rows = tau_over_rows(first, second) if enough else None
    return {
        "metric": PAPERS_METRICS[metric],
        "columns": pair,
        "rows": len(first),
        "tau": f"{tau(first, second):.2f}" if enough else NOT_RUN,
        "over rows": _range(over_rows),
        "over people and seeds": _range(over_runs),
    }


def _range(interval: Interval | None) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}" if interval else ""


def _printed(study: Study, metric: str) -> pd.DataFrame:
    """The published columns of a metric in percent, a row for each of the ladder."""
    numbers = published(study.ablation.paper, study.ablation.table)
    return numbers.xs(PAPERS_METRICS[metric], axis=1, level=1)


def directions(
    study: Study, ladder: Study, stripes: Study, world: str
) -> list[Direction]:
    """What many papers agree on, of a world.

    study     runs of baseline_directions     ladder  of baseline_ladder
    stripes   of fanet_components: its last row adds stripes to the one before
    """
    here = Setting(world, world)
    full, last = Row(study, "full", here), steps(ladder, world)[-2]
    bare, other = full._replace(variant="no-erasing"), _elsewhere(study, world)
    *_, before, striped = (Row(stripes, name, here) for name in stripes.rows)
    mirrored = last._replace(setting=here._replace(search=MIRRORED))
    rivals = {
        "scratch": "Pre-trained weights are above random ones.",
        "identity-only": "Identity and triplet loss are above the identity loss alone.",
        "triplet-only": "Identity and triplet loss are above the triplet loss alone.",
        "all-triplets": "The hardest triplets of a batch are above random ones.",
        "no-erasing": "Random erasing helps at home.",
    }
    hidden = {
        f"{world}_occluded": "Whole queries are above occluded ones.",
        f"{world}_partial": "Whole queries are above partial ones.",
        other: "One's own camera network is above another.",
    }
    there = Setting(world, other)
    return [
        *(
            Direction(says, full, full._replace(variant=name))
            for name, says in rivals.items()
        ),
        Direction("Stripes are above one global vector.", striped, before),
        *(
            Direction(says, full, full._replace(setting=Setting(world, name)))
            for name, says in hidden.items()
        ),
        Direction(
            "Random erasing hurts abroad.",
            bare._replace(setting=there),
            full._replace(setting=there),
        ),
        Direction("Flipping at test time helps.", mirrored, last),
    ]


def _elsewhere(study: Study, world: str) -> str:
    """The other camera network that runs of a world are tested in; "" without one."""
    names = [at.tested_on for at in study.settings if at.trained_on == world]
    return next((name for name in names if not name.startswith(world)), "")


def directions_table(
    listed: Iterable[Direction], more: Mapping[str, Effect], metric: str = "mAP"
) -> pd.DataFrame:
    """Each direction with its effect in points, its interval and a mark of MARKS.

    more   further effects by what they say
    What fails comes first, and last what was not run.
    """
    found = {
        one.says: weigh(one.better.per_query(metric), one.worse.per_query(metric))
        if one.better.was_run and one.worse.was_run
        else None
        for one in listed
    }
    rows = [
        {
            "": verdict(each, MARKS) if each else NOT_RUN,
            "direction": says,
            "effect": in_points(each.difference) if each else "",
            "95 %": range_in_points(each.interval) if each else "",
        }
        for says, each in (found | dict(more)).items()
    ]
    order = ["✗", "?", "✓", NOT_RUN]
    rows.sort(key=lambda row: order.index(row[""]))
    return pd.DataFrame(rows).set_index("")


def weigh(better: pd.DataFrame, worse: pd.DataFrame) -> Effect:
    """Compare two rows, of other queries as well."""
    if better.index.equals(worse.index):
        return compare(better, worse).effect
    return compare_apart(better, worse)


def from_behind(
    row: Row, views: Sequence[str], metric: str = "mAP"
) -> dict[str, Effect]:
    """Compare queries of the same people seen from the front with those from behind.

    views   of the queries, in their order; nothing is compared without them
    """
    if not views:
        return {}
    scores, sides = row.per_query(metric), {}
    for view in ("front", "back"):
        seen = scores[np.array(views) == view]
        sides[view] = seen.groupby(level=1).mean()  # by pid
    people = sorted(set(sides["front"].index) & set(sides["back"].index))
    front, back = (
        sides[view].loc[people].set_axis(_as_queries(people)) for view in sides
    )
    return {"A person is easier to find from the front.": compare(front, back).effect}


def _as_queries(people: Sequence[int]) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([people, people], names=["query", "pid"])

"""Tables of runs, ours beside the paper's."""

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import TYPE_CHECKING

import pandas as pd
from IPython.display import HTML

from reidlib.benchmarks import PUBLISHED, Tally, training_fault
from reidlib.benchmarks.readers.folders import plain
from reidrun.reports.published import published
from reidrun.reports.study import METRICS, TIDY, Measure, Study
from reidrun.runs.folder import (
    RANKS,
    benchmark_of,
    pictures,
    shown_in,
    summary,
)
from reidrun.runs.names import Tested, row_name
from reidrun.runs.params import FULL
from reidrun.runs.records import read_record

if TYPE_CHECKING:
    from reidlib.evaluation.metrics import Scores

NO_BREAK = "\u00a0"  # a space that holds a number together in a narrow table
PAPERS_METRICS = {"mAP": "mAP"} | {f"rank{k}": f"R{k}" for k in RANKS}
MAIN = ("mAP", "rank1")
BEFORE = "before training"  # a row
CELL = ["variant", "benchmark", "metric"]


def percent_table(
    scores: Mapping[Tested, "Scores"], data_root: str | None = None
) -> pd.DataFrame:
    """Scores in percent, labelled with what the pictures show.

    scores   by benchmark, or by a benchmark and how else it was searched
    """
    rows = {row_name(tested): summary(score) for tested, score in scores.items()}
    table = pd.DataFrame(rows).T
    shares = [name for name in table if not name.startswith("num_")]
    percent = (100 * table[shares]).round(1).rename(columns=lambda n: f"{n} (%)")
    return labelled(percent, map(benchmark_of, scores), data_root)


def beside_printed(
    printed: pd.DataFrame,
    scores: Mapping[Tested, "Scores"],
    data_root: str | None = None,
) -> pd.DataFrame:
    """A paper's table, and under it a row of what a run scored, in columns of its own.

    printed   as `published` gives it; ours are scored by those of its metrics we know
    scores    by benchmark, or by a benchmark and how else it was searched
    Cells are text, in percent, "" where there is nothing.
    """
    known = {in_print: name for name, in_print in PAPERS_METRICS.items()}
    metrics = [name for name in printed.columns.unique(1) if name in known]
    ours = {}
    for tested, score in scores.items():
        shown = pictures(shown_in(benchmark_of(tested), data_root))
        found, head = summary(score), f"ours, {row_name(tested)} ({shown})"
        ours |= {(head, m): f"{100 * found[known[m]]:.1f}" for m in metrics}
    theirs = printed.rename(columns=lambda name: f"paper, {name}", level=0)
    words = theirs.map("{:.1f}".format).where(theirs.notna())
    row = pd.DataFrame([ours], ["this run"], columns=pd.MultiIndex.from_tuples(ours))
    return pd.concat([words, row]).fillna("")


def data_sets(
    printed: pd.DataFrame, sets: Mapping[str, Tally], data_root: str | None = None
) -> pd.DataFrame:
    """A paper's counts of its data sets, beside what their published lists hold.

    printed   as `published` gives it: one row, columns (data set, what was counted)
    sets      what the benchmarks of a run hold, as `counts.count` gives it, by name
    Identities of training and of the queries; those of the gallery, which may have
    more; images of all three; cameras, unless they are made up for a set of queries
    and gallery alone. Cells are text, "" where there is nothing.
    """
    theirs = printed.iloc[0].unstack(sort=False)
    tallies = {plain(name): (name, tally) for name, tally in PUBLISHED.items()}
    known = {name: tallies[plain(name)] for name in theirs.index}
    shown = {n: pictures(shown_in(n, data_root)) for n in sets}
    known |= {f"ours, {n} ({shown[n]})": (n, own) for n, own in sets.items()}
    counted = {head: _holds(*found) for head, found in known.items()}
    parts = {"as printed": theirs, "as counted": pd.DataFrame(counted).T}
    words = pd.concat(parts, axis=1).reindex(list(known))
    return words.map("{:,.0f}".format, na_action="ignore").fillna("")


def _holds(name: str, tally: Tally) -> dict[str, float]:
    splits = tally.train, tally.query, tally.gallery
    made_up = bool(training_fault(name))
    return {
        "IDs trained on": tally.train.identities,
        "IDs searched for": tally.query.identities,
        "IDs in the gallery": tally.gallery.identities,
        "Images": sum(split.images for split in splits),
        "Cams": nan if made_up else max(split.cameras for split in splits),
    }


def labelled(
    table: pd.DataFrame, benchmarks: Iterable[str], data_root: str | None = None
) -> pd.DataFrame:
    """Write into a table's corner which pictures its benchmarks show.

    data_root   where they lie: drawings in the layout of a real set are told apart
    """
    kinds = {pictures(shown_in(name, data_root)) for name in benchmarks}
    return table.rename_axis(columns=" and ".join(sorted(kinds)))


def mean_and_deviation(values: pd.Series, digits: str) -> str:
    """Mean ± standard deviation in words; a single value has none.

    >>> mean_and_deviation(pd.Series([1.0, 2.0, 3.0]), ".1f")
    '2.0\\xa0±\\xa01.0'
    """
    mean = format(values.mean(), digits)
    if len(values) < 2:
        return mean
    return f"{mean} ± {values.std():{digits}}".replace(" ", NO_BREAK)


def table(study: Study, metrics: Sequence[str] = MAIN) -> pd.DataFrame:
    """Ours in percent, mean ± one standard deviation over seeds; a row per variant.

    Columns (what was tested and what it shows, metric). Empty: nobody ran it. The first
    row is what the whole method, or the last row, scores before training, if known.
    """
    found = study.scores(*metrics)
    seeds = found.assign(metric="seeds").groupby(CELL, observed=True)["seed"].nunique()
    names = [*(METRICS[metric] for metric in metrics), "seeds"]
    columns = [(title, n) for title in found["benchmark"].cat.categories for n in names]
    words = pd.concat([_over_seeds(found, ".1f"), seeds.astype(str)])
    wide = _wide(study, words, columns)
    before = _untrained(study, metrics, wide.columns)
    return pd.concat([before, wide]) if len(before) else wide


def _untrained(
    study: Study, metrics: Sequence[str], columns: pd.MultiIndex
) -> pd.DataFrame:
    """A row of what runs scored before they were trained; none where nobody knows."""
    names = list(study.rows)
    variant, cells = FULL if FULL in names else names[-1], {}
    for at, title in study.titles.items():
        for metric in metrics:
            asked = at._replace(search=""), f"{metric}, untrained"
            if len(values := study.measure(variant, *asked)):
                words = mean_and_deviation(100 * values, ".1f")
                cells[title, METRICS[metric]] = words
    rows = pd.DataFrame([cells] if cells else [], columns=columns, dtype=object)
    return rows.set_axis([BEFORE] * len(rows)).fillna("")


def folded(table: pd.DataFrame) -> pd.DataFrame | HTML:
    """A table that is too wide for a page: what matters first, all of it by a click.

    First are the columns of the first setting and of the paper's first data set; a
    table that has no others stays as it is.
    """
    groups = list(dict.fromkeys(table.columns.get_level_values(0)))
    papers = [group for group in groups if group.startswith("paper, ")][:1]
    first = list(dict.fromkeys(groups[:1] + papers))
    if first == groups:
        return table
    rest = f"<details><summary>All columns</summary>\n{table.to_html()}\n</details>"
    return HTML(f"{table[first].to_html()}\n{rest}")


def papers_table(study: Study, metrics: Sequence[str] = MAIN) -> pd.DataFrame:
    """The paper's numbers of the same rows in percent, as printed, on photographs."""
    found = printed(study, *metrics)
    found["benchmark"] = "paper, " + found["benchmark"]
    words = found.set_index(CELL)["value"].map("{:.1f}".format)
    return _wide(study, words, _columns(found))


def beside_paper(study: Study, metrics: Sequence[str] = MAIN) -> pd.DataFrame:
    """`table` and `papers_table` side by side, never in one column."""
    sides = [table(study, metrics), papers_table(study, metrics)]
    return pd.concat(sides, axis=1).fillna("")


def printed(study: Study, *metrics: str) -> pd.DataFrame:
    """The paper's percentages of the same rows, mAP if no metric is named.

    As `Study.scores` has ours, without seeds; benchmark is the paper's data set.
    """
    numbers = published(study.ablation.paper, study.ablation.table)
    wanted = [(PAPERS_METRICS[name], METRICS[name]) for name in metrics or ("mAP",)]
    found = [
        (dataset, words, in_print, numbers.loc[words, (dataset, name)])
        for dataset in numbers.columns.unique(0)
        for name, in_print in wanted
        if (dataset, name) in numbers
        for words in study.rows.values()
        if words in numbers.index  # controls are ours
    ]
    names = [name for name in TIDY if name != "seed"]
    return pd.DataFrame(found, columns=names).dropna(ignore_index=True)


def learning(study: Study, column: str) -> pd.DataFrame:
    """A column of the histories in the first and the last epoch, mean over seeds.

    A row per variant, "" where a variant has no such column; columns (what was trained
    on, epoch).
    """
    history = study.histories(study.rows, [column])
    history["benchmark"] = "trained on " + history["benchmark"].astype(str)
    ends = {"first epoch": "first", "last epoch": "last"}
    runs = history.groupby(["variant", "benchmark", "seed"])["value"].agg(**ends)
    found = runs.melt(var_name="metric", ignore_index=False).reset_index()
    columns = [(name, when) for name in _trained_on(study) for when in ends]
    return _wide(study, _over_seeds(found, ".2f"), columns)


def seconds(study: Study) -> pd.DataFrame:
    """Seconds of training as the runs recorded them, mean over seeds.

    A row per variant, a column per set that was trained on; of one machine, or several.
    """
    found = [
        (f"trained on {name}", words, seed, "", read_record(folder)["seconds"])
        for variant, words in study.rows.items()
        for (name, seed), folder in study.trainings(variant).items()
    ]
    words = _over_seeds(pd.DataFrame(found, columns=TIDY), ".0f")
    return _wide(study, words, [(n, "") for n in _trained_on(study)]).droplevel(1, 1)


def measured(study: Study, measures: Sequence[Measure | str]) -> pd.DataFrame:
    """Measures of the runs, mean over seeds.

    A row per variant; columns (setting, measure), those that any variant has.
    """
    found = [
        (title, words, seed, str(measure), value)
        for at, title in study.titles.items()
        for measure in measures
        for variant, words in study.rows.items()
        for seed, value in study.measure(variant, at, measure).items()
    ]
    table = pd.DataFrame(found, columns=TIDY)
    return _wide(study, _over_seeds(table, ".2f"), _columns(table))


def _over_seeds(found: pd.DataFrame, digits: str) -> pd.Series:
    """A tidy frame in words: mean and deviation over seeds, by variant and column."""
    values = found.groupby(CELL, observed=True)["value"]
    return values.agg(mean_and_deviation, digits=digits)


def _wide(study: Study, words: pd.Series, columns: list[tuple]) -> pd.DataFrame:
    """Words by variant and column as a table of all rows; "" where there are none."""
    wide = words.unstack(CELL[1:]) if len(words) else pd.DataFrame()
    wide = wide.reindex(list(study.rows.values()))
    index = pd.MultiIndex.from_tuples(columns or [], names=(None, None))
    return wide.reindex(columns=index).rename_axis(index=None).astype(object).fillna("")


def _columns(found: pd.DataFrame) -> list[tuple]:
    """The columns of a tidy frame, as they come."""
    return list(dict.fromkeys(zip(found["benchmark"], found["metric"], strict=True)))


def _trained_on(study: Study) -> list[str]:
    return list(dict.fromkeys(f"trained on {at.trained_on}" for at in study.settings))

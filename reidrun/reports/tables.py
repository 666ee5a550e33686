"""Tables of runs, ours beside the paper's."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from reidlib.benchmarks import is_drawn
from reidlib.evaluation.statistics import spread
from reidrun.reports.published import published
from reidrun.reports.study import METRICS, Study, by_seed, scores
from reidrun.runs.folder import PICTURES, RANKS, _summary, read_metrics

if TYPE_CHECKING:
    from reidlib.evaluation.metrics import Scores


def percent_table(
    scores: Mapping[str, "Scores"], data_root: str | None = None
) -> pd.DataFrame:
    """Scores by benchmark in percent, labelled with what the pictures show.

    A row may be called by its benchmark and more words, as `plaza re-ranked`.
    """
    table = pd.DataFrame({name: _summary(score) for name, score in scores.items()}).T
    shares = [name for name in table if not name.startswith("num_")]
    percent = (100 * table[shares]).round(1).rename(columns=lambda n: f"{n} (%)")
    names = [name.partition(" ")[0] for name in scores]
    return labelled(percent, names, data_root)


def labelled(
    table: pd.DataFrame, benchmarks: Iterable[str], data_root: str | None = None
) -> pd.DataFrame:
    """Write into a table's corner which pictures its benchmarks show.

    data_root   where they lie: drawings in the layout of a real set are told apart
    """
    kinds = {PICTURES[is_drawn(name, data_root)] for name in benchmarks}
    return table.rename_axis(columns=" and ".join(sorted(kinds)))


NO_BREAK = "\u00a0"  # a space that holds a number together in a narrow table
PAPERS_METRICS = {"mAP": "mAP"} | {f"rank{k}": f"R{k}" for k in RANKS}


def learning(study: Study, column: str) -> pd.DataFrame:
    """A column of the histories in the first and the last epoch, mean over seeds.

    A row per variant, "" where a variant has no such column; columns (what was trained
    on, epoch).
    """
    columns, where = {}, {}
    for setting in study.settings:  # however many are tested on: one training
        where.setdefault(setting.trained_on, setting)
    for name, setting in where.items():
        for when, place in {"first epoch": 0, "last epoch": -1}.items():
            values = {}
            for variant, row in study.rows.items():
                folders = study.folders.get((variant, setting), {}).values()
                runs = [pd.read_csv(folder / "history.csv") for folder in folders]
                seeds = pd.Series([h[column].iloc[place] for h in runs if column in h])
                values |= {row: _plus_minus(seeds, ".2f")} if len(seeds) else {}
            columns[f"trained on {name}", when] = pd.Series(values, dtype=object)
    return _by_row(study, pd.DataFrame(columns))


def table(study: Study, metrics: Sequence[str] = ("mAP", "rank1")) -> pd.DataFrame:
    """Ours in percent, mean ± one standard deviation over seeds; a row per variant.

    Columns (what was tested and what it shows, metric). Empty: nobody ran it.
    """
    columns = {}
    for setting in study.settings:
        title = study.title(setting)
        for metric in metrics:
            found = scores(study, setting, metric)
            columns[title, METRICS[metric]] = found.apply(_with_spread)
        columns[title, "seeds"] = found.count().astype(str)
    return _by_row(study, pd.DataFrame(columns))


def papers_table(
    study: Study, metrics: Sequence[str] = ("mAP", "rank1")
) -> pd.DataFrame:
    """The paper's numbers of the same rows in percent, as printed, on photographs."""
    numbers = published(study.ablation.paper, study.ablation.table)
    columns = {
        (f"paper, {dataset}", METRICS[metric]): numbers[dataset, PAPERS_METRICS[metric]]
        for dataset in numbers.columns.unique(0)
        for metric in metrics
        if (dataset, PAPERS_METRICS[metric]) in numbers
    }
    words = pd.DataFrame(columns).map("{:.1f}".format, na_action="ignore")
    return _by_row(study, words)


def printed(study: Study, metric: str = "mAP") -> pd.DataFrame:
    """The paper's percentages of a metric: a row per data set, a column per variant."""
    numbers = published(study.ablation.paper, study.ablation.table)
    chosen = numbers.xs(PAPERS_METRICS[metric], axis=1, level=1)
    return chosen.reindex(list(study.rows.values())).T


def beside_paper(
    study: Study, metrics: Sequence[str] = ("mAP", "rank1")
) -> pd.DataFrame:
    """`table` and `papers_table` side by side, never in one column."""
    return pd.concat([table(study, metrics), papers_table(study, metrics)], axis=1)


def _by_row(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    rows = list(study.rows.values())
    frame.columns = pd.MultiIndex.from_tuples(frame.columns, names=(None, None))
    return frame.reindex(rows).fillna("")


def _with_spread(runs: pd.Series) -> str:
    return _plus_minus(100 * runs.dropna(), ".1f")


def _plus_minus(values: pd.Series, digits: str) -> str:
    """Mean and spread in words; one value has no spread."""
    mean = format(values.mean(), digits)
    if len(values) < 2:
        return mean
    return f"{mean} ± {spread(values):{digits}}".replace(" ", NO_BREAK)


def seconds(study: Study) -> pd.DataFrame:
    """Seconds of training as the runs recorded them, mean over seeds with their spread.

    A row per variant, a column per set that was trained on; of one machine, or several.
    """
    columns = {f"trained on {setting.trained_on}": {} for setting in study.settings}
    for (name, setting), folders in study.folders.items():
        took = pd.Series([read_metrics(path)["seconds"] for path in folders.values()])
        words = _plus_minus(took, ".0f")
        columns[f"trained on {setting.trained_on}"][study.rows[name]] = words
    table = pd.DataFrame(columns, dtype=object)
    return table.reindex(list(study.rows.values())).fillna("")


def measured(study: Study, names: Sequence[str]) -> pd.DataFrame:
    """Measures as `by_seed` names them, mean over seeds with their spread.

    A row per variant; columns (setting, measure), those that any variant has.
    """
    columns = {}
    for setting in study.settings:
        for name in names:
            found = {
                row: by_seed(study, variant, setting, name)
                for variant, row in study.rows.items()
            }
            values = {r: _plus_minus(x, ".2f") for r, x in found.items() if len(x)}
            if values:
                columns[study.title(setting), name] = pd.Series(values, dtype=object)
    return _by_row(study, pd.DataFrame(columns))

"""One table of a paper: its variants over seeds, ours beside theirs.

Ours and the paper's numbers never share a column: the pictures are not the same.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from reidlib.comparison import spread
from reidlib.params import Ablation, read_ablation
from reidlib.plans import Plan, Setting
from reidlib.published import published
from reidlib.runs import (
    PICTURES,
    RANKS,
    ROOT,
    is_complete,
    read_metrics,
    read_queries,
)

REST = "1 - "  # before a measure's name: what is left of it
NO_BREAK = "\u00a0"  # a space that holds a number together in a narrow table
METRICS = {"mAP": "mAP"} | {f"rank{k}": f"rank-{k}" for k in RANKS}
PAPERS_METRICS = {"mAP": "mAP"} | {f"rank{k}": f"R{k}" for k in RANKS}


class Study(NamedTuple):
    """The finished runs of an ablation."""

    ablation: Ablation
    settings: tuple[Setting, ...]
    folders: dict[tuple[str, Setting], dict[int, Path]]  # by variant and seed
    queries: dict[tuple[str, Setting], pd.DataFrame]  # rows (seed, query), as saved

    def pictures(self, setting: Setting) -> str:
        """What the images of a setting show, as its runs say; "" without runs."""
        for (_, where), folders in self.folders.items():
            if where == setting:
                record = read_metrics(next(iter(folders.values())))
                scores = record["scores"][setting.tested_on]
                return PICTURES[scores.get("drawn", record["drawn"])]
        return ""

    def title(self, setting: Setting) -> str:
        """How our columns of a setting are headed."""
        return f"ours, {setting} ({self.pictures(setting) or 'not run'})"

    @property
    def rows(self) -> dict[str, str]:
        """The paper's words for each variant."""
        return {v.name: v.row or v.name for v in self.ablation.variants}


def gather(
    name: str,
    plans: Sequence[Plan],
    settings: Sequence[Setting] = (),
    *,
    root: Path = ROOT,
) -> Study:
    """Read those runs of an ablation that are finished.

    name      of a file in params/ablations below `root`, e.g. fanet_components
    plans     its runs, as sweeps.plan gives them; variants without a plan are no rows
    settings  by default all that the plans train and test on; a benchmark's name may
              have more words behind it, as rows of scores have: `plaza visual`
    """
    ablation = _only(read_ablation(root / "params", name), {p.variant for p in plans})
    settings = tuple(settings) or tested(plans)
    folders, queries = {}, {}
    for plan in [plan for plan in plans if is_complete(plan.folder)]:
        found, seed = read_queries(plan.folder), plan.parameters["seed"]
        for setting in [s for s in settings if s.plain in tested([plan])]:
            row = plan.variant, setting
            if setting.tested_on in found.index.unique("tested_on"):
                folders.setdefault(row, {})[seed] = plan.folder
                own = found.loc[setting.tested_on]
                queries.setdefault(row, {})[seed] = own
    joined = {row: pd.concat(runs, names=["seed"]) for row, runs in queries.items()}
    return Study(ablation, settings, folders, joined)


def tested(plans: Iterable[Plan]) -> tuple[Setting, ...]:
    """Every pair of what is trained on and tested on, where it was trained first."""
    found = []
    for plan in plans:
        trained_on, others = (plan.parameters.get(k) for k in ("benchmark", "also_on"))
        found += [Setting(trained_on, name) for name in (trained_on, *(others or ()))]
    return tuple(dict.fromkeys(found))


def _only(ablation: Ablation, names: set[str]) -> Ablation:
    variants = [variant for variant in ablation.variants if variant.name in names]
    claims = [c for c in ablation.claims if {c.ours, c.other} <= names]
    return ablation.model_copy(update={"variants": variants, "claims": claims})


def histories(study: Study, variant: str, column: str) -> pd.DataFrame:
    """One column of the histories of a variant's runs: epochs by (benchmark, seed)."""
    found = {}
    for (name, setting), folders in study.folders.items():
        if name == variant:
            for seed, folder in folders.items():
                history = pd.read_csv(folder / "history.csv", index_col="epoch")
                found[f"{setting.trained_on}, seed {seed}"] = history[column]
    return pd.DataFrame(found)


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


def per_query(
    study: Study, variant: str, setting: Setting, metric: str
) -> pd.DataFrame:
    """What each query scored in each run, (Q, S) as `comparison.compare` wants it.

    metric   mAP: its average precision; rank-k: whether a match is among the first k
    Raises ValueError where the runs were not tested with the same queries.
    """
    table = study.queries[variant, setting].set_index("pid", append=True)
    rank = table["first_rank"]
    if rank.unstack("seed").isna().any(axis=None):
        raise ValueError(f"{variant}: seeds were tested with different queries")
    if metric == "mAP":
        values = table["average_precision"]
    else:
        hit = rank.between(1, int(metric.removeprefix("rank"))).astype(float)
        values = hit.where(rank > 0)
    return values.unstack("seed")


def scores(study: Study, setting: Setting, metric: str = "mAP") -> pd.DataFrame:
    """Scores as shares: a row per seed, a column per variant, named as in the paper."""
    columns = {
        row: per_query(study, name, setting, metric).mean()
        for name, row in study.rows.items()
        if (name, setting) in study.queries
    }
    return pd.DataFrame(columns)


def panels(study: Study, metric: str = "mAP") -> dict[str, pd.DataFrame]:
    """The scores of every setting by its title, for plots.variant_dots."""
    return {study.title(at): scores(study, at, metric) for at in study.settings}


def curves(
    study: Study, parameter: str, metric: str = "mAP", **known: float
) -> dict[str, pd.DataFrame]:
    """Scores over the values of one parameter, for plots.value_curve.

    Its rows are called `<parameter> = <value>`; `known` are the values of other rows,
    by the variant's name. Settings without such runs are left out.
    """
    start = f"{parameter} = "
    value_of = {row: known[name] for name, row in study.rows.items() if name in known}
    value_of |= {
        row: float(row.removeprefix(start))
        for row in study.rows.values()
        if row.startswith(start) and row not in value_of
    }
    found = {}
    for setting in study.settings:
        frame = scores(study, setting, metric)
        frame = frame[[row for row in frame if row in value_of]]
        if not frame.empty:
            found[study.title(setting)] = frame.rename(columns=value_of)
    return found


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


def by_seed(study: Study, variant: str, setting: Setting, name: str) -> pd.Series:
    """A measure of a variant's runs, or `1 - ` one, by seed; may be empty."""
    folders = study.folders.get((variant, setting), {})
    runs = {seed: read_metrics(at)["measures"] for seed, at in folders.items()}
    key = f"{setting.tested_on}: {name.removeprefix(REST)}"
    known = {seed: run[key] for seed, run in runs.items() if key in run}
    found = pd.Series(known, dtype=float)
    return 1 - found if name.startswith(REST) else found


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

"""The finished runs of an ablation: the rows of one table of a paper, over seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from reidlib.evaluation.statistics import student_interval
from reidrun.reports.published import HEADLINES
from reidrun.runs import sweep
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import RunError
from reidrun.runs.folder import RANKS, is_complete, pictures
from reidrun.runs.names import read_row_name, row_name
from reidrun.runs.params import FULL, Ablation, owners, read_ablation
from reidrun.runs.plans import Plan, Setting
from reidrun.runs.records import read_history, read_record, read_run

METRICS = {"mAP": "mAP"} | {f"rank{k}": f"rank-{k}" for k in RANKS}  # name: in print
BASELINES = {[*headline.rows][1] for headline in HEADLINES.values()}
TIDY = ["benchmark", "variant", "seed", "metric", "value"]


class Measure(NamedTuple):
    """A share that runs recorded beside their scores, or its complement, 1 - it."""

    name: str
    complement: bool = False

    def __str__(self) -> str:
        return f"1 - {self.name}" if self.complement else self.name


def query_scores(table: pd.DataFrame, metric: str) -> pd.Series:
    """What each query scored, nan where it has no match.

    table    columns average_precision and first_rank, as `read_queries` has them
    metric   mAP: its average precision; rankK: whether the first K have a match
    """
    if metric == "mAP":
        return table["average_precision"]
    rank = table["first_rank"]
    hit = rank.between(1, int(metric.removeprefix("rank"))).astype(float)
    return hit.where(rank > 0)


@dataclass(frozen=True)
class Study:
    """The finished runs of an ablation, and which of their tests are looked at.

    settings   what tables, figures and claims are about, in this order
    folders    of the runs, by (variant, setting), then by seed
    queries    what each query scored, by the same: rows (seed, query), as saved
    left_out   what is wrong with the runs that are damaged, a line for each
    siblings   the other ablations of the paper, whose claims are tested along
    compared   what claims said before, which all views of the study share
    """

    ablation: Ablation
    settings: tuple[Setting, ...]
    folders: dict[tuple[str, Setting], dict[int, Path]]
    queries: dict[tuple[str, Setting], pd.DataFrame]
    left_out: tuple[str, ...] = ()
    siblings: tuple["Study", ...] = ()
    compared: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    interval = staticmethod(student_interval)  # of a mean over seeds

    @property
    def rows(self) -> dict[str, str]:
        """The paper's words for each variant."""
        return {v.name: v.row or v.name for v in self.ablation.variants}

    @property
    def roles(self) -> dict[str, str]:
        """By the paper's words, which rows are its whole method and its baseline."""
        named = {"whole method": {FULL}, "baseline": BASELINES}
        rows = self.rows.items()
        return {w: role for name, w in rows for role in named if name in named[role]}

    def searched(self, *searches: str) -> "Study":
        """The same tests searched in other ways, "" being the paper's own."""
        ways = [at._replace(search=way) for at in self.settings for way in searches]
        return replace(self, settings=tuple(ways))

    def where_trained(self) -> "Study":
        """Only the tests on what was trained on."""
        here = [at for at in self.settings if not at.is_elsewhere]
        return replace(self, settings=tuple(here))

    def elsewhere(self) -> "Study":
        """Only the tests on what was not trained on."""
        there = [at for at in self.settings if at.is_elsewhere]
        return replace(self, settings=tuple(there))

    def runs_of(self, setting: Setting, seed: int) -> dict[str, Path]:
        """The folders of a setting's runs with one seed, by variant."""
        return {
            variant: self.folders[variant, at][seed]
            for variant, at in self.folders
            if at == setting and seed in self.folders[variant, at]
        }

    def trainings(self, variant: str) -> dict[tuple[str, int], Path]:
        """The folders of a variant's runs, by what was trained on and the seed."""
        return {
            (at.trained_on, seed): folder
            for at in self.settings  # however many are tested on: one training
            for seed, folder in self.folders.get((variant, at), {}).items()
        }

    def pictures(self, setting: Setting) -> str:
        """What the images of a setting show, as its runs say; "" without runs."""
        for (_, where), folders in self.folders.items():
            if where == setting:
                record = read_record(next(iter(folders.values())))
                scores = record["scores"][row_name((where.tested_on, where.search))]
                return pictures(scores, record)
        return ""

    @property
    def titles(self) -> dict[Setting, str]:
        """How our columns of each setting are headed."""
        return {setting: self.title(setting) for setting in self.settings}

    def title(self, setting: Setting) -> str:
        """How our columns of a setting are headed."""
        return f"ours, {setting} ({self.pictures(setting) or 'not run'})"

    def per_query(self, variant: str, setting: Setting, metric: str) -> pd.DataFrame:
        """What each query scored in each run, (Q, S) as `statistics.compare` wants it.

        metric   mAP: its average precision; rankK: whether the first K have a match
        Raises ValueError where the runs were not tested with the same queries.
        """
        table = self.queries[variant, setting].set_index("pid", append=True)
        if table["first_rank"].unstack("seed").isna().any(axis=None):
            raise ValueError(f"{variant}: seeds were tested with different queries")
        return query_scores(table, metric).unstack("seed")

    def scores(self, *metrics: str) -> pd.DataFrame:
        """Scores of all runs in percent, mAP if none is named: a row for each.

        Columns benchmark (a setting's title), variant (the paper's words), seed, metric
        (as printed) and value. The first two are categories, which name what nobody ran
        as well.
        """
        titles = self.titles
        found = [
            (title, words, seed, METRICS[metric], 100 * value)
            for at, title in titles.items()
            for name, words in self.rows.items()
            if (name, at) in self.queries
            for metric in metrics or ("mAP",)
            for seed, value in self.per_query(name, at, metric).mean().items()
        ]
        table = pd.DataFrame(found, columns=TIDY)
        table["benchmark"] = pd.Categorical(table["benchmark"], [*titles.values()])
        table["variant"] = pd.Categorical(table["variant"], [*self.rows.values()])
        return table

    def scores_over(
        self, parameter: str, metric: str = "mAP", **known: float
    ) -> pd.DataFrame:
        """Scores of the rows that vary one parameter, with its `number` beside each.

        Such rows are called `<parameter> = <number>`; `known` are the numbers of other
        rows, by the variant's name.
        """
        start = f"{parameter} = "
        numbers = {
            words: known[name] if name in known else float(words.removeprefix(start))
            for name, words in self.rows.items()
            if name in known or words.startswith(start)
        }
        table = self.scores(metric)
        table["number"] = table["variant"].astype(object).map(numbers).astype(float)
        table = table.dropna(subset="number")
        return table.assign(benchmark=table["benchmark"].cat.remove_unused_categories())

    def histories(
        self, variants: Iterable[str], columns: Iterable[str]
    ) -> pd.DataFrame:
        """Columns of the histories of some variants' runs, a row for each epoch.

        As `scores`, with the `epoch`; benchmark is what was trained on, metric the
        column.
        One that a history does not have has no rows.
        """
        found = [pd.DataFrame(columns=[*TIDY, "epoch"])]
        for variant in variants:
            for (benchmark, seed), folder in self.trainings(variant).items():
                history = read_history(folder)
                known = [name for name in columns if name in history]
                long = history.melt("epoch", known, "metric")
                run = {"benchmark": benchmark, "variant": self.rows[variant]}
                found.append(long.assign(**run, seed=seed))
        return pd.concat(found[1:] or found, ignore_index=True)

    def measure(
        self, variant: str, setting: Setting, measure: Measure | str
    ) -> pd.Series:
        """A measure of a variant's runs by seed; may be empty."""
        measure = Measure(measure) if isinstance(measure, str) else measure
        folders = self.folders.get((variant, setting), {})
        runs = {s: read_record(at).get("measures", {}) for s, at in folders.items()}
        key = f"{row_name((setting.tested_on, setting.search))}: {measure.name}"
        known = {seed: run[key] for seed, run in runs.items() if key in run}
        found = pd.Series(known, dtype=float)
        return 1 - found if measure.complement else found


def gather(
    ablation: Ablation,
    plans: Sequence[Plan],
    settings: Sequence[Setting] = (),
) -> Study:
    """Read those runs of an ablation that are finished; damaged ones are left out.

    plans      its runs, as sweep.plan gives them; variants without a plan are no rows
    settings   to be looked at first; by default all that the plans train and test on
    """
    ablation = _only(ablation, {plan.variant for plan in plans})
    folders: dict[tuple[str, Setting], dict[int, Path]] = {}
    queries: dict[tuple[str, Setting], dict[int, pd.DataFrame]] = {}
    left_out, complete = [], [plan for plan in plans if is_complete(plan.folder)]
    for plan in complete:
        try:
            kept, seed = read_run(plan.folder), plan.parameters["seed"]
        except RunError as error:
            left_out.append(str(error))
            continue
        for tested, own in kept.queries.groupby("tested_on"):
            at = Setting(plan.parameters["benchmark"], *read_row_name(tested))
            folders.setdefault((plan.variant, at), {})[seed] = plan.folder
            queries.setdefault((plan.variant, at), {})[seed] = own.droplevel(0)
    joined = {row: pd.concat(runs, names=["seed"]) for row, runs in queries.items()}
    asked = tuple(settings) or settings_of(plans)
    return Study(ablation, asked, folders, joined, tuple(left_out))


def gather_all(
    found: pd.DataFrame, outputs: Path, root: Path = ROOT
) -> dict[str, Study]:
    """Every ablation of a paper that was run, by its name.

    found   finished runs below `outputs`, as `collect` gives them
    Raises RunError for damaged runs, which a page of all runs does not leave out.
    """
    studies = {}
    for name in sorted(owners(root / "params" / "ablations")):
        own = found[found["paper"] == name.partition("_")[0]]
        if own.empty:
            continue
        asked = {n: sorted(own[n].unique().tolist()) for n in ("benchmark", "seed")}
        where = {"outputs": outputs, "data_root": root / "data", "root": root}
        many = {"benchmarks": asked["benchmark"], "seeds": asked["seed"]}
        ablation = read_ablation(root / "params", name)
        plans = sweep.plan(ablation=name, rows=ablation.variants, **many, **where)
        study = studies[name] = gather(ablation, plans)
        if study.left_out:
            raise RunError("\n".join(study.left_out))
    return studies


def settings_of(plans: Iterable[Plan]) -> tuple[Setting, ...]:
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

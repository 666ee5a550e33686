"""One table of a paper: its variants over seeds, ours beside theirs.

Ours and the paper's numbers never share a column: the pictures are not the same.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from reidrun.runs.environment import ROOT
from reidrun.runs.folder import PICTURES, RANKS, is_complete, read_metrics, read_queries
from reidrun.runs.params import Ablation, read_ablation
from reidrun.runs.plans import Plan, Setting

REST = "1 - "  # before a measure's name: what is left of it
METRICS = {"mAP": "mAP"} | {f"rank{k}": f"rank-{k}" for k in RANKS}


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


def by_seed(study: Study, variant: str, setting: Setting, name: str) -> pd.Series:
    """A measure of a variant's runs, or `1 - ` one, by seed; may be empty."""
    folders = study.folders.get((variant, setting), {})
    runs = {seed: read_metrics(at)["measures"] for seed, at in folders.items()}
    key = f"{setting.tested_on}: {name.removeprefix(REST)}"
    known = {seed: run[key] for seed, run in runs.items() if key in run}
    found = pd.Series(known, dtype=float)
    return 1 - found if name.startswith(REST) else found

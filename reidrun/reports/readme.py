"""The README's table: what papers print, ours on drawn pedestrians and photographs.

A row is a method, trained and tested on one benchmark, and the command that makes the
runs it shows. Numbers of different pictures stand in columns of their own, and an empty
cell is a run that nobody made.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from reidlib.benchmarks import BENCHMARKS, TITLES, TRAINED_ON, is_drawn
from reidlib.evaluation.statistics import spread
from reidrun.reports.published import HEADLINES, headline
from reidrun.reports.tables import NO_BREAK
from reidrun.runs.environment import ROOT
from reidrun.runs.folder import RunError, variant_name
from reidrun.runs.params import FULL, layer_files, owners, read_ablation, read_layer
from reidrun.runs.plans import Setting

START = "<!-- results: `make results` writes these lines -->"
END = "<!-- end of results -->"
COLUMNS = ["method", "trained and tested on", "the paper, photographs"]
COLUMNS += ["ours, drawn pedestrians", "ours, photographs", "command"]
README, INDEX = "README.md", "index.html"
NOTHING = "–"  # in a cell of two numbers, for the one that a paper does not print


class Row(NamedTuple):
    """A method on a benchmark; names are those that `reid run` takes."""

    paper: str
    variant: str
    setting: Setting


def results_table(found: pd.DataFrame, root: Path = ROOT) -> pd.DataFrame:
    """The table, a row per method and benchmark; cells are text, "" where nobody ran.

    found   finished runs, as `collect` gives them
    Numbers are mAP / rank-1 in percent, ours with their standard deviation over seeds.
    Settings other than those of the row's command are in no cell, nor are drawings in
    the layout of a real set.
    """
    found, lines = _as_named(found), []
    for paper in _papers(root):
        printed = _printed(paper)
        for row in _rows(paper, printed, found, root):
            runs = _runs_of(row, found, root)
            ours = {is_drawn(row.setting.tested_on): _ours(runs)}
            cells = [_method(row), _where(row.setting), printed.get(row, "")]
            cells += [ours.get(True, ""), ours.get(False, "")]
            lines.append([*cells, command(row, sorted(runs["seed"]), root)])
    return pd.DataFrame(lines, columns=COLUMNS)


def command(row: Row, seeds: Sequence[int] = (), root: Path = ROOT) -> str:
    """The command that makes the runs of a row; without seeds, the first of them."""
    where, more = f"--on {row.setting.trained_on}", []
    for name, values in _overrides(row, root).items():
        more += ["-p", name, ",".join(values)]
    if len(seeds) > 1 and (ablation := _ablation(row, root)):
        chosen = ["--variants", row.variant, "--seeds", *map(str, seeds)]
        return " ".join(["reid sweep", ablation, where, *chosen, *more])
    variant = [] if row.variant == FULL else ["--variant", row.variant]
    each = [["--seed", str(seed)] for seed in seeds] or [[]]
    first = ["reid run", row.paper, where, *variant]
    return "; ".join(" ".join([*first, *seed, *more]) for seed in each)


def markdown(table: pd.DataFrame) -> str:
    """The table as Markdown; commands are code."""
    code = table.assign(command=table["command"].map("`{}`".format))
    lines = [table.columns, ["---"] * len(table.columns), *code.itertuples(index=False)]
    cells = ("".join(f" {cell} |" if cell else " |" for cell in line) for line in lines)
    return "\n".join(f"|{line}" for line in cells)


def between_marks(readme: str, table: str) -> str:
    """The README with a table between its two marks.

    Raises RunError unless each mark is there once, on a line of its own.
    """
    for mark in (START, END):
        if readme.splitlines().count(mark) != 1:
            raise RunError(f"{README}: a line `{mark}` is wanted, once")
    before, _, rest = readme.partition(f"{START}\n")
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{table}\n\n{END}{after}"


def _as_named(found: pd.DataFrame) -> pd.DataFrame:
    """Scores on what a benchmark's name says: no drawings in a real set's layout."""
    whole = found[found["tested_on"].isin(BENCHMARKS)]  # not "plaza re-ranked"
    trained, tested = (whole[name].map(is_drawn) for name in ("benchmark", "tested_on"))
    return whole[(trained == whole["trained_on_drawn"]) & (tested == whole["drawn"])]


def _papers(root: Path) -> list[str]:
    known = owners(root / "params" / "papers")
    return [p for p in HEADLINES if p in known] + sorted(known - HEADLINES.keys())


def _variants(paper: str) -> list[str]:
    """What the table shows of a paper: its whole method, then its baseline."""
    return list(HEADLINES[paper].rows) if paper in HEADLINES else [FULL]


def _printed(paper: str) -> dict[Row, str]:
    """The paper's own numbers."""
    name_of, found = {_letters(name): name for name in BENCHMARKS}, {}
    for (variant, dataset), (mean_ap, rank1) in headline(paper).T.items():
        own = HEADLINES[paper].benchmarks.get(dataset, dataset)
        tested_on = name_of[_letters(own)]
        usual = TRAINED_ON.get(tested_on, (tested_on,))[0]
        other = HEADLINES[paper].trained_on.get(dataset, usual)
        setting = Setting(name_of[_letters(other)], tested_on)
        words = [NOTHING if pd.isna(x) else f"{x:.1f}" for x in (mean_ap, rank1)]
        found[Row(paper, variant, setting)] = " / ".join(words)
    return found


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _rows(
    paper: str, printed: dict[Row, str], found: pd.DataFrame, root: Path
) -> list[Row]:
    """Rows with a number of the paper or of ours, its benchmarks first.

    What can be trained on is tested after its own training, where there is one; tests
    in scenes that were not trained on are a matter of the paper's ablations.
    """
    ran = found.loc[found["paper"] == paper, ["benchmark", "tested_on"]]
    others = sorted({Setting(*pair) for pair in ran.itertuples(index=False)}, key=_last)
    settings = list(dict.fromkeys([row.setting for row in printed] + others))
    rows = [Row(paper, name, at) for at in settings for name in _variants(paper)]
    rows = [r for r in rows if r in printed or len(_runs_of(r, found, root))]
    own = {at.tested_on for *_, at in rows if at.trained_on == at.tested_on}
    return [
        r for r in rows if len(set(r.setting)) == 1 or r.setting.tested_on not in own
    ]


def _last(setting: Setting) -> tuple:
    """Drawn pedestrians after photographs, further tests after the training's own."""
    trained_on, tested_on = setting
    return is_drawn(tested_on), trained_on, trained_on != tested_on, tested_on


def _runs_of(row: Row, found: pd.DataFrame, root: Path) -> pd.DataFrame:
    name = variant_name(row.variant, _overrides(row, root))
    wanted = (row.paper, name, *row.setting)
    columns = ("paper", "variant", "benchmark", "tested_on")
    for column, value in zip(columns, wanted, strict=True):
        found = found[found[column] == value]
    return found


def _overrides(row: Row, root: Path) -> dict[str, list[str]]:
    """What the layers do not say: that a training is tested on a further benchmark."""
    trained_on, tested_on = row.setting
    if trained_on == tested_on:
        return {}
    scale = "tiny" if is_drawn(trained_on) else "full"
    also_on = []
    for path in layer_files(root / "params", row.paper, trained_on, scale):
        also_on = read_layer(path).get("also_on", also_on)
    return {} if tested_on in also_on else {"also_on": [tested_on]}


def _ablation(row: Row, root: Path) -> str:
    """The first ablation with all variants of the paper that the table shows."""
    shown = set(_variants(row.paper))
    for name in sorted(owners(root / "params" / "ablations")):
        if name.partition("_")[0] == row.paper:
            variants = read_ablation(root / "params", name).variants
            if shown <= {variant.name for variant in variants}:
                return name
    return ""


def _method(row: Row) -> str:
    title = HEADLINES[row.paper].paper if row.paper in HEADLINES else f"`{row.paper}`"
    return title if row.variant == FULL else f"{title}, baseline"


def _where(setting: Setting) -> str:
    names = [f"`{name}`" if is_drawn(name) else TITLES[name] for name in setting]
    return " → ".join(dict.fromkeys(names))


def _ours(runs: pd.DataFrame) -> str:
    return " / ".join(_mean(100 * runs[name]) for name in ("mAP", "rank1") if len(runs))


def _mean(percent: pd.Series) -> str:
    mean = f"{percent.mean():.1f}"
    if len(percent) < 2:
        return mean
    return f"{mean} ± {spread(percent):.1f}".replace(" ", NO_BREAK)

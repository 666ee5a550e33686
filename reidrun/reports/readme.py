"""The README's table: what papers print, and ours by what the pictures are.

A row is a method, trained and tested on one benchmark, and the command that makes the
runs it shows. Numbers of different pictures stand in columns of their own, and an empty
cell is a run that nobody made.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from reidlib.benchmarks import BENCHMARKS, PICTURES, TITLES, TRAINED_ON, pictures_of
from reidrun.reports.published import HEADLINES, headline
from reidrun.reports.tables import mean_and_deviation
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import RunError
from reidrun.runs.names import variant_name
from reidrun.runs.params import FULL, layer_files, owners, read_ablations, read_layer
from reidrun.runs.plans import Setting, usual_scale

START = "<!-- results: `make results` writes these lines -->"
END = "<!-- end of results -->"
COLUMNS = ["method", "trained and tested on", "the paper, photographs"]
COLUMNS += [*(f"ours, {words}" for words in PICTURES.values()), "command"]
README = "README.md"
NOTHING = "–"  # in a cell of two numbers, for the one that a paper does not print


class Row(NamedTuple):
    """A method on a benchmark; names are those that `reid run` takes.

    printed   the paper's numbers in words, "" where it has none
    also_on   the benchmark tested on, where no layer says so and the command has to
    """

    paper: str
    variant: str
    setting: Setting
    printed: str = ""
    also_on: str = ""

    @property
    def run(self) -> tuple[str, str, Setting]:
        """What its runs are called: paper, variant with overrides, setting."""
        overrides = {"also_on": [self.also_on]} if self.also_on else {}
        return self.paper, variant_name(self.variant, overrides), self.setting


def results_table(found: pd.DataFrame, root: Path = ROOT) -> pd.DataFrame:
    """The table, a row per method and benchmark; cells are text, "" where nobody ran.

    found   finished runs, as `collect` gives them
    Numbers are mAP / rank-1 in percent, ours with their standard deviation over seeds.
    Settings other than those of the row's command are in no cell, nor are drawings in
    the layout of a real set.
    """
    runs, lines = _by_run(found), []
    for paper in _papers(root):
        ablation = _ablation(paper, root)
        for row in _rows(paper, runs, root):
            own = runs.get(row.run, found[:0])
            ours = {pictures_of(row.setting.tested_on): _ours(own)}
            cells = [_method(row), _where(row.setting), row.printed]
            cells += [ours.get(kind, "") for kind in PICTURES]
            lines.append([*cells, command(row, sorted(own["seed"]), ablation)])
    return pd.DataFrame(lines, columns=COLUMNS)


def command(row: Row, seeds: Sequence[int] = (), ablation: str = "") -> str:
    """The command that makes the runs of a row; without seeds, the first of them.

    ablation   that has the row's variant, where there is one: it takes several seeds
    """
    where = f"--on {row.setting.trained_on}"
    more = ["-p", "also_on", row.also_on] if row.also_on else []
    if len(seeds) > 1 and ablation:
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


def between_marks(
    readme: str, table: str, marks: tuple[str, str] = (START, END)
) -> str:
    """The README with a table between two marks.

    Raises RunError unless each mark is there once, on a line of its own.
    """
    for mark in marks:
        if readme.splitlines().count(mark) != 1:
            raise RunError(f"{README}: a line `{mark}` is wanted, once")
    start, end = marks
    before, _, rest = readme.partition(f"{start}\n")
    _, _, after = rest.partition(end)
    return f"{before}{start}\n\n{table}\n\n{end}{after}"


def printed_scores(paper: str) -> dict[tuple[str, Setting], str]:
    """The paper's own numbers in words, by our variant and setting."""
    name_of, found = {_letters(name): name for name in BENCHMARKS}, {}
    for (variant, dataset), (mean_ap, rank1) in headline(paper).T.items():
        own = HEADLINES[paper].benchmarks.get(dataset, dataset)
        tested_on = name_of[_letters(own)]
        usual = TRAINED_ON.get(tested_on, (tested_on,))[0]
        other = HEADLINES[paper].trained_on.get(dataset, usual)
        setting = Setting(name_of[_letters(other)], tested_on)
        words = [NOTHING if pd.isna(x) else f"{x:.1f}" for x in (mean_ap, rank1)]
        found[variant, setting] = " / ".join(words)
    return found


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _by_run(found: pd.DataFrame) -> dict[tuple[str, str, Setting], pd.DataFrame]:
    """Scores on what a benchmark's name says, by paper, variant and setting.

    Left out are other ways of searching, and drawings in a real set's layout.
    """
    whole = found[(found["search"] == "") & found["tested_on"].isin(BENCHMARKS)]
    names = {"benchmark": "trained_on_pictures", "tested_on": "pictures"}
    own = whole
    for name, pictures in names.items():
        own = own[own[name].map(pictures_of) == own[pictures]]
    runs = own.groupby(["paper", "variant", "benchmark", "tested_on"])
    return {(p, v, Setting(*at)): group for (p, v, *at), group in runs}


def _papers(root: Path) -> list[str]:
    known = owners(root / "params" / "papers")
    return [p for p in HEADLINES if p in known] + sorted(known - HEADLINES.keys())


def _variants(paper: str) -> list[str]:
    """What the table shows of a paper: its whole method, then its baseline."""
    return list(HEADLINES[paper].rows) if paper in HEADLINES else [FULL]


def _rows(paper: str, runs: Mapping[tuple, pd.DataFrame], root: Path) -> list[Row]:
    """Rows with a number of the paper or of ours, its benchmarks first.

    What can be trained on is tested after its own training, where there is one; tests
    in scenes that were not trained on are a matter of the paper's ablations.
    """
    printed = printed_scores(paper)
    ran = {setting for name, _, setting in runs if name == paper}
    rows = []
    for at in dict.fromkeys([at for _, at in printed] + sorted(ran, key=_last)):
        also_on = _also_on(paper, at, root)
        for variant in _variants(paper):
            row = Row(paper, variant, at, printed.get((variant, at), ""), also_on)
            rows += [row] if row.printed or row.run in runs else []
    own = {row.setting.tested_on for row in rows if not row.setting.is_elsewhere}
    return [r for r in rows if not (r.setting.is_elsewhere and r.setting[1] in own)]


def _last(setting: Setting) -> tuple:
    """What is made here after photographs, further tests after the training's own."""
    trained_on, tested_on, _ = setting
    order = list(PICTURES).index(pictures_of(tested_on))
    return -order, trained_on, setting.is_elsewhere, tested_on


def _also_on(paper: str, setting: Setting, root: Path) -> str:
    """What is tested on, where the layers of its training do not say so."""
    if not setting.is_elsewhere:
        return ""
    scale = usual_scale(root, setting.trained_on)
    also_on = []
    for path in layer_files(root / "params", paper, setting.trained_on, scale):
        also_on = read_layer(path).get("also_on", also_on)
    return "" if setting.tested_on in also_on else setting.tested_on


def _ablation(paper: str, root: Path) -> str:
    """The first ablation with all variants of the paper that the table shows."""
    for path, ablation in read_ablations(root / "params", paper).items():
        if {*_variants(paper)} <= {variant.name for variant in ablation.variants}:
            return path.stem
    return ""


def _method(row: Row) -> str:
    title = HEADLINES[row.paper].paper if row.paper in HEADLINES else f"`{row.paper}`"
    return title if row.variant == FULL else f"{title}, baseline"


def _where(setting: Setting) -> str:
    names = [setting.trained_on, setting.tested_on]
    titles = [
        TITLES[name] if pictures_of(name) == "photographs" else f"`{name}`"
        for name in names
    ]
    return " → ".join(dict.fromkeys(titles))


def _ours(runs: pd.DataFrame) -> str:
    scores = [100 * runs[name] for name in ("mAP", "rank1") if len(runs)]
    return " / ".join(mean_and_deviation(score, ".1f") for score in scores)

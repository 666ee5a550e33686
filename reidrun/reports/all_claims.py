"""Every claim of every paper, with its verdict and what could explain it away.

For notebooks/claims.ipynb, and as counts for the README.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd

from reidlib.evaluation.statistics import (
    OF_CLAIMS,
    Comparison,
    in_points,
    range_in_points,
)
from reidrun.reports import choices, claims
from reidrun.reports.claims import IN_MARKDOWN, Finding
from reidrun.reports.published import HEADLINES
from reidrun.reports.study import BASELINES, METRICS, Study, gather
from reidrun.runs import sweep
from reidrun.runs.asked import FULL
from reidrun.runs.environment import ROOT
from reidrun.runs.names import folder_name
from reidrun.runs.params import Ablation, ablations_of, read_ablation
from reidrun.runs.plans import Plan
from reidrun.runs.study_plan import Part

CONTROLS = "Control:", "Our test"  # how sentences begin that are none of the paper's
COLUMNS = ["paper", "claim", "compared", "on", "effect (95 %)", "seeds", "verdict"]
COLUMNS += [claims.CORRECTED, "control"]
Wanted = Mapping[tuple[str, str], int]


def as_judged(studies: Mapping[str, Study]) -> dict[str, Study]:
    """Studies in the settings that their claims are about, those of a paper as one.

    studies   by ablation, as `gather_all` gives them
    Holm's correction then counts all claims of the paper, as on its pages. The world on
    which recipes are chosen is left out: its runs are no evidence for what they chose.
    """
    found = {}
    for name, study in studies.items():
        paper = name.partition("_")[0]
        same = [o for o in studies if o != name and o.partition("_")[0] == paper]
        whole = replace(study, siblings=tuple(studies[other] for other in same))
        abroad = study.ablation.abroad
        own = whole.elsewhere() if abroad else whole.where_trained()
        kept = [at for at in own.settings if at.trained_on != choices.VALIDATION]
        found[name] = replace(own, settings=tuple(kept))
    return found


def seeds_wanted(known: Mapping[str, Part]) -> Wanted:
    """How many seeds the study has of each paper's tables, by what is trained on.

    known   the study's parts, as `read_parts` gives them
    """
    wanted: dict[tuple[str, str], int] = {}
    for part in known.values():
        papers = [run.partition("_")[0] for run in part.runs]
        for key in product(papers, part.benchmarks):
            wanted[key] = max(wanted.get(key, 0), len(part.seeds))
    return wanted


def claims_table(
    judged: Mapping[str, Study], outputs: Path, here: Path, wanted: Wanted | None = None
) -> pd.DataFrame:
    """A row for each claim and setting in which anything was run; cells are Markdown.

    judged    what `as_judged` gives
    outputs   the folder of all runs and pages
    here      the folder that links lead from
    wanted    as `seeds_wanted` gives it; seeds that are missing are then said
    Effects are in points, over the seeds that both rows have; control is a comparison
    that could explain the claim away. A world links to its page of the ablation.
    """
    rows = []
    for name, study in judged.items():
        for found in claims.findings(study):
            if found.comparison:
                row = _row(study, found, _planned(name, found, wanted))
                row["paper"] = name.partition("_")[0]
                row["on"] = _linked(row["on"], name, found, outputs, here)
                rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _planned(name: str, found: Finding, wanted: Wanted | None) -> int:
    key = name.partition("_")[0], found.setting.trained_on
    return (wanted or {}).get(key, 0)


def _row(study: Study, found: Finding, wanted: int) -> dict[str, str]:
    claim, setting, comparison, fault, _ = found
    plain, corrected = found.verdicts
    sides = f"{study.rows[claim.ours]} against {study.rows[claim.other]}"
    seeds = comparison.seeds
    cells = {
        "claim": claim.says,
        "compared": f"{sides}, {METRICS[claim.metric]}",
        "on": str(setting),
        "effect (95 %)": _effect(comparison),
        "seeds": f"{seeds} of {wanted}" if seeds < wanted else str(seeds),
        "verdict": f"{plain}: {fault}" if fault else plain,
        claims.CORRECTED: corrected,
        "control": _control(study, found),
    }
    return {name: _escaped(cell) for name, cell in cells.items()}


def _effect(comparison: Comparison) -> str:
    effect = comparison.effect
    of_seeds = range_in_points(effect.interval) if comparison.seeds > 1 else "one seed"
    return f"{in_points(effect.difference)} ({of_seeds})"


def _control(study: Study, found: Finding) -> str:
    """What the control of a claim came to, in words; "" without one."""
    claim, setting, control = found.claim, found.setting, found.claim.control
    if control is None:
        return ""
    ours, other = control.ours or claim.ours, control.other or claim.other
    at = setting._replace(search=control.search) if control.search else setting
    asked = claim.model_copy(update={"ours": ours, "other": other})
    sides = f"{study.rows[ours]} against {study.rows[other]}"
    sides += f", {control.search}" if control.search else ""
    result = claims.compared(study, asked, at)
    return f"{sides}: {_effect(result) if result else 'not run'}"


def _linked(text: str, name: str, found: Finding, outputs: Path, here: Path) -> str:
    """The words as a link to the page of an ablation in a world, where there is one."""
    paper, _, what = name.partition("_")
    page = outputs / folder_name(found.setting.trained_on) / paper / f"{what}.ipynb"
    if not page.is_file():
        return text
    return f"[{text}]({Path(os.path.relpath(page, here)).as_posix()})"


def counted(judged: Mapping[str, Study], wanted: Wanted | None = None) -> pd.DataFrame:
    """How many claims came out how: a row for each kind of pictures and paper.

    Sentences that are ours, controls and tests of readings, are not counted. Columns
    claims (that were run), those that have all seeds of the study (as `seeds_wanted`
    gives them), the verdicts, and two of these after Holm's correction. Index
    (pictures, paper), with "all" below the papers of each kind.
    """
    said = [
        (
            study.pictures(found.setting),
            name.partition("_")[0],
            found.comparison.seeds >= _planned(name, found, wanted),
            *found.verdicts,
        )
        for name, study in judged.items()
        for found in claims.findings(study)
        if found.comparison and not found.claim.says.startswith(CONTROLS)
    ]
    names = ["pictures", "paper", "whole", "verdict", "corrected"]
    found, rows = pd.DataFrame(said, columns=names), {}
    for kind, same in found.groupby("pictures"):
        for paper, own in same.groupby("paper", sort=False):
            rows[kind, paper] = _counts(own)
        rows[kind, "all"] = _counts(same)
    rows = rows or {("", "all"): _counts(found)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(names[:2])


def _counts(found: pd.DataFrame) -> dict[str, int]:
    words = [*OF_CLAIMS, "not judged"]
    counts = {"claims": len(found), "with all seeds": int(found["whole"].sum())}
    counts |= {word: int((found["verdict"] == word).sum()) for word in words}
    for word in OF_CLAIMS[:2]:
        kept = found["corrected"] == word
        counts[f"{word}, corrected"] = int(kept.sum())
    return counts


def counts_markdown(judged: Mapping[str, Study], wanted: Wanted | None = None) -> str:
    """`counted` as Markdown, papers by the names that they have in print."""
    names = {name: headline.paper for name, headline in HEADLINES.items()}
    names["baseline"] = "the strong baseline, of no paper"
    table = counted(judged, wanted).rename(names, level="paper")
    return as_markdown(table.reset_index())


def as_markdown(table: pd.DataFrame) -> str:
    """A table whose cells are Markdown already, as Markdown.

    Names of rows such as B/L+TEM+BG may break behind a plus: columns then fit a page.
    """
    cells = table.astype(str).replace(r"\+(?=[A-Z])", "+<wbr>", regex=True)
    lines = [table.columns, ["---"] * len(table.columns), *cells.to_numpy()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    return IN_MARKDOWN.sub(r"\\\g<0>", text).replace("|", r"\|")


def of_paper(table: pd.DataFrame, paper: str) -> pd.DataFrame:
    """The rows of a paper, those first that came out one way or the other."""
    own = table[table["paper"] == paper].drop(columns="paper")
    words: Iterable[str] = (*OF_CLAIMS, "not judged")
    order = {word: place for place, word in enumerate(words)}
    first = own["verdict"].str.split(":").str[0].map(order)
    return own.iloc[first.argsort(kind="stable")]


def against_own_best(
    known: Mapping[str, Part],
    parts: Mapping[str, Sequence[Plan]],
    outputs: Path,
    data_root: Path,
    root: Path = ROOT,
) -> list[str]:
    """Whether each baseline's own best recipe asks for more, and what came of that.

    known, parts   of the study, as `read_parts` and `plan_study` give them
    A sentence for each grid with a baseline; where its best is over a point above the
    chosen recipe, one more for each claim that the whole method is better and each
    world.
    """
    said = []
    for name in (name for name in parts if name.startswith("grid-")):
        paper, table = known[name].runs[0], choices.grid(known[name], parts[name])
        if choices.ROLES[0] not in table:
            continue
        title = choices.title(paper)
        said.append(f"{title}'s baseline: {choices.best_in_words(table)}.")
        recipe = choices.best_of_baseline(table)
        if recipe is None:
            continue
        epochs = next(
            plan.parameters["epochs"]
            for plan in parts[name]
            if all(plan.parameters[key] == value for key, value in recipe.items())
        )
        for part, ablation, ablated in _of_whole_method(known, paper, root):
            where = {"outputs": outputs, "data_root": data_root, "root": root}
            where |= {"ablation": ablated, "seeds": part.seeds}
            of_claims = _at_own_best(ablation, part.benchmarks, recipe, epochs, where)
            said += [f"{title}, its baseline at that recipe: {t}" for t in of_claims]
    return said


def _of_whole_method(
    known: Mapping[str, Part], paper: str, root: Path
) -> Iterator[tuple[Part, Ablation, str]]:
    """Ablations that compare the whole method with its baseline, as the study has them.

    The first part that has one gives its seeds and worlds; only those claims are left.
    """
    for name in ablations_of(root / "params", paper):
        ablation = read_ablation(root / "params", name)
        whole = [c for c in ablation.claims if c.ours == FULL and c.other in BASELINES]
        part = next((part for part in known.values() if name in part.runs), None)
        if whole and part and not ablation.abroad:
            yield part, ablation.model_copy(update={"claims": whole}), name


def _at_own_best(
    ablation: Ablation,
    worlds: Sequence[str],
    recipe: Mapping[str, float],
    epochs: int,
    where: dict,
) -> list[str]:
    """What becomes of the claims with the baseline at another recipe.

    epochs   of the trainings that the recipe is of: a warm-up keeps its share of them
    """
    other, plans = ablation.claims[0].other, []
    for world in worlds:
        asked = where | {"rows": ablation.variants, "benchmarks": [world]}
        whole = sweep.plan(**asked, variants=[FULL])
        share = whole[0].parameters["epochs"] / epochs
        there = {
            name: round(value * share) if name.endswith("_epochs") else value
            for name, value in recipe.items()
        }
        plans += whole + sweep.plan(**asked, variants=[other], overrides=there)
    return claims.sentences(gather(ablation, plans).where_trained())

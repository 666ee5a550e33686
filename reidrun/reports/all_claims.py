"""Every claim of every paper, with its verdict and what could explain it away.

For notebooks/claims.ipynb, and as counts for the README.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from reidlib.evaluation.statistics import OF_CLAIMS, in_points, range_in_points
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
COLUMNS = ["paper", "claim", "compared", "on", "effect", "95 %", "verdict"]
COLUMNS += [claims.CORRECTED, "control", "page"]


def as_judged(studies: Mapping[str, Study]) -> dict[str, Study]:
    """Studies in the settings that their claims are about, those of a paper as one.

    studies   by ablation, as `gather_all` gives them
    Holm's correction then counts all claims of the paper, as on its pages.
    """
    found = {}
    for name, study in studies.items():
        paper = name.partition("_")[0]
        same = [o for o in studies if o != name and o.partition("_")[0] == paper]
        whole = replace(study, siblings=tuple(studies[other] for other in same))
        abroad = study.ablation.abroad
        found[name] = whole.elsewhere() if abroad else whole.where_trained()
    return found


def claims_table(
    judged: Mapping[str, Study], outputs: Path, here: Path
) -> pd.DataFrame:
    """A row for each claim and setting in which anything was run; cells are Markdown.

    judged    what `as_judged` gives
    outputs   the folder of all runs and pages
    here      the folder that links lead from
    Effects are in points; control is a comparison that could explain the claim away.
    """
    rows = []
    for name, study in judged.items():
        for found in claims.findings(study):
            if found.comparison:
                page = _page(name, found, outputs, here)
                rows.append(_row(name.partition("_")[0], study, found, page))
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(paper: str, study: Study, found: Finding, page: str) -> dict[str, str]:
    claim, setting, comparison, fault, _ = found
    plain, corrected = found.verdicts
    sides = f"{study.rows[claim.ours]} against {study.rows[claim.other]}"
    cells = [paper, claim.says, f"{sides}, {METRICS[claim.metric]}", str(setting)]
    effect = comparison.effect
    cells += [in_points(effect.difference), range_in_points(effect.interval)]
    cells += [f"{plain}: {fault}" if fault else plain, corrected]
    cells.append(_control(study, found))
    escaped = [_escaped(cell) for cell in cells]
    return dict(zip(COLUMNS, [*escaped, page], strict=True))


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
    if result is None:
        return f"{sides}: not run"
    effect = result.effect
    interval = range_in_points(effect.interval)
    return f"{sides}: {in_points(effect.difference)} ({interval})"


def _page(name: str, found: Finding, outputs: Path, here: Path) -> str:
    """A link to the executed page of an ablation, "" where there is none."""
    paper, _, what = name.partition("_")
    own = outputs / folder_name(found.setting.trained_on) / paper / f"{what}.ipynb"
    others = sorted(outputs.glob(f"*/{paper}/{what}.ipynb"))
    page = next((path for path in (own, *others) if path.is_file()), None)
    return f"[{what}]({Path(os.path.relpath(page, here)).as_posix()})" if page else ""


def counted(judged: Mapping[str, Study]) -> pd.DataFrame:
    """How many claims of each paper came out how: a row for each, and one for all.

    Sentences that are ours, controls and tests of readings, are not counted. Columns
    claims (that were run), the verdicts, and two of them after Holm's correction.
    """
    said = [
        (name.partition("_")[0], *found.verdicts)
        for name, study in judged.items()
        for found in claims.findings(study)
        if found.comparison and not found.claim.says.startswith(CONTROLS)
    ]
    found = pd.DataFrame(said, columns=["paper", "verdict", "corrected"])
    rows = {paper: _counts(own) for paper, own in found.groupby("paper", sort=False)}
    rows["all"] = _counts(found)
    return pd.DataFrame(rows).T


def _counts(found: pd.DataFrame) -> dict[str, int]:
    words = [*OF_CLAIMS, "not judged"]
    counts = {"claims": len(found)}
    counts |= {word: int((found["verdict"] == word).sum()) for word in words}
    for word in OF_CLAIMS[:2]:
        kept = found["corrected"] == word
        counts[f"{word}, corrected"] = int(kept.sum())
    return counts


def counts_markdown(judged: Mapping[str, Study]) -> str:
    """`counted` as Markdown, papers by the names that they have in print."""
    table = counted(judged)
    names = {name: headline.paper for name, headline in HEADLINES.items()}
    table.insert(0, "paper", [names.get(name, name) for name in table.index])
    return as_markdown(table)


def as_markdown(table: pd.DataFrame) -> str:
    """A table whose cells are Markdown already, as Markdown."""
    lines = [table.columns, ["---"] * len(table.columns), *table.astype(str).to_numpy()]
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
        title = HEADLINES[paper].paper if paper in HEADLINES else paper
        said.append(f"{title}'s baseline: {choices.best_in_words(table)}.")
        recipe = choices.best_of_baseline(table)
        if recipe is None:
            continue
        (epochs,) = {plan.parameters["epochs"] for plan in parts[name]}
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

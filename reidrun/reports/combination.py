"""The combination of two methods beside the methods themselves.

No paper claims anything here: which is higher, over the same seeds and people.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from reidlib.evaluation.statistics import (
    UNCLAIMED,
    compare,
    in_points,
    range_in_points,
    side,
)
from reidrun.reports.choices import VALIDATION, title
from reidrun.reports.study import Study
from reidrun.runs.params import FULL
from reidrun.runs.plans import Setting

NOT_RUN = "not run"
COLUMNS = ["against", "on", "combination", "other", "difference", "95 %", "seeds"]
COLUMNS += ["the combination is"]


def against(
    studies: Mapping[str, Study],
    rivals: Mapping[str, Sequence[str]],
    *,
    ours: tuple[str, str] = ("combined", FULL),
    metric: str = "mAP",
) -> pd.DataFrame:
    """The combination against rows of other papers, wherever it was tested.

    studies   by ablation, as `gather_all` gives them
    rivals    variants by paper
    ours      the paper and the variant that the combination is
    Scores are in percent over the seeds that both have, the difference in points with
    its interval over seeds and people, not corrected for how many rows there are.
    metric    mAP or rankK
    "not run" where no seed is shared; no rows where the combination was not run.
    """
    tests = _tests(studies, *ours)
    rows = []
    for paper, variants in rivals.items():
        for variant in variants:
            others = _tests(studies, paper, variant)
            for at, (_, study) in tests.items():
                words, other = others.get(at, (variant, None))
                named = f"{title(paper)}, {words}", str(at)
                scores = study.per_query(ours[1], at, metric)
                theirs = other and other.per_query(variant, at, metric)
                rows.append([*named, *_cells(scores, theirs)])
    return pd.DataFrame(rows, columns=COLUMNS)


def _tests(
    studies: Mapping[str, Study], paper: str, variant: str
) -> dict[Setting, tuple[str, Study]]:
    """Where a row was tested in the paper's own way: its words, and a study with it.

    Left out is the world on which recipes are chosen.
    """
    found: dict[Setting, tuple[str, Study]] = {}
    for name, study in studies.items():
        if name.partition("_")[0] != paper:
            continue
        for known, at in study.queries:
            is_asked = known == variant and not at.search
            if is_asked and at.trained_on != VALIDATION:
                found.setdefault(at, (study.rows[variant], study))
    return found


def _cells(ours: pd.DataFrame, other: pd.DataFrame | None) -> list[str]:
    if other is None or not set(ours) & set(other):
        return ["", NOT_RUN, *[""] * (len(COLUMNS) - 4)]
    found = compare(ours, other)
    effect = found.effect
    scores = [f"{100 * score:.1f}" for score in (found.ours, found.other)]
    between = in_points(effect.difference), range_in_points(effect.interval)
    return [*scores, *between, str(found.seeds), side(effect.interval, UNCLAIMED)]

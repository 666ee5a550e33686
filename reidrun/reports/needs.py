"""What a claim needs in order to be judged: that what it is about has moved at all.

A row scores whatever it scores, also where the part that a claim is about learned
nothing: words that are the same for every image, weights that stay even. Such a claim
is neither right nor wrong.
"""

from typing import NamedTuple

import pandas as pd

from reidrun.reports.study import METRICS, Study
from reidrun.runs.asked import Claim, Need
from reidrun.runs.plans import Setting
from reidrun.runs.records import read_history

LEARNED = 0.95  # of the first epoch's identity loss: the last one's is less


class _Asked(NamedTuple):
    """A row and where its runs were tested."""

    study: Study
    variant: str
    setting: Setting


def learned(study: Study, variant: str, setting: Setting) -> bool:
    """Whether in any run of a row the identity loss has fallen, by a twentieth or more.

    Compared are the means over the first and the last epoch. All runs of a row have to
    stay where they began: a single one shows in the interval over seeds. A history of
    one epoch, or without that loss, cannot tell and counts as learned.
    """
    folders = study.folders.get((variant, setting), {}).values()
    for folder in folders:
        loss = read_history(folder).get("identity")
        if loss is None or len(loss) < 2 or loss.iloc[-1] < LEARNED * loss.iloc[0]:
            return True
    return not folders


def unmet(study: Study, claim: Claim, setting: Setting) -> str:
    """Why a claim cannot be judged: the first need that a run does not meet; or "".

    Both rows have to learn, whatever the claim is about. A measure that a run did not
    record is a need that is not met. Rows without runs need nothing.
    """
    if fault := _not_learned(study, claim, setting):
        return fault
    for need in (study.ablation.needs[name] for name in claim.needs):
        sides = {"ours": [claim.ours], "other": [claim.other]}
        for variant in sides.get(need.of, [claim.ours, claim.other]):
            asked = _Asked(study, variant, setting._replace(search=""))
            if fault := _fault(asked, need):
                return f'"{study.rows[variant]}": {fault}'
    return ""


def _not_learned(study: Study, claim: Claim, setting: Setting) -> str:
    sides = [n for n in (claim.ours, claim.other) if not learned(study, n, setting)]
    rows = " and ".join(f'"{study.rows[name]}"' for name in sides)
    return f"{rows} did not learn" if sides else ""


def _fault(asked: _Asked, need: Need) -> str:
    seeds = sorted(asked.study.folders.get((asked.variant, asked.setting), {}))
    found = _measured(asked, need.measure).reindex(seeds)
    if found.isna().any():
        return f"{need.measure} was not recorded"
    for limit, sign, word in ((need.below, 1, "below"), (need.above, -1, "above")):
        if limit is None:
            continue
        limits = _measured(asked, limit) if isinstance(limit, str) else limit
        limits = pd.Series(limits, seeds, dtype=float)
        if limits.isna().any():
            return f"{limit} was not recorded"
        failing = found[sign * (found - limits) >= 0]
        if len(failing):
            wanted = f"wanted {word} {limits[failing.index[0]]:.4g}"
            runs = f"in {len(failing)} of {len(found)} runs"
            shown = f"{need.measure} is {failing.iloc[0]:.4g}, {wanted}, {runs}"
            return f"{need.why} ({shown})"
    return ""


def _measured(asked: _Asked, name: str) -> pd.Series:
    """A measure by seed, of the test or, where that has none, of the training's set."""
    study, variant, setting = asked
    if name in METRICS and (variant, setting) in study.queries:
        return study.per_query(variant, setting, name).mean()
    found = study.measure(variant, setting, name)
    if found.empty:
        at_home = setting._replace(tested_on=setting.trained_on)
        found = study.measure(variant, at_home, name)
    return found

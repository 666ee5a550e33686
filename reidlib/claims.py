"""What became of a paper's claims in the runs of an ablation."""

from collections.abc import Mapping

import pandas as pd

from reidlib.ablations import METRICS, NO_BREAK, Setting, Study, per_query
from reidlib.comparison import Comparison, compare, sentence, verdict


def comparisons(study: Study, setting: Setting) -> list[Comparison | None]:
    """What the runs say of each claim; None where runs are missing."""
    found = []
    for claim in study.ablation.claims:
        sides = claim.ours, claim.other
        if all((name, setting) in study.queries for name in sides):
            ours, other = (per_query(study, n, setting, claim.metric) for n in sides)
            found.append(compare(ours, other) if set(ours) & set(other) else None)
        else:
            found.append(None)
    return found


def judged(study: Study) -> pd.DataFrame:
    """Every claim in every setting: differences in points, intervals, verdict."""
    rows = []
    for setting in study.settings:
        found = comparisons(study, setting)
        for claim, result in zip(study.ablation.claims, found, strict=True):
            where = study.title(setting).removeprefix("ours, ")
            row = {"claim": claim.says, "where": where, "metric": claim.metric}
            row["ours"], row["against"] = (
                study.rows[n] for n in (claim.ours, claim.other)
            )
            rows.append(
                row | (_in_points(result) if result else {"verdict": "not run"})
            )
    return pd.DataFrame(rows)


def _in_points(result: Comparison) -> dict[str, str]:
    seeds, queries = (
        f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f}"
        for interval in (result.over_seeds, result.over_queries)
    )
    points = f"{100 * result.difference:+.1f}"
    row = {"difference (points)": points, "over seeds": seeds, "over queries": queries}
    row = {name: words.replace(" ", NO_BREAK) for name, words in row.items()}
    return row | {"verdict": verdict(result)}


def between(study: Study, variant: str, ways: Mapping[str, Setting]) -> str:
    """One sentence on one variant whose queries were searched in two ways.

    ways   two settings of the study by what they are called, the expected better first
    """
    (ours, here), (other, there) = ways.items()
    if not all((variant, setting) in study.queries for setting in (here, there)):
        return f"{study.rows[variant]} on {here}, {ours} against {other}: not run."
    result = compare(*(per_query(study, variant, s, "mAP") for s in (here, there)))
    where = {"where": str(here), "pictures": study.pictures(here)}
    return sentence(result, ours=ours, other=other, metric=METRICS["mAP"], **where)


def sentences(study: Study) -> list[str]:
    """One sentence per claim and setting, the paper's words first."""
    spoken = []
    for setting in study.settings:
        found = comparisons(study, setting)
        for claim, result in zip(study.ablation.claims, found, strict=True):
            if result is None:
                spoken.append(f"{claim.says} On {setting}: not run.")
                continue
            words = sentence(
                result,
                ours=study.rows[claim.ours],
                other=study.rows[claim.other],
                metric=METRICS[claim.metric],
                where=str(setting),
                pictures=study.pictures(setting),
            )
            spoken.append(f"{claim.says} {words}")
    return spoken

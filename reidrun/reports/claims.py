"""What became of a paper's claims in the runs of an ablation."""

import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from IPython.display import Markdown

from reidlib.evaluation.statistics import (
    OF_CLAIMS,
    UNCLAIMED,
    Comparison,
    compare,
    in_points,
    range_in_points,
    sentence,
    side,
    student_interval,
    verdict,
)
from reidrun.reports.study import METRICS, Study, by_seed, per_query
from reidrun.reports.tables import NO_BREAK
from reidrun.runs.params import Claim
from reidrun.runs.plans import Setting

LEARNED = 0.95  # of the first epoch's identity loss: the last one's is less
IN_MARKDOWN = re.compile(r"[\\`*_$<]")  # what names have that is no mark of ours


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


def learned(study: Study, variant: str, setting: Setting) -> bool:
    """Whether in any run of a row the identity loss has fallen, by a twentieth or more.

    Compared are the means over the first and the last epoch. All runs of a row have to
    stay where they began: a single one shows in the interval over seeds. A history of
    one epoch, or without that loss, cannot tell and counts as learned.
    """
    for folder in study.folders.get((variant, setting), {}).values():
        loss = pd.read_csv(folder / "history.csv").get("identity")
        if loss is None or len(loss) < 2 or loss.iloc[-1] < LEARNED * loss.iloc[0]:
            return True
    return not study.folders.get((variant, setting))


def judged(study: Study) -> pd.DataFrame:
    """Every claim in every setting: differences in points, intervals, verdict."""
    rows = []
    for setting in study.settings:
        found = comparisons(study, setting)
        for claim, result in zip(study.ablation.claims, found, strict=True):
            where = study.title(setting).removeprefix("ours, ")
            row = {"claim": claim.says, "where": where, "metric": METRICS[claim.metric]}
            row["said to be better"] = study.rows[claim.ours]
            row["than"] = study.rows[claim.other]
            row |= _in_points(result) if result else {"verdict": "not run"}
            fault = _not_learned(study, claim, setting)
            rows.append(row | ({"verdict": f"not judged: {fault}"} if fault else {}))
    table = pd.DataFrame(rows)
    return table.set_index("claim") if rows else table


def _in_points(result: Comparison) -> dict[str, str]:
    row = {
        "difference (points)": in_points(result.difference),
        "over seeds": range_in_points(result.over_seeds),
        "over queries": range_in_points(result.over_queries),
    }
    row = {name: words.replace(" ", NO_BREAK) for name, words in row.items()}
    return row | {"verdict": verdict(result)}


def _not_learned(study: Study, claim: Claim, setting: Setting) -> str:
    """Why a claim cannot be judged; "" where it can."""
    sides = [n for n in (claim.ours, claim.other) if not learned(study, n, setting)]
    rows = " and ".join(f'"{study.rows[name]}"' for name in sides)
    return f"{rows} did not learn" if sides else ""


def between(study: Study, variant: str, ways: Mapping[str, Setting]) -> str:
    """One sentence on one variant whose queries were searched in two ways.

    ways   two settings by what they are called, the one that is spoken of first
    """
    (ours, here), (other, there) = ways.items()
    if not all((variant, setting) in study.queries for setting in (here, there)):
        return f"{study.rows[variant]} on {here}, {ours} against {other}: not run."
    result = compare(*(per_query(study, variant, s, "mAP") for s in (here, there)))
    where = {"where": str(here.plain), "pictures": study.pictures(here)}
    named = {"ours": ours, "other": other, "metric": METRICS["mAP"]} | where
    return sentence(result, **named, words=UNCLAIMED)


def of_measures(
    study: Study, *pairs: tuple[tuple[str, str], tuple[str, str]]
) -> list[str]:
    """One sentence per pair and setting on two measures over paired seeds.

    pairs   of (variant, measure) as `ablations.by_seed` takes them, the one that is
            spoken of first; a pair that no seed has in full has no sentence
    """
    spoken = []
    for ours, other in pairs:
        for setting in study.settings:
            found, beside = (by_seed(study, *(v, setting, n)) for v, n in (ours, other))
            difference = (found - beside).dropna()
            if difference.empty:
                continue
            shared, interval = difference.index, student_interval(difference.to_numpy())
            over = "a single seed"
            if len(shared) > 1:
                ends = f"{interval.low:+.3f} to {interval.high:+.3f}"
                over = f"{len(shared)} seeds ({ends})"
            of_ours, of_other = (f' of "{study.rows[v]}"' for v, _ in (ours, other))
            of_other = "" if of_other == of_ours else of_other
            spoken.append(
                f"On {setting} ({study.pictures(setting)}),"
                f" {ours[1]}{of_ours} is {found[shared].mean():.3f},"
                f" {other[1]}{of_other} is {beside[shared].mean():.3f}:"
                f" {difference.mean():+.3f} over {over}, {side([interval], UNCLAIMED)}."
            )
    return spoken


def sentences(study: Study, words: Sequence[str] = OF_CLAIMS) -> list[str]:
    """One sentence per claim and setting, the paper's words first.

    words   for the three ways it can fall, as in `comparison.verdict`
    """
    spoken = []
    for setting in study.settings:
        found = comparisons(study, setting)
        for claim, result in zip(study.ablation.claims, found, strict=True):
            fault = _not_learned(study, claim, setting)
            if result is None or fault:
                why = f"not judged, {fault}" if fault else "not run"
                spoken.append(f"{claim.says} On {setting}: {why}.")
                continue
            said = sentence(
                result,
                ours=f'"{study.rows[claim.ours]}"',
                other=f'"{study.rows[claim.other]}"',
                metric=METRICS[claim.metric],
                where=str(setting),
                pictures=study.pictures(setting),
                words=words,
            )
            spoken.append(f"{claim.says} {said}")
    return spoken


def as_list(said: Iterable[str]) -> Markdown:
    """Sentences as a list, set as a notebook sets its text, each sign as it is."""
    escaped = (IN_MARKDOWN.sub(r"\\\g<0>", words) for words in said)
    return Markdown("\n".join(f"- {words}" for words in escaped))

"""What became of a paper's claims in the runs of an ablation.

docs/claims.md says how they are judged.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

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
from reidrun.reports.study import METRICS, Measure, Study
from reidrun.reports.tables import NO_BREAK
from reidrun.runs.params import Claim
from reidrun.runs.plans import Setting
from reidrun.runs.records import read_history

LEARNED = 0.95  # of the first epoch's identity loss: the last one's is less
IN_MARKDOWN = re.compile(r"[\\`*_$<]")  # what names have that is no mark of ours


class Finding(NamedTuple):
    """What the runs say of a claim in a setting.

    comparison   None where runs are missing
    fault        why it cannot be judged; "" where it can
    """

    claim: Claim
    setting: Setting
    comparison: Comparison | None
    fault: str


def findings(study: Study) -> Iterator[Finding]:
    """Every claim in every setting."""
    for setting in study.settings:
        for claim in study.ablation.claims:
            compared = _compare(study, claim, setting)
            yield Finding(claim, setting, compared, _not_learned(study, claim, setting))


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


def judged(study: Study) -> pd.DataFrame:
    """Every claim in every setting: differences in points, intervals, verdict."""
    rows = []
    for claim, setting, comparison, fault in findings(study):
        row = {
            "claim": claim.says,
            "where": study.title(setting).removeprefix("ours, "),
            "metric": METRICS[claim.metric],
            "said to be better": study.rows[claim.ours],
            "than": study.rows[claim.other],
        }
        row |= _in_points(comparison) if comparison else {"verdict": "not run"}
        rows.append(row | ({"verdict": f"not judged: {fault}"} if fault else {}))
    table = pd.DataFrame(rows)
    return table.set_index("claim") if rows else table


def sentences(study: Study, words: Sequence[str] = OF_CLAIMS) -> list[str]:
    """One sentence per claim and setting, the paper's words first.

    words   for the three ways it can fall, as in `statistics.verdict`
    """
    said = []
    for claim, setting, comparison, fault in findings(study):
        if comparison is None or fault:
            why = f"not judged, {fault}" if fault else "not run"
            said.append(f"{claim.says} On {setting}: {why}.")
            continue
        ours, other = (f'"{study.rows[name]}"' for name in (claim.ours, claim.other))
        names = {"ours": ours, "other": other, "metric": METRICS[claim.metric]}
        where = {"where": str(setting), "pictures": study.pictures(setting)}
        text = sentence(comparison, **names, **where, words=words)
        said.append(f"{claim.says} {text}")
    return said


def of_settings(study: Study, variant: str, ways: Mapping[str, Setting]) -> str:
    """One sentence on a variant in two settings, whose queries are the same.

    ways   two settings by what they are called, the one that is spoken of first
    """
    (ours, here), (other, there) = ways.items()
    if not all((variant, setting) in study.queries for setting in (here, there)):
        return f"{study.rows[variant]} on {here}, {ours} against {other}: not run."
    result = compare(*(study.per_query(variant, at, "mAP") for at in (here, there)))
    where = {"where": str(here._replace(search="")), "pictures": study.pictures(here)}
    names = {"ours": ours, "other": other, "metric": METRICS["mAP"]}
    return sentence(result, **names, **where, words=UNCLAIMED)


def of_measures(
    study: Study, *pairs: tuple[tuple[str, Measure | str], tuple[str, Measure | str]]
) -> list[str]:
    """One sentence per pair and setting on two measures over paired seeds.

    pairs   of (variant, measure), the one that is spoken of first; a pair that no seed
            has in full has no sentence
    """
    said = (_of_pair(study, at, *pair) for pair in pairs for at in study.settings)
    return [text for text in said if text]


def as_list(said: Iterable[str]) -> Markdown:
    """Sentences as a list, set as a notebook sets its text, each sign as it is."""
    escaped = (IN_MARKDOWN.sub(r"\\\g<0>", words) for words in said)
    return Markdown("\n".join(f"- {words}" for words in escaped))


def _compare(study: Study, claim: Claim, setting: Setting) -> Comparison | None:
    sides = claim.ours, claim.other
    if not all((name, setting) in study.queries for name in sides):
        return None
    ours, other = (study.per_query(name, setting, claim.metric) for name in sides)
    return compare(ours, other) if set(ours) & set(other) else None


def _not_learned(study: Study, claim: Claim, setting: Setting) -> str:
    sides = [n for n in (claim.ours, claim.other) if not learned(study, n, setting)]
    rows = " and ".join(f'"{study.rows[name]}"' for name in sides)
    return f"{rows} did not learn" if sides else ""


def _in_points(result: Comparison) -> dict[str, str]:
    row = {
        "difference (points)": in_points(result.difference),
        "over seeds": range_in_points(result.over_seeds),
        "over queries": range_in_points(result.over_queries),
    }
    row = {name: words.replace(" ", NO_BREAK) for name, words in row.items()}
    return row | {"verdict": verdict(result)}


def _of_pair(
    study: Study,
    setting: Setting,
    ours: tuple[str, Measure | str],
    other: tuple[str, Measure | str],
) -> str:
    first, second = (study.measure(name, setting, m) for name, m in (ours, other))
    difference = (first - second).dropna()
    if difference.empty:
        return ""
    shared, interval = difference.index, student_interval(difference)
    over = "a single seed"
    if len(shared) > 1:
        over = f"{len(shared)} seeds ({interval.low:+.3f} to {interval.high:+.3f})"
    of_ours, of_other = (f' of "{study.rows[name]}"' for name, _ in (ours, other))
    of_other = "" if of_other == of_ours else of_other
    return (
        f"On {setting} ({study.pictures(setting)}),"
        f" {ours[1]}{of_ours} is {first[shared].mean():.3f},"
        f" {other[1]}{of_other} is {second[shared].mean():.3f}:"
        f" {difference.mean():+.3f} over {over}, {side([interval], UNCLAIMED)}."
    )

"""What became of a paper's claims in the runs of an ablation.

docs/claims.md says how they are judged.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from IPython.display import HTML, Markdown

from reidlib.evaluation.statistics import (
    OF_CLAIMS,
    UNCLAIMED,
    Comparison,
    compare,
    holm,
    in_points,
    sentence,
    side,
    student_interval,
    verdict,
)
from reidrun.reports.needs import unmet
from reidrun.reports.study import METRICS, Measure, Study
from reidrun.reports.tables import NO_BREAK
from reidrun.runs.asked import Claim
from reidrun.runs.plans import Setting

NUMBERS = ["difference", "low", "high", "detectable"]
CORRECTED = "after Holm's correction"  # the verdict
ROLES = "whole method", "baseline"
WORDS = (*OF_CLAIMS, "not judged", "not run")
NO_RANGE = "–"  # of a single seed, or of nothing
IN_MARKDOWN = re.compile(r"[\\`*_$<]")  # what names have that is no mark of ours


Test = tuple[str, str, str]  # variants and metric that a claim compares


class Finding(NamedTuple):
    """What the runs say of a claim in a setting.

    comparison   None where runs are missing
    fault        why it cannot be judged; "" where it can
    adjusted     its p-value after Holm's correction over the claims of the paper that
                 can be judged in this setting; nan where it cannot
    """

    claim: Claim
    setting: Setting
    comparison: Comparison | None
    fault: str
    adjusted: float = math.nan

    @property
    def verdicts(self) -> tuple[str, str]:
        """The verdict, plain and after the correction; why not is in `fault`."""
        if self.fault:
            return "not judged", ""
        if self.comparison is None:
            return "not run", ""
        effect = self.comparison.effect
        return verdict(effect), verdict(effect, adjusted=self.adjusted)


def findings(study: Study) -> Iterator[Finding]:
    """Every claim in every setting."""
    for setting in study.settings:
        adjusted = _adjusted(study, setting)
        for claim in study.ablation.claims:
            found = _find(study, claim, setting)
            yield found._replace(adjusted=adjusted.get(_test_of(claim), math.nan))


def _find(study: Study, claim: Claim, setting: Setting) -> Finding:
    key = claim.says, _test_of(claim), setting
    if key not in study.compared:
        fault = unmet(study, claim, setting)
        study.compared[key] = compared(study, claim, setting), fault
    return Finding(claim, setting, *study.compared[key])


def _adjusted(study: Study, setting: Setting) -> dict[Test, float]:
    """p-values after Holm's correction over all tests that the paper's claims ask for.

    Two claims that compare the same rows are one test.
    """
    found = {
        _test_of(claim): _find(each, claim, setting)
        for each in (study, *study.siblings)
        for claim in each.ablation.claims
    }
    judged = {
        test: finding.comparison.effect.p_value
        for test, finding in found.items()
        if finding.comparison and not finding.fault
    }
    return dict(zip(judged, holm(list(judged.values())), strict=True))


def _test_of(claim: Claim) -> Test:
    return claim.ours, claim.other, claim.metric


def tidy(study: Study) -> pd.DataFrame:
    """Every claim in every setting, as `plots.claim_forest` draws them.

    Columns says, of (what is compared), where, verdict, the same after Holm's
    correction, why (it is not judged, or ""), and in points the difference, both ends
    of its interval and the smallest that could be detected, nan where nothing was
    compared.
    """
    rows = []
    for found in findings(study):
        claim, setting, comparison, fault, _ = found
        plain, corrected = found.verdicts
        sides = f"{study.rows[claim.ours]} against {study.rows[claim.other]}"
        row = {"says": claim.says, "of": f"{sides}, {METRICS[claim.metric]}"}
        row |= {"where": study.title(setting).removeprefix("ours, ")}
        row |= {"verdict": plain, CORRECTED: corrected, "why": fault}
        if comparison:
            effect = comparison.effect
            shares = effect.difference, *effect.interval, effect.detectable
            pairs = zip(NUMBERS, shares, strict=True)
            row |= {name: 100 * share for name, share in pairs}
        rows.append(row)
    words = ["says", "of", "where", "verdict", CORRECTED, "why"]
    return pd.DataFrame(rows, columns=[*words, *NUMBERS])


def whole_methods(studies: Iterable[Study]) -> pd.DataFrame:
    """Each paper's claim that its whole method is better, where it was trained.

    As `tidy` has them; says is the paper and where, and all stand in one panel.
    """
    found = []
    for study in studies:
        words = {role: words for words, role in study.roles.items()}
        own = tidy(study.where_trained())
        sides = " against ".join(words.get(role, "") for role in ROLES)
        own = own[own["of"] == f"{sides}, {METRICS['mAP']}"]
        found.append(own.assign(says=f"{study.ablation.paper}, " + own["where"]))
    both = pd.concat(found).drop_duplicates("says", ignore_index=True)
    return both.assign(where="whole method minus baseline, mAP", of="")


def counts(studies: Mapping[str, Study]) -> pd.DataFrame:
    """How many claims of each ablation came out how, where anything was run."""
    found = [tidy(study).assign(ablation=name) for name, study in studies.items()]
    made = pd.concat(found)
    made = made[made["verdict"] != "not run"]
    by = made.groupby(["ablation", "where"], sort=False)["verdict"].value_counts()
    return by.unstack(fill_value=0).reindex(columns=WORDS[:-1], fill_value=0)


def summary(study: Study) -> Markdown:
    """What became of the claims, in a sentence for each setting."""
    said = []
    for where, own in tidy(study).groupby("where", sort=False):
        counts = own["verdict"].value_counts()
        words = [f"**{counts[word]} {word}**" for word in WORDS if word in counts]
        several = f"{len(own)} claims" if len(own) > 1 else "One claim"
        where = IN_MARKDOWN.sub(r"\\\g<0>", where)
        said.append(f"{several} on {where}: {', '.join(words)}.")
    return Markdown("\n\n".join(said))


def numbers(study: Study) -> HTML:
    """The same claims in numbers, opened by a click; the verdict comes first."""
    found = tidy(study)
    table = pd.DataFrame({"claim": found["says"], "verdict": found["verdict"]})
    table["verdict"] += found["why"].map(lambda why: f": {why}" if why else "")
    table[CORRECTED] = found[CORRECTED]
    table["points"] = found["difference"].map(_points)
    ends = found[["low", "high"]].to_numpy()
    table["95 %"] = [_range(low, high) for low, high in ends]
    smallest = found["detectable"].map(lambda points: points if points < 100 else None)
    table["detectable"] = smallest.map(_points).str.removeprefix("+")
    table["compared"], table["on"] = found["of"], found["where"]
    rows = table.to_html(index=False, border=0)
    return HTML(f"<details><summary>The numbers</summary>\n{rows}\n</details>")


def sentences(study: Study, words: Sequence[str] = OF_CLAIMS) -> list[str]:
    """One sentence per claim and setting, the paper's words first.

    words   for the three ways it can fall, as in `statistics.verdict`
    """
    said = []
    for claim, setting, comparison, fault, _ in findings(study):
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


def compared(study: Study, claim: Claim, setting: Setting) -> Comparison | None:
    """The two rows of a claim in a setting; None where they share no seed."""
    sides = claim.ours, claim.other
    if not all((name, setting) in study.queries for name in sides):
        return None
    ours, other = (study.per_query(name, setting, claim.metric) for name in sides)
    return compare(ours, other) if set(ours) & set(other) else None


def _points(points: float) -> str:
    return "" if pd.isna(points) else in_points(points / 100)


def _range(low: float, high: float) -> str:
    return (
        f"{_points(low)} to{NO_BREAK}{_points(high)}"
        if math.isfinite(low)
        else NO_RANGE
    )


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
        f" {difference.mean():+.3f} over {over}, {side(interval, UNCLAIMED)}."
    )

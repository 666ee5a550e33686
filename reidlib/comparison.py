"""What runs over several seeds say about two variants.

Runs with equal seeds are paired: they share the order of identities and batches, so
their difference varies less than either score.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

CONFIDENCE = 0.95


class Comparison(NamedTuple):
    """Scores of two variants over shared seeds, as shares in [0, 1].

    `low` and `high` bound the mean difference (ours - other) with 95 % confidence,
    Student's t over seeds; they are infinite for a single seed.
    """

    ours: float
    ours_spread: float
    other: float
    other_spread: float
    difference: float
    low: float
    high: float
    seeds: int


def compare(ours: pd.Series, other: pd.Series) -> Comparison:
    """Compare two variants' scores (shares), both indexed by seed; lone seeds rest.

    Raises ValueError when no seed is shared.
    """
    seeds = sorted(set(ours.index) & set(other.index))
    if not seeds:
        raise ValueError(
            f"no seed has both variants: ours {sorted(ours.index)},"
            f" other {sorted(other.index)}; run the missing ones"
        )
    a, b = (scores.loc[seeds].to_numpy(float) for scores in (ours, other))
    half = _half_width(a - b)
    mean = float(np.mean(a - b))
    return Comparison(
        ours=float(a.mean()),
        ours_spread=_spread(a),
        other=float(b.mean()),
        other_spread=_spread(b),
        difference=mean,
        low=mean - half,
        high=mean + half,
        seeds=len(seeds),
    )


def pairs(
    runs: pd.DataFrame, paper: str, benchmark: str, ours: str, other: str
) -> dict[str, pd.DataFrame]:
    """mAP of two variants by seed, for each benchmark that both were tested on.

    runs   as runs.collect gives them; returns {tested_on: table}, a row per seed that
           both variants have and the two variants as columns
    """
    chosen = runs[(runs["paper"] == paper) & (runs["benchmark"] == benchmark)]
    table = chosen.pivot_table("mAP", ["tested_on", "seed"], "variant")
    table = table.reindex(columns=[other, ours]).dropna()
    return {name: table.loc[name] for name in table.index.unique(0)}


def _spread(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _half_width(differences: np.ndarray) -> float:
    count = len(differences)
    if count < 2:
        return float("inf")
    quantile = student_t.ppf((1 + CONFIDENCE) / 2, df=count - 1)
    return float(quantile * _spread(differences) / sqrt(count))


def verdict(comparison: Comparison) -> str:
    """How a claim that ours is better fares: replicated, contradicted, inconclusive.

    Inconclusive is an interval that holds 0.
    """
    if comparison.low > 0:
        return "replicated"
    return "contradicted" if comparison.high < 0 else "inconclusive"


def sentence(
    comparison: Comparison,
    *,
    ours: str,
    other: str,
    metric: str,
    tested_on: str,
    pictures: str = "drawn pedestrians",
) -> str:
    """Say in one sentence what the seeds show, whichever way it falls.

    ours, other, metric, tested_on   names, as the sentence is to use them
    pictures                         what the tested images are
    """
    points, found = 100 * comparison.difference, verdict(comparison)
    low, high = 100 * comparison.low, 100 * comparison.high
    side = "above" if points >= 0 else "below"
    interval = f"{comparison.seeds} seeds (95 % interval {low:+.1f} to {high:+.1f})"
    could = "could explain" if found == "inconclusive" else "does not explain"
    return (
        f"On {tested_on} ({pictures}), {ours} is {abs(points):.1f} points of {metric}"
        f" {side} {other} over {interval if comparison.seeds > 1 else 'a single seed'},"
        f" which the spread between seeds {could}: {found}."
    )

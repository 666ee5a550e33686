"""What runs over several seeds say about two variants.

Runs with equal seeds are paired, as are the scores of one query in both runs: they
share batches and pictures, so their difference varies less than either score. Two
things vary on their own, the training (seeds) and the pictures searched for (queries),
and a claim has to stand against both.

Shapes     Q queries (rows), S seeds (columns)
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import ttest_1samp

CONFIDENCE = 0.95
OF_CLAIMS = "replicated", "contradicted", "inconclusive"  # that ours is better
UNCLAIMED = "higher", "lower", "not told apart"  # where nobody claims anything
RESAMPLES = 2000


class Interval(NamedTuple):
    """Where a mean difference lies with 95 % confidence; shares, low <= high."""

    low: float
    high: float


class Comparison(NamedTuple):
    """Scores of two variants over shared seeds, as shares in [0, 1].

    *_spread       standard deviation over seeds, nan for a single one
    difference     mean over seeds of ours - other
    over_seeds     its interval over trainings, Student's t; infinite for one seed
    over_queries   its interval over people searched for, bootstrap by identity
    """

    ours: float
    ours_spread: float
    other: float
    other_spread: float
    difference: float
    over_seeds: Interval
    over_queries: Interval
    seeds: int


def compare(ours: pd.DataFrame, other: pd.DataFrame) -> Comparison:
    """Compare what every query scored in runs of two variants.

    ours, other   (Q, S) shares, nan for a query without a match; rows are labelled
                  (query, pid), columns by seed. Seeds that only one has are left out.
    Raises ValueError when no seed is shared, or when the queries are not the same.
    """
    seeds = sorted(set(ours) & set(other))
    if not seeds:
        raise ValueError(
            f"no seed has both variants: ours {sorted(ours)}, other {sorted(other)};"
            " run the missing ones"
        )
    if not ours.index.equals(other.index):
        raise ValueError("the runs were not tested with the same queries")
    first, second = ours[seeds].mean(), other[seeds].mean()  # (S,) scores of the runs
    by_query = (ours[seeds] - other[seeds]).mean(axis=1).dropna()
    differences = (first - second).to_numpy()
    return Comparison(
        ours=float(first.mean()),
        ours_spread=float(first.std()),
        other=float(second.mean()),
        other_spread=float(second.std()),
        difference=float(differences.mean()),
        over_seeds=student_interval(differences),
        over_queries=bootstrap_interval(by_query, by_query.index.get_level_values(1)),
        seeds=len(seeds),
    )


def student_interval(values: Sequence[float]) -> Interval:
    """Interval of the mean of S values by Student's t; infinite for a single one.

    >>> [round(end, 3) for end in student_interval([0.1, 0.2, 0.3])]
    [-0.048, 0.448]
    """
    if len(values) < 2:
        return Interval(-float("inf"), float("inf"))
    with warnings.catch_warnings():  # equal values: their mean is all the interval
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        found = ttest_1samp(values, 0).confidence_interval(CONFIDENCE)
    return Interval(float(found.low), float(found.high))


def bootstrap_interval(differences: pd.Series, pids: pd.Index) -> Interval:
    """Interval of the mean of Q differences, percentiles over resampled identities.

    Queries of one identity rise and fall together, so identities are drawn, with
    replacement, each with all its queries. The same 2000 draws every time.
    """
    by_pid = differences.groupby(pids).agg(["sum", "count"])
    sums, counts = by_pid["sum"].to_numpy(), by_pid["count"].to_numpy()
    generator = np.random.default_rng(0)
    even = np.full(len(by_pid), 1 / len(by_pid))
    draws = generator.multinomial(len(by_pid), even, size=RESAMPLES)
    means = (draws @ sums) / (draws @ counts)
    tail = 50 * (1 - CONFIDENCE)
    return Interval(*map(float, np.percentile(means, [tail, 100 - tail])))


def verdict(comparison: Comparison, words: Sequence[str] = OF_CLAIMS) -> str:
    """How a claim that ours is better fares: replicated, contradicted, inconclusive.

    Replicated are two intervals above 0, contradicted two below; all else, a single
    seed always, is inconclusive. `words` are said in place of these three.
    """
    return side([comparison.over_seeds, comparison.over_queries], words)


def side(intervals: Sequence[Interval], words: Sequence[str]) -> str:
    """The first word where all intervals are above 0, the second below, else the third.

    >>> side([Interval(0.1, 0.2)], ("higher", "lower", "not told apart"))
    'higher'
    """
    above, below, neither = words
    if all(interval.low > 0 for interval in intervals):
        return above
    return below if all(interval.high < 0 for interval in intervals) else neither


def sentence(
    comparison: Comparison,
    *,
    ours: str,
    other: str,
    metric: str,
    where: str,
    pictures: str = "drawn pedestrians",
    words: Sequence[str] = OF_CLAIMS,
) -> str:
    """Say in one sentence what the runs show, whichever way it falls.

    ours, other, metric, where   names, as the sentence is to use them
    pictures                     what the tested images are
    words                        for the three ways it can fall, as in `verdict`
    """
    points = in_points(comparison.difference)
    where_to = "below" if points.startswith("-") else "above"
    points = points.lstrip("+-")
    if comparison.seeds > 1:
        seeds = f"{comparison.seeds} seeds ({range_in_points(comparison.over_seeds)})"
    else:
        seeds = "a single seed"
    return (
        f"On {where} ({pictures}), {ours} is {points} points of {metric}"
        f" {where_to} {other} over {seeds} and over queries"
        f" ({range_in_points(comparison.over_queries)}): {verdict(comparison, words)}."
    )


def in_points(share: float) -> str:
    """Percentage points with their sign, more digits where one would show nothing.

    >>> in_points(0.0123), in_points(-0.0002), in_points(-1e-5), in_points(-1e-17)
    ('+1.2', '-0.02', '-0.001', '0.0')
    """
    if abs(share) < 5e-7:
        return "0.0"
    digits = next((d for d in (1, 2, 3) if abs(share) >= 5 * 10 ** -(d + 3)), 4)
    return f"{100 * share:+.{digits}f}"


def range_in_points(interval: Interval) -> str:
    """Both ends of an interval, as `in_points` has them."""
    return f"{in_points(interval.low)} to {in_points(interval.high)}"

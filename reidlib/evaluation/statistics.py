"""What runs over several seeds say about two variants.

Runs with equal seeds are paired, as are the scores of one query in both runs: they
share batches and pictures, so their difference varies less than either score. Two
things vary on their own, the training (seeds) and who is searched for (people); one
interval takes both together.

Shapes     Q queries (rows), S seeds (columns), P people, each with queries of their own
"""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student
from scipy.stats import ttest_1samp

CONFIDENCE = 0.95
RESAMPLES = 2000
POWER = 0.8  # the chance of finding an effect as small as `detectable`
OF_CLAIMS = "replicated", "contradicted", "inconclusive"  # that ours is better
UNCLAIMED = "higher", "lower", "not told apart"  # where nobody claims anything


class Interval(NamedTuple):
    """Where a mean difference lies with 95 % confidence; shares, low <= high."""

    low: float
    high: float


class Effect(NamedTuple):
    """A mean difference over seeds and people, and how far it can be trusted.

    interval     infinite for a single seed
    p_value      of no difference at all, two-sided; nan for a single seed
    detectable   the smallest difference that such runs would show four times in five
    """

    difference: float
    interval: Interval
    p_value: float
    detectable: float


class Comparison(NamedTuple):
    """Scores of two variants over shared seeds, as shares in [0, 1].

    *_spread   standard deviation over seeds, nan for a single one
    effect     of ours - other
    seeds      that both have        people   searched for
    """

    ours: float
    ours_spread: float
    other: float
    other_spread: float
    effect: Effect
    seeds: int
    people: int


def compare(ours: pd.DataFrame, other: pd.DataFrame) -> Comparison:
    """Compare what every query scored in runs of two variants.

    ours, other   (Q, S) shares, nan for a query without a match; rows are labelled
                  (query, pid), columns by seed. Seeds that only one has are left out.
    Raises ValueError when no seed is shared, or when the queries are not the same.
    """
    seeds = _shared_seeds(ours, other)
    if not ours.index.equals(other.index):
        raise ValueError("the runs were not tested with the same queries")
    first, second = ours[seeds].mean(), other[seeds].mean()  # (S,) scores of the runs
    by_person = _by_person((ours[seeds] - other[seeds]).dropna())
    return Comparison(
        ours=float(first.mean()),
        ours_spread=float(first.std()),
        other=float(second.mean()),
        other_spread=float(second.std()),
        effect=crossed_effect(by_person),
        seeds=len(seeds),
        people=len(by_person),
    )


def _by_person(differences: pd.DataFrame) -> np.ndarray:
    """Differences (Q, S) as (P, S), whose mean over people is that over queries.

    Somebody with more queries has more weight; how the mean depends on that weight is
    linearised, as for a ratio (Cochran 1977, Eq. 6.4).
    """
    people = differences.groupby(level=1)
    counts = people.size().to_numpy()[:, None]
    mean = differences.to_numpy().mean()
    return mean + counts / counts.mean() * (people.mean().to_numpy() - mean)


def _shared_seeds(ours: pd.DataFrame, other: pd.DataFrame) -> list[int]:
    seeds = sorted(set(ours) & set(other))
    if not seeds:
        raise ValueError(
            f"no seed has both variants: ours {sorted(ours)}, other {sorted(other)};"
            " run the missing ones"
        )
    return seeds


def compare_apart(ours: pd.DataFrame, other: pd.DataFrame) -> Effect:
    """Effect of one test's scores over another's, whose queries are not the same.

    As `compare` has them; seeds are paired, people are not. Of people that are in both
    the interval is wider than it need be.
    """
    seeds = _shared_seeds(ours, other)
    return crossed_effect(*(_by_person(each[seeds].dropna()) for each in (ours, other)))


def crossed_effect(values: np.ndarray, other: np.ndarray | None = None) -> Effect:
    """Effect whose values (P, S) vary by person, by seed, and in both.

        y_ps = mu + a_s + b_p + e_ps,    var(mean y) = V / (P S),
        V = max(MS_a + MS_b - MS_e, MS_a, MS_b),
        df = V^2 / (MS_a^2 / (S - 1) + MS_b^2 / (P - 1))

    a, b and e are random, MS their mean squares; the interval is Student's with the
    degrees of freedom of Satterthwaite. This is how many readers of many cases are
    compared (Dorfman, Berbaum and Metz 1992; Hillis 2007): seeds are the readers. The
    maximum keeps it from being narrower than that over seeds or people alone, where a
    component comes out below 0.

    Why no two-way bootstrap: of three seeds it draws a spread a third too small and
    knows no Student's t. Where seeds vary the most its 95 % cover 73 %, these 94 to 96;
    where only e varies, these cover up to 99.

    other   (R, S), of other people with the same seeds: the effect is that of the
            first mean less this one, and what b and e add is the sum over both
    """
    groups = [values] if other is None else [values, other]
    of_seeds = values.mean(0) - (0 if other is None else other.mean(0))
    mean, seeds = float(of_seeds.mean()), len(of_seeds)
    if seeds < 2 or any(len(group) < 2 for group in groups):
        infinite = Interval(-math.inf, math.inf)
        return Effect(mean, infinite, math.nan, math.inf)
    of_people = [group.mean(1) for group in groups]
    rests = [
        group - group.mean(0) - people[:, None] + group.mean()
        for group, people in zip(groups, of_people, strict=True)
    ]
    by_seed = of_seeds.var(ddof=1) / seeds  # each is MS / (P S)
    by_person = [people.var(ddof=1) / len(people) for people in of_people]
    rest = sum(
        np.square(r).sum() / (r.size * (len(r) - 1) * (seeds - 1)) for r in rests
    )
    variance = max(by_seed + sum(by_person) - rest, by_seed, sum(by_person))
    below = sum(
        part**2 / (len(people) - 1)
        for part, people in zip(by_person, of_people, strict=True)
    )
    return _student_effect(
        mean,
        math.sqrt(variance),
        variance**2,
        by_seed**2 / (seeds - 1) + below,
    )


def _student_effect(mean: float, error: float, above: float, below: float) -> Effect:
    """Effect of a mean with a standard error and above / below degrees of freedom."""
    if below == 0 or error < 1e-12:  # all values alike: their mean is all there is
        return Effect(mean, Interval(mean, mean), float(abs(mean) < 1e-12), 0.0)
    law = student(above / below)
    half = error * law.ppf((1 + CONFIDENCE) / 2)
    return Effect(
        mean,
        Interval(float(mean - half), float(mean + half)),
        p_value=float(2 * law.sf(abs(mean) / error)),
        detectable=float(half + error * law.ppf(POWER)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values of several claims, so that any false one is rare. Holm 1979.

    The smallest of m is multiplied by m, the next by m - 1, and so on, none falling
    below the one before; one that is nan was no test and does not count.

    >>> holm([0.01, 0.04, float("nan"), 0.03])
    [0.03, 0.06, nan, 0.06]
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted, least = [math.nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - rank)))
        adjusted[i] = least
    return adjusted


def student_interval(values: Sequence[float]) -> Interval:
    """Interval of the mean of S values by Student's t; infinite for a single one.

    >>> [round(end, 3) for end in student_interval([0.1, 0.2, 0.3])]
    [-0.048, 0.448]
    """
    if len(values) < 2:
        return Interval(-math.inf, math.inf)
    with warnings.catch_warnings():  # equal values: their mean is all the interval
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        found = ttest_1samp(values, 0).confidence_interval(CONFIDENCE)
    return Interval(float(found.low), float(found.high))


def bootstrap_interval(differences: pd.Series, pids: pd.Index) -> Interval:
    """Interval of the mean of Q differences of one pair of runs, over people alone.

    Queries of one person rise and fall together, so people are drawn, with replacement,
    each with all their queries. The same RESAMPLES draws every time.
    """
    by_pid = differences.groupby(pids).agg(["sum", "count"])
    sums, counts = by_pid["sum"].to_numpy(), by_pid["count"].to_numpy()
    even = np.full(len(by_pid), 1 / len(by_pid))
    draws = np.random.default_rng(0).multinomial(len(by_pid), even, size=RESAMPLES)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile((draws @ sums) / (draws @ counts), [tail, 100 - tail])
    return Interval(float(low), float(high))


def verdict(
    effect: Effect, words: Sequence[str] = OF_CLAIMS, *, adjusted: float | None = None
) -> str:
    """How a claim that ours is better fares: replicated, contradicted, inconclusive.

    Replicated is an interval above 0, contradicted one below; all else, a single seed
    always, is inconclusive. `words` are said in place of these three.
    adjusted   the p-value that `holm` made of the effect's: inconclusive above 0.05
    """
    if adjusted is not None and not adjusted < 1 - CONFIDENCE:
        return words[2]
    return side(effect.interval, words)


def side(interval: Interval, words: Sequence[str]) -> str:
    """The first word for an interval above 0, the second below, else the third.

    >>> side(Interval(0.1, 0.2), ("higher", "lower", "not told apart"))
    'higher'
    """
    above, below, neither = words
    if interval.low > 0:
        return above
    return below if interval.high < 0 else neither


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
    points = in_points(comparison.effect.difference)
    where_to = "below" if points.startswith("-") else "above"
    points = points.lstrip("+-")
    over = "a single seed"
    if comparison.seeds > 1:
        over = f"{comparison.seeds} seeds and {comparison.people} people"
        over += f" ({range_in_points(comparison.effect.interval)})"
    return (
        f"On {where} ({pictures}), {ours} is {points} points of {metric}"
        f" {where_to} {other} over {over}: {verdict(comparison.effect, words)}."
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
    """Both ends of an interval, as `in_points` has them; "–" of a single seed."""
    low, high = map(in_points, interval)
    return f"{low} to {high}" if np.isfinite(interval).all() else "–"

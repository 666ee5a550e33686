"""Do two worlds rank methods alike? Kendall's tau of two columns of scores.

As rendered people are compared with photographs in "Is Synthetic Dataset Reliable for
Benchmarking Generalizable Person Re-Identification?" (2209.05047).

Shapes     R methods, Q queries, S seeds
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from reidlib.evaluation.statistics import CONFIDENCE, RESAMPLES, Interval


def tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b of two columns of R scores; nan where one has no order.

    >>> round(tau([1, 2, 3, 4], [1, 2, 4, 3]), 3)
    0.667
    """
    if len(set(first)) < 2 or len(set(second)) < 2:
        return float("nan")
    return round(float(kendalltau(first, second).statistic), 9)  # 1 where it is 1


def tau_over_rows(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Interval of tau over resampled methods: what other methods might have said."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    draws = np.random.default_rng(0).integers(len(first), size=(RESAMPLES, len(first)))
    return _middle(tau(first[rows], second[rows]) for rows in draws)


def tau_over_runs(ours: Sequence[pd.DataFrame], other: Sequence[float]) -> Interval:
    """Interval of tau over resampled runs and people: what chance did to our order.

    ours    what each query scored with each of R methods, (Q, S) as `compare` takes it:
            rows (query, pid). In a draw all methods have the same seeds and people
    other   R scores that stay as they are
    Raises ValueError where methods were not tested with the same queries and seeds.
    """
    first = ours[0]
    for each in ours:
        if not (each.index.equals(first.index) and list(each) == list(first)):
            raise ValueError("the methods were not tested with the same queries, seeds")
    known = pd.concat(ours, axis=1).notna().all(axis=1)
    pids = first.index.get_level_values(1)[known]
    sums = np.stack([each[known].groupby(pids).sum() for each in ours])  # (R, P, S)
    counts = pids.value_counts().sort_index().to_numpy()  # (P,)
    generator = np.random.default_rng(0)
    people, seeds = sums.shape[1:]
    return _middle(
        tau(_drawn(sums, counts, generator, people, seeds), other)
        for _ in range(RESAMPLES)
    )


def _drawn(
    sums: np.ndarray,
    counts: np.ndarray,
    generator: np.random.Generator,
    people: int,
    seeds: int,
) -> np.ndarray:
    """Scores (R,) of people and seeds drawn with replacement."""
    who = generator.integers(people, size=people)
    runs = generator.integers(seeds, size=seeds)
    return sums[:, who][:, :, runs].sum((1, 2)) / (counts[who].sum() * seeds)


def _middle(taus: Iterable[float]) -> Interval:
    """Percentiles of taus; draws without an order are left out."""
    tail = 50 * (1 - CONFIDENCE)
    return Interval(*map(float, np.nanpercentile([*taus], [tail, 100 - tail])))

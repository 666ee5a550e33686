"""Kendall's tau of two columns of scores, and how far chance moves it."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from reidlib.evaluation.agreement import tau, tau_over_rows, tau_over_runs


def by_pairs(first, second) -> float:
    """Pairs in the same order less those in the other, over all; without ties."""
    pairs = list(combinations(range(len(first)), 2))
    signs = [np.sign((first[a] - first[b]) * (second[a] - second[b])) for a, b in pairs]
    return sum(signs) / len(pairs)


def scored(means, seeds=3, queries=40, noise=0.02, seed=0) -> list[pd.DataFrame]:
    """What queries scored with methods of these means, four of each person."""
    rng = np.random.default_rng(seed)
    pids = np.arange(queries) // 4
    index = pd.MultiIndex.from_arrays([range(queries), pids], names=["query", "pid"])
    shared = rng.normal(0, 0.1, (queries, 1))
    return [
        pd.DataFrame(mean + shared + rng.normal(0, noise, (queries, seeds)), index)
        for mean in means
    ]


def test_tau_counts_pairs_in_the_same_order():
    rng = np.random.default_rng(1)
    for _ in range(5):
        first, second = rng.permutation(8), rng.permutation(8)
        assert tau(first, second) == pytest.approx(by_pairs(first, second))
    assert tau([1, 2, 3], [5, 7, 9]) == 1 and tau([1, 2, 3], [3, 2, 1]) == -1
    assert np.isnan(tau([1, 1], [1, 2])), "no order"


def test_other_rows_might_have_said_something_else():
    same = tau_over_rows([1, 2, 3, 4, 5], [2, 3, 4, 5, 6])
    assert same == (1, 1), "any rows of these are in the same order"
    mixed = tau_over_rows([1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5])
    assert mixed.low < tau([1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5]) < mixed.high
    assert mixed == tau_over_rows([1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5])


def test_rows_that_lie_far_apart_keep_their_order_whoever_is_searched_for():
    printed = [70, 75, 80, 90]
    apart = tau_over_runs(scored([0.2, 0.4, 0.6, 0.8]), printed)
    assert apart == (1, 1), "queries that are hard for all change no order"
    near = tau_over_runs(scored([0.5, 0.501, 0.502, 0.503]), printed)
    assert near.low < near.high


def test_people_are_drawn_with_all_their_queries():
    """Two people: the order of two rows is the sign of a mean of two, drawn."""
    index = pd.MultiIndex.from_arrays([range(4), [1, 1, 2, 2]], names=["query", "pid"])
    ours = [
        pd.DataFrame({0: values}, index)
        for values in ([0.5, 0.5, 0.5, np.nan], [0.9, 0.9, 0.2, 0.2])
    ]
    assert tau_over_runs(ours, [1, 2]) == (-1, 1), "the second person turns it round"


def test_rows_of_other_queries_or_seeds_are_refused():
    ours = scored([0.2, 0.4])
    for other in (ours[1].iloc[1:], ours[1][[0, 1]]):
        with pytest.raises(ValueError, match="not tested with the same queries"):
            tau_over_runs([ours[0], other], [1, 2])

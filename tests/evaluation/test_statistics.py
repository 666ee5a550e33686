"""Two variants over seeds and queries: both intervals, and what is said of them."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, ttest_rel

from reidlib.evaluation.statistics import (
    Interval,
    bootstrap_interval,
    compare,
    sentence,
    student_interval,
    verdict,
)

SCORES = st.floats(0, 1).map(lambda score: round(score, 4))
NAMES = {"ours": "FA-Net", "other": "the baseline", "metric": "mAP", "where": "station"}


def queries(*runs: float, seeds=None, spread=0.0, people=20) -> pd.DataFrame:
    """Runs with the given scores, each query's up to `spread` away from it."""
    pids = np.arange(2 * people) // 2
    away = spread * np.linspace(-1, 1, len(pids))
    columns = {s: run + away for s, run in zip(seeds or range(99), runs, strict=False)}
    index = pd.MultiIndex.from_arrays([range(len(pids)), pids], names=["query", "pid"])
    return pd.DataFrame(columns, index=index)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=8))
def test_the_interval_over_seeds_is_that_of_the_paired_t_test(pairs):
    ours, other = (np.array(column) for column in zip(*pairs, strict=True))
    found = compare(queries(*ours), queries(*other))
    assert found.seeds == len(pairs)
    assert found.ours == pytest.approx(ours.mean())
    assert found.other == pytest.approx(other.mean())
    assert found.difference == pytest.approx(ours.mean() - other.mean())
    assert found.ours_spread == pytest.approx(ours.std(ddof=1))
    assert found.other_spread == pytest.approx(other.std(ddof=1))
    if np.ptp(ours - other) > 1e-9:  # without spread the test is undefined
        expected = ttest_rel(ours, other).confidence_interval(0.95)
        assert found.over_seeds == pytest.approx((expected.low, expected.high))


def test_the_interval_over_queries_is_that_of_the_bootstrap():
    values = np.random.default_rng(1).normal(0.1, 0.3, size=60)
    expected = bootstrap((values,), np.mean, method="percentile", rng=2)
    found = bootstrap_interval(pd.Series(values), pd.RangeIndex(60))
    assert found == pytest.approx(expected.confidence_interval, abs=0.01)


def test_queries_of_one_person_do_not_count_as_many():
    values = np.random.default_rng(1).normal(0.0, 1.0, size=30).repeat(10)
    alone = bootstrap_interval(pd.Series(values), pd.RangeIndex(300))
    together = bootstrap_interval(pd.Series(values), pd.RangeIndex(300) // 10)
    width = together.high - together.low
    assert 2 < width / (alone.high - alone.low) < 5, "near the root of 10"


def test_the_bootstrap_says_the_same_twice_and_in_any_order():
    values = pd.Series(np.random.default_rng(3).random(40))
    pids = pd.Index(np.arange(40) // 4)
    first = bootstrap_interval(values, pids)
    assert bootstrap_interval(values, pids) == first
    assert bootstrap_interval(values[::-1], pids[::-1]) == pytest.approx(first)


def test_queries_without_a_match_do_not_count():
    ours, other = queries(0.5, 0.6), queries(0.3, 0.5)
    ours.iloc[3:6] = other.iloc[3:6] = np.nan
    found = compare(ours, other)
    assert found.difference == pytest.approx(0.15)
    assert found.over_queries == pytest.approx((0.15, 0.15))


def test_seeds_are_paired_by_name_and_lone_ones_rest():
    ours = queries(0.1, 0.9, 0.5, seeds=[3, 1, 7])
    other = queries(0.8, 0.3, 0.4, seeds=[1, 5, 3])
    found = compare(ours, other)
    assert found.seeds == 2
    assert found.difference == pytest.approx(np.mean([0.9 - 0.8, 0.1 - 0.4]))


def test_one_seed_says_nothing_of_the_spread():
    found = compare(queries(0.9), queries(0.1))
    assert found.over_seeds == (-math.inf, math.inf)
    assert np.isnan(found.ours_spread)
    assert verdict(found) == "inconclusive"
    assert "80.0 points of mAP above the baseline over a single seed" in sentence(
        found, **NAMES
    )
    assert "inf" not in sentence(found, **NAMES)
    assert student_interval(np.array([0.5])) == (-math.inf, math.inf)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match=r"ours \[0, 1\], other \[2\]; run the mis"):
        compare(queries(0.1, 0.2), queries(0.3, seeds=[2]))
    with pytest.raises(ValueError, match="not tested with the same queries"):
        compare(queries(0.1), queries(0.1, people=19))


WINS, LOSES, DRAWS = (
    compare(queries(0.50, 0.52, 0.51), queries(*other))
    for other in ((0.40, 0.41, 0.42), (0.60, 0.63, 0.60), (0.40, 0.60, 0.52))
)


def test_verdicts_follow_from_where_zero_lies():
    assert WINS.over_seeds.low > 0 and verdict(WINS) == "replicated"
    assert LOSES.over_seeds.high < 0 and verdict(LOSES) == "contradicted"
    assert verdict(DRAWS) == "inconclusive"


@pytest.mark.parametrize("side", ["over_seeds", "over_queries"])
def test_a_claim_has_to_stand_against_seeds_and_against_queries(side):
    doubtful = {side: Interval(-0.01, 0.3)}
    assert verdict(WINS._replace(**doubtful)) == "inconclusive"
    assert verdict(LOSES._replace(**doubtful)) == "inconclusive"
    assert verdict(WINS._replace(**{side: Interval(0.0, 0.3)})) == "inconclusive"


def test_a_difference_that_depends_on_who_is_searched_for_is_inconclusive():
    found = compare(queries(0.50, 0.52, 0.51, spread=0.5), queries(0.48, 0.50, 0.49))
    assert found.over_seeds.low > 0 > found.over_queries.low
    assert verdict(found) == "inconclusive"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (WINS, "is 10.0 points of mAP above the baseline over 3 seeds"),
        (LOSES, "is 10.0 points of mAP below the baseline over 3 seeds"),
        (DRAWS, "is 0.3 points of mAP above the baseline over 3 seeds"),
        (DRAWS._replace(difference=-2e-4), "is 0.02 points of mAP below the baseline"),
    ],
)
def test_the_sentence_tells_both_ways(found, said):
    text = sentence(found, **NAMES)
    assert text.startswith("On station (drawn pedestrians), FA-Net is ")
    assert said in text and text.endswith(f": {verdict(found)}.")
    for low, high in (found.over_seeds, found.over_queries):
        assert f"({100 * low:+.1f} to {100 * high:+.1f})" in text


def test_the_sentence_says_which_pictures():
    assert "drawn" not in sentence(WINS, **NAMES, pictures="photographs")

"""Two variants over seeds and people: one interval, and what is said of it."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, ttest_rel
from scipy.stats import t as student

from reidlib.evaluation.statistics import (
    Effect,
    Interval,
    bootstrap_interval,
    compare,
    compare_apart,
    crossed_effect,
    holm,
    range_in_points,
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


def test_the_interval_over_queries_is_that_of_the_bootstrap():
    values = np.random.default_rng(1).normal(0.1, 0.3, size=60)
    expected = bootstrap((values,), np.mean, method="percentile", rng=2)
    found = bootstrap_interval(pd.Series(values), pd.RangeIndex(60))
    assert found == pytest.approx(expected.confidence_interval, abs=0.01)


def test_the_bootstrap_says_the_same_twice_and_in_any_order():
    values = pd.Series(np.random.default_rng(3).random(40))
    pids = pd.Index(np.arange(40) // 4)
    first = bootstrap_interval(values, pids)
    assert bootstrap_interval(values, pids) == first
    assert bootstrap_interval(values[::-1], pids[::-1]) == pytest.approx(first)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=8))
def test_where_people_are_alike_the_interval_is_that_of_the_paired_t_test(pairs):
    ours, other = (np.array(column) for column in zip(*pairs, strict=True))
    found = compare(queries(*ours), queries(*other))
    assert (found.seeds, found.people) == (len(pairs), 20)
    assert found.ours == pytest.approx(ours.mean())
    assert found.other == pytest.approx(other.mean())
    assert found.effect.difference == pytest.approx(ours.mean() - other.mean())
    assert found.ours_spread == pytest.approx(ours.std(ddof=1))
    assert found.other_spread == pytest.approx(other.std(ddof=1))
    if np.ptp(ours - other) > 1e-9:  # without spread the test is undefined
        expected = ttest_rel(ours, other)
        interval = expected.confidence_interval(0.95)
        assert found.effect.interval == pytest.approx((interval.low, interval.high))
        assert found.effect.p_value == pytest.approx(expected.pvalue)


def drawn(rng, people, seeds, of_seeds, of_people, rest, effect=0.0) -> np.ndarray:
    """Differences (P, S) of known components around a known effect."""
    by_seed = rng.normal(0, of_seeds, seeds)
    by_person = rng.normal(0, of_people, people)[:, None]
    return effect + by_seed + by_person + rng.normal(0, rest, (people, seeds))


MIXED = [(0.2, 0.0, 1.0), (0.2, 1.0, 1.0), (1.0, 0.1, 0.1), (0.0, 1.0, 0.1)]


@pytest.mark.parametrize(
    ("components", "seeds"), [*product(MIXED, (3, 5)), ((0.05, 1.0, 1.0), 5)]
)
def test_intervals_of_95_percent_hold_the_effect_about_so_often(components, seeds):
    rng, trials = np.random.default_rng(7), 600
    hits = 0
    for _ in range(trials):
        values = drawn(rng, 150, seeds, *components, effect=0.3)
        low, high = crossed_effect(values).interval
        hits += low <= 0.3 <= high
    assert 0.92 <= hits / trials <= 0.98


def test_other_people_add_what_they_vary():
    rng, components = np.random.default_rng(4), (0.1, 1.0, 0.5)
    hits, trials = 0, 400
    for _ in range(trials):
        ours, other = (drawn(rng, n, 3, *components) for n in (90, 60))
        low, high = crossed_effect(ours, other).interval
        hits += low <= 0 <= high
    assert 0.92 <= hits / trials <= 0.98
    alone, apart = crossed_effect(ours), crossed_effect(ours, 0 * other)
    assert apart.interval == pytest.approx(alone.interval), "others who are all alike"
    assert apart.p_value == pytest.approx(alone.p_value)


def test_tests_of_other_queries_are_compared_by_their_shared_seeds():
    ours, other = queries(0.6, 0.7, 0.8, people=8), queries(0.4, 0.5, 0.6, people=5)
    found = compare_apart(ours, other.drop(columns=[2]))
    assert found.difference == pytest.approx(0.2)
    assert found.interval == pytest.approx((0.2, 0.2)), "both rise from seed to seed"
    with pytest.raises(ValueError, match="no seed has both"):
        compare_apart(ours[[0]], other[[1]])


def test_where_neither_seeds_nor_people_vary_the_interval_is_too_wide_if_anything():
    rng, trials = np.random.default_rng(7), 400
    found = [
        crossed_effect(drawn(rng, 150, 3, 0.0, 0.0, 1.0)).interval
        for _ in range(trials)
    ]
    assert sum(low <= 0 <= high for low, high in found) / trials >= 0.95


def test_an_effect_as_large_as_the_detectable_one_is_found_four_times_in_five():
    rng, trials, components = np.random.default_rng(5), 500, (0.1, 1.0, 0.5)
    usual = [crossed_effect(drawn(rng, 150, 5, *components)) for _ in range(200)]
    size = float(np.median([effect.detectable for effect in usual]))
    effects = [
        crossed_effect(drawn(rng, 150, 5, *components, effect=size))
        for _ in range(trials)
    ]
    found = sum(effect.interval.low > 0 for effect in effects) / trials
    assert 0.7 < found < 0.9


def test_mean_squares_are_those_of_a_slow_loop():
    values = drawn(np.random.default_rng(1), 12, 4, 0.3, 0.6, 0.2)
    mean, (people, seeds) = values.mean(), values.shape
    by_seed = sum((values[:, s].mean() - mean) ** 2 for s in range(seeds))
    by_person = sum((values[p].mean() - mean) ** 2 for p in range(people))
    rest = sum(
        (values[p, s] - values[p].mean() - values[:, s].mean() + mean) ** 2
        for p, s in product(range(people), range(seeds))
    )
    squares = people * by_seed / (seeds - 1), seeds * by_person / (people - 1)
    both = sum(squares) - rest / ((people - 1) * (seeds - 1))
    low, high = crossed_effect(values).interval
    error = math.sqrt(max(both, *squares) / (people * seeds))
    below = squares[0] ** 2 / (seeds - 1) + squares[1] ** 2 / (people - 1)
    degrees = max(both, *squares) ** 2 / below
    assert high - mean == pytest.approx(student.ppf(0.975, degrees) * error)
    assert mean - low == pytest.approx(high - mean)


def test_people_who_vary_widen_the_interval_of_seeds_that_agree():
    narrow = compare(queries(0.50, 0.52, 0.51), queries(0.48, 0.50, 0.49))
    wide = queries(0.50, 0.52, 0.51, spread=0.5), queries(0.48, 0.50, 0.49)
    wide = compare(*wide)
    assert narrow.effect.difference == pytest.approx(wide.effect.difference)
    assert verdict(narrow.effect) == "replicated"
    assert wide.effect.interval.low < 0 and verdict(wide.effect) == "inconclusive"


def test_queries_of_one_person_do_not_count_as_many():
    rng = np.random.default_rng(1)
    values = rng.normal(0.0, 0.1, size=(30, 1)).repeat(10, 0) + rng.normal(0, 1e-4, 3)
    widths = []
    for pids in (np.arange(300), np.arange(300) // 10):
        index = pd.MultiIndex.from_arrays([range(300), pids], names=["query", "pid"])
        ours = pd.DataFrame(values, index=index)
        low, high = compare(ours, ours * 0).effect.interval
        widths.append(high - low)
    assert 2 < widths[1] / widths[0] < 5, "near the root of 10"


def test_the_effect_is_of_queries_however_many_a_person_has():
    pids = np.repeat(np.arange(20), np.arange(20) % 4 + 1)
    rng = np.random.default_rng(2)
    values = rng.normal(0.1, 0.2, (len(pids), 3)) + pids[:, None] / 50
    index = pd.MultiIndex.from_arrays([range(len(pids)), pids], names=["query", "pid"])
    ours = pd.DataFrame(values, index=index)
    found = compare(ours, ours * 0).effect
    assert found.difference == pytest.approx(values.mean())
    turned = compare(ours[::-1], ours[::-1] * 0).effect
    assert turned.interval == pytest.approx(found.interval)


def test_a_person_whose_queries_are_repeated_moves_the_mean_and_not_the_trust():
    values = drawn(np.random.default_rng(3), 40, 3, 0.02, 0.2, 0.1, effect=0.2)
    index = pd.MultiIndex.from_arrays([range(40), range(40)], names=["query", "pid"])
    once = pd.DataFrame(values, index=index)
    twice = pd.concat([once, once])
    one, two = (compare(frame, frame * 0).effect for frame in (once, twice))
    assert two.interval == pytest.approx(one.interval)
    assert two.p_value == pytest.approx(one.p_value)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_is_the_loop_that_rejects_until_it_may_not(p_values):
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2):
        rejected, left = set(), len(p_values)
        for i in sorted(range(left), key=lambda i: p_values[i]):
            if p_values[i] * left > level:
                break
            rejected.add(i)
            left -= 1
        assert {i for i, p in enumerate(adjusted) if p <= level} == rejected


def test_what_was_no_test_does_not_count_for_holm():
    assert holm([]) == [] and math.isnan(holm([math.nan])[0])
    assert holm([0.02, math.nan, 0.5])[::2] == [0.04, 0.5]


def test_queries_without_a_match_do_not_count():
    ours, other = queries(0.5, 0.6), queries(0.3, 0.5)
    ours.iloc[3:6] = other.iloc[3:6] = np.nan
    found = compare(ours, other)
    assert found.effect.difference == pytest.approx(0.15)
    assert (found.people, found.seeds) == (19, 2), "one lost both of two queries"


def test_seeds_are_paired_by_name_and_lone_ones_rest():
    ours = queries(0.1, 0.9, 0.5, seeds=[3, 1, 7])
    other = queries(0.8, 0.3, 0.4, seeds=[1, 5, 3])
    found = compare(ours, other)
    assert found.seeds == 2
    assert found.effect.difference == pytest.approx(np.mean([0.9 - 0.8, 0.1 - 0.4]))


def test_one_seed_says_nothing_of_the_spread():
    found = compare(queries(0.9), queries(0.1))
    assert found.effect.interval == (-math.inf, math.inf)
    assert math.isnan(found.effect.p_value) and found.effect.detectable == math.inf
    assert np.isnan(found.ours_spread)
    assert verdict(found.effect) == "inconclusive"
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


SLIGHT = DRAWS._replace(effect=DRAWS.effect._replace(difference=-2e-4))


def test_verdicts_follow_from_where_zero_lies():
    assert WINS.effect.interval.low > 0 and verdict(WINS.effect) == "replicated"
    assert LOSES.effect.interval.high < 0 and verdict(LOSES.effect) == "contradicted"
    assert verdict(DRAWS.effect) == "inconclusive"
    touching = WINS.effect._replace(interval=Interval(0.0, 0.3))
    assert verdict(touching) == "inconclusive"


def test_a_corrected_verdict_needs_the_corrected_p_value():
    assert verdict(WINS.effect, adjusted=0.04) == "replicated"
    assert verdict(LOSES.effect, adjusted=0.04) == "contradicted"
    for adjusted in (0.06, math.nan):
        assert verdict(WINS.effect, adjusted=adjusted) == "inconclusive"
    assert verdict(DRAWS.effect, adjusted=0.01) == "inconclusive"


def test_differences_that_are_all_alike_are_certain():
    same = crossed_effect(np.full((5, 3), 0.25))
    assert same == Effect(0.25, Interval(0.25, 0.25), 0.0, 0.0)
    assert crossed_effect(np.zeros((5, 3))).p_value == 1.0
    assert verdict(crossed_effect(np.zeros((5, 3)))) == "inconclusive"
    alone = crossed_effect(np.array([[0.1, 0.2, 0.3]]))
    assert alone.interval == (-math.inf, math.inf), "one person is no sample"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (WINS, "is 10.0 points of mAP above the baseline over 3 seeds"),
        (LOSES, "is 10.0 points of mAP below the baseline over 3 seeds"),
        (DRAWS, "is 0.3 points of mAP above the baseline over 3 seeds"),
        (SLIGHT, "is 0.02 points of mAP below the baseline"),
    ],
)
def test_the_sentence_tells_both_ways(found, said):
    text = sentence(found, **NAMES)
    assert text.startswith("On station (drawn pedestrians), FA-Net is ")
    assert said in text and text.endswith(f": {verdict(found.effect)}.")
    low, high = found.effect.interval
    assert f"and 20 people ({100 * low:+.1f} to {100 * high:+.1f})" in text


def test_the_sentence_says_which_pictures():
    assert "drawn" not in sentence(WINS, **NAMES, pictures="photographs")


def test_a_range_is_in_points_and_a_dash_where_nothing_is_known():
    assert range_in_points(Interval(-0.012, 0.2)) == "-1.2 to +20.0"
    alone = compare(queries(0.5, spread=0.1), queries(0.4, spread=0.1)).effect
    assert range_in_points(alone.interval) == "–"

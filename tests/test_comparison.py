"""Two variants over seeds: the paired interval, and what is said of it."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from reidlib.comparison import compare, pairs, sentence, verdict

SCORES = st.floats(0, 1).map(lambda score: round(score, 4))


def series(*scores: float, seeds=None) -> pd.Series:
    return pd.Series(scores, index=seeds or range(len(scores)))


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=8))
def test_the_interval_is_that_of_the_paired_t_test(pairs):
    ours, other = (np.array(column) for column in zip(*pairs, strict=True))
    found = compare(series(*ours), series(*other))
    assert found.seeds == len(pairs)
    assert found.ours == pytest.approx(ours.mean())
    assert found.other == pytest.approx(other.mean())
    assert found.difference == pytest.approx(ours.mean() - other.mean())
    assert found.ours_spread == pytest.approx(ours.std(ddof=1))
    assert found.other_spread == pytest.approx(other.std(ddof=1))
    if np.ptp(ours - other) > 1e-9:  # without spread the test is undefined
        expected = ttest_rel(ours, other).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_differences_without_spread_have_an_interval_without_width():
    found = compare(series(0.5, 0.75), series(0.25, 0.5))
    assert (found.low, found.high) == (0.25, 0.25)
    assert verdict(found) == "replicated"


def test_seeds_are_paired_by_name_and_lone_ones_rest():
    ours = series(0.1, 0.9, 0.5, seeds=[3, 1, 7])
    other = series(0.8, 0.3, 0.4, seeds=[1, 5, 3])
    found = compare(ours, other)
    assert found.seeds == 2
    assert found.difference == pytest.approx(np.mean([0.9 - 0.8, 0.1 - 0.4]))


def test_one_seed_says_nothing_of_the_spread():
    found = compare(series(0.9), series(0.1))
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert np.isnan(found.ours_spread)
    assert verdict(found) == "inconclusive"
    names = {"ours": "A", "other": "B", "metric": "mAP", "tested_on": "plaza"}
    assert "80.0 points of mAP above B over a single seed" in sentence(found, **names)
    assert "inf" not in sentence(found, **names)


def test_no_shared_seed_is_refused():
    with pytest.raises(
        ValueError, match=r"ours \[0, 1\], other \[2\]; run the missing"
    ):
        compare(series(0.1, 0.2), series(0.3, seeds=[2]))


WINS, LOSES, DRAWS = (
    compare(series(0.50, 0.52, 0.51), series(*other))
    for other in ((0.40, 0.41, 0.42), (0.60, 0.63, 0.60), (0.40, 0.60, 0.52))
)


def test_verdicts_follow_from_where_zero_lies():
    assert WINS.low > 0 and verdict(WINS) == "replicated"
    assert LOSES.high < 0 and verdict(LOSES) == "contradicted"
    assert DRAWS.low < 0 < DRAWS.high and verdict(DRAWS) == "inconclusive"
    assert verdict(WINS._replace(low=0.0)) == "inconclusive"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (WINS, "is 10.0 points of mAP above the baseline over 3 seeds"),
        (LOSES, "is 10.0 points of mAP below the baseline over 3 seeds"),
        (DRAWS, "is 0.3 points of mAP above the baseline over 3 seeds"),
    ],
)
def test_the_sentence_tells_both_ways(found, said):
    text = sentence(
        found, ours="FA-Net", other="the baseline", metric="mAP", tested_on="station"
    )
    assert text.startswith("On station (drawn pedestrians), FA-Net is ")
    assert said in text and text.endswith(f": {verdict(found)}.")
    interval = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
    assert f"(95 % interval {interval})" in text
    explained = "could explain" if found is DRAWS else "does not explain"
    assert f"which the spread between seeds {explained}" in text


def test_the_sentence_says_which_pictures():
    names = {"ours": "A", "other": "B", "metric": "rank-1", "tested_on": "market1501"}
    assert "drawn" not in sentence(WINS, **names, pictures="photographs")


def test_pairs_are_the_seeds_that_both_variants_have():
    head = {"paper": "fanet", "benchmark": "plaza", "tested_on": "station"}
    runs = pd.DataFrame(
        [
            {**head, "variant": "full", "seed": 0, "mAP": 0.5},
            {**head, "variant": "full", "seed": 1, "mAP": 0.6},
            {**head, "variant": "baseline", "seed": 1, "mAP": 0.4},
            {**head, "variant": "baseline", "seed": 1, "mAP": 0.1, "paper": "other"},
        ]
    )
    found = pairs(runs, "fanet", "plaza", "full", "baseline")
    assert set(found) == {"station"}
    assert found["station"].to_dict("list") == {"baseline": [0.4], "full": [0.6]}
    assert pairs(runs[:2], "fanet", "plaza", "full", "baseline") == {}

"""The papers' numbers, as printed."""

import numpy as np
import pandas as pd
import pytest

from reidrun.reports.published import PAPER_RESULTS, published


def test_every_copied_number_is_there_once():
    numbers = pd.read_csv(PAPER_RESULTS)
    assert len(numbers) == 876 + 11 + 32  # the four papers, FBA Table 2, others
    assert not numbers.drop(columns="value").duplicated().any()
    assert set(numbers["paper"]) == {"FBA", "FLaN-Net", "RGANet", "FA-Net", "BoT"}
    assert set(numbers["own"]) == {0, 1}
    scores = numbers[numbers["metric"].str.fullmatch(r"mAP|R\d+")]["value"]
    assert scores.between(0, 100).all() and scores.max() > 1, "percent"


def test_table_1_of_fanet_as_printed():
    table = published("FA-Net", "Table I")
    assert list(table.index) == [
        "Baseline",
        "B/L+TEM",
        "B/L+TEM+BG",
        "B/L+TEM+BG+IA",
        "B/L+TEM+BG+IA+TAL",
        "FA-Net (B/L+TEM+BG+IA+TAL+HPP)",
    ]
    sets = ("Market-1501", "DukeMTMC-reID", "MSMT17")
    assert list(table.columns) == [
        (s, m) for s in sets for m in ["R1", "R5", "R10", "mAP"]
    ]
    assert table["Market-1501"].loc["Baseline"].tolist() == [89.7, 96.4, 97.8, 72.7]
    assert table["MSMT17", "mAP"].tolist() == [31.4, 33.0, 41.1, 41.2, 42.1, 51.0]
    full = table.iloc[-1]["DukeMTMC-reID"]
    assert full.tolist() == [88.7, 93.8, 95.5, 77.0]


def test_other_methods_are_left_out_unless_asked_for():
    ours = published("FBA", "Table 1")
    everybody = published("FBA", "Table 1", own=False)
    assert len(ours) < len(everybody)
    assert set(ours.index) < set(everybody.index)
    assert everybody.loc["CNN: PCB", ("DukeMTMC-reID", "mAP")] == 69.2


def test_what_is_not_printed_is_nan():
    table = published("FBA", "Table 1", own=False)
    assert np.isnan(table.loc["CNN: DSR", ("DukeMTMC-reID", "mAP")])
    assert table.loc["CNN: DSR", ("Occluded-Duke", "mAP")] == 30.4


@pytest.mark.parametrize("place", [("FA-Net", "Table IX"), ("PCB", "Table I")])
def test_an_unknown_table_is_answered_by_those_there_are(place):
    with pytest.raises(ValueError, match=rf"no numbers of {place[0]} {place[1]} ") as e:
        published(*place)
    assert "FA-Net Table I," in str(e.value) and "RGANet" in str(e.value)


def test_w_of_rganets_fig_4_is_a_mean_of_alpha_and_beta_and_no_softmax():
    table = published("RGANet", "Fig. 4")["Occluded-Duke"]
    w, alpha, beta = (
        table.filter(like=f"{n}_").to_numpy() for n in ("w", "alpha", "beta")
    )
    assert w.shape == alpha.shape == beta.shape == (2, 4)
    assert np.abs((alpha + beta) / 2 - w).max() < 0.0051  # printed with two digits
    assert w.sum(1).min() > 2, "a softmax sums to one"
    assert beta.sum(1).min() > 1, "and so does Eq. 6"

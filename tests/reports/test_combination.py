"""The combination against rows of other papers: what is compared, and said."""

from dataclasses import replace

import pytest
from toys.small_study import HERE, THERE

from reidrun.reports import combination

OURS = {"ours": ("toy", "more")}


@pytest.fixture
def both(gather):
    """The toy's study under two names, as if two papers had been run."""
    return {"toy_rows": gather(), "fanet_rows": gather()}


def test_it_is_compared_wherever_it_was_tested(both):
    table = combination.against(both, {"fanet": ["plain", "more"]}, **OURS)
    assert (
        table["against"].tolist() == ["FA-Net, Baseline"] * 2 + ["FA-Net, B/L+TEM"] * 2
    )
    assert table["on"].tolist() == [str(HERE), str(THERE)] * 2
    first, same = table.iloc[0], table.iloc[2]
    assert float(first["combination"]) == pytest.approx(float(first["other"]) + 10)
    assert first[["difference", "95 %"]].tolist() == ["+10.0", "+10.0 to +10.0"]
    assert first["seeds"] == "3" and first["the combination is"] == "higher"
    assert (
        same["difference"] == "0.0" and same["the combination is"] == "not told apart"
    )
    lower = combination.against(both, {"fanet": ["more"]}, ours=("toy", "plain"))
    assert set(lower["the combination is"]) == {"lower"}


def test_only_seeds_that_both_have_are_compared(gather):
    studies = {"toy_rows": gather(), "fanet_rows": gather(seeds=(1, 2))}
    row = combination.against(studies, {"fanet": ["plain"]}, **OURS).iloc[0]
    by_hand = [sum((ap, ap + 0.2, ap)) / 3 for ap in (0.61, 0.62)]  # of both seeds
    assert row["seeds"] == "2"
    assert row["combination"] == f"{100 * sum(by_hand) / 2:.1f}"


def test_what_nobody_ran_is_said(both):
    rivals = {"fanet": ["full"], "fba": ["full"]}
    table = combination.against(both, rivals, **OURS)
    assert set(table["other"]) == {"not run"} and len(table) == 4
    assert set(table["against"]) == {"FA-Net, full", "FBA, full"}
    apart = {**both, "fanet_rows": replace(both["fanet_rows"], queries={})}
    assert set(combination.against(apart, rivals, **OURS)["other"]) == {"not run"}
    assert combination.against(both, rivals).empty, "the combination was not run"
    assert list(combination.against(both, rivals).columns) == combination.COLUMNS


def test_another_metric_can_be_asked_for(both):
    mean_ap = combination.against(both, {"fanet": ["plain"]}, **OURS)
    rank1 = combination.against(both, {"fanet": ["plain"]}, **OURS, metric="rank1")
    assert rank1.iloc[0]["difference"] == "0.0" != mean_ap.iloc[0]["difference"]


def test_the_world_that_recipes_were_chosen_on_is_left_out(both, monkeypatch):
    monkeypatch.setattr(combination, "VALIDATION", HERE.trained_on)
    assert combination.against(both, {"fanet": ["plain"]}, **OURS).empty

"""Whether a world ranks methods as photographs do, on runs that nobody made."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from toys.small_study import scored

from reidlib.evaluation.metrics import Scores
from reidrun.reports import worlds
from reidrun.reports.study import Study, gather
from reidrun.reports.worlds import NOT_RUN
from reidrun.runs.environment import ROOT
from reidrun.runs.folder import save_run
from reidrun.runs.params import read_ablation
from reidrun.runs.plans import Plan, Setting

LADDER = ["standard", "warm-up", "erasing", "smoothing", "stride", "full", "centre"]
HOME = Setting("concourse", "concourse")
ALSO_ON = ["concourse_occluded", "concourse_partial", "harbour"]
PEOPLE = 12


def people(mean: float, seed: int, count: int = PEOPLE) -> Scores:
    """Scores of people that are all as hard, twice searched for."""
    noise = torch.Generator().manual_seed(seed)
    shift = 0.01 * torch.randn(2 * count, generator=noise)
    values = (mean + shift - shift.mean()).tolist()
    return scored(values, [1] * len(values))


def study(
    root: Path, name: str, rows: Mapping[str, Mapping], paper="baseline", asked=()
) -> Study:
    """Runs of an ablation with two seeds: rows of a mean AP by what was tested.

    asked   its rows, run or not; none: all
    """
    plans, ablation = [], read_ablation(ROOT / "params", name)
    for variant in asked or [row.name for row in ablation.variants]:
        for seed in (0, 1):
            folder = root / "concourse" / paper / f"{variant}-s{seed}"
            parameters = {"benchmark": "concourse", "seed": seed, "variant": variant}
            planned = parameters | {"also_on": ALSO_ON}
            plans.append(Plan("", variant, Path(f"{paper}.ipynb"), folder, planned))
            if variant in rows:
                scores = {
                    tested: people(mean, seed, 10 if tested == "harbour" else PEOPLE)
                    for tested, mean in rows[variant].items()
                }
                kept = {"history": pd.DataFrame({"epoch": [1]}), "seconds": 1.0}
                save_run(
                    str(folder),
                    paper=paper,
                    parameters=parameters,
                    scores=scores,
                    **kept,
                )
    return gather(ablation, plans)


def ladder(root: Path, means: list[float]) -> Study:
    rows = {
        name: {"concourse": mean} for name, mean in zip(LADDER, means, strict=False)
    }
    if len(means) > len(LADDER):
        rows["centre"] |= {
            ("concourse", "re-ranked"): means[-1],
            ("concourse", "mirrored"): means[-2] + 0.01,
        }
    return study(root, "baseline_ladder", rows)


def test_the_eighth_row_searches_in_the_runs_of_the_seventh(tmp_path):
    means = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    table = worlds.ladder_table(ladder(tmp_path, means), ["concourse", "plaza"], "mAP")
    assert list(table.index)[::7] == ["standard baseline", "+ re-ranking"]
    ours = table["ours, concourse (rendered people)"]
    assert [value.split("\xa0")[0] for value in ours] == [
        f"{100 * mean:.1f}" for mean in means
    ]
    assert set(table["ours, plaza (not run)"]) == {""}
    assert table["paper, Market-1501"].tolist()[::7] == ["74.0", "94.2"]
    assert table["paper, DukeMTMC-reID"].tolist()[::7] == ["63.8", "89.1"]


def test_the_same_order_is_1_and_the_reverse_is_less(tmp_path):
    means = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    found = worlds.agreement(ladder(tmp_path, means), ["concourse"], ["mAP"])
    same = found.loc["mAP", "concourse, Market-1501"]
    assert same["rows"] == 8 and same["tau"] == "1.00"
    assert same["over rows"] == same["over people and seeds"] == "1.00 to 1.00"
    published = found.loc["mAP", "Market-1501, DukeMTMC-reID"]
    assert published["tau"] == "1.00" and published["over people and seeds"] == ""
    back = ladder(tmp_path / "back", means[::-1])
    found = worlds.agreement(back, ["concourse"], ["mAP"])
    assert found.loc["mAP", "concourse, Market-1501"]["tau"] == "-1.00"


def test_rows_that_nobody_ran_are_left_out_of_tau(tmp_path):
    found = worlds.agreement(ladder(tmp_path, [0.2, 0.1, 0.3]), ["concourse"], ["mAP"])
    some = found.loc["mAP", "concourse, Market-1501"]
    assert some["rows"] == 3 and some["tau"] == "0.33"
    none = worlds.agreement(ladder(tmp_path / "none", []), ["concourse"], ["rank1"])
    assert none.loc["R1", "concourse, Market-1501"].tolist() == [0, NOT_RUN, "", ""]


def test_the_interval_over_runs_is_of_the_seeds_that_all_rows_have(tmp_path):
    means = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    whole, kept = ladder(tmp_path, means), {}
    for variant, seed, interval in (
        ("standard", 1, "1.00 to 1.00"),
        ("warm-up", 0, ""),  # and so no two rows of one seed
    ):
        kept |= {(variant, HOME): whole.queries[variant, HOME].loc[[seed]]}
        some = replace(whole, queries=whole.queries | kept)
        found = worlds.agreement(some, ["concourse"], ["mAP"])
        row = found.loc["mAP", "concourse, Market-1501"]
        assert row["over people and seeds"] == interval


@pytest.fixture
def listed(tmp_path):
    here = {"concourse": 0.6}
    rows = {
        "full": here
        | {"concourse_occluded": 0.3, "concourse_partial": 0.4, "harbour": 0.2},
        "no-erasing": {"concourse": 0.5, "harbour": 0.15},
        "all-triplets": {"concourse": 0.65},
        "identity-only": {"concourse": 0.6},
        "scratch": {"concourse": 0.4},
    }
    fanet = {"tem-bg-ia-tal": {"concourse": 0.5}, "full": {"concourse": 0.7}}
    return worlds.directions(
        study(tmp_path / "a", "baseline_directions", rows),
        ladder(tmp_path / "b", [0.5] * 8),
        study(tmp_path / "c", "fanet_components", fanet, "fanet", [*fanet]),
        "concourse",
    )


def test_what_fails_comes_first_and_what_was_not_run_last(listed):
    table = worlds.directions_table(listed, {})
    marks = dict(zip(table["direction"], table.index, strict=True))
    assert marks == {
        "The hardest triplets of a batch are above random ones.": "✗",
        "Random erasing hurts abroad.": "✗",
        "Identity and triplet loss are above the identity loss alone.": "?",
        "Random erasing helps at home.": "✓",
        "Stripes are above one global vector.": "✓",
        "Whole queries are above occluded ones.": "✓",
        "Whole queries are above partial ones.": "✓",
        "One's own camera network is above another.": "✓",
        "Flipping at test time helps.": "✓",
        "Pre-trained weights are above random ones.": "✓",
        "Identity and triplet loss are above the triplet loss alone.": NOT_RUN,
    }
    assert list(table.index) == sorted(table.index, key=["✗", "?", "✓", NOT_RUN].index)
    effects = dict(zip(table["direction"], table["effect"], strict=True))
    assert effects["Whole queries are above occluded ones."] == "+30.0"
    assert effects["Random erasing hurts abroad."] == "-5.0"
    for row in (row for one in listed for row in (one.better, one.worse)):
        assert row.variant in row.study.rows


def test_other_queries_are_compared_more_carefully(listed):
    (own,) = [one for one in listed if one.says.startswith("One's own camera")]
    better, worse = own.better.per_query("mAP"), own.worse.per_query("mAP")
    assert not better.index.equals(worse.index), "of other people"
    found = worlds.weigh(better, worse)
    assert found.difference == pytest.approx(0.4, abs=1e-4)
    low, high = found.interval
    assert low < 0.4 < high
    same = worlds.weigh(better, better - 0.4)
    assert same.interval.low == pytest.approx(same.interval.high)


def test_people_are_compared_with_themselves_from_behind(listed):
    row = listed[0].better
    assert worlds.from_behind(row, []) == {}
    scores = row.per_query("mAP")
    views = ["front", "back"] * (len(scores) // 2)
    views[0] = "left"  # so the first person has no query from the front
    (found,) = worlds.from_behind(row, views).values()
    kept = scores.iloc[2:]
    front, back = kept.iloc[::2].to_numpy(), kept.iloc[1::2].to_numpy()
    assert found.difference == pytest.approx(np.mean(front - back))

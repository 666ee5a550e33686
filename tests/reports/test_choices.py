"""What is chosen on the validation world, by the rules of docs/protocol.md."""

from pathlib import Path

import pandas as pd
import pytest
from toys.small_runs import write_record

from reidrun.reports import choices
from reidrun.runs.asked import Need
from reidrun.runs.environment import ROOT
from reidrun.runs.params import read_ablation
from reidrun.runs.plans import Plan
from reidrun.runs.study_plan import Part, read_parts

AXES = [[{"learning_rate": 0.1}, {"learning_rate": 0.2}]]
AXES += [[{"warmup_epochs": 0}, {"warmup_epochs": 2}]]
PART = Part(about="", runs=["toy"], benchmarks=["plaza"], seeds=[0], axes=AXES)


@pytest.fixture
def plan(tmp_path):
    """The plan of a run; one with a score is finished."""

    def planned(variant, mean_ap=None, paper="toy", name="", **parameters) -> Plan:
        point = "+".join(f"{key}={value}" for key, value in parameters.items())
        called = "+".join(filter(None, [variant, name, point]))
        if mean_ap is not None:
            write_record(tmp_path, "plaza", paper, called, plaza=mean_ap)
        folder = tmp_path / "plaza" / paper / f"{called}-s0"
        given = {"benchmark": "plaza", "seed": 0} | parameters
        return Plan("", variant, Path(f"{paper}.ipynb"), folder, given)

    return planned


@pytest.fixture
def grid(plan):
    """Of a grid's plans by their scores: baseline and whole method at each point."""

    def made(*scores):
        points = [(rate, warm) for rate in (0.1, 0.2) for warm in (0, 2)]
        plans = [
            plan(variant, score, learning_rate=rate, warmup_epochs=warm)
            for (rate, warm), both in zip(points, scores, strict=True)
            for variant, score in zip(("baseline", "full"), both, strict=True)
        ]
        return choices.grid(PART, plans)

    return made


def test_a_grid_has_a_row_for_each_point(grid):
    table = grid((0.5, 0.6), (0.4, None), (0.3, 0.5), (None, None))
    assert table.index.names == ["learning_rate", "warmup_epochs"]
    assert table.loc[(0.1, 0)].tolist() == pytest.approx([50, 60, 55])
    assert table.loc[(0.1, 2), "baseline"] == pytest.approx(40)
    assert table.loc[(0.1, 2)].isna().tolist() == [False, True, True]
    assert table.loc[(0.2, 2)].isna().all()
    assert choices.chosen(table) is None
    said = choices.choice_in_words(table)
    assert said == "not chosen yet: 3 runs of the grid are missing"


def test_rows_that_are_neither_keep_their_names(plan):
    rates = {"learning_rate": 0.1, "warmup_epochs": 0}
    plans = [plan("stepwise", 0.4, **rates), plan("full", **rates)]
    table = choices.grid(PART, plans)
    assert [*table] == ["stepwise", "full", "mean"]
    said = choices.choice_in_words(table)
    assert said == "not chosen yet: 1 runs of the grid are missing"


def test_the_highest_mean_is_chosen_and_favours_neither(grid):
    table = grid((0.9, 0.1), (0.5, 0.55), (0.6, 0.6), (0.1, 0.9))
    assert choices.chosen(table) == (0.2, 0)
    assert choices.choice_in_words(table) == (
        "chosen: learning_rate 0.2, warmup_epochs 0; the baseline scores 60.0 there,"
        " 90.0 at best"
    )


def test_of_close_points_the_lower_rate_then_the_longer_warm_up_is_chosen(grid):
    near = [(0.6, 0.6), (0.6, 0.594), (0.6, 0.6), (0.6, 0.602)]
    assert choices.chosen(grid(*near)) == (0.1, 2)
    far = [(0.6, 0.58), (0.6, 0.58), (0.6, 0.6), (0.6, 0.602)]
    assert choices.chosen(grid(*far)) == (0.2, 2)


def rates(*scores, roles=("baseline", "whole method"), warm=(0,)):
    """A grid of rates 0.1, 0.2 ... by warm-ups, with scores in percent."""
    points = [((i + 1) / 10, w) for i in range(len(scores)) for w in warm]
    index = pd.MultiIndex.from_tuples(points, names=["learning_rate", "warmup_epochs"])
    table = pd.DataFrame([s for s in scores for _ in warm], index, columns=roles)
    return table.assign(mean=table.mean(axis=1))


def test_a_choice_at_the_edge_of_its_grid_says_so():
    last = rates((50.0, 50.0), (52.0, 52.0), (54.0, 54.0), warm=(0, 2))
    edge = "chosen: learning_rate 0.3 (the edge of the grid), warmup_epochs 2;"
    assert choices.choice_in_words(last).startswith(edge)
    first = rates((54.0, 54.0), (52.0, 52.0), (50.0, 50.0))
    edge = "learning_rate 0.1 (the edge of the grid)"
    assert edge in choices.choice_in_words(first)
    inner = rates((50.0, 50.0), (54.0, 54.0), (52.0, 52.0))
    assert "edge" not in choices.choice_in_words(inner)
    pair = rates((50.0, 50.0), (54.0, 54.0))
    assert "edge" not in choices.choice_in_words(pair), "both of two are ends"
    alone = rates((50.0,), (51.0,), (52.0,), roles=["whole method"])
    assert choices.choice_in_words(alone).endswith(
        "(the edge of the grid), warmup_epochs 0"
    )


def test_a_baseline_is_compared_at_its_own_best_where_that_is_over_a_point_more():
    over = rates((56.1, 40.0), (50.0, 50.0), (55.0, 60.0))
    assert choices.best_of_baseline(over) == {"learning_rate": 0.1, "warmup_epochs": 0}
    said = choices.best_in_words(over)
    assert said.startswith(
        "56.1 at its own best, 55.0 at the chosen recipe; that is over"
    )
    assert said.endswith("so learning_rate 0.1, warmup_epochs 0 is compared with, too")
    for best in (55.9, 56.0):  # a point is not more than a point
        within = rates((best, 40.0), (50.0, 50.0), (55.0, 60.0))
        assert choices.best_of_baseline(within) is None
        assert choices.best_in_words(within).endswith("nothing changes")
    unknown = rates((float("nan"), 40.0), (50.0, 50.0))
    unknown["mean"] = unknown[["baseline", "whole method"]].mean(axis=1, skipna=False)
    assert choices.best_of_baseline(unknown) is None
    assert choices.best_in_words(unknown) == "not known yet"
    alone = rates((50.0,), (51.0,), roles=["whole method"])
    assert choices.best_of_baseline(alone) is None


SURE = Need(measure="loss", below="chance", why="it learned nothing")
APART = Need(measure="w", above=0.05, why="w is even")


@pytest.mark.parametrize(
    ("measures", "meets"),
    [
        ({"loss": 1.0, "chance": 2.0, "w": 0.1}, True),
        ({"loss": 2.0, "chance": 2.0, "w": 0.1}, False),
        ({"loss": 1.0, "chance": 2.0, "w": 0.05}, False),
        ({"loss": 1.0, "w": 0.1}, False),
        ({"loss": 1.0, "chance": 2.0}, False),
        ({}, False),
    ],
)
def test_a_point_meets_the_needs_where_the_whole_method_shows_them(
    plan, tmp_path, measures, meets
):
    points = {"learning_rate": 0.1, "warmup_epochs": 0}
    plans = [plan("baseline", 0.5, **points), plan("full", 0.6, **points)]
    named = {f"plaza: {name}": value for name, value in measures.items()}
    called = plans[1].folder.name.removesuffix("-s0")
    write_record(tmp_path, "plaza", "toy", called, measures=named, plaza=0.6)
    table = choices.grid(PART.model_copy(update={"needs": [SURE, APART]}), plans)
    assert table["meets"].tolist() == ["yes" if meets else "no"]
    assert "meets" not in choices.grid(PART, plans)


def test_whether_needs_are_met_is_not_known_before_the_run(plan):
    points = {"learning_rate": 0.1, "warmup_epochs": 0}
    plans = [plan("baseline", 0.5, **points), plan("full", **points)]
    table = choices.grid(PART.model_copy(update={"needs": [SURE]}), plans)
    assert table["meets"].tolist() == [""]
    assert choices.chosen(table) is None
    said = choices.choice_in_words(table)
    assert said == "not chosen yet: 1 runs of the grid are missing"


@pytest.mark.parametrize("name", [n for n, part in read_parts().items() if part.needs])
def test_a_grid_needs_what_claims_of_its_paper_need(name):
    part = read_parts()[name]
    (paper,) = part.runs
    own = read_ablation(ROOT / "params", f"{paper}_components").needs.values()
    assert name.startswith("grid-")
    assert all(need in own for need in part.needs)


def test_points_that_meet_the_needs_are_chosen_from_first():
    scores = (50.0, 50.0), (52.0, 52.0), (54.0, 54.0)
    table = rates(*scores).assign(meets=["yes", "yes", "no"])
    assert choices.chosen(table) == (0.2, 0)
    assert choices.choice_in_words(table) == (
        "chosen: learning_rate 0.2, warmup_epochs 0, of 2 of 3 points where the whole"
        " method meets its needs; the baseline scores 52.0 there, 54.0 at best"
    )
    assert choices.best_of_baseline(table) == {
        "learning_rate": 0.3,
        "warmup_epochs": 0,
    }
    nowhere = rates(*scores).assign(meets="no")
    assert choices.chosen(nowhere) == (0.3, 0)
    assert "meets its needs nowhere; the baseline" in choices.choice_in_words(nowhere)


@pytest.mark.parametrize(
    ("value", "said"), [(54.26, "54.3"), (float("nan"), ""), ("yes", "yes")]
)
def test_a_cell_of_a_grid_in_words(value, said):
    assert choices.score_in_words(value) == said


def test_doubling_is_enough_where_it_adds_less_than_a_point(plan):
    once = [plan("baseline", 0.5), plan("full", 0.6), plan("none", 0.7, "other")]
    longer = {"name": "twice"}
    twice = [
        plan("baseline", 0.505, **longer),
        plan("full", 0.58, **longer),
        plan("none", None, "other", **longer),
        plan("full", 0.61, "other", **longer),
    ]
    once.append(plan("full", 0.6, "other"))
    table = choices.doubled(once, twice)
    assert table.index.tolist() == [
        ("toy", "baseline"),
        ("toy", "whole method"),
        ("other", "baseline"),
        ("other", "whole method"),
    ]
    assert table["added"].tolist()[:2] == pytest.approx([0.5, -2.0])
    assert table["enough"].tolist() == ["yes", "longer hurts", "", "no"]


def test_a_run_of_the_grid_stands_in_for_the_same_training(plan):
    wanted, other = plan("full", rate=0.1), plan("baseline", rate=0.1)
    same = plan("full", 0.6, name="from the grid", rate=0.1)
    unlike = plan("baseline", 0.5, name="from the grid", rate=0.2)
    waiting = plan("baseline", name="not run", rate=0.1)
    parts = {"grid-toy": [same, unlike, waiting], "length": [wanted, other]}
    parts["length-twice"] = [plan("full", 0.605, name="twice", rate=0.1)]
    assert choices.once(parts) == [same, other]
    whole = choices.lengths(parts).loc[("toy", "whole method")]
    assert whole["added"] == pytest.approx(0.5)
    finished = plan("full", 0.3, rate=0.1)
    assert choices.once(parts | {"length": [finished]}) == [finished]


def test_a_length_is_settled_in_words_where_no_row_moves_by_a_point(plan):
    longer = {"name": "twice"}
    parts = {
        "length": [plan("baseline", 0.5), plan("full", 0.6)],
        "length-other": [plan("none", 0.7, "other"), plan("full", 0.7, "other")],
        "length-third": [plan("baseline", None, "third")],
        "length-fifth": [plan("none", 0.7, "fifth"), plan("full", 0.7, "fifth")],
        "length-twice-fifth": [
            plan("none", 0.67, "fifth", **longer),
            plan("full", 0.705, "fifth", **longer),
        ],
        "length-twice": [
            plan("baseline", 0.505, **longer),
            plan("full", 0.599, **longer),
        ],
        "length-twice-other": [plan("none", 0.66, "other", **longer)],
        "length-fourth": [plan("none", 0.7, "fourth"), plan("full", 0.7, "fourth")],
        "length-twice-fourth": [
            plan("none", 0.66, "fourth", **longer),
            plan("full", 0.72, "fourth", **longer),
        ],
        "grid-other": [],
    }
    table = choices.lengths(parts)
    added = [0.5, -0.1, -4.0, -4.0, 2.0, -3.0, 0.5]
    assert sorted(table["added"].dropna()) == pytest.approx(sorted(added))
    assert choices.lengths_in_words(table) == [
        "toy: the length is enough: doubling it moves the baseline by +0.5 and the"
        " whole method by -0.1 mAP.",
        "other: the length is not settled: doubling it moves the baseline by -4.0"
        " mAP; other runs are missing.",
        "third: whether the length is enough is not known yet.",
        "fifth: the length is kept, for a longer training hurts: doubling it moves the"
        " baseline by -3.0 and the whole method by +0.5 mAP.",
        "fourth: the length is not settled: doubling it moves the baseline by -4.0 and"
        " the whole method by +2.0 mAP.",
    ]


def test_the_order_at_two_sizes(plan):
    small = [plan("baseline", 0.5), plan("full", 0.6)]
    small += [plan("none", 0.5, "other"), plan("full", 0.4, "other")]
    large = [plan("baseline", 0.5, name="l"), plan("full", 0.4, name="l")]
    large += [
        plan("none", 0.5, "other", name="l"),
        plan("full", None, "other", name="l"),
    ]
    table = choices.same_order(small, large)
    assert table.loc["toy"].tolist() == [pytest.approx(10), pytest.approx(-10), "no"]
    (small_gain, large_gain, same) = table.loc["other"]
    assert small_gain == pytest.approx(-10) and pd.isna(large_gain) and same == ""


def test_curves_have_the_epochs_that_were_validated(plan):
    done, waiting = plan("full", 0.6), plan("baseline")
    epochs = {"epoch": [1, 2, 3], "loss": [3, 2, 1.0], "mAP": [None, 0.25, 0.5]}
    pd.DataFrame(epochs).to_csv(done.folder / "history.csv", index=False)
    found = choices.curves([done, waiting])
    assert found.to_dict("list") == {
        "paper": ["toy", "toy"],
        "benchmark": ["whole method"] * 2,
        "seed": [0, 0],
        "epoch": [2, 3],
        "value": [25.0, 50.0],
    }
    assert choices.curves([waiting]).empty

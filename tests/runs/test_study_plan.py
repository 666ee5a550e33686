"""The study: its runs in the order of what they tell, and how long they will take."""

import json
import sys
from collections import Counter, defaultdict

import pytest
from toys.small_runs import write_record
from toys.stand_in import STAND_IN

from reidrun.runs import study_plan, sweep
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.folder import write_parameters
from reidrun.runs.params import read_ablation
from reidrun.runs.study_plan import Left, in_words, left_of, paces_of, plan_study

PARAMS = ROOT / "params"
STUDY = """\
parts:
  grid:
    about: rates
    runs: [toy]
    rows: [full, plain]
    benchmarks: [plaza]
    seeds: [0]
    changes: {epochs: 4}
    axes:
      - [{learning_rate: 0.1}, {learning_rate: 0.2, epochs: 8}]
      - [{milestones: [1]}, {milestones: [2]}]
  claims:
    about: rows of claims
    runs: [toy_parts]
    rows: claimed
    benchmarks: [plaza]
    seeds: [0, 1]
  rest:
    about: what is left
    runs: [toy_parts]
    rows: others
    benchmarks: [plaza, smoke]
    seeds: [0]
"""
ROWS = """\
variants:
  - {name: full, row: all}
  - {name: plain, row: without, overrides: {erasing: false}}
  - {name: slow, row: slowly, overrides: {learning_rate: 0.001}}
claims:
  - {ours: full, other: plain, says: All is better.}
"""


@pytest.fixture
def house(toy_root):
    (toy_root / "params/study.yaml").write_text(STUDY)
    (toy_root / "params/ablations/toy_parts.yaml").write_text(ROWS)
    return toy_root


@pytest.fixture
def planned(house):
    places = house / "outputs", house / "data"
    return lambda *names: plan_study(*places, names, house)


def names_of(plans):
    return [f"{plan.folder.parts[-3]} {plan.folder.name}" for plan in plans]


def finish(plan, seconds: float, **more: float) -> None:
    benchmark, _, name = plan.folder.parts[-3:]
    variant, _, seed = name.rpartition("-s")
    write_record(plan.folder.parents[2], benchmark, "toy", variant, int(seed))
    path = plan.folder / "metrics.json"
    record = json.loads(path.read_text()) | {"seconds": seconds} | more
    path.write_text(json.dumps(record))


def test_parts_come_in_order_and_seeds_within_them(planned):
    parts = planned()
    assert list(parts) == ["grid", "claims", "rest"]
    rate = "learning_rate"
    assert names_of(parts["grid"]) == [
        f"plaza {row}+epochs={epochs}+{rate}={value}+milestones={milestone}-s0"
        for value, epochs in ((0.1, 4), (0.2, 8))
        for milestone in (1, 2)
        for row in ("full", "plain")
    ]
    assert parts["grid"][-1].parameters["learning_rate"] == 0.2
    assert names_of(parts["claims"]) == [
        f"plaza {row}-s{seed}" for seed in (0, 1) for row in ("full", "plain")
    ]
    assert names_of(parts["rest"]) == ["plaza slow-s0", "smoke slow-s0"]
    assert list(planned("rest")) == ["rest"]


def test_a_run_is_in_the_first_part_that_wants_it(house, planned):
    text = STUDY.replace("rows: others", "rows: [full, slow]")
    (house / "params/study.yaml").write_text(text)
    wanted = ["plaza slow-s0", "smoke full-s0", "smoke slow-s0"]
    assert names_of(planned()["rest"]) == wanted
    assert names_of(planned("rest")["rest"]) == wanted, "also where it stands alone"


def test_a_part_may_have_a_scale_that_is_not_the_usual_one(house, planned):
    text = STUDY.replace("rows: others", "rows: others\n    scale: full")
    (house / "params/study.yaml").write_text(text)
    plans = planned("rest")["rest"]
    assert names_of(plans) == [
        f"{name} slow+scale=full-s0" for name in ("plaza", "smoke")
    ]
    epochs = {plan.parameters["epochs"] for plan in plans}
    assert epochs == {60}, "the paper's, not the tiny scale's"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("about: rates", "abuot: rates", "parts.grid.about: Field required"),
        ("benchmarks: [plaza]\n    seeds: [0]", "seeds: [0]", "grid.benchmarks: Field"),
        ("seeds: [0, 1]", "seeds: []", "parts.claims.seeds: List should have at least"),
        ("[toy_parts]", "[toy_partz]", "claims: unknown ablation 'toy_partz'; did you"),
        ("rows: others", "rows: [slwo]", "rest: unknown variant of toy_parts 'slwo'"),
        (
            "[full, plain]",
            "claimed",
            "grid: toy is a paper: name its rows, not claimed",
        ),
        ("[full, plain]", "[fulll]", "grid: unknown variant of toy 'fulll'"),
        ("{epochs: 4}", "{epohcs: 4}", "grid: command line: epohcs: unknown parameter"),
        ("[plaza, smoke]", "[plazza]", "rest: unknown benchmark 'plazza'"),
        ("rows: others", "scale: fll", "rest: unknown scale 'fll'; did you mean full"),
    ],
)
def test_a_faulty_file_is_refused_by_its_part(house, planned, old, new, said):
    assert STUDY.count(old) >= 1
    (house / "params/study.yaml").write_text(STUDY.replace(old, new))
    with pytest.raises(ParameterError) as caught:
        planned()
    assert said in str(caught.value) and str(caught.value).startswith("params/study.ya")


def test_what_is_not_there_is_named(house, planned):
    with pytest.raises(ParameterError, match="unknown part of the study 'grids'; did"):
        planned("grids")
    (house / "params/study.yaml").unlink()
    with pytest.raises(ParameterError, match="no params/study.yaml"):
        planned()


def test_a_folder_with_other_parameters_stops_all(planned):
    plan = planned()["rest"][0]
    plan.folder.mkdir(parents=True)
    write_parameters(plan.folder, plan.parameters | {"epochs": 3})
    with pytest.raises(RunError, match="holds a run with other parameters"):
        planned()


def test_the_time_left_is_that_of_the_most_alike_finished_runs(planned):
    plans = [plan for part in planned().values() for plan in part]
    assert left_of(plans, paces_of(plans)) == Left(14, 0.0, 14)
    full, plain, full1, plain1 = planned("claims")["claims"]
    finish(full, 20.0)
    finish(plain, 10.0, seconds_in_all=40.0)
    # in seconds an epoch of plaza: 10 for `full` (2 epochs), 20 for `plain`, 15 else
    left = left_of([full, plain, full1, plain1], paces_of(plans))
    assert left.runs == 2 and left.untimed == 0
    assert left.seconds == pytest.approx(20.0 + 40.0)
    here, there = planned("rest")["rest"]
    assert left_of([here], paces_of(plans)).seconds == pytest.approx(2 * 15.0)
    grid = planned("grid")["grid"]
    assert left_of(grid[:1], paces_of(plans)).seconds == pytest.approx(4 * 10.0)
    assert left_of(grid[-1:], paces_of(plans)).seconds == pytest.approx(8 * 20.0)
    share = study_plan._work(there) / study_plan._work(here)
    assert share != 1, "smoke has another number of images"
    of_the_small = left_of([there], paces_of(plans)).seconds
    assert of_the_small == pytest.approx(share * 2 * 15.0)
    (full.folder / "metrics.json").write_text("{}")
    assert (7,) not in paces_of([full]), "a damaged run has no pace"


def test_what_a_machine_lacks_holds_up_its_runs_alone(planned, monkeypatch):
    def refuse(plans):
        (plan,) = plans
        if plan.parameters["benchmark"] == "smoke":
            raise ParameterError("no smoke here")

    monkeypatch.setattr(study_plan, "refuse_missing_files", refuse)
    plans = [plan for part in planned().values() for plan in part]
    held_up = study_plan.held_up(plans)
    assert {lack: names_of(of) for lack, of in held_up.items()} == {
        "no smoke here": ["smoke slow-s0"]
    }


def test_runs_are_made_in_order_and_each_says_what_is_left(planned, monkeypatch):
    monkeypatch.setattr(sweep, "COMMAND", (sys.executable, "-c", STAND_IN))
    plans, lines = planned("claims")["claims"], []
    assert study_plan.run_study(plans, 1, lines.append, {}) == []
    assert [line.partition(", about")[0] for line in lines[:2]] == [
        "4 runs, 0 already there; 4 runs left, 4 of them not timed yet",
        lines[1].partition(", about")[0],
    ]
    assert "full-s0: plaza 83.2 mAP" in lines[1] and "; 3 runs left" in lines[1]
    assert lines[-1].endswith("; none left")
    again = []
    study_plan.run_study(plans, 1, again.append, {})
    assert again == ["4 runs, 4 already there; none left"]


def test_what_is_left_in_words():
    assert in_words(Left(0, 0.0, 0)) == "none left"
    assert in_words(Left(2, 7200.0, 0), jobs=4) == "2 runs left, about 0:30 h"


# The study of this repository


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("none")
    return plan_study(folder / "outputs", folder / "data")


def test_a_grid_has_as_many_points_for_the_baseline_as_for_the_whole_method(ours):
    grids = {name: plans for name, plans in ours.items() if name.startswith("grid-")}
    assert len(grids) == 6
    for plans in grids.values():
        points = Counter(plan.variant for plan in plans)
        assert len(set(points.values())) == 1 and min(points.values()) == 6
        assert {plan.parameters["benchmark"] for plan in plans} == {"arcade"}


def test_what_is_chosen_by_comes_first_and_is_no_test(ours):
    order = [
        "arcade" in {plan.parameters["benchmark"] for plan in plans}
        for plans in ours.values()
    ]
    assert order == sorted(order, reverse=True)
    for plans in ours.values():
        for plan in plans:
            assert "arcade" not in plan.parameters["also_on"]


def test_rows_of_claims_have_five_seeds(ours):
    seeds = defaultdict(set)
    for plan in (plan for plans in ours.values() for plan in plans):
        row = plan.folder.parent, plan.folder.name.rpartition("-s")[0]
        seeds[row].add(plan.parameters["seed"])
    claimed = [
        (plan.folder.parent, plan.folder.name.rpartition("-s")[0])
        for name, plans in ours.items()
        for plan in plans
        if name.startswith(("claims-", "tables-"))
    ]
    assert {row: seeds[row] for row in claimed} == dict.fromkeys(
        claimed, {0, 1, 2, 3, 4}
    )


def test_the_schedule_ends_near_zero(ours):
    for plans in ours.values():
        for plan in plans:
            asked = plan.parameters
            assert asked["image_height"] in (64, 96, 128)
            falls = asked.get("milestones", [])
            end = asked["gamma"] ** len(falls) if falls else asked["final_factor"]
            assert end <= 0.011 and max(falls, default=0) < asked["epochs"]


@pytest.mark.parametrize(
    "figure", ["fanet_attention_maps", "flannet_queries", "rganet_hyperparameters"]
)
def test_every_point_of_a_figure_has_three_seeds_and_its_ends_five(ours, figure):
    seeds = {variant.name: set() for variant in read_ablation(PARAMS, figure).variants}
    for plan in (plan for part in ours.values() for plan in part):
        known = plan.parameters
        if (
            plan.notebook.stem == figure.partition("_")[0]
            and plan.variant in seeds
            and known["benchmark"].startswith("concourse")
        ):
            seeds[plan.variant].add(known["seed"])
    counts = {variant: len(found) for variant, found in seeds.items()}
    assert set(counts.values()) <= {3, 5}
    claims = read_ablation(PARAMS, figure).claims
    assert {counts[claim.other] for claim in claims} == {5}


def test_the_same_steps_in_the_world_of_choice_and_in_that_of_the_tests(ours):
    plans = [plan for part in ours.values() for plan in part]
    work = {}
    for plan in (plan for plan in plans if plan.folder.name == "full-s0"):
        world = plan.parameters["benchmark"].partition("_")[0]
        work.setdefault(plan.notebook.stem, {})[world] = study_plan._work(plan)
    for paper in ("fanet", "rganet", "flannet", "fba"):
        worlds = work[paper]
        assert worlds["arcade"] / worlds["concourse"] == pytest.approx(1, abs=0.01)


def test_a_folder_of_decoded_images_changes_no_run(tmp_path):
    places = tmp_path / "outputs", tmp_path / "data", ["grid-baseline"]
    plain, kept = (
        plan_study(*places, image_cache=folder)["grid-baseline"]
        for folder in (None, tmp_path / "decoded")
    )
    assert [plan.folder for plan in kept] == [plan.folder for plan in plain]
    folders = {plan.parameters["image_cache"] for plan in kept}
    assert folders == {str(tmp_path / "decoded")}
    assert {plan.parameters["image_cache"] for plan in plain} == {""}

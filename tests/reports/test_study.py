"""The finished runs of an ablation, read from their folders."""

import gzip
import json
from dataclasses import replace
from itertools import permutations

import pytest
from toys.small_study import ABLATION, HERE, THERE, planned
from toys.toy_paper import TOY_LAYERS

from reidrun.reports.published import published
from reidrun.reports.records import collect
from reidrun.reports.study import gather_all, settings_of
from reidrun.reports.tables import table
from reidrun.runs import params, sweep
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.folder import QUERIES, read_metrics
from reidrun.runs.plans import Setting
from reidrun.runs.records import read_queries


def test_scores_are_those_of_the_runs(gather, outputs):
    study = gather()
    found = study.scores("mAP", "rank1")
    assert list(found) == ["benchmark", "variant", "seed", "metric", "value"]
    assert list(found["variant"].cat.categories) == list(study.rows.values())
    ran = list(found["variant"].unique())
    assert ran == ["Baseline", "B/L+TEM"], "nobody ran the whole method"
    one = found.set_index([*found][:4])["value"].sort_index()
    for seed in range(3):
        record = read_metrics(outputs / f"plaza/toy/more-s{seed}")
        expected = record["scores"]["plaza"]
        of_run = one.loc["ours, plaza (drawn pedestrians)", "B/L+TEM", seed]
        assert of_run["mAP"] == pytest.approx(100 * expected["mAP"], abs=1e-3)
        assert of_run["rank-1"] == pytest.approx(100 * expected["rank1"])


def test_scores_of_what_nobody_ran_are_categories_without_rows(gather):
    found = gather(seeds=[9]).scores()
    assert found.empty
    titles = ["ours, plaza (not run)", "ours, plaza → station (not run)"]
    assert list(found["benchmark"].cat.categories) == titles


def test_settings_are_chosen_by_where_and_by_how_they_are_searched(gather):
    study = gather()
    assert study.where_trained().settings == (HERE,)
    assert study.elsewhere().settings == (THERE,)
    blind = HERE._replace(search="visual")
    assert study.where_trained().searched("", "visual").settings == (HERE, blind)
    assert [str(at) for at in study.searched("visual").settings] == [
        "plaza visual",
        "plaza → station visual",
    ]


def test_histories_stand_side_by_side(gather):
    found = gather().histories(["more"], ["camera"])
    assert set(found["benchmark"]) == {"plaza"}, "tested twice, trained once"
    assert set(found["variant"]) == {"B/L+TEM"} and set(found["metric"]) == {"camera"}
    last = found[found["epoch"] == 2].set_index("seed")["value"]
    assert last.to_dict() == {0: 0, 1: 1, 2: 2}
    assert len(found) == 6
    assert gather().histories(["full"], ["camera"]).empty, "nobody ran it"
    both = gather().histories(["more", "plain"], ["camera", "identity"])
    assert len(both) == 12, "no history has the identity loss"


def test_curves_are_over_the_values_of_one_parameter(gather, toy_root):
    text = """\
variants:
  - {name: plain, row: k = 1}
  - {name: more, row: the default}
  - {name: full, row: m = 3, overrides: {}}
"""
    (toy_root / "params/ablations/toy_rows.yaml").write_text(
        text + "  - {name: k-9, row: k = 9, overrides: {epochs: 9}}\n"
    )
    (toy_root / "params/ablations/toy_other.yaml").write_text(ABLATION)
    rows = "plain", "more", "full", "k-9"
    study = gather(settings=[HERE], variants=rows)
    curve = study.scores_over("k", more=4)
    assert list(curve["benchmark"].unique()) == ["ours, plaza (drawn pedestrians)"]
    means = curve.groupby("number")["value"].mean()
    assert means.round(1).to_dict() == {1.0: 57.7, 4.0: 67.7}
    nothing = study.scores_over("m")
    assert nothing.empty and not len(nothing["benchmark"].cat.categories)


def test_folders_are_those_of_the_runs(gather, outputs):
    study = gather(seeds=[2, 9])
    assert study.folders["more", HERE] == {2: outputs / "plaza/toy/more-s2"}
    both = {name: outputs / f"plaza/toy/{name}-s2" for name in ("plain", "more")}
    assert study.runs_of(HERE, 2) == study.runs_of(THERE, 2) == both
    assert study.runs_of(HERE, 9) == {}
    assert study.trainings("more") == {("plaza", 2): both["more"]}


def test_a_study_is_of_all_that_its_plans_train_and_test_on(gather):
    study = gather(settings=())
    assert study.settings == (HERE, THERE)
    assert list(study.scores()["benchmark"].unique()) == [
        "ours, plaza (drawn pedestrians)",
        "ours, plaza → station (drawn pedestrians)",
    ]
    assert table(study).shape == (3, 6)


def test_seeds_that_were_tested_with_other_queries_are_refused(gather, outputs):
    table = read_queries(outputs / "plaza/toy/more-s1")
    fewer = gzip.compress(table.drop(("plaza", 3)).to_csv().encode())
    (outputs / "plaza/toy/more-s1" / QUERIES).write_bytes(fewer)
    study = gather()
    assert study.per_query("more", THERE, "mAP").shape == (4, 3)
    with pytest.raises(ValueError, match="more: seeds were tested with different"):
        study.per_query("more", HERE, "mAP")


@pytest.mark.parametrize("name", ["metrics.json", "queries.csv.gz", "history.csv"])
def test_a_damaged_run_is_left_out_and_named(gather, outputs, name):
    (outputs / "plaza/toy/more-s1" / name).write_text("[1]")
    study = gather()
    assert sorted(study.folders["more", HERE]) == [0, 2]
    assert sorted(study.folders["plain", HERE]) == [0, 1, 2]
    (said,) = study.left_out
    assert f"more-s1/{name} cannot be read" in said and "--fresh" in said


def test_a_page_of_all_runs_leaves_none_out(outputs, toy_root, monkeypatch):
    plans = [planned(outputs, "more", seed) for seed in range(3)]
    monkeypatch.setattr(sweep, "plan", lambda **_: plans)
    found = collect(outputs)
    assert "toy_rows" in gather_all(found, outputs, toy_root)
    (outputs / "plaza/toy/more-s1/history.csv").write_text("[1]")
    with pytest.raises(RunError, match=r"more-s1/history\.csv cannot be read"):
        gather_all(found, outputs, toy_root)


def test_pictures_are_called_what_the_runs_say(gather, outputs):
    study = gather()
    assert study.pictures(HERE) == study.pictures(THERE) == "drawn pedestrians"
    for path in outputs.glob("*/*/*/metrics.json"):
        record = json.loads(path.read_text())
        record["scores"]["station"]["pictures"] = "photographs"
        path.write_text(json.dumps(record))
    assert gather().pictures(HERE) == "drawn pedestrians"
    assert gather().pictures(THERE) == "photographs", "what is tested on is shown"
    assert gather(seeds=[9]).title(HERE) == "ours, plaza (not run)"


def test_an_ablation_that_is_not_there_is_named(gather, toy_root):
    with pytest.raises(ParameterError, match="unknown ablation 'toy_row'.*toy_rows"):
        params.read_ablation(toy_root / "params", "toy_row")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("variants: [{name: a}]", "a has no overrides, here or elsewhere"),
        (
            "variants: [{name: full}]\nclaims: [{ours: fll, other: full, says: x}]",
            "unknown variant 'fll'; did you mean full",
        ),
        (
            "variants: [{name: full}]\nclaims: [{ours: full, other: full, says: x,"
            " metric: mPA}]",
            "claims.0.metric: Input should be 'mAP' or 'rank1'",
        ),
    ],
)
def test_a_faulty_ablation_says_what_is_wrong(toy_root, text, fault):
    (toy_root / "params/ablations/toy_faulty.yaml").write_text(text)
    with pytest.raises(ParameterError, match=fault):
        params.read_ablation(toy_root / "params", "toy_faulty")


def test_a_variant_may_be_named_where_another_ablation_defines_it(toy_root):
    text = "variants: [{name: plain, row: II}, {name: full, row: I}]"
    (toy_root / "params/ablations/toy_again.yaml").write_text(text)
    again = params.read_ablation(toy_root / "params", "toy_again")
    assert "plain" in TOY_LAYERS["ablations/toy_parts"]
    assert [v.overrides for v in again.variants] == [{"erasing": False}, {}]


NAMES = sorted(p.stem for p in (ROOT / "params" / "ablations").glob("*.yaml"))


CONTROLS = {  # rows that no paper prints
    "fanet_components": {
        "Baseline + HPP",
        "B/L+TEM+BG, weights 1 and 1",
        "B/L+TEM+BG+IA+TAL, weights 1 and 1",
    },
    "fanet_unseen_scenes": {"Baseline + HPP"},
    "flannet_components": {"none, as many terms as the others", "F, a constant text"},
    "flannet_fusion": {
        "Dynamic Fusion, of logits",
        "Dynamic Fusion, gradient through the weights",
    },
    "flannet_prompts": {
        "4, queries keep themselves (H + X)",
        "4, Eq. 2-4 and 7 as printed",
        "4, Eq. 12-13 as printed, a sum",
    },
    "rganet_components": {"Fixed-stripe, w = 1 / N", "RGM, w = 1 / N"},
}


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_called_as_the_paper_prints_them(name):
    ablation = params.read_ablation(ROOT / "params", name)
    assert all(variant.row for variant in ablation.variants)
    if not ablation.table:
        assert not ablation.paper or ablation.paper == "Combination"  # of no paper
    else:
        printed = published(ablation.paper, ablation.table)
        ours = {v.row for v in ablation.variants} - set(printed.index)
        assert ours == CONTROLS.get(name, set())


@pytest.mark.parametrize("name", NAMES)
def test_every_ablation_has_a_notebook_of_its_name(name):
    path = ROOT / "notebooks" / "ablations" / f"{name}.ipynb"
    assert json.loads(path.read_text())["cells"]


@pytest.mark.parametrize(
    "worlds", [("plaza", "station"), ("market1501", "dukemtmcreid")]
)
def test_every_direction_of_table_iii_is_planned(tmp_path, worlds):
    places = {"outputs": tmp_path / "outputs", "data_root": tmp_path / "data"}
    asked = {"ablation": "fanet_unseen_scenes", "benchmarks": worlds, "seeds": [0]}
    plans = sweep.plan(**asked, **places)
    there = settings_of(plans)
    assert {Setting(*pair) for pair in permutations(worlds, 2)} <= set(there)


def test_rows_have_the_same_role_on_every_page(gather):
    assert gather().roles == {"FA-Net (B/L+TEM+BG+IA+TAL+HPP)": "whole method"}
    rows = [{"name": "baseline", "row": "B/L"}, {"name": "full"}]
    ablation = gather().ablation.model_copy(
        update={"variants": [params.Variant(**row, overrides={}) for row in rows]}
    )
    study = replace(gather(), ablation=ablation)
    assert study.roles == {"B/L": "baseline", "full": "whole method"}

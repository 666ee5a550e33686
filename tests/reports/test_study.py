"""One table of a paper from run folders: ours, theirs, what became of the claims."""

import gzip
import json
from itertools import permutations, product
from pathlib import Path

import pandas as pd
import pytest
import torch
from toys.toy_paper import TOY_LAYERS

from reidlib.evaluation import statistics as comparison
from reidlib.evaluation.metrics import Scores
from reidrun.reports import claims
from reidrun.reports import study as ablations
from reidrun.reports.published import published
from reidrun.reports.tables import (
    beside_paper,
    learning,
    measured,
    printed,
    seconds,
    table,
)
from reidrun.runs import folder as runs
from reidrun.runs import params
from reidrun.runs import sweep as sweeps
from reidrun.runs.environment import ROOT
from reidrun.runs.plans import Plan, Setting
from reidrun.runs.schema import ParameterError

HERE, THERE = Setting("plaza", "plaza"), Setting("plaza", "station")
ROWS = ("plain", "more", "full")
ABLATION = """\
paper: FA-Net
table: Table I
variants:
  - {name: plain, row: Baseline, overrides: {erasing: false}}
  - {name: more, row: B/L+TEM, overrides: {erasing: true}}
  - {name: full, row: FA-Net (B/L+TEM+BG+IA+TAL+HPP)}
claims:
  - {ours: more, other: plain, says: More is better.}
  - {ours: full, other: more, metric: rank1, says: All is best.}
"""


def scored(precisions: list[float], ranks: list[int]) -> Scores:
    ap, first = torch.tensor(precisions, dtype=torch.float64), torch.tensor(ranks)
    cmc = torch.tensor([(first[first > 0] <= k).double().mean() for k in range(1, 21)])
    valid = int((first > 0).sum())
    pids = torch.arange(len(ranks)) // 2
    mean_ap = ap.nanmean().item()
    return Scores(mean_ap, cmc, ap, first, pids, valid, len(ranks) - valid)


@pytest.fixture
def outputs(toy_root) -> Path:
    """Runs of two variants with three seeds; `more` is 0.1 better on every query."""
    (toy_root / "params/ablations/toy_rows.yaml").write_text(ABLATION)
    for seed, (name, gain) in product(range(3), [("plain", 0.0), ("more", 0.1)]):
        base = 0.5 + 0.01 * seed + gain
        own = scored([base, base + 0.2, float("nan"), base], [1, 3, 0, 1])
        runs.save_run(
            str(toy_root / f"outputs/plaza/toy/{name}-s{seed}"),
            paper="toy",
            parameters={"benchmark": "plaza", "seed": seed},
            scores={"plaza": own, "station": own},
            history=pd.DataFrame({"epoch": [1, 2], "camera": [1.5, seed]}),
            seconds=1.0,
            measures={"plaza: mask IoU": 0.25 + gain + 0.01 * seed * (1 + 10 * gain)},
        )
    return toy_root / "outputs"


def planned(outputs: Path, variant: str, seed: int) -> Plan:
    parameters = {"benchmark": "plaza", "seed": seed, "also_on": ["station"]}
    folder = outputs / f"plaza/toy/{variant}-s{seed}"
    return Plan("toy", variant, Path("toy.ipynb"), folder, parameters)


@pytest.fixture
def gather(toy_root, outputs):
    def gathered(settings=(HERE, THERE), seeds=(0, 1, 2), variants=ROWS):
        plans = [planned(outputs, name, seed) for name in variants for seed in seeds]
        return ablations.gather("toy_rows", plans, settings, root=toy_root)

    return gathered


def test_scores_are_those_of_the_runs(gather, outputs):
    study = gather()
    found = ablations.scores(study, HERE)
    assert list(found) == ["Baseline", "B/L+TEM"], "nobody ran the whole method"
    for seed in range(3):
        record = runs.read_metrics(outputs / f"plaza/toy/more-s{seed}")
        expected = record["scores"]["plaza"]
        assert found.loc[seed, "B/L+TEM"] == pytest.approx(expected["mAP"], abs=1e-5)
        rank1 = ablations.scores(study, HERE, "rank1")
        assert rank1.loc[seed, "B/L+TEM"] == pytest.approx(expected["rank1"])


def test_ours_and_theirs_stand_side_by_side_in_columns_of_their_own(gather):
    table = beside_paper(gather())
    titles = [title for title, _ in table]
    assert all(title.startswith(("ours, ", "paper, ")) for title in titles)
    ours = table["ours, plaza (drawn pedestrians)"]
    assert ours["mAP"].tolist() == ["57.7 ± 1.0", "67.7 ± 1.0", ""]
    assert ours["seeds"].tolist() == ["3", "3", ""]
    theirs = table["paper, Market-1501"]
    assert theirs["mAP"].tolist() == ["72.7", "73.5", "84.6"]
    assert theirs["rank-1"].tolist() == ["89.7", "90.9", "95.0"]
    assert list(theirs) == ["mAP", "rank-1"]


def test_the_papers_numbers_of_one_metric(gather):
    found = printed(gather(), "rank1")
    assert list(found.index) == ["Market-1501", "DukeMTMC-reID", "MSMT17"]
    assert found.loc["MSMT17"].tolist() == [64.4, 65.4, 76.8]


def test_a_single_seed_has_no_spread(gather):
    found = table(gather(settings=[HERE], seeds=[1]))
    assert found.iloc[0, 0] == "57.7"


def test_rows_can_be_chosen_and_claims_follow(gather):
    study = gather(variants=["plain", "more"])
    assert list(study.rows.values()) == ["Baseline", "B/L+TEM"]
    assert [claim.says for claim in study.ablation.claims] == ["More is better."]
    assert len(claims.sentences(gather(variants=["more"]))) == 0


def test_a_claim_is_judged_where_its_runs_are(gather):
    found = claims.judged(gather(settings=[HERE]))
    assert found["verdict"].tolist() == ["replicated", "not run"]
    assert set(found["where"]) == {"plaza (drawn pedestrians)"}
    assert found.loc["More is better.", "difference (points)"] == "+10.0"
    assert found["metric"].tolist() == ["mAP", "rank-1"]
    assert found["than"].tolist() == ["Baseline", "B/L+TEM"]
    better, best = claims.sentences(gather(settings=[HERE]))
    assert better.startswith("More is better. On plaza (drawn pedestrians), ")
    assert '"B/L+TEM" is 10.0 points of mAP above "Baseline" over 3 seeds' in better
    assert best == "All is best. On plaza: not run."


def with_losses(outputs: Path, variant: str, *losses: list[float]) -> None:
    """Write the identity losses of a variant's runs, seed by seed."""
    for seed, loss in enumerate(losses):
        history = pd.DataFrame({"epoch": range(1, len(loss) + 1), "identity": loss})
        history.to_csv(outputs / f"plaza/toy/{variant}-s{seed}/history.csv")


def test_a_claim_on_a_row_that_did_not_learn_is_not_judged(gather, outputs):
    with_losses(outputs, "plain", [5.73, 5.70], [5.73, 5.73], [5.73, 5.80])
    with_losses(outputs, "more", [5.71, 4.36], [5.71, 4.40], [5.71, 5.70])
    study = gather(settings=[HERE])
    assert not claims.learned(study, "plain", HERE)
    assert claims.learned(study, "more", HERE), "two of three did"
    assert claims.learned(study, "full", HERE), "nobody ran it"
    verdicts = claims.judged(study)["verdict"].tolist()
    assert verdicts == ['not judged: "Baseline" did not learn', "not run"]
    why = 'More is better. On plaza: not judged, "Baseline" did not learn.'
    assert claims.sentences(study)[0] == why
    with_losses(outputs, "more", *3 * [[5.7, 5.7]])
    both = '"B/L+TEM" and "Baseline" did not learn'
    assert both in claims.sentences(gather(settings=[HERE]))[0]


def test_what_cannot_tell_whether_it_learned_is_judged(gather, outputs):
    with_losses(outputs, "plain", [5.73], [5.73], [5.73])
    study = gather(settings=[HERE])
    assert claims.learned(study, "plain", HERE), "one epoch has nothing before it"
    assert claims.learned(study, "more", HERE), "its history has no such loss"
    assert claims.judged(study)["verdict"].iloc[0] == "replicated"


def test_sentences_are_listed_sign_by_sign():
    found = claims.as_list(['"a [CLASS]." is S* of m_u.', "A < B for $5."])
    lines = ['- "a [CLASS]." is S\\* of m\\_u.', "- A \\< B for \\$5."]
    assert found.data.splitlines() == lines


def test_one_variant_is_compared_between_two_ways_of_searching(gather, outputs):
    ways = {"on the square": HERE, "at the station": THERE}
    said = claims.between(gather(), "more", ways)
    assert said.startswith("On plaza (drawn pedestrians), on the square is 0.0 points")
    assert "of mAP above at the station over 3 seeds" in said
    assert said.endswith("not told apart."), "nobody claims that it is better"
    missing = claims.between(gather(settings=[HERE]), "more", ways)
    assert missing == "B/L+TEM on plaza, on the square against at the station: not run."


def test_what_nobody_claims_is_higher_or_lower(gather, outputs):
    plainly, blindly = HERE, HERE._replace(tested_on="plaza visual")
    for seed, gain in enumerate([0.1, 0.12, 0.13]):
        low, high = ([base, base + 0.1] for base in (0.5, 0.5 + gain))
        runs.save_run(
            str(outputs / f"plaza/toy/full-s{seed}"),
            paper="toy",
            parameters={"benchmark": "plaza", "seed": seed},
            scores={"plaza": scored(high, [1, 1]), "plaza visual": scored(low, [1, 1])},
            history=pd.DataFrame({"epoch": [1], "camera": [1.5]}),
            seconds=1.0,
        )
    study = gather(settings=[plainly, blindly])
    ways = {"with captions": plainly, "without": blindly}
    said = claims.between(study, "full", ways)
    words = "On plaza (drawn pedestrians), with captions is 11.7 points of mAP above"
    assert said.startswith(f"{words} without") and said.endswith(": higher.")
    said = claims.between(study, "full", dict(reversed(ways.items())))
    assert said.startswith("On plaza (") and said.endswith(": lower.")
    two = gather(settings=[HERE], variants=("plain", "more"))
    (spoken,) = claims.sentences(two, comparison.UNCLAIMED)
    assert spoken.endswith(": higher.")


def test_measures_are_averaged_over_seeds(gather):
    table = measured(gather(), ["mask IoU", "mask AUC"])
    title = "ours, plaza (drawn pedestrians)"
    words = ["0.26\u00a0±\u00a00.01", "0.37\u00a0±\u00a00.02", ""]
    assert table[title, "mask IoU"].tolist() == words
    assert len(table.columns) == 1, "what no variant has is left out"
    rest = measured(gather(), ["1 - mask IoU"])
    words = ["0.74\u00a0±\u00a00.01", "0.63\u00a0±\u00a00.02", ""]
    assert rest[title, "1 - mask IoU"].tolist() == words


def test_measures_are_compared_over_paired_seeds(gather, outputs):
    ours, other = ("more", "mask IoU"), ("plain", "mask IoU")
    (said,) = claims.of_measures(gather(), (ours, other))
    assert said == (
        'On plaza (drawn pedestrians), mask IoU of "B/L+TEM" is 0.370, mask IoU of'
        ' "Baseline" is 0.260: +0.110 over 3 seeds (+0.085 to +0.135), higher.'
    ), "0.110 ± t (0.975, 2) 0.01 / sqrt 3"
    rest = ("plain", "1 - mask IoU")
    said = claims.of_measures(gather(), (other, ours), (other, rest))
    assert len(said) == 2 and said[0].endswith("(-0.135 to -0.085), lower.")
    assert 'mask IoU of "Baseline" is 0.260, 1 - mask IoU is 0.740: -0.480' in said[1]
    assert claims.of_measures(gather(), (ours, ("full", "mask IoU"))) == [], "not run"
    (outputs / "plaza/toy/plain-s2/metrics.json").unlink()
    (said,) = claims.of_measures(gather(seeds=[1, 2]), (ours, other))
    assert "is 0.370, " in said, "of the seed that both have"
    assert said.endswith("+0.110 over a single seed, not told apart.")


def test_seconds_are_those_that_the_runs_recorded(gather):
    found = seconds(gather())
    assert found["trained on plaza"].tolist() == [*["1\u00a0±\u00a00"] * 2, ""]
    assert (seconds(gather(seeds=[9])) == "").all(axis=None)


def test_rows_of_scores_with_more_words_are_settings_too(gather, outputs):
    ways = [HERE, HERE._replace(tested_on="plaza visual")]
    own = scored([0.25, 0.75], [1, 2])
    runs.save_run(
        str(outputs / "plaza/toy/full-s0"),
        paper="toy",
        parameters={"benchmark": "plaza", "seed": 0},
        scores={"plaza": own, "plaza visual": own},
        history=pd.DataFrame({"epoch": [1], "camera": [1.5]}),
        seconds=1.0,
    )
    found = table(gather(settings=ways))
    title = "ours, plaza visual (drawn pedestrians)"
    assert found[title, "mAP"].tolist() == ["", "", "50.0"]
    other = Setting("plaza", "avenue visual")
    assert not gather(settings=[other]).folders, "nobody planned it"


def test_measures_that_nobody_has_are_an_empty_table(gather):
    table = measured(gather(), ["mask AUC"])
    assert table.shape == (3, 0) and list(table.index) == list(gather().rows.values())


def test_histories_stand_side_by_side(gather):
    found = ablations.histories(gather(), "more", "camera")
    assert list(found) == ["plaza, seed 0", "plaza, seed 1", "plaza, seed 2"]
    assert found.loc[2].tolist() == [0, 1, 2] and found.index.name == "epoch"
    assert ablations.histories(gather(), "full", "camera").empty


def test_what_was_learned_is_the_first_and_the_last_epoch(gather):
    found = learning(gather(), "camera")
    title = "trained on plaza"
    assert list(found) == [(title, "first epoch"), (title, "last epoch")], "once"
    assert found[title, "first epoch"].tolist() == ["1.50 ± 0.00", "1.50 ± 0.00", ""]
    assert found[title, "last epoch"].tolist() == ["1.00 ± 1.00", "1.00 ± 1.00", ""]


def test_what_a_row_never_learned_is_left_empty(gather, outputs):
    for seed in range(3):
        path = outputs / f"plaza/toy/plain-s{seed}/history.csv"
        pd.DataFrame({"epoch": [1, 2], "identity": [5.0, 4.0]}).to_csv(path)
    found = learning(gather(), "camera")["trained on plaza", "first epoch"]
    assert found.tolist() == ["", "1.50\u00a0±\u00a00.00", ""]
    found = learning(gather(), "identity")["trained on plaza", "last epoch"]
    assert found.tolist() == ["4.00\u00a0±\u00a00.00", "", ""]


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
    curves = ablations.curves(study, "k", more=4)
    title = "ours, plaza (drawn pedestrians)"
    assert list(curves) == [title]
    assert curves[title].mean().round(3).to_dict() == {1.0: 0.577, 4: 0.677}
    assert ablations.curves(study, "m") == {}


def test_folders_are_those_of_the_runs(gather, outputs):
    study = gather(seeds=[2, 9])
    assert study.folders["more", HERE] == {2: outputs / "plaza/toy/more-s2"}


def test_a_study_is_of_all_that_its_plans_train_and_test_on(gather):
    study = gather(settings=())
    assert study.settings == (HERE, THERE)
    assert ablations.panels(study).keys() == {
        "ours, plaza (drawn pedestrians)",
        "ours, plaza → station (drawn pedestrians)",
    }
    assert table(study).shape == (3, 6)


def test_seeds_that_were_tested_with_other_queries_are_refused(gather, outputs):
    table = runs.read_queries(outputs / "plaza/toy/more-s1")
    fewer = gzip.compress(table.drop(("plaza", 3)).to_csv().encode())
    (outputs / "plaza/toy/more-s1" / runs.QUERIES).write_bytes(fewer)
    study = gather()
    assert ablations.per_query(study, "more", THERE, "mAP").shape == (4, 3)
    with pytest.raises(ValueError, match="more: seeds were tested with different"):
        ablations.per_query(study, "more", HERE, "mAP")


def test_pictures_are_called_what_the_runs_say(gather, outputs):
    study = gather()
    assert study.pictures(HERE) == study.pictures(THERE) == "drawn pedestrians"
    for path in outputs.glob("*/*/*/metrics.json"):
        record = json.loads(path.read_text())
        record["scores"]["station"]["drawn"] = False
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


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_called_as_the_paper_prints_them(name):
    ablation = params.read_ablation(ROOT / "params", name)
    assert all(variant.row for variant in ablation.variants)
    if ablation.paper:
        printed = published(ablation.paper, ablation.table)
        assert {v.row for v in ablation.variants} <= set(printed.index)


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
    plans = sweeps.plan(**asked, **places)
    there = ablations.tested(plans)
    assert {Setting(*pair) for pair in permutations(worlds, 2)} <= set(there)

"""What a claim needs to be judged: measures of its rows that have moved."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from toys.small_study import HERE, THERE, save, scored

from reidrun.reports import claims
from reidrun.reports.needs import unmet
from reidrun.reports.study import Study
from reidrun.runs.asked import Need
from reidrun.runs.environment import ROOT
from reidrun.runs.params import ParameterError, read_ablation, read_ablations

PAPERS = ("fanet", "rganet", "flannet", "fba")


@pytest.fixture
def study(gather, outputs) -> Callable[..., Study]:
    """The study whose first claim, that `more` is better, has one need."""

    def asking(need: dict, settings=(HERE,), **measures: list[float]) -> Study:
        for seed in range(3):
            kept = {f"plaza: {n}": values[seed] for n, values in measures.items()}
            own = scored([0.6, 0.8, 0.6, 0.6], [1, 3, 1, 1])
            save(outputs, "more", seed, {"plaza": own, "station": own}, kept)
        found = gather(settings=settings)
        claim = found.ablation.claims[0].model_copy(update={"needs": ["it"]})
        asked = {
            "claims": [claim],
            "needs": {"it": Need(**need, why="it says nothing")},
        }
        return replace(found, ablation=found.ablation.model_copy(update=asked))

    return asking


def why(study: Study, at=HERE) -> str:
    return unmet(study, study.ablation.claims[0], at)


def test_a_need_is_met_where_every_run_meets_it(study):
    need = {"measure": "alike", "below": 0.9}
    assert why(study(need, alike=[0.1, 0.5, 0.89])) == ""
    assert why(study(need, alike=[0.1, 0.95, 0.9])) == (
        '"B/L+TEM": it says nothing (alike is 0.95, wanted below 0.9, in 2 of 3 runs)'
    )
    above = {"measure": "spread", "above": 0.1}
    assert why(study(above, spread=[0.2, 0.3, 0.11])) == ""
    assert "wanted above 0.1, in 1 of 3 runs" in why(study(above, spread=[1, 1, 0.1]))


def test_a_limit_may_be_another_measure_of_the_same_run(study):
    need = {"measure": "IoU", "above": "start"}
    assert why(study(need, IoU=[0.2, 0.3, 0.4], start=[0.1, 0.2, 0.3])) == ""
    found = why(study(need, IoU=[0.2, 0.3, 0.4], start=[0.1, 0.35, 0.3]))
    assert "IoU is 0.3, wanted above 0.35, in 1 of 3 runs" in found
    scores = {"measure": "mAP", "above": "start"}
    assert why(study(scores, start=[0.6, 0.6, 0.6])) == "", "a score is a measure"
    assert "mAP is 0.65, wanted above 0.7" in why(study(scores, start=[0.7, 0.6, 0.6]))


def test_what_was_not_recorded_is_not_met_and_rows_without_runs_need_nothing(study):
    need = {"measure": "alike", "below": 0.9}
    assert why(study(need, other=[1, 1, 1])) == '"B/L+TEM": alike was not recorded'
    assert "start was not recorded" in why(
        study({"measure": "alike", "below": "start"}, alike=[0, 0, 0])
    )
    both = study({**need, "of": "both"}, alike=[0.1, 0.1, 0.1])
    assert why(both) == '"Baseline": alike was not recorded'
    assert why(study({**need, "of": "other"}, alike=[1, 1, 1])).startswith('"Baseline"')
    missing = both.ablation.claims[0].model_copy(update={"ours": "full"})
    assert unmet(study(need, alike=[1, 1, 1]), missing, HERE) == ""


def test_elsewhere_the_measures_of_the_training_set_count(study):
    need = {"measure": "alike", "below": 0.9}
    assert why(study(need, alike=[0.1, 0.1, 0.1]), THERE) == ""
    assert "alike is 1" in why(study(need, alike=[1, 1, 1]), THERE)
    searched = HERE._replace(search="visual")
    assert why(study(need, alike=[0.1, 0.1, 0.1]), searched) == ""


def test_such_a_claim_is_not_judged_and_its_cell_says_why(study):
    found = study({"measure": "alike", "below": 0.9}, alike=[1, 1, 1])
    (row,) = claims.tidy(found).itertuples()
    assert row.verdict == "not judged" and "it says nothing (alike is 1" in row.why
    assert "it says nothing" in claims.numbers(found).data
    (said,) = claims.sentences(found)
    assert "On plaza: not judged, " in said and "it says nothing" in said


def test_needs_are_named_and_known(toy_root):
    path = toy_root / "params/ablations/toy_rows.yaml"
    text = (
        "variants: [{name: full, row: x}]\n"
        "claims: [{ours: full, other: full, says: x, needs: [txt]}]\n"
        "needs: {text: {measure: m, below: 1, why: w}}"
    )
    path.write_text(text)
    with pytest.raises(ParameterError, match="'txt'; did you mean text"):
        read_ablation(toy_root / "params", "toy_rows")


def test_the_needs_of_papers_have_a_limit_and_are_used():
    found = [
        ablation
        for paper in PAPERS
        for ablation in read_ablations(ROOT / "params", paper).values()
    ]
    asking = [ablation for ablation in found if ablation.needs]
    assert len(asking) >= 8
    for ablation in asking:
        used = {name for claim in ablation.claims for name in claim.needs}
        assert used == ablation.needs.keys()
        for need in ablation.needs.values():
            assert (need.below is None) != (need.above is None)

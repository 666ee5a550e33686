"""What became of the claims of an ablation: verdicts, and sentences."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from toys.small_study import HERE, THERE, save, scored, with_losses

from reidlib.evaluation.statistics import UNCLAIMED
from reidrun.reports import claims, needs
from reidrun.reports.study import Measure


def test_rows_can_be_chosen_and_claims_follow(gather):
    study = gather(variants=["plain", "more"])
    assert list(study.rows.values()) == ["Baseline", "B/L+TEM"]
    assert [claim.says for claim in study.ablation.claims] == ["More is better."]
    assert len(claims.sentences(gather(variants=["more"]))) == 0


def test_a_claim_is_judged_where_its_runs_are(gather):
    found = claims.tidy(gather(settings=[HERE]))
    assert found["verdict"].tolist() == ["replicated", "not run"]
    assert set(found["where"]) == {"plaza (drawn pedestrians)"}
    assert found["says"].tolist() == ["More is better.", "All is best."]
    assert found["of"].tolist() == [
        "B/L+TEM against Baseline, mAP",
        "FA-Net (B/L+TEM+BG+IA+TAL+HPP) against B/L+TEM, rank-1",
    ]
    first = found.iloc[0]
    assert first["difference"] == pytest.approx(10)
    assert first["low"] == pytest.approx(10) == first["high"]
    assert found.iloc[1][claims.NUMBERS].isna().all()
    better, best = claims.sentences(gather(settings=[HERE]))
    assert better.startswith("More is better. On plaza (drawn pedestrians), ")
    said = '"B/L+TEM" is 10.0 points of mAP above "Baseline" over 3 seeds and 2 people'
    assert said in better
    assert best == "All is best. On plaza: not run."


def test_what_came_out_is_a_sentence_for_each_setting(gather):
    said = claims.summary(gather()).data.split("\n\n")
    here, there = "plaza (drawn pedestrians)", "plaza → station (drawn pedestrians)"
    words = "**1 replicated**, **1 not run**."
    assert said == [f"2 claims on {at}: {words}" for at in (here, there)]
    only = claims.summary(gather(settings=[HERE], variants=["plain", "more"])).data
    assert only == f"One claim on {here}: **1 replicated**."


def test_the_numbers_lie_behind_and_the_verdict_is_first(gather):
    text = claims.numbers(gather(settings=[HERE])).data
    assert text.startswith("<details><summary>The numbers</summary>")
    lines = [
        [cell.text or "" for cell in row]
        for row in ElementTree.fromstring(text).iter("tr")
    ]
    assert lines[0][:4] == ["claim", "verdict", claims.CORRECTED, "points"]
    first, second = (dict(zip(lines[0], line, strict=True)) for line in lines[1:])
    assert first["points"] == "+10.0" and first["95 %"].startswith("+10.0 to")
    assert (second["verdict"], second["points"]) == ("not run", "")
    assert (second["95 %"], second["detectable"]) == ("–", "")
    single = claims.numbers(gather(settings=[HERE], seeds=[1])).data
    assert "inf" not in single and "–" in single


def test_all_pages_are_counted_and_whole_methods_compared(gather, outputs):
    study = gather(settings=[HERE])
    counted = claims.counts({"toy_rows": study})
    assert counted.loc["toy_rows", "plaza (drawn pedestrians)"].to_dict() == {
        "replicated": 1,
        "contradicted": 0,
        "inconclusive": 0,
        "not judged": 0,
    }
    assert claims.whole_methods([study]).empty, "no claim is on whole and baseline"


def test_a_claim_on_a_row_that_did_not_learn_is_not_judged(gather, outputs):
    with_losses(outputs, "plain", [5.73, 5.70], [5.73, 5.73], [5.73, 5.80])
    with_losses(outputs, "more", [5.71, 4.36], [5.71, 4.40], [5.71, 5.70])
    study = gather(settings=[HERE])
    assert not needs.learned(study, "plain", HERE)
    assert needs.learned(study, "more", HERE), "two of three did"
    assert needs.learned(study, "full", HERE), "nobody ran it"
    found = claims.tidy(study)
    assert found["verdict"].tolist() == ["not judged", "not run"]
    assert found["why"].tolist() == ['"Baseline" did not learn', ""]
    assert 'not judged: "Baseline" did' in claims.numbers(study).data
    why = 'More is better. On plaza: not judged, "Baseline" did not learn.'
    assert claims.sentences(study)[0] == why
    with_losses(outputs, "more", *3 * [[5.7, 5.7]])
    both = '"B/L+TEM" and "Baseline" did not learn'
    assert both in claims.sentences(gather(settings=[HERE]))[0]


def test_what_cannot_tell_whether_it_learned_is_judged(gather, outputs):
    with_losses(outputs, "plain", [5.73], [5.73], [5.73])
    study = gather(settings=[HERE])
    assert needs.learned(study, "plain", HERE), "one epoch has nothing before it"
    assert needs.learned(study, "more", HERE), "its history has no such loss"
    assert claims.tidy(study)["verdict"].iloc[0] == "replicated"


def test_verdicts_are_corrected_over_the_claims_of_the_paper(gather, outputs):
    for seed, gain in enumerate([0.02, 0.05, 0.09]):
        few = [0.5 + gain, 0.6 + gain, 0.5 + gain, 0.6 + gain]
        save(outputs, "more", seed, {"plaza": scored(few, 4 * [1])})
        few = [0.5, 0.6, 0.5, 0.6]
        save(outputs, "plain", seed, {"plaza": scored(few, 4 * [1])})
    study = gather(settings=[HERE])
    (alone, _) = claims.findings(study)
    p_value = alone.comparison.effect.p_value
    assert alone.adjusted == p_value, "the other claim has no runs"
    again = replace(study, siblings=(study,))
    assert next(claims.findings(again)).adjusted == p_value, "the same test, once"
    claim = study.ablation.claims[0].model_copy(update={"metric": "rank1"})
    other = study.ablation.model_copy(update={"claims": [claim]})
    family = replace(study, siblings=(replace(study, ablation=other),))
    (found, missing) = claims.findings(family)
    assert found.adjusted == min(1, 2 * p_value)
    assert missing.verdicts == ("not run", "")


def test_a_claim_may_be_replicated_and_not_survive_the_correction(gather):
    first = next(claims.findings(gather(settings=[HERE])))
    assert first.verdicts == ("replicated", "replicated")
    assert first._replace(adjusted=0.2).verdicts == ("replicated", "inconclusive")
    table = claims.tidy(gather(settings=[HERE]))
    assert table[claims.CORRECTED].tolist() == ["replicated", ""]


def test_sentences_are_listed_sign_by_sign():
    found = claims.as_list(['"a [CLASS]." is S* of m_u.', "A < B for $5."])
    lines = ['- "a [CLASS]." is S\\* of m\\_u.', "- A \\< B for \\$5."]
    assert found.data.splitlines() == lines


def test_one_variant_is_compared_between_two_ways_of_searching(gather, outputs):
    ways = {"on the square": HERE, "at the station": THERE}
    said = claims.of_settings(gather(), "more", ways)
    assert said.startswith("On plaza (drawn pedestrians), on the square is 0.0 points")
    assert "of mAP above at the station over 3 seeds" in said
    assert said.endswith("not told apart."), "nobody claims that it is better"
    missing = claims.of_settings(gather(seeds=[9]), "more", ways)
    assert missing == "B/L+TEM on plaza, on the square against at the station: not run."


def test_what_nobody_claims_is_higher_or_lower(gather, outputs):
    plainly, blindly = HERE, HERE._replace(search="visual")
    for seed, gain in enumerate([0.1, 0.12, 0.13]):
        low, high = (2 * [base, base + 0.1] for base in (0.5, 0.5 + gain))
        ways = {"plaza": high, ("plaza", "visual"): low}
        scores = {way: scored(values, 4 * [1]) for way, values in ways.items()}
        save(outputs, "full", seed, scores)
    study = gather(settings=[plainly, blindly])
    ways = {"with captions": plainly, "without": blindly}
    said = claims.of_settings(study, "full", ways)
    words = "On plaza (drawn pedestrians), with captions is 11.7 points of mAP above"
    assert said.startswith(f"{words} without") and said.endswith(": higher.")
    said = claims.of_settings(study, "full", dict(reversed(ways.items())))
    assert said.startswith("On plaza (") and said.endswith(": lower.")
    two = gather(settings=[HERE], variants=("plain", "more"))
    (spoken,) = claims.sentences(two, UNCLAIMED)
    assert spoken.endswith(": higher.")


def test_measures_are_compared_over_paired_seeds(gather, outputs):
    ours, other = ("more", "mask IoU"), ("plain", "mask IoU")
    (said,) = claims.of_measures(gather(), (ours, other))
    assert said == (
        'On plaza (drawn pedestrians), mask IoU of "B/L+TEM" is 0.370, mask IoU of'
        ' "Baseline" is 0.260: +0.110 over 3 seeds (+0.085 to +0.135), higher.'
    ), "0.110 ± t (0.975, 2) 0.01 / sqrt 3"
    rest = ("plain", Measure("mask IoU", complement=True))
    said = claims.of_measures(gather(), (other, ours), (other, rest))
    assert len(said) == 2 and said[0].endswith("(-0.135 to -0.085), lower.")
    assert 'mask IoU of "Baseline" is 0.260, 1 - mask IoU is 0.740: -0.480' in said[1]
    assert claims.of_measures(gather(), (ours, ("full", "mask IoU"))) == [], "not run"
    (outputs / "plaza/toy/plain-s2/metrics.json").unlink()
    (said,) = claims.of_measures(gather(seeds=[1, 2]), (ours, other))
    assert "is 0.370, " in said, "of the seed that both have"
    assert said.endswith("+0.110 over a single seed, not told apart.")

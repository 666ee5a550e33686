"""Every claim of every paper: its cells, its control, its page, and the counts."""

from dataclasses import replace
from itertools import product

import pytest
from toys.small_runs import write_record
from toys.small_study import HERE, THERE, save, scored

from reidrun.reports import all_claims, choices, claims
from reidrun.reports.all_claims import as_judged, claims_table, counted, of_paper
from reidrun.reports.pages import CLAIMS, made_readme
from reidrun.reports.readme import END, START
from reidrun.runs import study_plan
from reidrun.runs.asked import Control
from reidrun.runs.environment import ROOT
from reidrun.runs.params import read_ablations

DRAWN = "drawn pedestrians"


@pytest.fixture
def with_control(gather):
    """The toy's study whose first claim has a control."""

    def made(control: Control | None, **changes):
        study = gather(**changes)
        first, second = study.ablation.claims
        claim = first.model_copy(update={"control": control})
        ablation = study.ablation.model_copy(update={"claims": [claim, second]})
        return {"toy_rows": replace(study, ablation=ablation)}

    return made


def rows(judged, outputs):
    return claims_table(judged, outputs, outputs).to_dict("records")


def test_a_claim_is_a_row_where_it_was_run(gather, outputs):
    judged = as_judged({"toy_rows": gather()})
    (row,) = rows(judged, outputs)
    assert row == {
        "paper": "toy",
        "claim": "More is better.",
        "compared": "B/L+TEM against Baseline, mAP",
        "on": "plaza",
        "effect (95 %)": "+10.0 (+10.0 to +10.0)",
        "seeds": "3",
        "verdict": "replicated",
        claims.CORRECTED: "replicated",
        "control": "",
    }


def test_a_claim_of_fewer_seeds_than_the_study_has_says_so(gather, outputs):
    wanted = {("toy", "plaza"): 5}
    judged = as_judged({"toy_rows": gather()})
    table = claims_table(judged, outputs, outputs, wanted)
    assert table["seeds"].tolist() == ["3 of 5"]
    assert counted(judged, wanted)["with all seeds"].tolist() == [0, 0]
    assert counted(judged)["with all seeds"].tolist() == [1, 1]
    alone = as_judged({"toy_rows": gather(seeds=(1,))})
    (row,) = rows(alone, outputs)
    assert (row["effect (95 %)"], row["seeds"]) == ("+10.0 (one seed)", "1")
    assert row["verdict"] == "inconclusive"


def test_seeds_wanted_are_the_most_of_any_part():
    part = {"about": "", "benchmarks": ["plaza", "station"]}
    few = study_plan.Part(runs=["toy"], seeds=[0], **part)
    many = study_plan.Part(runs=["toy_rows", "fba"], seeds=[0, 1, 2], **part)
    found = all_claims.seeds_wanted({"a": many, "b": few})
    assert found == dict.fromkeys(product(["toy", "fba"], many.benchmarks), 3)


def test_no_claim_is_judged_where_recipes_are_chosen(gather, outputs, monkeypatch):
    assert rows(as_judged({"toy_rows": gather()}), outputs)
    monkeypatch.setattr(choices, "VALIDATION", "plaza")
    judged = as_judged({"toy_rows": gather()})
    assert judged["toy_rows"].settings == () and rows(judged, outputs) == []
    assert counted(judged).loc[("", "all"), "claims"] == 0


def test_claims_about_other_scenes_are_judged_there(gather, outputs):
    study = gather()
    ablation = study.ablation.model_copy(update={"abroad": True})
    abroad = as_judged({"toy_rows": replace(study, ablation=ablation)})
    assert abroad["toy_rows"].settings == (THERE,)
    assert rows(abroad, outputs)[0]["on"] == "plaza → station"
    assert as_judged({"toy_rows": study})["toy_rows"].settings == (HERE,)


def test_a_control_stands_beside_its_claim(with_control, outputs):
    (row,) = rows(as_judged(with_control(Control(other="full"))), outputs)
    said = "B/L+TEM against FA-Net (B/L+TEM+BG+IA+TAL+HPP): not run"
    assert row["control"] == said
    (row,) = rows(as_judged(with_control(Control(ours="plain"))), outputs)
    assert row["control"] == "Baseline against Baseline: 0.0 (0.0 to 0.0)"
    (row,) = rows(as_judged(with_control(Control(search="visual"))), outputs)
    assert row["control"] == "B/L+TEM against Baseline, visual: not run"


def test_a_control_may_be_another_way_to_search(with_control, outputs):
    for seed, (name, gain) in enumerate(2 * [("plain", 0.0)] + 2 * [("more", 0.2)]):
        own = scored([0.5 + gain] * 4, 4 * [1])
        both = {"plaza": own, ("plaza", "visual"): own}
        save(outputs, name, seed % 2, both)
    judged = as_judged(with_control(Control(search="visual"), seeds=(0, 1)))
    (row,) = rows(judged, outputs)
    assert row["control"] == "B/L+TEM against Baseline, visual: +20.0 (+20.0 to +20.0)"


def test_a_row_links_to_the_page_of_its_world_and_to_no_other(gather, outputs):
    judged = as_judged({"toy_rows": gather()})
    there = outputs / "station" / "toy" / "rows.ipynb"
    there.parent.mkdir(parents=True)
    there.touch()
    assert rows(judged, outputs)[0]["on"] == "plaza"
    (outputs / "plaza/toy/rows.ipynb").touch()
    assert rows(judged, outputs)[0]["on"] == "[plaza](plaza/toy/rows.ipynb)"
    seen_from = claims_table(judged, outputs, outputs.parent / "notebooks")
    assert seen_from["on"][0] == "[plaza](../outputs/plaza/toy/rows.ipynb)"


def test_claims_of_a_paper_are_corrected_together_as_on_its_pages(gather):
    study = gather()
    judged = as_judged({"toy_rows": study, "toy_more": study, "fanet_rows": study})
    assert judged["toy_rows"].siblings == (study,)
    assert judged["fanet_rows"].siblings == ()


def test_counts_are_of_the_papers_own_sentences(gather):
    study = gather()
    first, _ = study.ablation.claims
    ours = [first.model_copy(update={"says": f"{w} x."}) for w in all_claims.CONTROLS]
    ablation = study.ablation.model_copy(update={"claims": [first, *ours]})
    found = counted(as_judged({"toy_rows": replace(study, ablation=ablation)}))
    assert found.index.tolist() == [(DRAWN, "toy"), (DRAWN, "all")]
    assert found.loc[(DRAWN, "toy")].to_dict() == {
        "claims": 1,
        "with all seeds": 1,
        "replicated": 1,
        "contradicted": 0,
        "inconclusive": 0,
        "not judged": 0,
        "replicated, corrected": 1,
        "contradicted, corrected": 0,
    }
    text = all_claims.counts_markdown(as_judged({"toy_rows": study}))
    assert text.splitlines()[2] == f"| {DRAWN} | toy | 1 | 1 | 1 | 0 | 0 | 0 | 1 | 0 |"


def test_what_came_out_one_way_or_the_other_comes_first(gather, outputs):
    table = claims_table(as_judged({"toy_rows": gather()}), outputs, outputs)
    others = [
        table.assign(verdict=f"{word}", claim=word)
        for word in ("not judged: a|b", "inconclusive", "contradicted")
    ]
    every = claims.pd.concat([*others, table], ignore_index=True)
    found = of_paper(every, "toy")
    assert "paper" not in found
    assert found["claim"].tolist() == [
        "More is better.",
        "contradicted",
        "inconclusive",
        "not judged: a|b",
    ]
    assert of_paper(every, "fanet").empty


def test_long_names_of_rows_may_break_and_numbers_may_not():
    table = claims.pd.DataFrame({"a": ["B/L+TEM+BG", "+17.5 (+1.0 to +2.0)"], "n": 1})
    lines = all_claims.as_markdown(table).splitlines()
    assert lines[2:] == ["| B/L+<wbr>TEM+<wbr>BG | 1 |", "| +17.5 (+1.0 to +2.0) | 1 |"]


def test_what_means_something_to_markdown_is_written_out():
    assert all_claims._escaped("|F| on a_b * 2") == r"\|F\| on a\_b \* 2"


def test_the_readme_has_the_counts_where_it_has_their_marks(toy_root):
    table = f"{START}\n{END}\n"
    (toy_root / "README.md").write_text(table)
    assert CLAIMS[0] not in made_readme(toy_root, toy_root / "outputs")
    marks = "\n".join(CLAIMS)
    (toy_root / "README.md").write_text(f"{table}\n{marks}\n")
    (toy_root / "params/ablations/toy_parts.yaml").unlink()
    made = made_readme(toy_root, toy_root / "outputs")
    line = "|  | all | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |"
    assert line in made.partition(CLAIMS[0])[2]


OWN_BEST = """\
parts:
  grid-toy:
    about: rates
    runs: [toy]
    rows: [full, baseline]
    benchmarks: [station]
    seeds: [0]
    changes: {epochs: 8}
    axes:
      - [{learning_rate: 0.2}, {learning_rate: 0.5}]
      - [{warmup_epochs: 0}, {warmup_epochs: 4}]
  tables-toy:
    about: its table
    runs: [toy_parts]
    rows: claimed
    benchmarks: [plaza]
    seeds: [0, 1, 2]
"""
PARTS = """\
variants:
  - {name: full, row: all}
  - {name: baseline, row: without, overrides: {erasing: false}}
claims:
  - {ours: full, other: baseline, says: All is better.}
"""


@pytest.fixture
def own_best(toy_root):
    """What is said of a grid with these scores of whole method and baseline."""
    (toy_root / "params/study.yaml").write_text(OWN_BEST)
    (toy_root / "params/ablations/toy_parts.yaml").write_text(PARTS)
    with (toy_root / "params/base.yaml").open("a") as base:
        base.write("warmup_epochs: 0  # base\n")
    book = toy_root / "notebooks/toy.ipynb"
    rate = "learning_rate: float = 0.1"
    assert rate in (text := book.read_text())
    warm = "warmup_epochs: int = 0  # that begin low, in [0, inf)\\n"
    book.write_text(text.replace(rate, warm + rate))
    outputs, data = toy_root / "outputs", toy_root / "data"

    def told(**scores):
        parts = study_plan.plan_study(outputs, data, root=toy_root)
        for role, many in scores.items():
            own = [plan for plan in parts["grid-toy"] if plan.variant == role]
            for plan, score in zip(own, many, strict=True):
                name = plan.folder.name.removesuffix("-s0")
                write_record(outputs, "station", "toy", name, station=score)
        known = study_plan.read_parts(toy_root)
        where = outputs, data, toy_root
        return all_claims.against_own_best(known, parts, *where)

    return told


def test_within_a_point_of_its_best_the_baseline_is_compared_once(own_best):
    (said,) = own_best(full=[0.3, 0.3, 0.6, 0.3], baseline=[0.3, 0.3, 0.5, 0.51])
    assert said == (
        "toy's baseline: 51.0 at its own best, 50.0 at the chosen recipe; that is not"
        " over a point more, so nothing changes."
    )


def test_over_a_point_the_claim_is_judged_against_the_baselines_best_as_well(
    own_best, toy_root
):
    scores = {"full": [0.3, 0.3, 0.6, 0.3], "baseline": [0.3, 0.3, 0.5, 0.55]}
    said, waiting = own_best(**scores)
    assert said.endswith("learning_rate 0.5, warmup_epochs 4 is compared with, too.")
    start = "toy, its baseline at that recipe: All is better. On plaza: "
    assert waiting == start + "not run."
    best = "baseline+learning_rate=0.5+warmup_epochs=1"  # half of 8 epochs, and of 2
    for seed, gain in enumerate((0.0, 0.01, 0.02)):
        low, high = scored([0.5 + gain] * 4, 4 * [1]), scored([0.7 + gain] * 4, 4 * [1])
        for name, own in (("full", low), ("baseline", low), (best, high)):
            warm = {"warmup_epochs": int(name == best), "erasing": name == "full"}
            known = {"learning_rate": 0.5, "epochs": 2, "milestones": [1]} | warm
            save(toy_root / "outputs", name, seed, {"plaza": own}, also_on=[], **known)
    _, judged = own_best(**scores)
    assert "20.0 points of mAP below" in judged and judged.endswith("contradicted.")


@pytest.mark.parametrize("paper", ["fanet", "rganet", "flannet", "fba"])
def test_the_whole_method_of_each_paper_has_a_control(paper):
    ablations = read_ablations(ROOT / "params", paper)
    ours, other = "full", "none" if paper == "flannet" else "baseline"
    found = [
        claim.control
        for ablation in ablations.values()
        for claim in ablation.claims
        if (claim.ours, claim.other) == (ours, other) and not ablation.abroad
    ]
    assert found and all(found)

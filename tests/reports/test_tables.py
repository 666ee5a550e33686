"""Tables of a study: ours beside the paper's, in words."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pandas as pd
import pytest
from notebook_rules import code_of, text_of
from toys.small_study import HERE, save, scored

from reidlib.benchmarks import Counts, Tally
from reidrun.reports.published import HEADLINES, published
from reidrun.reports.study import Measure
from reidrun.reports.tables import (
    BEFORE,
    beside_paper,
    beside_printed,
    data_sets,
    folded,
    learning,
    measured,
    printed,
    seconds,
    table,
)
from reidrun.runs.environment import ROOT
from reidrun.runs.plans import Setting


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


def test_a_wide_table_shows_first_what_matters(gather):
    wide = beside_paper(gather())
    shown = folded(wide).data
    first, _, rest = shown.partition("<details>")
    titles = list(dict.fromkeys(title for title, _ in wide))
    kept = [title for title in titles if title in first]
    assert kept == ["ours, plaza (drawn pedestrians)", "paper, Market-1501"]
    assert all(title.replace("→", "→") in rest for title in titles)
    narrow = table(gather(settings=[HERE]))
    assert folded(narrow) is narrow


def test_the_papers_numbers_of_one_metric(gather):
    found = printed(gather(), "rank1")
    assert set(found["metric"]) == {"rank-1"}
    sets = ["Market-1501", "DukeMTMC-reID", "MSMT17"]
    assert list(found["benchmark"].unique()) == sets
    last = found[found["benchmark"] == "MSMT17"]
    assert list(last["variant"]) == list(gather().rows.values())
    assert last["value"].tolist() == [64.4, 65.4, 76.8]


def test_a_single_seed_has_no_spread(gather):
    found = table(gather(settings=[HERE], seeds=[1]))
    assert found.iloc[0, 0] == "57.7"


def test_the_first_row_is_what_there_was_before_training(gather, outputs):
    assert BEFORE not in table(gather()).index, "nobody has recorded it"
    for seed, start in enumerate([0.1, 0.2, 0.3]):
        measures = {"plaza: mAP, untrained": start, "plaza: rank1, untrained": start}
        save(outputs, "full", seed, {"plaza": scored([0.5, 0.5], [1, 1])}, measures)
    found = table(gather())
    here, there = found.columns.unique(0)
    assert found.index[0] == BEFORE and len(found) == 4
    assert found.loc[BEFORE, (here, "mAP")] == "20.0\xa0±\xa010.0"
    assert (found.loc[BEFORE, there] == "").all()
    both = beside_paper(gather())
    assert both.index[0] == BEFORE and both.loc[BEFORE].iloc[-1] == ""


def test_measures_are_averaged_over_seeds(gather):
    table = measured(gather(), ["mask IoU", "mask AUC"])
    title = "ours, plaza (drawn pedestrians)"
    words = ["0.26\u00a0±\u00a00.01", "0.37\u00a0±\u00a00.02", ""]
    assert table[title, "mask IoU"].tolist() == words
    assert len(table.columns) == 1, "what no variant has is left out"
    rest = measured(gather(), [Measure("mask IoU", complement=True)])
    words = ["0.74\u00a0±\u00a00.01", "0.63\u00a0±\u00a00.02", ""]
    assert rest[title, "1 - mask IoU"].tolist() == words


def test_seconds_are_those_that_the_runs_recorded(gather):
    found = seconds(gather())
    assert found["trained on plaza"].tolist() == [*["1\u00a0±\u00a00"] * 2, ""]
    assert (seconds(gather(seeds=[9])) == "").all(axis=None)


def test_rows_of_scores_with_more_words_are_settings_too(gather, outputs):
    ways = [HERE, HERE._replace(search="visual")]
    own = scored([0.25, 0.75], [1, 2])
    save(outputs, "full", 0, {"plaza": own, ("plaza", "visual"): own})
    found = table(gather(settings=ways))
    title = "ours, plaza visual (drawn pedestrians)"
    assert found[title, "mAP"].tolist() == ["", "", "50.0"]
    other = table(gather(settings=[Setting("plaza", "avenue", "visual")]))
    assert (other == "").all(axis=None), "nobody planned it"
    assert list(other.columns.unique(0)) == ["ours, plaza → avenue visual (not run)"]


def test_measures_that_nobody_has_are_an_empty_table(gather):
    table = measured(gather(), ["mask AUC"])
    assert table.shape == (3, 0) and list(table.index) == list(gather().rows.values())


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


def test_a_run_stands_under_a_paper_s_table_in_columns_of_its_own():
    found = scored([0.5, 0.75, float("nan"), 0.25], [1, 3, 0, 2])
    scores = {"plaza": found, ("plaza", "re-ranked"): found}
    partial = published("RGANet", "Table II")
    table = beside_printed(partial, scores)
    assert table.index.tolist() == [*partial.index, "this run"]
    ours = "ours, plaza (drawn pedestrians)"
    again = "ours, plaza re-ranked (drawn pedestrians)"
    assert table.columns.tolist() == [
        *((f"paper, {name}", metric) for name, metric in partial.columns),
        *((head, metric) for head in (ours, again) for metric in ("R1", "R3")),
    ]
    assert table.loc["this run", ours].tolist() == ["33.3", "100.0"]
    assert (table.loc["this run", f"paper, {partial.columns[0][0]}"] == "").all()
    assert (table.loc[partial.index, ours] == "").all(axis=None)
    name, metric = partial.columns[0]
    theirs = table.loc["RGANet", (f"paper, {name}", metric)]
    assert theirs == f"{partial.loc['RGANet', (name, metric)]:.1f}"
    with_map = beside_printed(published("RGANet", "Table V"), scores)
    assert with_map.loc["this run", (ours, "mAP")] == "50.0"


def test_table_2_of_fba_stands_beside_what_the_lists_hold():
    ours = Tally(Counts(16, 160, 6), Counts(8, 30, 5), Counts(9, 1070, 6))
    table = data_sets(published("FBA", "Table 2"), {"smoke": ours})
    wanted = {
        "DukeMTMC-reID": ["1,404", "36,411", "8", "702", "702", "1,110", "36,411", "8"],
        "CUHK03-NP(labeled)": [
            "1,467",
            "13,164",
            "2",
            *("767", "700", "700", "14,096", "2"),
        ],
        "Occluded-Duke": [
            "1,404",
            "35,489",
            "8",
            *("702", "519", "1,110", "35,489", "8"),
        ],
        "Occluded-REID": ["200", "2,000", "", *("0", "200", "200", "2,000", "")],
        "ours, smoke (drawn pedestrians)": [
            "",
            "",
            "",
            *("16", "8", "9", "1,260", "6"),
        ],
    }
    assert {name: row.tolist() for name, row in table.iterrows()} == wanted
    assert list(table["as printed"]) == ["IDs", "Images", "Cams"]


@pytest.mark.parametrize("paper", ["fanet", "rganet"])
def test_every_printed_table_of_scores_is_in_the_paper_s_notebook(paper):
    found = scored([0.5, 0.75, 0.25, 0.25], [1, 3, 4, 2])
    scores, shown = {"plaza": found, ("plaza", "re-ranked"): found}, {}

    def beside(table, scores):
        printed = published(HEADLINES[paper].paper, table)
        shown[table] = beside_printed(printed, scores).loc["this run"]

    run = SimpleNamespace(after_training=lambda what: nullcontext(), beside=beside)
    book = json.loads((ROOT / "notebooks" / f"{paper}.ipynb").read_text())
    for cell in code_of(book):
        if cell["id"].startswith("paper-"):
            exec(text_of(cell), {"run": run, "scores": scores, "display": str})
    assert list(shown) == [f"Table {n}" for n in ("I", "II", "III", "IV", "V")]
    ours = "ours, plaza (drawn pedestrians)"
    assert {table: row[ours].get("R3") for table, row in shown.items()} == (
        dict.fromkeys(shown) | ({"Table II": "75.0"} if paper == "rganet" else {})
    )
    assert all(row[ours, "R1"] == "25.0" for row in shown.values())

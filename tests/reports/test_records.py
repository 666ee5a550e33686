"""Finished runs as one table; what is no record, or another's, is named."""

import json
import shutil

import pytest
from toys.small_runs import write_record

from reidrun.reports.records import collect, read_record, score_table
from reidrun.runs.errors import RunError


def test_runs_are_collected_one_row_per_scored_benchmark(tmp_path):
    assert collect(tmp_path).query("paper == 'toy' and seed == 0").empty
    write_record(tmp_path, seed=1, plaza=0.6, station=0.25)
    write_record(tmp_path, seed=0, plaza=0.4, station=0.25)
    (tmp_path / "plaza/toy/broken-s0").mkdir()
    rows = collect(tmp_path)
    assert rows[["seed", "tested_on", "mAP"]].values.tolist() == [
        [0, "plaza", 0.4],
        [0, "station", 0.25],
        [1, "plaza", 0.6],
        [1, "station", 0.25],
    ]
    assert rows["folder"].tolist()[0] == "plaza/toy/full-s0"
    table = score_table(rows)
    assert table.loc[0, ["mAP", "rank-1"]].tolist() == [40.0, 70.0]
    assert (table["pictures"] == "drawn pedestrians").all()
    real = score_table(rows.assign(pictures="photographs"))
    assert (real["pictures"] == "photographs").all()


def test_pictures_tested_on_may_be_others_than_those_of_training(tmp_path):
    write_record(tmp_path, drawn=True, tested_drawn=False, market1501=0.5)
    write_record(tmp_path, drawn=True, seed=1, market1501=0.5)
    rows = collect(tmp_path)
    assert rows[["trained_on_pictures", "pictures"]].values.tolist() == [
        ["drawn", "photographs"],
        ["drawn", "drawn"],
    ]
    assert list(score_table(rows)["pictures"]) == ["photographs", "drawn pedestrians"]


def test_a_record_says_which_pictures_in_the_new_words_or_the_old(tmp_path):
    write_record(tmp_path, "concourse", pictures="rendered")
    write_record(tmp_path, "market1501", drawn=False)
    rows = collect(tmp_path)
    assert list(rows["pictures"]) == ["rendered", "photographs"]
    assert list(score_table(rows)["pictures"]) == ["rendered people", "photographs"]
    folder = write_record(tmp_path, "concourse", pictures="painted")
    with pytest.raises(RunError, match="'painted', none of drawn, rendered, photog"):
        read_record(folder)


def test_only_the_files_asked_for_are_looked_at(tmp_path):
    first, second = (write_record(tmp_path, seed=seed) for seed in (0, 1))
    (second / "metrics.json").write_text("not this one")
    assert collect(tmp_path, {first / "metrics.json"})["seed"].tolist() == [0]
    assert collect(tmp_path, set()).empty


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{", "", "cannot be read .*--fresh"),
        ("{", "[{", "cannot be read"),
        ('"drawn": true', '"drawn": "yes"', "no record of a run: drawn: .*boolean"),
        ('"drawn": true, ', "", "no record of a run: .* pictures is '', none of drawn"),
        ('"seed": 0,', "", "no record of a run: seed: Field required"),
        ('"seed": 0', '"seed": 0.5', "no record of a run: seed: .*integer"),
        ('"plaza": {', '"plaza": 0.5, "b": {', "scores.plaza: .*dictionary"),
        ('"rank3": 1, ', "", "scores: Value error, plaza has no rank3"),
        ('"mAP": 0.5', '"mAP": true', "mAP of plaza is True, no share"),
        ('"mAP": 0.5', '"drawn": 1, "mAP": 0.5', "drawn of plaza is 1.0, no boolean"),
        ('"mAP": 0.5', '"mAP": 50.0', "mAP of plaza is 50.0, no share"),
        ('"mAP": 0.5', '"mAP": NaN', "mAP of plaza is nan, no share"),
        ('"seed": 0', '"seed": 1', "the record of plaza/toy/full-s1, not of this run"),
        ('"paper": "toy"', '"paper": "fba"', "the record of plaza/fba/full-s0"),
    ],
)
def test_what_is_no_record_of_its_run_is_named(tmp_path, old, new, message):
    path = write_record(tmp_path) / "metrics.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(RunError, match=rf"full-s0/metrics\.json.*{message}"):
        collect(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"[]", b"null", b'{"a": 1}'])
def test_other_files_of_that_name_are_named(tmp_path, content):
    path = write_record(tmp_path) / "metrics.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"toy/full-s0/metrics\.json(: no | cannot)"):
        collect(tmp_path)


def test_a_renamed_folder_is_no_run_of_that_name(tmp_path):
    folder = write_record(tmp_path)
    shutil.copytree(folder, folder.with_name("full-s1"))
    with pytest.raises(RunError, match=r"full-s1/metrics\.json: it is the record of"):
        collect(tmp_path)


def test_a_record_may_hold_more(tmp_path):
    path = write_record(tmp_path) / "metrics.json"
    more = json.loads(path.read_text()) | {"measures": {"IoU": 0.5}}
    path.write_text(json.dumps(more))
    assert len(collect(tmp_path)) == 1

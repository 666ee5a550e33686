"""Run folders: names, the record, what marks completion, what is never recorded."""

import gzip
import json

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reidlib.evaluation.metrics import Scores
from reidlib.files import write_text
from reidrun.reports.tables import labelled, percent_table
from reidrun.runs import records
from reidrun.runs.environment import environment
from reidrun.runs.errors import RunError
from reidrun.runs.folder import (
    ADDED,
    QUERIES,
    differing,
    flat,
    is_complete,
    read_metrics,
    save_run,
    throw_away,
    write_parameters,
)
from reidrun.runs.names import (
    LONGEST_NAME,
    OF_THIS_MACHINE,
    read_row_name,
    run_folder,
    variant_name,
)

PARAMETERS = {
    "benchmark": "plaza",
    "seed": 3,
    "epochs": 2,
    "learning_rate": 5.0e-6,
    "milestones": [1, 2],
    "data_root": "../data",
    "run_dir": "",
    "variant": "full",
}
HISTORY = pd.DataFrame({"epoch": [1, 2], "loss": [0.1 + 0.2, 1 / 3]})


def scores(mean_ap=0.5, ranks=50):
    cmc = torch.linspace(mean_ap, 1, ranks, dtype=torch.float64)
    precisions = torch.tensor([mean_ap, torch.nan])
    ranks, pids = torch.tensor([2, 0]), torch.tensor([7, 8])
    return Scores(mean_ap, cmc, precisions, ranks, pids, num_valid=7, num_skipped=1)


def save(folder, mean_ap=0.5, parameters=PARAMETERS, **options):
    return save_run(
        str(folder),
        paper="toy",
        parameters=parameters,
        scores={"plaza": scores(mean_ap), "station": scores(0.25)},
        history=HISTORY,
        seconds=1.26,
        **options,
    )


def test_a_run_has_its_folder(tmp_path):
    names = {"benchmark": "plaza", "paper": "fanet", "variant": "full", "seed": 2}
    assert run_folder(tmp_path, **names) == tmp_path / "plaza/fanet/full-s2"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ({}, "full"),
        ({"epochs": 1}, "full+epochs=1"),
        ({"seed": 1, "flip": True}, "full+flip=true+seed=1"),
        ({"milestones": [40, 80]}, "full+milestones=40,80"),
        ({"learning_rate": 5e-6}, "full+learning_rate=5e-06"),
        ({"pretrained": "/somewhere/of mine/w.pt"}, "full+pretrained=w.pt"),
        ({"pretrained": "a b&c"}, "full+pretrained=a_b_c"),
        ({"outputs": "/somewhere/else"}, "full"),
    ],
)
def test_overrides_become_part_of_the_name(overrides, name):
    assert variant_name("full", overrides) == name


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.text() | st.integers()))
def test_a_name_is_always_one_short_folder(overrides):
    name = variant_name("full", overrides)
    assert name.startswith("full")
    assert "/" not in name and "\0" not in name
    assert len(f"{name}-s0".encode()) < 4 * LONGEST_NAME


def test_many_overrides_give_a_short_name_of_their_own():
    first, second = ({f"name_{i}": i + k for i in range(40)} for k in (0, 1))
    assert variant_name("full", first) != variant_name("full", second)
    assert len(variant_name("full", first)) < LONGEST_NAME


def test_the_record_is_written_last_and_read_back_exactly(tmp_path, monkeypatch):
    folder = tmp_path / "plaza" / "toy" / "full-s3"
    written = []
    for module in (
        "reidlib.files",
        "reidrun.runs.folder",
    ):  # write_text is of the first
        monkeypatch.setattr(
            f"{module}.write_bytes", lambda path, _: written.append(path.name)
        )
    record = save(folder, 1 / 3)
    early = ["params.yaml", "scores.json", "history.csv", "queries.csv.gz"]
    assert written == [*early, "metrics.json"]
    assert not is_complete(folder)
    monkeypatch.undo()
    assert save(folder, 1 / 3)["scores"] == record["scores"]
    assert is_complete(folder)
    assert read_metrics(folder)["scores"]["plaza"]["mAP"] == 1 / 3
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv",
        "metrics.json",
        "params.yaml",
        "queries.csv.gz",
    ]
    pd.testing.assert_frame_equal(pd.read_csv(folder / "history.csv"), HISTORY)
    text = (folder / "metrics.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_the_record_says_what_was_run(tmp_path):
    parameters = PARAMETERS | {"variant": "no-tem"}
    folder = tmp_path / "in any folder"
    record = save(folder, parameters=parameters, measures={"mask_iou": 0.4})
    assert (record["paper"], record["benchmark"], record["seed"]) == ("toy", "plaza", 3)
    assert record["variant"] == "no-tem"
    assert "variant" not in record["parameters"], "the folder is named by it"
    assert record["pictures"] == "drawn"
    assert record["measures"] == {"mask_iou": 0.4}
    assert record["scores"]["plaza"] == {
        "mAP": 0.5,
        "rank1": 0.5,
        "rank3": pytest.approx(0.5 + 0.5 * 2 / 49),
        "rank5": pytest.approx(0.5 + 0.5 * 4 / 49),
        "rank10": pytest.approx(0.5 + 0.5 * 9 / 49),
        "rank20": pytest.approx(0.5 + 0.5 * 19 / 49),
        "num_valid": 7,
        "num_skipped": 1,
        "pictures": "drawn",
    }
    assert record["seconds"] == 1.3
    assert record["versions"].keys() >= {"python", "torch", "open_clip_torch"}
    assert record["peak_memory_mib"]["host"] > 10
    hardware = {"system", "processor", "cores", "threads", "accelerator"}
    hardware |= {"processes"}
    assert set(record["hardware"]) == hardware


def test_a_gallery_smaller_than_the_rank_scores_its_last_rank(tmp_path):
    options = {"paper": "toy", "parameters": PARAMETERS, "history": HISTORY}
    few = {"plaza": scores(0.5, ranks=3)}
    record = save_run("", scores=few, seconds=0.0, **options)
    assert record["scores"]["plaza"]["rank20"] == 1.0


def test_what_every_query_scored_is_kept_and_read_back(tmp_path):
    save(tmp_path / "a" / "full-s3", 0.123456)
    table = records.read_queries(tmp_path / "a" / "full-s3")
    assert table.loc["plaza", "pid"].tolist() == [7, 8]
    assert table.loc["plaza", "average_precision"].tolist()[0] == 0.12346
    assert table.loc["plaza", "average_precision"].isna().tolist() == [False, True]
    assert table.loc["station", "first_rank"].tolist() == [2, 0]
    save(tmp_path / "b" / "full-s3", 0.123456)
    first, second = sorted(tmp_path.rglob(QUERIES))
    assert first.read_bytes() == second.read_bytes(), "no time, no name in it"


def test_measures_are_flat_and_named_by_benchmark():
    rows = {"plaza": pd.Series({"IoU": 0.5}), "station": pd.Series({"IoU": 1})}
    assert flat(rows) == {"plaza: IoU": 0.5, "station: IoU": 1.0}


def test_places_of_a_machine_are_not_recorded(tmp_path):
    places = dict.fromkeys(OF_THIS_MACHINE, "/secret/place")
    save(tmp_path / "full-s3", parameters=PARAMETERS | places)
    for path in tmp_path.rglob("*.*"):
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        assert b"secret" not in content
        assert str(tmp_path).encode() not in content


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert save("")["variant"] == "full"
    assert not list(tmp_path.iterdir())


def test_a_search_of_another_kind_is_a_pair_and_has_a_row_of_its_own(tmp_path):
    options = {"paper": "toy", "parameters": PARAMETERS, "history": HISTORY}
    pair = {"plaza": scores(), ("plaza", "re-ranked"): scores(0.25)}
    folder = tmp_path / "full-s3"
    record = save_run(str(folder), scores=pair, seconds=0.0, **options)
    assert list(record["scores"]) == ["plaza", "plaza re-ranked"]
    assert record["scores"]["plaza re-ranked"]["pictures"] == "drawn"
    rows = records.read_queries(folder).index.unique("tested_on")
    assert [*map(read_row_name, rows)] == [("plaza", ""), ("plaza", "re-ranked")]
    with pytest.raises(ValueError, match=r"'plaza re-ranked' is no benchmark; write"):
        save_run("", scores={"plaza re-ranked": scores()}, seconds=0.0, **options)


def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"scores\.plaza\.mAP is nan"):
        save(tmp_path / "full-s3", float("nan"))
    with pytest.raises(ValueError, match=r"measures\.mask_iou is inf"):
        save(tmp_path / "full-s3", measures={"mask_iou": float("inf")})
    assert not is_complete(tmp_path / "full-s3")


def test_folders_are_compared_by_parameters_not_by_place(tmp_path):
    assert differing(tmp_path, PARAMETERS) == {}
    write_parameters(tmp_path, PARAMETERS)
    moved = PARAMETERS | {"data_root": "elsewhere", "run_dir": "elsewhere"}
    assert differing(tmp_path, moved) == {}
    other = PARAMETERS | {"epochs": 3, "milestones": [1]}
    expected = {"epochs": (2, 3), "milestones": ([1, 2], [1])}
    assert differing(tmp_path, other) == expected
    assert differing(tmp_path, {"epochs": 2})["seed"] == (3, None)


def test_a_kept_run_goes_without_a_parameter_that_came_later(tmp_path):
    assert ADDED == {
        "always_fused": False,
        "bnneck": True,
        "captions": "given",
        "centre_weight": 0.0,
        "compile": False,
        "dai_alone": "softmax",
        "dai_bias": True,
        "erasing_fill": "noise",
        "last_stride": 1,
        "maps_of": "text",
        "mirrored": False,
        "positives": "mean",
        "query_residual": False,
        "rerank": False,
        "triplets": "hardest",
    }
    write_parameters(tmp_path, PARAMETERS)
    assert differing(tmp_path, PARAMETERS | {"compile": False}) == {}
    other = differing(tmp_path, PARAMETERS | {"compile": True})
    assert other == {"compile": (False, True)}
    write_parameters(tmp_path, PARAMETERS | {"compile": True})
    other = differing(tmp_path, PARAMETERS | {"compile": False})
    assert other == {"compile": (True, False)}


def test_what_is_saved_is_a_record_of_its_run(tmp_path):
    folder = tmp_path / "plaza/toy/full-s3"
    save(folder)
    assert records.read_record(folder) == read_metrics(folder)
    save(folder.with_name("full-s4"))
    with pytest.raises(RunError, match="record of plaza/toy/full-s3, not of"):
        records.read_record(folder.with_name("full-s4"))


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    write_text(path, "old")
    monkeypatch.setattr(type(path), "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_text(path, "new")
    assert path.read_text() == "old"


def test_the_environment_of_the_start_is_recorded(tmp_path):
    record = save(tmp_path / "full-s0", started={"commit": "abc", "dirty": True})
    assert (record["commit"], record["dirty"]) == ("abc", True)


def test_tables_say_what_their_pictures_show():
    table = percent_table({"plaza": scores(), ("plaza", "re-ranked"): scores()})
    assert table.columns.name == "drawn pedestrians"
    assert list(table.index) == ["plaza", "plaza re-ranked"]
    assert table.loc["plaza", "mAP (%)"] == 50.0
    assert labelled(table, ["market1501"]).columns.name == "photographs"
    both = labelled(table, ["market1501", "plaza"]).columns.name
    assert both == "drawn pedestrians and photographs"


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 100_000, "\ufeff[]"])
def test_a_record_that_is_no_object_is_named(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(RunError, match=r"metrics\.json cannot .*again with --fresh"):
        read_metrics(tmp_path)


@given(st.text(max_size=200))
def test_the_name_of_a_variant_is_no_longer_than_a_folders_may_be(text):
    name = variant_name("full", {"prompt": text})
    assert len(f"{name}-s4294967295".encode()) <= 255


def test_a_commit_that_git_does_not_tell_is_not_known(monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found = environment()
    assert (found["commit"], found["dirty"]) == ("not known", None)


@pytest.mark.parametrize(
    "content", [b"a: [1", b"hello", b"- a", b"\xff\xfe", b"a: {b: 1}"]
)
def test_parameters_that_cannot_be_read_are_refused_by_name(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(RunError, match="(?s)params.yaml: .*--fresh throws the run"):
        differing(tmp_path, PARAMETERS)


def test_without_its_params_a_run_is_known_by_its_record(tmp_path):
    save(tmp_path)
    (tmp_path / "params.yaml").unlink()
    assert differing(tmp_path, PARAMETERS) == {}
    assert differing(tmp_path, PARAMETERS | {"epochs": 3}) == {"epochs": (2, 3)}


@pytest.mark.parametrize("left", ["params.yaml", "metrics.json", "checkpoint.pt"])
def test_what_is_left_of_a_run_is_thrown_away_and_nothing_else(tmp_path, left):
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir(), other.mkdir()
    (run / left).touch(), (other / "letter.txt").touch()
    for folder in (run, other, tmp_path / "absent"):
        throw_away(folder)
    assert not run.exists() and (other / "letter.txt").is_file()

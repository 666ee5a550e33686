"""From a folder of crops and a table to scores, by `reid run`."""

import json
from pathlib import Path

import pandas as pd
import pytest

from reidlib.benchmarks import load_benchmark
from reidrun.cli import main as cli
from reidrun.reports.records import collect, score_table
from reidrun.runs.environment import ROOT

PEOPLE, SHOTS = 6, 4
SMALL = {"epochs": 1, "milestones": 1, "num_identities_per_batch": 4}
SMALL |= {"images_per_identity": 2, "batch_size_test": 32}


@pytest.fixture(scope="module")
def crops(tmp_path_factory) -> Path:
    """Drawn crops in folders of people, and a table without cameras."""
    root = tmp_path_factory.mktemp("own") / "Fußgänger im Park"
    smoke = load_benchmark("smoke", ROOT / "data")
    lines, people = ["path,pid,camid,split"], {}
    for sample in (*smoke.train, *smoke.query, *smoke.gallery):
        people.setdefault(sample.pid, []).append(sample.path)
    chosen = [pid for pid in sorted(people) if len(people[pid]) >= SHOTS][: 2 * PEOPLE]
    for number, pid in enumerate(chosen):
        for shot, path in enumerate(people[pid][:SHOTS]):
            place = Path("März", f"person {number}", f"Bild {shot} ü.jpg")
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(path.read_bytes())
            tested = "query" if shot == 0 else "gallery"
            split = tested if number >= PEOPLE else "train"
            lines.append(f"{place.as_posix()},{number},,{split}")
    (root / "samples.csv").write_text("\n".join(lines), "utf-8")
    return root


def reid(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments], ROOT)


@pytest.fixture(scope="module")
def outputs(crops, tmp_path_factory) -> Path:
    """Outputs with a run on the crops."""
    outputs = tmp_path_factory.mktemp("outputs")
    small = [word for pair in SMALL.items() for word in ("-p", *pair)]
    asked = ("--on", "own:park", "--data", crops, "--scale", "tiny")
    assert reid("run", "baseline", *asked, *small, "--outputs", outputs) == 0
    return outputs


def test_crops_without_cameras_train_and_score(crops, outputs):
    (folder,) = outputs.glob("own-park-*/baseline/*")
    record = json.loads((folder / "metrics.json").read_text())
    (scores,) = record["scores"].values()
    assert record["pictures"] == "photographs" and scores["cameras"] is False
    assert scores["num_valid"] == PEOPLE and scores["num_skipped"] == 0
    assert 0 < scores["mAP"] <= 1
    assert len(pd.read_csv(folder / "history.csv")) == 1
    heading = "photographs, without cameras: only the query itself is ignored"
    assert heading in (folder / "run.ipynb").read_text("utf-8")
    shown = score_table(collect(outputs))
    assert shown["pictures"].tolist() == [heading]
    assert str(crops) not in (folder / "params.yaml").read_text("utf-8")


def test_a_finished_run_is_tested_on_other_sets(crops, outputs, tmp_path, capsys):
    (folder,) = outputs.glob("own-park-*/baseline/*")
    (name, trained), *_ = json.loads((folder / "metrics.json").read_text())[
        "scores"
    ].items()
    assert reid("evaluate", folder, "--on", "own:park", "--data", crops) == 0
    out = capsys.readouterr().out
    assert "without cameras: only the query itself is ignored" in out
    place = folder.relative_to(outputs)
    asked = ("--on", "smoke", "--data", ROOT / "data", "--outputs", outputs)
    assert reid("evaluate", place, *asked) == 0
    assert "drawn pedestrians" in capsys.readouterr().out
    kept = json.loads((folder / "evaluated.json").read_text())
    assert kept.keys() == {name, "smoke"}
    assert kept[name] == trained, "as the run itself was tested"
    assert kept["smoke"]["pictures"] == "drawn"
    assert reid("evaluate", place, "--on", "smokey", "--outputs", outputs) == 2
    assert "did you mean smoke" in capsys.readouterr().err
    assert reid("evaluate", tmp_path, "--on", "smoke") == 2
    assert "it has no metrics.json" in capsys.readouterr().err


def test_a_run_without_a_model_is_refused_before_anything_is_drawn(tmp_path, capsys):
    (tmp_path / "metrics.json").write_text("{}")
    data = tmp_path / "data"
    assert reid("evaluate", tmp_path, "--on", "smoke", "--data", data) == 2
    assert "no model.json" in capsys.readouterr().err and not data.exists()


def test_fanet_without_cameras_is_refused_before_it_starts(crops, tmp_path, capsys):
    asked = ("--on", "own:park", "--data", crops, "--outputs", tmp_path / "out")
    assert reid("run", "fanet", *asked, "--scale", "tiny") == 2
    said = capsys.readouterr().err
    assert "has no camid, but this method learns to name cameras" in said
    assert not (tmp_path / "out").exists()


def test_own_data_are_checked_by_a_command(crops, capsys):
    assert reid("data", "check", "own", crops) == 0
    out = capsys.readouterr().out
    assert out.startswith("your own data\n") and "nothing to compare" in out
    assert reid("data", "tree", "own") == 0
    assert "samples.csv" in capsys.readouterr().out


def test_the_lines_of_the_readme_make_a_table(crops, tmp_path, monkeypatch, capsys):
    for path in sorted(crops.rglob("*.jpg")):
        place = tmp_path / "crops" / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    section = (ROOT / "README.md").read_text("utf-8").partition("## Run on your own")[2]
    exec(section.partition("```python\n")[2].partition("```")[0], {})
    benchmark = load_benchmark("own:crops", tmp_path / "crops")
    sizes = [PEOPLE * SHOTS, PEOPLE, PEOPLE * (SHOTS - 1)]
    assert [len(split) for split in benchmark[1:]] == sizes
    assert reid("data", "check", "own", "crops") == 0
    assert "your own data" in capsys.readouterr().out


def test_a_table_with_faults_is_refused_before_anything_runs(crops, tmp_path, capsys):
    (tmp_path / "samples.csv").write_text("path,pid,split\nx.jpg,one,train\n")
    assert reid("run", "baseline", "--on", "own:park", "--data", tmp_path) == 2
    said = capsys.readouterr().err
    assert "line 2: pid is 'one'" in said and "line 2: path 'x.jpg' is no file" in said
    assert reid("run", "baseline", "--on", "own park", "--data", tmp_path) == 2
    assert "own:<name>" in capsys.readouterr().err

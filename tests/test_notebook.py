"""The first and the last call of a paper's notebook."""

import json
import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from toys.parallel_training import of
from toys.toy_paper import notebook as notebook_of

import reidlib
from reidlib import analysis, collectives, evaluation, processes
from reidlib.backbones import load_resnet
from reidlib.benchmarks import USE
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.evaluation.metrics import Scores
from reidlib.models.baseline import ResNetBaseline
from reidrun import notebook
from reidrun.notebook import open_study, show_source, start_run
from reidrun.reports.published import published
from reidrun.runs import injected, sweep
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError
from reidrun.runs.execute import execute
from reidrun.runs.folder import (
    drop_checkpoint,
    is_complete,
    read_metrics,
    save_run,
)
from reidrun.runs.injected import check_parameters
from reidrun.runs.plans import Setting
from reidrun.runs.records import read_queries

SCHEMA = """\
# Schema: every parameter, its meaning and unit.
benchmark: str = "smoke"  # trained and tested on
data_root: str = "../data"  # folder with the benchmarks
run_dir: str = ""  # where the run is kept
seed: int = 3  # of everything random
variant: str = "full"  # what this run is called in its record and in tables
device: str = "cpu"  # auto | cpu | cuda
image_cache: str = ""  # folder for images decoded once
tensorboard: str = ""  # folder for event files
"""
LOOKS = {"smoke": {"maps": np.zeros(2)}}
RANKS, PIDS = torch.tensor([1, 3]), torch.tensor([7, 8])
SCORES = Scores(0.5, torch.ones(20), torch.rand(2), RANKS, PIDS, 2, 0)


@pytest.fixture(autouse=True)
def in_notebooks(monkeypatch):
    """Where a notebook's kernel runs."""
    monkeypatch.chdir(ROOT / "notebooks")


@pytest.fixture
def running(monkeypatch):
    """Run cells in a namespace that `get_ipython` knows, as a kernel does."""

    def running(*cells: str) -> dict:
        namespace = {"In": ["", *cells]}
        for cell in cells:
            exec(cell, namespace)
        shell = SimpleNamespace(user_ns=namespace)
        monkeypatch.setattr(injected, "get_ipython", lambda: shell)
        return namespace

    return running


def test_a_run_begins_with_what_is_the_same_in_all(running):
    running(SCHEMA)
    run = start_run("fanet")
    drawn = random.random(), np.random.rand(), torch.rand(2)
    assert run.parameters["seed"] == 3 and run.device == torch.device("cpu")
    assert run.cache is None and run.watch.run_dir is None
    assert run.checkpoint.parent == run.watch.scratch, "kept until it is finished"
    assert list(run.watch.scratch.iterdir()) == []
    assert set(run.started) == {"versions", "commit", "dirty", "hardware"}
    start_run("fanet")
    again = random.random(), np.random.rand(), torch.rand(2)
    assert drawn[:2] == again[:2] and torch.equal(drawn[2], again[2]), "it seeds"


def test_a_run_that_is_kept_knows_its_checkpoint_and_cache(running, tmp_path):
    folder = f'run_dir = "{tmp_path}/run"\nimage_cache = "{tmp_path}/images"'
    running(SCHEMA, f"# Parameters\n{folder}\n")
    run = start_run("rganet")
    assert run.checkpoint == tmp_path / "run" / "checkpoint.pt"
    assert run.cache.folder == tmp_path / "images"
    assert not (tmp_path / "run").exists(), "nothing is written yet"


@pytest.mark.parametrize(
    ("injected", "error", "message"),
    [
        ("sed = 1", ParameterError, "sed: unknown parameter; did you mean seed"),
        ("seed = 'one'", ParameterError, "seed: 'one' is a str, an int is wanted"),
        ("device = 'cuda'", ValueError, "torch sees no GPU"),
    ],
)
def test_a_run_that_cannot_be_begun_says_why(
    running, monkeypatch, injected, error, message
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    running(SCHEMA, f"# Parameters\n{injected}\n")
    with pytest.raises(error, match=message):
        start_run("fanet")


def test_a_process_that_is_not_the_main_one_writes_nothing(
    running, tmp_path, monkeypatch
):
    joined = []
    monkeypatch.setattr(collectives, "join", joined.append)
    told = f'run_dir = "{tmp_path}/run"\ntensorboard = "{tmp_path}/events"'
    history = pd.DataFrame({"epoch": [1], "loss": [2.0]})
    history.attrs |= {"seconds": [1.5], "epochs": 1}
    for number in (1, 0):
        running(SCHEMA, f"# Parameters\n{told}\n")
        with of(number, 2, monkeypatch):
            run = start_run("fanet")
            run.watch(history)
            run.keep_scores({"smoke": SCORES}, history)
            analysis.snapshots.write(run.checked["run_dir"], "looks", LOOKS)
            run.save(scores={"smoke": SCORES}, history=history)
        assert (tmp_path / "run" / "metrics.json").exists() is (number == 0)
        assert (tmp_path / "events").exists() is (number == 0)
        if number:
            assert not [path for path in tmp_path.rglob("*") if path.is_file()]
            assert run.checkpoint == tmp_path / "run" / "checkpoint.pt", "to go on from"
    assert joined == [torch.device("cpu")] * 2
    assert read_metrics(tmp_path / "run")["hardware"]["processes"] == 2


def test_looks_after_training_wait_for_no_other_process(running, monkeypatch, tmp_path):
    monkeypatch.setattr(collectives, "join", lambda device: None)
    running(SCHEMA, f'# Parameters\nrun_dir = "{tmp_path}/run"\n')
    with of(0, 2, monkeypatch):
        run = start_run("fanet")
        assert processes.are_together()
        with run.after_training("look"):
            assert not processes.are_together()
            raise OSError("no picture")
        assert processes.are_together()
    assert run.failed == {"look": "OSError: no picture"}


def test_parameters_outside_a_notebook_are_asked_for():
    with pytest.raises(RuntimeError, match="no notebook is running: give inputs"):
        check_parameters()


def test_a_run_is_kept_with_its_measures_and_all_its_seconds(running, tmp_path):
    running(SCHEMA, f'# Parameters\nrun_dir = "{tmp_path}/full-s3"\n')
    run = start_run("fanet")
    history = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0]})
    history.attrs["seconds"] = [1.5, 2.5]
    quality = {"smoke": pd.Series({"mask IoU": 0.25})}
    scored = run.save(
        scores={"smoke": SCORES, ("smoke", "re-ranked"): SCORES},
        history=history,
        measures=quality,
        seconds_before=3.0,
    )
    record = read_metrics(tmp_path / "full-s3")
    assert scored == record["scores"]["smoke"] and scored["mAP"] == 0.5
    assert (record["paper"], record["variant"], record["seed"]) == ("fanet", "full", 3)
    assert record["measures"] == {"smoke: mask IoU": 0.25}
    assert record["seconds"] == 7.0
    assert record["versions"] == run.started["versions"]


HISTORY = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0]})
HISTORY.attrs["seconds"] = [1.0, 1.0]


def test_scores_are_kept_before_anything_is_looked_at(running, tmp_path):
    folder = tmp_path / "full-s3"
    running(SCHEMA, f'# Parameters\nrun_dir = "{folder}"\n')
    run = start_run("fanet")
    run.keep_scores({"smoke": SCORES}, HISTORY)
    early = json.loads((folder / "scores.json").read_text())
    assert early["smoke"]["mAP"] == 0.5 and not is_complete(folder)
    assert read_queries(folder)["first_rank"].tolist() == [1, 3]
    pd.testing.assert_frame_equal(pd.read_csv(folder / "history.csv"), HISTORY)
    run.save(scores={"smoke": SCORES}, history=HISTORY)
    assert is_complete(folder) and not (folder / "scores.json").exists()
    assert "failed" not in read_metrics(folder)


def test_what_fails_after_training_is_recorded_and_the_run_is_kept(
    running, tmp_path, capsys
):
    running(SCHEMA, f'# Parameters\nrun_dir = "{tmp_path}"\n')
    run = start_run("fanet")
    with run.after_training("maps"):
        raise RuntimeError("stack expects each tensor to be equal size")
    with run.after_training("quality"):
        pass
    quality = {"smoke": {"mask IoU": float("nan"), "area": 0.5}}
    run.save(scores={"smoke": SCORES}, history=HISTORY, measures=quality)
    record = read_metrics(tmp_path)
    assert record["failed"] == {
        "maps": "RuntimeError: stack expects each tensor to be equal size",
        "smoke: mask IoU": "ValueError: smoke: mask IoU is nan, which is no measure",
    }
    assert record["measures"] == {"smoke: area": 0.5}
    shown = capsys.readouterr().out
    assert "maps failed; the run goes on." in shown and "Traceback" in shown


def test_measures_that_are_no_numbers_do_not_cost_the_run(running, tmp_path):
    running(SCHEMA, f'# Parameters\nrun_dir = "{tmp_path}"\n')
    quality = {"smoke": {"words": "many"}}
    start_run("fanet").save(scores={"smoke": SCORES}, history=HISTORY, measures=quality)
    assert list(read_metrics(tmp_path)["failed"]) == ["measures"]


def test_where_nothing_is_kept_a_fault_is_raised(running):
    running(SCHEMA)
    run = start_run("fanet")
    run.keep_scores({"smoke": SCORES}, HISTORY)
    with pytest.raises(ZeroDivisionError), run.after_training("maps"):
        _ = 1 / 0
    with pytest.raises(ValueError, match="IoU is inf, which is no measure"):
        run.save(
            scores={"smoke": SCORES},
            history=HISTORY,
            measures={"smoke": {"IoU": float("inf")}},
        )


def test_an_interrupt_is_no_failed_look(running, tmp_path):
    running(SCHEMA, f'# Parameters\nrun_dir = "{tmp_path}"\n')
    run = start_run("fanet")
    with pytest.raises(KeyboardInterrupt), run.after_training("maps"):
        raise KeyboardInterrupt
    assert not run.failed


def test_a_parameter_that_is_changed_after_the_start_is_refused(running):
    namespace = running(SCHEMA)
    run = start_run("fanet")
    assert run.parameters == run.checked
    namespace["seed"] = 5
    changed = "seed was 3 when the run started and is 5 now: run the notebook from"
    with pytest.raises(ParameterError, match=changed):
        _ = run.parameters
    with pytest.raises(ParameterError, match=changed):
        run.save(scores={"smoke": SCORES}, history=HISTORY)


def test_what_the_start_reads_has_to_be_declared(running):
    running(SCHEMA.replace("seed:", "sed:"))
    with pytest.raises(ParameterError, match=r"^seed: .*not declare.*mean sed\?$"):
        start_run("fanet")


LOST = {
    "parameters": SCHEMA,
    "setup": "from reidrun.notebook import start_run\nrun = start_run('fanet')",
    "search": """\
import pandas as pd
import torch
import reidlib
from reidlib.backbones import load_resnet
from reidlib.benchmarks import USE
from reidlib.data.transforms import test_transform as plain_transform
from reidlib import evaluation
from reidlib.evaluation.metrics import Scores
from reidlib.models.baseline import ResNetBaseline

ranks, pids = torch.tensor([1, 3]), torch.tensor([7, 8])
scores = {"smoke": Scores(0.5, torch.ones(20), torch.rand(2), ranks, pids, 2, 0)}
history = pd.DataFrame({"epoch": [1], "loss": [1.0]})
history.attrs["seconds"] = [1.0]
run.keep_scores(scores, history)
quality = {}
""",
    "look": "with run.after_training('maps'):\n    quality['smoke'] = torch.stack([])",
    "save": "run.save(scores=scores, history=history, measures=quality)",
}


def test_a_look_that_fails_in_a_notebook_leaves_a_finished_run(tmp_path):
    path, folder = tmp_path / "notebooks" / "lost.ipynb", tmp_path / "run"
    path.parent.mkdir()
    path.write_text(json.dumps(notebook_of(LOST)))
    execute(path, folder, {"run_dir": str(folder), "variant": "full"})
    record = read_metrics(folder)
    assert record["scores"]["smoke"]["mAP"] == 0.5
    assert record["failed"]["maps"].startswith("RuntimeError: stack expects")
    page = (folder / "run.ipynb").read_text()
    assert "maps failed; the run goes on." in page and "stack expects" in page


def test_tables_say_what_the_pictures_show(running):
    running(SCHEMA)
    run = start_run("flannet")
    assert run.scores_table({"smoke": SCORES}).columns.name == "drawn pedestrians"
    table = run.labelled(pd.DataFrame({"smoke": [1.0]}), ["smoke"])
    assert table.columns.name == "drawn pedestrians"
    pd.testing.assert_frame_equal(
        run.published("Table 5"), published("FLaN-Net", "Table 5")
    )


def test_runs_of_another_scale_are_opened_where_it_is_asked_for(tmp_path):
    which = {"ablation": "baseline_ladder", "benchmarks": ["plaza"], "seeds": [0]}
    which |= {"variants": ["full"]}
    places = {"outputs": tmp_path, "data_root": tmp_path}
    (plan,) = sweep.plan(**which, **places, scale="study")
    kept = {"paper": "baseline", "parameters": plan.parameters, "seconds": 1.0}
    kept |= {"scores": {"plaza": SCORES}, "history": pd.DataFrame({"epoch": [1]})}
    save_run(str(plan.folder), **kept)
    asked = which | places | {"run_missing": False, "jobs": 1}
    assert not open_study(asked).folders
    opened = open_study(asked, "study")
    assert [*opened.folders] == [("full", Setting("plaza", "plaza"))]


def test_sources_are_shown_as_they_are_written_without_their_indent():
    shown = show_source(notebook.NotebookRun.labelled, injected._starts).data
    assert shown.startswith("def labelled(self,")
    assert '\n    """Write into a table' in shown
    assert shown.endswith("return cell.lstrip().startswith(mark)")
    assert "\n\n\ndef _starts(" in shown


def test_a_run_leaves_its_model_and_a_card_that_says_what_it_is(running, tmp_path):
    folder = tmp_path / "full-s3"
    running(SCHEMA, f'# Parameters\nrun_dir = "{folder}"\n')
    stages = load_resnet("tiny-resnet")
    model = ResNetBaseline(stages, num_identities=5).eval()
    transform = plain_transform(32, 16, normalisation="imagenet")
    tester = evaluation.Tester(transform, "cpu", 4)
    run = start_run("baseline")
    run.save(scores={"smoke": SCORES}, history=HISTORY, model=model, tester=tester)
    settings = json.loads((folder / "model.json").read_text())
    assert settings["scores"] == read_metrics_scores(folder)
    assert (
        settings["data"]["trained_on"] == "smoke"
        and settings["data"]["kind"] == "drawn"
    )
    assert (settings["classes"], settings["commit"]) == (5, run.started["commit"])
    assert str(tmp_path) not in (folder / "model.json").read_text()
    card = (folder / "model.md").read_text()
    for said in ("variant `full`, seed 3", "drawn pedestrians", "| smoke | 50.0 |"):
        assert said in card
    assert all(sentence in card for sentence in USE) and "MIT" in card
    images = torch.rand(2, 3, 32, 16)
    with torch.no_grad():
        assert torch.equal(reidlib.load(folder).embed(images), model.embed(images))


def read_metrics_scores(folder):
    scores = read_metrics(folder)["scores"]
    return {
        n: {k: v for k, v in s.items() if k != "pictures"} for n, s in scores.items()
    }


def test_a_model_that_cannot_be_kept_does_not_cost_the_run(running, tmp_path):
    running(SCHEMA, f'# Parameters\nrun_dir = "{tmp_path}"\n')
    tester = evaluation.Tester(plain_transform(32, 16, normalisation="half"), "cpu", 4)
    model = torch.nn.Linear(2, 2)
    start_run("toy").save(
        scores={"smoke": SCORES}, history=HISTORY, model=model, tester=tester
    )
    assert "no recipe describes" in read_metrics(tmp_path)["failed"]["model"]
    assert not (tmp_path / "model.json").exists()


def test_a_checkpoint_goes_when_a_model_is_there_in_its_place(tmp_path):
    for name in ("checkpoint.pt", "metrics.json"):
        (tmp_path / name).touch()
        drop_checkpoint(tmp_path)
    assert (tmp_path / "checkpoint.pt").exists(), "no model would be left"
    (tmp_path / "model.json").touch()
    drop_checkpoint(tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()

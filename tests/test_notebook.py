"""The first and the last call of a paper's notebook."""

import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from reidlib.evaluation.metrics import Scores
from reidrun import notebook
from reidrun.notebook import show_source, start_run
from reidrun.reports.published import published
from reidrun.runs import injected
from reidrun.runs.folder import read_metrics
from reidrun.runs.injected import check_parameters
from reidrun.runs.schema import ParameterError

SCHEMA = """\
# Schema: every parameter, its meaning and unit.
benchmark: str = "smoke"  # trained and tested on
data_root: str = "../data"  # folder with the benchmarks
run_dir: str = ""  # where the run is kept
seed: int = 3  # of everything random
device: str = "cpu"  # auto | cpu | cuda
image_cache: str = ""  # folder for images decoded once
"""
RANKS, PIDS = torch.tensor([1, 3]), torch.tensor([7, 8])
SCORES = Scores(0.5, torch.ones(20), torch.rand(2), RANKS, PIDS, 2, 0)


@pytest.fixture
def running(monkeypatch):
    """Run cells in a namespace that `get_ipython` knows, as a kernel does."""

    def running(*cells: str) -> None:
        namespace = {"In": ["", *cells]}
        for cell in cells:
            exec(cell, namespace)
        shell = SimpleNamespace(user_ns=namespace)
        monkeypatch.setattr(injected, "get_ipython", lambda: shell)

    return running


def test_a_run_begins_with_what_is_the_same_in_all(running):
    running(SCHEMA)
    run = start_run("fanet")
    drawn = random.random(), np.random.rand(), torch.rand(2)
    assert run.parameters["seed"] == 3 and run.device == torch.device("cpu")
    assert run.cache is None and run.checkpoint is None
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


def test_tables_say_what_the_pictures_show(running):
    running(SCHEMA)
    run = start_run("flannet")
    assert run.scores_table({"smoke": SCORES}).columns.name == "drawn pedestrians"
    table = run.labelled(pd.DataFrame({"smoke": [1.0]}), ["smoke"])
    assert table.columns.name == "drawn pedestrians"
    pd.testing.assert_frame_equal(
        run.published("Table 5"), published("FLaN-Net", "Table 5")
    )


def test_sources_are_shown_as_they_are_written_without_their_indent():
    shown = show_source(notebook.NotebookRun.labelled, injected._starts).data
    assert shown.startswith("def labelled(self,")
    assert '\n    """Write into a table' in shown
    assert shown.endswith("return cell.lstrip().startswith(mark)")
    assert "\n\n\ndef _starts(" in shown

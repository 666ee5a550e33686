"""Two runs, query by query: by hand, against the statistics, and refusals."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from reidlib.evaluation.metrics import Scores
from reidlib.evaluation.statistics import bootstrap_interval, range_in_points
from reidrun.cli import main as cli
from reidrun.reports.comparison import compare_runs
from reidrun.runs.errors import RunError
from reidrun.runs.folder import save_run
from reidrun.runs.names import run_folder
from reidrun.runs.records import read_queries

PIDS = torch.arange(12).repeat_interleave(3)
PARAMETERS = {"benchmark": "plaza", "seed": 0}


def run(outputs, variant, ranks, tested=("plaza",), pids=PIDS):
    """A finished run with these first ranks, whose average precisions are 1 / rank."""
    precisions = torch.where(ranks > 0, 1 / ranks.clamp(min=1), torch.nan)
    valid = int((ranks > 0).sum())
    scores = Scores(
        float(precisions.nanmean()),
        *(torch.ones(20), precisions, ranks, pids, valid, len(ranks) - valid),
    )
    names = {"benchmark": "plaza", "variant": variant, "seed": 0}
    folder = run_folder(outputs, paper="toy", **names)
    history = pd.DataFrame({"epoch": [1], "loss": [1.0]})
    save_run(
        str(folder),
        paper="toy",
        parameters=PARAMETERS | {"variant": variant},
        scores=dict.fromkeys(tested, scores),
        history=history,
        seconds=1.0,
    )
    return folder


@pytest.fixture
def ranks() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(1, 6, (len(PIDS),), generator=generator)
    drawn[5] = 0  # without a match
    return drawn


def test_differences_are_those_of_the_queries(tmp_path, ranks):
    better = torch.where(ranks > 2, ranks - 1, ranks)
    first, second = run(tmp_path, "a", better), run(tmp_path, "b", ranks)
    table = compare_runs(first, second).set_index("metric")
    valid = ranks > 0
    gains = (1 / better[valid] - 1 / ranks[valid]).numpy()
    assert table.loc["mAP", "difference"] == f"{100 * gains.mean():+.1f}"
    assert table.loc["mAP", "first"] == f"{100 * (1 / better[valid]).mean():.1f}"
    assert table.loc["mAP", "the first is"] == "higher"
    assert table.loc["rank-1", "difference"] == "0.0"
    assert table.loc["rank-1", "the first is"] == "not told apart"
    queries = [
        read_queries(folder).set_index("pid", append=True) for folder in (first, second)
    ]
    paired = (queries[0] - queries[1])["average_precision"].droplevel(0).dropna()
    assert np.isclose(paired.mean(), gains.mean(), atol=1e-4)
    interval = bootstrap_interval(paired, paired.index.get_level_values(1))
    assert table.loc["mAP", "95 % over queries"] == range_in_points(interval)


def test_only_what_both_were_tested_on_is_compared(tmp_path, ranks):
    first = run(tmp_path, "a", ranks, ["plaza", ("plaza", "re-ranked"), "station"])
    second = run(tmp_path, "b", ranks, ["station", "plaza"])
    table = compare_runs(first, second)
    assert list(table["tested on"].unique()) == ["plaza", "station"]
    assert set(table["pictures"]) == {"drawn pedestrians"}
    assert set(table["difference"]) == {"0.0"}
    third = run(tmp_path, "c", ranks, ["avenue"])
    with pytest.raises(RunError, match="no test is in both.*plaza.*avenue"):
        compare_runs(first, third)


def test_runs_that_cannot_be_compared_say_why(tmp_path, ranks, capsys):
    first = run(tmp_path, "a", ranks)
    other = run(tmp_path, "b", ranks, pids=PIDS + 1)
    with pytest.raises(RunError, match="tested on plaza with other queries"):
        compare_runs(first, other)
    (other / "queries.csv.gz").unlink()
    with pytest.raises(RunError, match="no queries.csv.gz.*--fresh"):
        compare_runs(first, other)
    shutil.rmtree(other)
    asked = ["compare", str(first), "plaza/toy/b-s0", "--outputs", str(tmp_path)]
    assert cli.main(asked) == 2
    assert "plaza/toy/b-s0 is no run folder" in capsys.readouterr().err
    asked[2] = "plaza/toy/a-s0"
    assert cli.main(asked) == 0
    assert "not told apart" in capsys.readouterr().out
    assert json.loads((first / "metrics.json").read_text())["paper"] == "toy"

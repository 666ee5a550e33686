"""RGANet's stage 0 as a file: a run that reads it is the run that learned it."""

import pandas as pd
import pytest

from reidrun.runs import execute, plans
from reidrun.runs.environment import ROOT
from reidrun.runs.folder import read_metrics


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """Two runs on a few drawn people: one learns its prompts, one reads them."""
    folder = tmp_path_factory.mktemp("stages")
    places = {"data_root": folder / "data", "outputs": folder / "outputs"}
    run = {"benchmark": "smoke", "seed": 0, **places}
    few = {"also_on": "[]", "epochs": "1", "num_identities_per_batch": "8"}
    learned = plans.make_plan(ROOT, "rganet", **run, overrides=few)
    execute.execute(learned.notebook, learned.folder, learned.parameters)
    few["prompt_path"] = str(learned.folder / "prompts.safetensors")
    read = plans.make_plan(ROOT, "rganet", **run, overrides=few)
    execute.execute(read.notebook, read.folder, read.parameters)
    return learned.folder, read.folder


def test_stage_0_from_disk_equals_stage_0_in_process(smoke):
    learned, read = map(read_metrics, smoke)
    assert learned["scores"] == read["scores"]
    assert learned["measures"] == read["measures"] != {}
    histories = [pd.read_csv(folder / "history.csv") for folder in smoke]
    pd.testing.assert_frame_equal(*histories)


def test_stage_0_is_learned_once_and_kept(smoke):
    learned, read = smoke
    prompts = pd.read_csv(learned / "prompts.csv")
    assert prompts["segmentation"].iloc[-1] > 0
    assert not list(read.glob("prompts.*"))

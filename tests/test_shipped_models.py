"""The models that come with the repository embed, and score what their cards say."""

from pathlib import Path

import pytest

import reidlib
from reidlib import scoring
from reidlib.benchmarks import load_benchmark
from reidrun.runs.environment import ROOT

SHIPPED = ROOT / "outputs" / "models"


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    return load_benchmark("plaza_small", tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("paper", ["fanet", "rganet", "flannet", "fba"])
def test_a_shipped_model_scores_what_its_card_says(paper, benchmark):
    embedder = reidlib.load(SHIPPED / paper)
    said = embedder.settings["scores"]["plaza_small"]
    found = scoring.score(embedder, benchmark)
    assert found.mean_ap == pytest.approx(said["mAP"], abs=2e-3)
    assert float(found.cmc[0]) == pytest.approx(said["rank1"], abs=1 / 200)
    assert embedder.settings["paper"] == paper
    assert embedder.settings["weights"]["bytes"] < 2.3e6
    card = Path(SHIPPED, paper, "model.md").read_text()
    assert f"| plaza_small | {100 * said['mAP']:.1f} |" in card

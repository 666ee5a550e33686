"""An ablation notebook makes the runs it lacks, once, and tells what they say."""

import json
from pathlib import Path

import pytest

from reidrun.runs import execute
from reidrun.runs import folder as runs
from reidrun.runs.environment import ROOT

COMPONENTS = ROOT / "notebooks" / "ablations" / "fanet_components.ipynb"


def printed(page: Path) -> str:
    cells = json.loads(page.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    texts = [o.get("text") or o.get("data", {}).get("text/markdown") for o in outputs]
    return "\n".join("".join(text) for text in texts if text)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Table I of two variants on a few drawn people, one seed; both had to be run."""
    folder = tmp_path_factory.mktemp("house")
    parameters = {
        "benchmarks": ["smoke"],
        "seeds": [0],
        "variants": ["baseline", "full"],
        "outputs": str(folder / "outputs"),
        "data_root": str(folder / "data"),
        "run_missing": True,
    }
    execute.execute_page(COMPONENTS, folder / "components.ipynb", parameters)
    return folder / "components.ipynb"


def test_missing_runs_are_made_and_kept(page):
    for variant in ("baseline", "full"):
        folder = page.parent / "outputs/smoke/fanet" / f"{variant}-s0"
        assert runs.is_complete(folder)
        assert (folder / "history.csv").is_file() and (folder / "looks.npz").is_file()
    assert "2 runs, 0 missing, 0 failed" in printed(page)


def test_a_single_seed_claims_nothing(page):
    said = printed(page)
    assert "The whole method is better than its baseline. On smoke (drawn ped" in said
    assert "over a single seed" in said and "inconclusive." in said
    assert "replicated" not in said and "contradicted" not in said

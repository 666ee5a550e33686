"""Notebooks with pictures of people are not committed."""

import json
import subprocess

import pytest
from photographs import fault
from toys.toy_paper import notebook

from reidlib.benchmarks import BENCHMARKS, pictures_of
from reidrun.runs.environment import ROOT

FOR_TESTS = ("smoke", "atrium_smoke")  # whose runs nobody keeps


def write(path, benchmark: str, kind: str):
    book = notebook({"parameters": f'benchmark: str = "{benchmark}"', "show": "1"})
    output = {"output_type": "display_data", "metadata": {}, "data": {kind: "x"}}
    book["cells"][1]["outputs"] = [output]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(book))
    return path


@pytest.mark.parametrize(
    ("benchmark", "kind", "refused"),
    [
        ("market1501", "image/png", True),
        ("market1501", "text/plain", False),
        ("plaza", "image/png", False),
    ],
)
def test_pictures_of_a_real_benchmark_are_refused(tmp_path, benchmark, kind, refused):
    path = write(tmp_path / "run.ipynb", benchmark, kind)
    assert bool(fault(path)) == refused
    drawn = write(tmp_path / "full+pictures=drawn-s0/run.ipynb", benchmark, kind)
    assert not fault(drawn)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_git_ignores_runs_on_photographs_and_only_those(name):
    command = ["git", "-C", str(ROOT), "check-ignore", "-q"]
    run = f"outputs/{name}/fanet/full-s7/run.ipynb"
    code = subprocess.run([*command, run]).returncode
    assert code in (0, 1), "git is there"
    assert (code == 0) == (pictures_of(name) == "photographs" or name in FOR_TESTS)


def test_no_committed_notebook_shows_people():
    for path in sorted((ROOT / "outputs").rglob("*.ipynb")):
        assert not fault(path)

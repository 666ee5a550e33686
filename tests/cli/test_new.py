"""`reid new`: five files that keep the house's rules, pass their test and run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from notebook_rules import code_of, faults, is_compared, statements_to_model

from reidrun.cli import main as cli
from reidrun.cli.new import FILES
from reidrun.runs.environment import ROOT
from reidrun.runs.params import read_layers
from reidrun.runs.schema import notebook_schema

MADE = [place.replace("my_paper", "sketch") for place in FILES.values()]


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of what makes runs, with a new method in it."""
    root = tmp_path_factory.mktemp("copy")
    leave = shutil.ignore_patterns("__pycache__", "ablations", "*.ipynb")
    for name in ("reidlib", "reidrun", "params", "notebooks"):
        shutil.copytree(ROOT / name, root / name, ignore=leave)
    assets = "reidrun/assets/new_paper"
    shutil.copytree(ROOT / assets, root / assets, dirs_exist_ok=True)
    assert cli.main(["new", "sketch"], root) == 0
    return root


def python(root: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(root), "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_five_files_are_made_and_none_twice(copy, capsys):
    assert all((copy / place).is_file() for place in MADE)
    for place in MADE:
        assert "my_paper" not in (copy / place).read_text()
    assert cli.main(["new", "sketch"], copy) == 2
    assert "already there; take another name" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["My", "my_method", "../up", "1st", ""])
def test_a_name_is_one_of_a_module(tmp_path, name, capsys):
    assert cli.main(["new", name], tmp_path) == 2
    assert "small letters and digits" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_notebook_keeps_the_rules(copy):
    book = json.loads((copy / "notebooks/sketch.ipynb").read_text())
    assert faults(book, copy / "notebooks") == []
    assert sum(map(is_compared, code_of(book))) >= 3
    assert statements_to_model(book) <= 25
    schema = notebook_schema(copy / "notebooks/sketch.ipynb")
    which = {"paper": "sketch", "benchmark": "plaza", "scale": "tiny"}
    layers = read_layers(schema, copy / "params", **which)
    assert schema.keys() - layers.keys() == {
        *("benchmark", "data_root", "run_dir", "seed", "variant")
    }


def test_its_test_passes_and_it_runs(copy):
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(copy)]
    assert "4 passed" in python(copy, "-m", "pytest", *options, MADE[1])
    order = ["run", "sketch", "--on", "smoke", "-p", "epochs", "1"]
    data = ["--data", str(ROOT / "data"), "-p", "milestones", "1"]
    out = python(copy, "-m", "reidrun.cli.main", *order, *data)
    assert "drawn pedestrians" in out
    (folder,) = copy.glob("outputs/smoke/sketch/*")
    assert (folder / "metrics.json").is_file()
    assert (folder / "model.json").is_file(), "reidlib.load reads it"

"""How notebooks are written: they read top to bottom, and hold every setting.

Each rule is first tried on a toy that breaks it, so that no rule is empty.
"""

import copy
import json

import pytest
from notebook_rules import CELLS, CHECK, code_of, faults, number_faults, text_of
from toys.toy_paper import TOY_CELLS, notebook

from reidrun.runs import params
from reidrun.runs.environment import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.rglob("*.ipynb"))
PAPERS = params.owners(ROOT / "params" / "papers")


def prose(name: str, text: str = "Words.") -> dict:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


@pytest.fixture
def toy() -> dict:
    used = "print(data_root, seed, learning_rate, milestones, erasing)"
    book = notebook({**TOY_CELLS, "use": used})
    pairs = [(cell, prose(f"after-{cell['id']}")) for cell in book["cells"]]
    book["cells"] = [prose("title"), *(cell for pair in pairs for cell in pair)]
    return book


def with_cell(book: dict, source: str, name: str = "planted") -> dict:
    cells = book["cells"] + notebook({name: source})["cells"]
    return {**book, "cells": cells}


def test_a_good_notebook_has_no_fault(toy):
    assert faults(toy, FOLDER) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def f(): pass", "a definition: it belongs in reidlib"),
        ("class A: pass", "a definition: it belongs in reidlib"),
        ("f = lambda x: x", "a definition: it belongs in reidlib"),
        ("sorted([], key=lambda x: x)", "a definition: it belongs in reidlib"),
        ("try:\n    pass\nfinally:\n    pass", "try"),
        ("for a in b:\n    for c in d:\n        pass", "a loop in a loop"),
        ("if a:\n    if b:\n        pass", "an if in an if"),
        ("for a in b:\n    print(a)", "print in a loop"),
        ("import os\nos.chdir('x')", "it changes the machine"),
        ("import os\nos.environ['A'] = 'b'", "it changes the machine"),
        ("import sys\nsys.path.append('x')", "it changes the machine"),
        ("warnings.filterwarnings('error')", "it changes the machine"),
        ("eval('1')", "it changes the machine"),
        ("open('/data/market')", "an absolute path"),
        ("open('~/market')", "an absolute path"),
        ("open(r'C:\\market')", "an absolute path"),
        ("!pip install x", "a ! or % command"),
        ("%matplotlib inline", "a ! or % command"),
        ("x = 1  # TODO later", "something left to do"),
        ("\n".join(["x = 1"] * 16), "16 lines, more than 15"),
        ("import os\n" * 9 + "x = 1\n" * 16, "16 lines, more than 15"),
        ("x = 1" + " + 1" * 30, "a line over 88 letters"),
    ],
)
def test_a_fault_in_a_cell_is_seen(toy, source, fault):
    assert faults(with_cell(toy, source), FOLDER) == [f"planted: {fault}"]


@pytest.mark.parametrize(
    "source", ["a / b", "x = 'a/b'", "a.eval()", "if a:\n    b\nif c:\n    d"]
)
def test_what_only_looks_like_a_fault_passes(toy, source):
    assert faults(with_cell(toy, source), FOLDER) == []


@pytest.mark.parametrize("name", ["Loss", "loss_eq4", "a1b2c3d4", "", "4", "use"])
def test_a_bad_name_of_a_cell_is_seen(toy, name):
    (found,) = faults(with_cell(toy, "x = 1", name), FOLDER)
    assert found.startswith(f"{name}: ")


def test_faults_of_the_whole_notebook_are_seen(toy):
    toy["cells"][1]["outputs"] = [{}]
    toy["metadata"] = {"kernelspec": {"name": "py311"}, "widgets": {}}
    found = ["the kernel is not python3", "stored widgets", "parameters: stored output"]
    assert faults(toy, FOLDER) == found


def test_prose_is_demanded_and_length_bounded(toy):
    bare = notebook(TOY_CELLS | {"use": "print(data_root, seed, learning_rate)"})
    assert set(faults(bare, FOLDER)) >= {
        "0 cells of prose for 5 of code",
        "more than 3 cells of code without prose between",
        "milestones: no cell reads it",
    }
    toy["cells"] += [prose(f"more-{i}") for i in range(CELLS)]
    assert faults(toy, FOLDER) == [f"{len(toy['cells'])} cells, more than {CELLS}"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("# Schema", "# Parameters", "parameters does not begin with `# Schema`"),
        ("  # of everything random", "", "seed: no meaning"),
        ("seed: int = 0", "seed = 0", "parameters cell: `seed = 0` is no parameter"),
        ("seed: int = 0", "sed: int = 0", "sed: no cell reads it"),
    ],
)
def test_faults_of_the_parameters_are_seen(toy, old, new, fault):
    cell = toy["cells"][1]
    assert old in cell["source"]
    cell["source"] = cell["source"].replace(old, new)
    assert any(found.startswith(fault) for found in faults(toy, FOLDER))


def test_a_missing_or_late_check_is_seen(toy):
    late, unchecked = copy.deepcopy(toy), copy.deepcopy(toy)
    late["cells"].insert(1, notebook({"early": "x = 1"})["cells"][0])
    expected = ["the first cell of code, and no other, is tagged parameters"]
    assert faults(late, FOLDER) == expected
    unchecked["cells"] = [c for c in toy["cells"] if c["id"] != "check"]
    assert faults(unchecked, FOLDER) == [f"after parameters comes `{CHECK}`"]


def test_a_link_that_leads_nowhere_is_seen(toy, tmp_path):
    links = "[a](there.md), [b](https://example.org), [c](#title), [d](/there.md)"
    toy["cells"].append(prose("links", links))
    found = ["links: there.md leads nowhere", "links: /there.md leads nowhere"]
    assert faults(toy, tmp_path) == found
    (tmp_path / "there.md").touch()
    assert faults(toy, tmp_path) == found[1:]


def test_numbers_outside_the_parameters_are_seen():
    cells = {"parameters": "a: int = 99", "b": "x = [0.3, 1.0]\ny = [70, True, -1, 8]"}
    found = [fault.rpartition(" ")[2] for fault in number_faults(notebook(cells))]
    assert sorted(found) == ["0.3", "1.0", "70"]


# The notebooks of this repository


def test_there_are_notebooks():
    wanted = {"pedestrians", "protocol", "pretrain_clip", "fanet"}
    assert wanted <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_keeps_the_rules(path):
    book = json.loads(path.read_text())
    assert faults(book, path.parent) == []
    if path.stem in PAPERS:
        assert list(number_faults(book)) == []
        assert "save_run(" in text_of(code_of(book)[-1]), "the last cell saves the run"

"""How notebooks are written: they read top to bottom, and hold every setting.

Each rule is first tried on a toy that breaks it, so that no rule is empty.
"""

import copy
import json
import subprocess

import nbformat
import nbstripout
import pytest
from notebook_rules import (
    CELLS,
    CHECK,
    COMPARED,
    START,
    after_training_faults,
    code_of,
    faults,
    is_compared,
    names_of_ours,
    number_faults,
    output_faults,
    shared,
    source_faults,
    staged,
    statements_to_model,
    text_of,
    tracked,
)
from toys.toy_paper import TOY_CELLS, notebook

from reidrun.runs import params
from reidrun.runs.environment import ROOT
from reidrun.runs.schema import notebook_schema

FOLDER = ROOT / "notebooks"
NOTEBOOKS = tracked(FOLDER)
PAPERS = params.owners(ROOT / "params" / "papers")
STRIPPED = ["metadata.papermill", "metadata.widgets", "metadata.language_info.version"]
NAMES, TO_THE_MODEL, OFTEN, LEAST_COMPARED = 12, 25, 5, 3


@pytest.mark.parametrize("paper", sorted(PAPERS))
def test_a_paper_leaves_its_model(paper):
    cell = code_of(staged(FOLDER / f"{paper}.ipynb"))[-1]
    assert "model=model, tester=tester" in text_of(cell)


def prose(name: str, text: str = "Words.") -> dict:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


@pytest.fixture
def toy() -> dict:
    used = "print(data_root, seed, variant, learning_rate, milestones, erasing)"
    book = notebook({**TOY_CELLS, "use": used})
    pairs = [(cell, prose(f"after-{cell['id']}")) for cell in book["cells"]]
    book["cells"] = [prose("title"), *(cell for pair in pairs for cell in pair)]
    return book


def with_cell(book: dict, source: str, name: str = "planted") -> dict:
    cells = book["cells"] + notebook({name: source})["cells"]
    return {**book, "cells": cells}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_number_among_the_parameters_says_where_it_may_lie(path):
    for name, parameter in notebook_schema(path).items():
        if parameter.kind in (int, float, list[int], list[float]):
            said = parameter.interval or parameter.choices
            assert said, f"{name}: end its meaning with an interval, `in [0, 1)`"


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
        ("\n".join(["x = 1"] * 16), "16 statements, more than 15"),
        ("import os\n" * 9 + "x = 1\n" * 16, "16 statements, more than 15"),
        ("for i in j:\n" + "    x = 1\n" * 15, "16 statements, more than 15"),
        ("f(\n" + "    x,\n" * 19 + ")", "21 lines, more than 20"),
        ("x = 1" + " + 1" * 30, "a line over 88 letters"),
    ],
)
def test_a_fault_in_a_cell_is_seen(toy, source, fault):
    assert faults(with_cell(toy, source), FOLDER) == [f"planted: {fault}"]


@pytest.mark.parametrize(
    "source",
    [
        *("a / b", "x = 'a/b'", "a.eval()", "if a:\n    b\nif c:\n    d"),
        "f(\n" + "    x,\n" * 18 + ")",
    ],
)
def test_what_only_looks_like_a_fault_passes(toy, source):
    assert faults(with_cell(toy, source), FOLDER) == []


@pytest.mark.parametrize("name", ["Loss", "loss_eq4", "a1b2c3d4", "", "4", "use"])
def test_a_bad_name_of_a_cell_is_seen(toy, name):
    (found,) = faults(with_cell(toy, "x = 1", name), FOLDER)
    assert found.startswith(f"{name}: ")


def test_faults_of_the_whole_notebook_are_seen(toy):
    toy["cells"][1]["outputs"] = [{"output_type": "stream", "text": "1"}]
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
        ("  # of everything random, in [0, 4294967296)", "", "seed: no meaning"),
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
    (found,) = faults(unchecked, FOLDER)
    assert found == f"after parameters comes `{START}...)` or `{CHECK})`"


def test_what_start_run_reads_counts_as_read(toy):
    unread = {"seed: no cell reads it", "data_root: no cell reads it"}
    (used,) = (cell for cell in toy["cells"] if cell["id"] == "use")
    used["source"] = "print(learning_rate, milestones, erasing)"
    assert unread <= set(faults(toy, FOLDER))
    (check,) = (cell for cell in toy["cells"] if cell["id"] == "check")
    check["source"] = 'run = start_run("toy")'
    assert not unread & set(faults(toy, FOLDER))


STORED = {"output_type": "stream", "name": "stdout", "text": ["3 identities\n"]}


def with_output(book: dict, **changes) -> dict:
    """A notebook that ran from top to bottom, and stores what its last cell said."""
    book = copy.deepcopy(with_cell(book, "print(x)"))
    for count, cell in enumerate(code_of(book), 1):
        cell["execution_count"] = count
    last = book["cells"][-1]
    last |= {"outputs": [STORED], "metadata": {"tags": sorted(COMPARED)}} | changes
    return book


def test_an_output_that_is_compared_is_stored_with_its_count(toy):
    assert faults(with_output(toy), FOLDER) == []
    assert is_compared(with_output(toy)["cells"][-1])
    assert not is_compared(with_output(toy, metadata={})["cells"][-1])


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"metadata": {"tags": ["keep_output"]}}, "one tag of"),
        ({"metadata": {"tags": ["nbval-check-output"]}}, "one tag of"),
        ({"metadata": {}}, "stored output"),
        ({"outputs": []}, "an output to compare, but none is stored"),
        (
            {"outputs": [{"data": {"image/png": "a"}}]},
            "an image among what is compared",
        ),
        ({"outputs": [STORED | {"name": "stderr"}]}, "a warning or an error is stored"),
        ({"outputs": [STORED | {"text": "\n" * 99}]}, "more than 40 lines of output"),
    ],
)
def test_a_stored_output_that_compares_nothing_is_seen(toy, changes, fault):
    (found,) = faults(with_output(toy, **changes), FOLDER)
    assert found.startswith(f"planted: {fault}")


def test_counts_that_are_not_those_of_one_run_are_seen(toy):
    uncounted = faults(with_output(toy, execution_count=None), FOLDER)
    assert "planted: an output to compare, but no execution count" in uncounted
    (found,) = faults(with_output(toy, execution_count=9), FOLDER)
    assert found.startswith("execution counts are not 1 to")


def test_names_and_statements_are_counted():
    cells = {"parameters": "a: int = 1", "b": "from reidlib import data, models as m"}
    cells |= {"c": "import torch\nimport reidlib\nfor i in j:\n    x = i", "d": "y"}
    book = notebook(cells | {"e": "z = 1\nmodel = m(\n    z,\n)\nafter = 2"})
    assert names_of_ours(book) == ["data", "models", "reidlib"]
    assert statements_to_model(book) == 1 + 4 + 1 + 2


def test_what_stands_in_many_notebooks_is_seen():
    long, cell = "word " * 31, "x = 1\ny = 2\nz = 3"
    one = notebook({"a": cell, "b": "x = 1\ny = 2"})
    other = notebook({"a": "x = 1; y = 2\nz = 3  # laid out otherwise"})
    one["cells"] += [prose("c", f"# Title\n\n{long}"), prose("d", "word " * 30)]
    other["cells"] += [prose("c", f"- {long}"), prose("d", long), prose("e", "word")]
    found = shared({"one": one, "other": other}, least=2)
    assert found == ["one, other: x = 1\ny = 2\nz = 3", f"one, other: {long[:60]}"]
    assert shared({"one": one, "other": other}, least=3) == []


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


@pytest.fixture
def clone(tmp_path, toy):
    """A folder in git with one notebook, `toy.ipynb`."""
    (tmp_path / "toy.ipynb").write_text(json.dumps(toy))
    for words in (["init", "-q"], ["add", "toy.ipynb"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    return tmp_path


def test_what_jupyter_leaves_is_not_read(clone, toy):
    path = clone / "toy.ipynb"
    (clone / ".ipynb_checkpoints").mkdir()
    for name in (".ipynb_checkpoints/toy-checkpoint", "Untitled", "toy-Copy1"):
        (clone / f"{name}.ipynb").write_text("{}")
    assert tracked(clone) == [path]
    run = copy.deepcopy(toy)
    run["metadata"]["widgets"] = {}
    for number, cell in enumerate(code_of(run)):
        cell["execution_count"] = 7 + number
        cell["outputs"] = [{"output_type": "stream", "name": "stderr", "text": "1"}]
    path.write_text(json.dumps(run))
    assert source_faults(json.loads(path.read_text()), FOLDER) == []
    assert staged(path) == toy and faults(run, FOLDER)
    path.unlink()
    assert tracked(clone) == []


def test_what_could_lose_a_run_after_its_training_is_seen():
    cells = {"parameters": "a: int = 1", "look": "look(model)"}
    cells |= {"fit": "history = training.fit(\n    step\n)", "empty": "looks = {}"}
    cells["search"] = "for x in sets:\n    run.keep_scores(test(x), history)"
    cells["maps"] = "with run.after_training('maps'):\n    look(model)"
    cells["bare"], cells["save"] = "look(model)", "run.save(scores=scores)"
    found = list(after_training_faults(notebook(cells)))
    assert found == ["bare: `look(model)` could lose the run"]


def test_a_parameter_that_is_set_again_is_seen(toy):
    (found,) = faults(with_cell(toy, "seed = 3"), FOLDER)
    assert found == "seed: set again in a later cell"


# The notebooks of this repository


def test_there_are_notebooks():
    wanted = {"pedestrians", "protocol", "pretrain_clip", "fanet"}
    assert wanted <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_keeps_the_rules(path):
    book = json.loads(path.read_text())
    assert source_faults(book, path.parent) == []
    if path.stem in PAPERS:
        assert list(number_faults(book)) == []
        assert list(after_training_faults(book)) == []
        assert "run.save(" in text_of(code_of(book)[-1]), "the last cell saves the run"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_git_has_of_a_notebook_is_stripped(path):
    """The working copy may have been run and saved: nothing of that is compared."""
    book = staged(path)
    assert list(output_faults(book)) == []
    kept = nbformat.from_dict(copy.deepcopy(book))
    nbstripout.strip_output(
        kept, keep_output=False, keep_count=True, keep_id=True, extra_keys=STRIPPED
    )
    assert json.loads(nbformat.writes(kept)) == book, "make format strips it"


@pytest.mark.parametrize("paper", sorted(PAPERS))
def test_a_paper_soon_comes_to_its_model(paper):
    book = json.loads((FOLDER / f"{paper}.ipynb").read_text())
    assert len(names_of_ours(book)) <= NAMES
    assert statements_to_model(book) <= TO_THE_MODEL


@pytest.mark.parametrize("name", sorted({*PAPERS, "protocol", "pedestrians"}))
def test_some_outputs_are_compared(name):
    book = staged(FOLDER / f"{name}.ipynb")
    assert sum(map(is_compared, code_of(book))) >= LEAST_COMPARED


def test_what_is_the_same_in_all_notebooks_is_one_call():
    books = {path.stem: json.loads(path.read_text()) for path in NOTEBOOKS}
    assert shared(books, OFTEN) == []

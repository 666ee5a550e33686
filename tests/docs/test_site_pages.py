"""What the site makes of notebooks and docstrings; Sphinx itself is not needed."""

import ast
import json
from base64 import b64encode
from pathlib import Path

import nbformat
import pytest
import site_pages as site
from nbformat import v4
from toys.small_runs import image, write_notebook, write_record

from reidrun.runs.environment import ROOT


def shown(path: Path, root: Path) -> nbformat.NotebookNode:
    text, fault = site.page(path.read_text(), path, root)
    assert fault == ""
    return nbformat.reads(text, as_version=4)


def test_a_run_says_first_what_came_out(tmp_path):
    folder = write_record(tmp_path / "outputs", variant="full", seed=3, plaza=0.25)
    write_notebook(folder / "run.ipynb", image(), parameters="x = 1")
    book = shown(folder / "run.ipynb", tmp_path)
    assert book.cells[0].source.startswith("# One run of A toy")
    said = book.cells[1].source
    assert "run of `full`, trained on `plaza` with seed 3" in said
    assert said.endswith("| plaza | 25.0 | 62.5 | drawn pedestrians |")
    injected = book.cells[2]
    assert "hide-input" in injected.metadata.tags
    assert "hide-input" not in book.cells[4].metadata.tags, "code is part of a lesson"
    table = tmp_path / "outputs/plaza/toy/table.ipynb"
    write_notebook(table, image(), parameters="x = 1")
    tags = [cell.metadata.tags for cell in shown(table, tmp_path).cells]
    assert tags[1][-1] == "remove-cell" and tags[3] == ["hide-input"]


def test_a_lesson_keeps_its_code_but_for_the_parameters(tmp_path):
    path = tmp_path / "notebooks/toy.ipynb"
    write_notebook(path, image(), parameters="x = 1")
    book = shown(path, tmp_path)
    hidden = ["hide-input" in c.metadata.get("tags", []) for c in book.cells]
    assert hidden == [False, True, False, False]
    assert book.cells[0].source.startswith("# A toy")


ODD = {
    "broken picture": {"image/png": b64encode(b"hello").decode()},
    "no base64": {"image/png": "%"},
}


@pytest.mark.parametrize("what", [*ODD, "no cells", "no JSON", "no title"])
def test_an_odd_notebook_is_named_and_stops_nothing(tmp_path, what):
    path = tmp_path / "outputs/plaza/fanet/components.ipynb"
    write_notebook(path)
    book = json.loads(path.read_text())
    if what in ODD:
        outputs = [v4.new_output("display_data", ODD[what])]
        book["cells"].append(v4.new_code_cell("x", outputs=outputs))
    if what == "no title":
        book["cells"][0]["source"] = "words"
    text = {"no cells": "{}", "no JSON": "{"}.get(what, json.dumps(book))
    page, fault = site.page(text, path, tmp_path)
    (cell,) = nbformat.reads(page, as_version=4).cells
    assert cell.source.startswith("# components\n\nThis notebook cannot be shown: ")
    assert fault.startswith("cannot be shown: ") and len(fault) <= 220


def test_a_damaged_record_is_named(tmp_path):
    folder = write_record(tmp_path / "outputs")
    write_notebook(folder / "run.ipynb")
    (folder / "metrics.json").write_text("{")
    path = folder / "run.ipynb"
    assert "metrics.json" in site.page(path.read_text(), path, tmp_path)[1]


def test_unfinished_runs_have_no_page(tmp_path):
    folder = write_record(tmp_path / "outputs")
    write_notebook(folder / "run.ipynb")
    write_notebook(tmp_path / "outputs/plaza/toy/table.ipynb")
    write_notebook(tmp_path / "outputs/weights/run.ipynb")
    pages = ["outputs/plaza/toy/full-s0/run.ipynb", "outputs/plaza/toy/table.ipynb"]
    assert site.executed(tmp_path) == [*pages, "outputs/weights/run.ipynb"]
    (folder / "metrics.json").unlink()
    assert site.executed(tmp_path) == [pages[1], "outputs/weights/run.ipynb"]


@pytest.mark.parametrize(
    ("written", "set_as"),
    [
        ("Of *a* and `b`.", r"Of \*a\* and ``b``."),
        ("*An End-to-End Network*, TIP 2021.", "*An End-to-End Network*, TIP 2021."),
        ("The norm |F| of x_ in F_g.", r"The norm \|F\| of x\_ in F_g."),
        ("a\n\n    s = a * b", "a\n\n.. code-block:: none\n\n       s = a * b"),
        (
            "F, B   maps\nZ      mask",
            ".. code-block:: none\n\n   F, B   maps\n   Z      mask",
        ),
        (">>> f(1)\n2", ">>> f(1)\n2"),
    ],
)
def test_a_docstring_looks_as_it_was_written(written, set_as):
    assert "\n".join(site.as_rst(written.split("\n"))).strip() == set_as
    assert site.as_rst([]) == []


# The notebooks of this repository


@pytest.fixture(scope="module")
def equations():
    return site.equations(ROOT)


def test_an_equation_and_its_function_lead_to_each_other(equations):
    name = "reidlib.losses.target_attention.target_attention_loss"
    assert ":doc:`/notebooks/fanet`" in "\n".join(equations[name])
    assert any(r"\quad (4)" in line for line in equations[name])
    book = shown(ROOT / "notebooks/fanet.ipynb", ROOT)
    (cell,) = [cell for cell in book.cells if r"\quad (4)" in cell.source]
    assert f"{{py:obj}}`target_attention_loss <{name}>`" in cell.source


def test_what_equations_name_is_there(equations):
    assert len(equations) >= 20
    for name in equations:
        room, module, *rest = name.split(".")[1:]
        tree = ast.parse((ROOT / "reidlib" / room / f"{module}.py").read_text())
        for part in rest:
            found = [n for n in tree.body if getattr(n, "name", "") == part]
            assert found, f"{name} is not there"
            tree = found[0]


@pytest.mark.parametrize("name", site.executed(ROOT) or ["none"])
def test_every_executed_page_can_be_shown(name):
    assert shown(ROOT / name, ROOT).cells


def test_every_page_of_the_site_is_in_its_contents():
    """A page that no list names would be found by nobody, and Sphinx would warn."""
    listed = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    pages = site.executed(ROOT) + [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "notebooks").rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    ]
    whole = [Path(page).parent.as_posix() + "/*" for page in pages]
    missing = [
        page
        for page, folder in zip(pages, whole, strict=True)
        if page.removesuffix(".ipynb") not in listed and folder not in listed
    ]
    assert not missing

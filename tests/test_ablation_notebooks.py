"""An ablation notebook makes the runs it lacks, once, and tells what they say.

And what many of them have in common is told, and done, in one place.
"""

import ast
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from notebook_rules import code_of, text_of, tracked
from toys.toy_paper import notebook

from reidrun.runs import execute
from reidrun.runs.environment import ROOT
from reidrun.runs.folder import is_complete

ABLATIONS = ROOT / "notebooks" / "ablations"
COMPONENTS = ABLATIONS / "fanet_components.ipynb"
OFTEN, STATEMENTS, WORDS = 5, 2, 30  # notebooks; what may stand in so many


def printed(page: Path) -> str:
    cells = json.loads(page.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    kinds = "text/markdown", "text/html"
    texts = [o.get("data", {}).get(kind) for o in outputs for kind in kinds]
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
        assert is_complete(folder)
        assert (folder / "history.csv").is_file() and (folder / "looks.npz").is_file()
    assert "2 runs, 0 missing, 0 failed" in printed(page)


def test_a_single_seed_claims_nothing(page):
    said = printed(page)
    assert "One claim on smoke (drawn pedestrians): **1 inconclusive**." in said
    assert "<td>The whole method is better than its baseline.</td>" in said
    assert "<td>–</td>" in said, "a single seed has no interval"
    assert "replicated" not in said and "contradicted" not in said


def repeated(books: list[dict]) -> list[str]:
    """Cells of too many statements, and texts of too many words, in too many books."""
    found = Counter(text for book in books for text in {*long_cells(book)})
    found += Counter(text for book in books for text in {*long_texts(book)})
    return sorted(text for text, count in found.items() if count >= OFTEN)


def long_cells(book: dict) -> Iterator[str]:
    for cell in code_of(book):
        tree = ast.parse(text_of(cell))
        statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
        if len(statements) > STATEMENTS:
            yield ast.unparse(tree)


def long_texts(book: dict) -> Iterator[str]:
    """Every run of one word more than may be repeated."""
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            words = text_of(cell).split()
            for start in range(len(words) - WORDS):
                yield " ".join(words[start : start + WORDS + 1])


def test_what_stands_in_five_notebooks_is_seen():
    code = "a = 1\nb = 2"
    text = "word " * WORDS
    cells = [{"cell_type": "markdown", "source": f"Other {text}"}]
    short = {
        "cells": notebook({"open": code})["cells"] + [{**cells[0], "source": text}]
    }
    assert repeated([short] * OFTEN) == []
    long = {"cells": notebook({"open": f"{code}\nc = 3"})["cells"] + cells}
    assert repeated([long] * (OFTEN - 1)) == []
    assert repeated([long] * OFTEN) == [f"Other {text}".strip(), f"{code}\nc = 3"]


def test_no_long_cell_or_text_stands_in_five_notebooks():
    books = [json.loads(path.read_text()) for path in tracked(ROOT / "notebooks")]
    assert len(books) >= 17 + 5
    assert repeated(books) == []


@pytest.mark.parametrize("path", tracked(ABLATIONS), ids=lambda p: p.stem)
def test_an_ablation_opens_its_runs_in_one_call(path):
    calls = [text_of(cell) for cell in code_of(json.loads(path.read_text()))]
    opened = sum("open_study(parameters)" in call for call in calls)
    assert opened == (path.stem != "rganet_cost"), "that one has no runs"

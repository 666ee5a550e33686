"""docs/readings.md has every reading that is cited, and its switches exist."""

import re

import pytest

from reidrun.runs.environment import ROOT
from reidrun.runs.params import read_variants
from reidrun.runs.schema import notebook_schema

PAPERS = {"FAN": "fanet", "RGA": "rganet", "FLN": "flannet", "FBA": "fba"}
CITED = re.compile(rf"({'|'.join(PAPERS)})-(\d+)")
ROW = re.compile(rf"^\| {CITED.pattern} \| (.+) \| (.+) \| (.*)\|$", re.MULTILINE)
FOLDERS = ("bench", "notebooks", "params", "reidlib", "tests")
DOCUMENT = (ROOT / "docs" / "readings.md").read_text("utf-8")


def switches(letters: str) -> list[set[str]]:
    """The names in the last column of a paper's table, row by row."""
    rows = [row for row in ROW.findall(DOCUMENT) if row[0] == letters]
    return [set(re.findall(r"`([^`]+)`", row[-1])) for row in rows]


def test_every_row_has_all_its_cells():
    lines = [line for line in DOCUMENT.splitlines() if CITED.match(line[2:])]
    assert len(lines) == len(ROW.findall(DOCUMENT))
    assert all(line.count("|") == 5 for line in lines), "a cell has no | of its own"


@pytest.mark.parametrize("letters", PAPERS)
def test_numbers_run_from_one_without_gaps(letters):
    numbers = [int(row[1]) for row in ROW.findall(DOCUMENT) if row[0] == letters]
    assert numbers and numbers == list(range(1, len(numbers) + 1))


def test_what_is_cited_is_in_the_document():
    listed = {row[:2] for row in ROW.findall(DOCUMENT)}
    files = [path for name in FOLDERS for path in (ROOT / name).rglob("*")]
    kinds = {".ipynb", ".md", ".py", ".yaml"}
    texts = [path for path in files if path.suffix in kinds] + [*ROOT.glob("*.md")]
    cited = {
        (name, path.relative_to(ROOT).as_posix())
        for path in texts
        for name in CITED.findall(path.read_text("utf-8"))
    }
    assert {letters for (letters, _), _ in cited} == set(PAPERS)
    assert not [(name, path) for name, path in cited if name not in listed]


@pytest.mark.parametrize(("letters", "paper"), PAPERS.items())
def test_a_switch_is_a_parameter_or_a_variant(letters, paper):
    known = set(notebook_schema(ROOT / "notebooks" / f"{paper}.ipynb"))
    known |= set(read_variants(ROOT / "params", paper))
    named = set().union(*switches(letters))
    assert named and named <= known


@pytest.mark.parametrize(("letters", "paper"), PAPERS.items())
def test_a_parameter_with_a_reading_is_its_switch(letters, paper):
    lines = (ROOT / "params" / "papers" / f"{paper}.yaml").read_text().splitlines()
    for line in lines:
        parameter = line.partition(":")[0]
        for _, number in CITED.findall(line):
            assert parameter in switches(letters)[int(number) - 1], line

"""The house: one list of dependencies, names that exist, nothing of one machine."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from reidlib import __version__
from reidlib.benchmarks import USE
from reidrun.runs.environment import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULE_OF = {
    "ipython": "IPython",
    "open-clip-torch": "open_clip",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
OURS = {"reidlib", "reidrun", "bench"}
TOOLS = {"ipykernel", "jupyterlab", "nbval", "papermill"}  # used without an import
DEV_TOOLS = {"nbstripout", "pre-commit", "pytest-xdist", "ruff"}
LOCK = (ROOT / "requirements.lock").read_text()
MACHINE = re.compile(r"(^|[^\w/.])/(work|tmp|root|home|opt|usr)/\w")


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", r)[0].lower().replace("_", "-") for r in requirements}


def tracked(*patterns: str) -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: what is tracked is not known")
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--", *patterns]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    paths = [ROOT / name for name in done.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def modules_imported(*folders: str) -> set[str]:
    found = set()
    for path in (path for name in folders for path in (ROOT / name).rglob("*")):
        if path.suffix == ".py":
            sources = [path.read_text()]
        elif path.suffix == ".ipynb":
            cells = json.loads(path.read_text())["cells"]
            code = [cell for cell in cells if cell["cell_type"] == "code"]
            sources = ["".join(cell["source"]) for cell in code]
        else:
            continue
        for node in (node for s in sources for node in ast.walk(ast.parse(s))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).partition(".")[0])
    return found - sys.stdlib_module_names


DEPENDENCIES = names(PROJECT["dependencies"])
DEV = names(PROJECT["optional-dependencies"]["dev"])
TESTED = names(  # extras that no command needs, and tests do
    [
        name
        for extra in ("explore", "export")
        for name in PROJECT["optional-dependencies"][extra]
    ]
)


def module_of(name: str) -> str:
    return MODULE_OF.get(name, name.replace("-", "_"))


def test_every_dependency_is_used_and_every_import_is_listed():
    used = modules_imported("reidlib", "reidrun", "notebooks") - OURS
    listed = {module_of(name) for name in DEPENDENCIES}
    assert used - listed == set(), "imported but not listed"
    assert listed - used - TOOLS == set(), "listed but not imported"


def test_what_only_tests_use_is_in_the_dev_extra():
    local = {
        path.stem
        for room in ("tests", "bench", "docs")
        for path in (ROOT / room).glob("*.py")
    }
    used = modules_imported("tests") - local - OURS - {"toys"}
    listed = {module_of(name) for name in DEPENDENCIES | DEV}
    assert used - listed == set()
    assert {module_of(name) for name in DEV - DEV_TOOLS} - used == set()


def test_the_lock_holds_every_dependency_and_no_address():
    locked = {re.match(r"[\w.-]+", line)[0] for line in LOCK.splitlines()}
    assert locked >= DEPENDENCIES | DEV | TESTED
    assert all("==" in line for line in LOCK.splitlines())
    assert not re.search(r"://|@|--|\bfile:", LOCK)


def test_the_environment_names_what_pyproject_lists():
    text = (ROOT / "environment.yml").read_text()
    environment = yaml.safe_load(text)
    python, *_, pip = environment["dependencies"]
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert PROJECT["requires-python"] == f">={python.partition('=')[2]}"
    listed = text.partition("brings:")[2].partition("\nname:")[0].replace("#", "")
    assert names([part.strip() for part in listed.split(",")]) == DEPENDENCIES


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_documents_call_targets_that_exist(document):
    text = (ROOT / document).read_text()
    called = set(re.findall(r"(?:^|`)\s*make ([a-z]+)", text, re.MULTILINE))
    assert called and called <= targets()


def test_the_makefile_has_its_names_and_the_gate_calls_test():
    wanted = {"demo", "test", "lab", "check", "results", "site", "bench"}
    assert targets() >= wanted
    commands = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in commands if "make" in line.split()] == ["make test"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111, "it can be executed"


def test_the_forge_runs_the_gate_and_builds_the_site():
    workflow = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [s["run"] for s in steps if "run" in s] == [".ci/run", "make site"]


def test_links_in_documents_and_notebooks_lead_somewhere():
    for path in tracked("*.md", "*.ipynb"):
        text = path.read_text()
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            said = [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]
            text = "\n".join("".join(source) for source in said)
        for link in re.findall(r"\]\(([^)#\s]+)", text):
            assert "://" not in link, f"{path}: {link}: relative links only"
            assert (path.parent / link).exists(), f"{path}: {link} is not there"


def test_no_tracked_file_knows_a_machine():
    suffixes = ("gz", "jpg", "npz", "png", "safetensors", "zip")
    binary = [f":!*.{suffix}" for suffix in suffixes]
    texts = tracked(*binary, ":!.ci", ":!tests")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if MACHINE.search(line)
    ]
    assert not found
    assert MACHINE.search('"/home/someone/data"')
    assert not MACHINE.search("../data and a/tmp/b and https://host/home/x")


def test_tracked_files_are_small():
    budget = {".safetensors": 8 << 20}
    archives = set((ROOT / "reidlib" / "assets" / "rendered").glob("*.zip"))
    large = [
        str(path.relative_to(ROOT))
        for path in set(tracked()) - archives
        if path.stat().st_size > budget.get(path.suffix, 1 << 20)
    ]
    assert not large
    sizes = [path.stat().st_size for path in archives]  # of the rendered sets
    assert max(sizes) <= 25e6 and sum(sizes) <= 60e6


def test_one_version_is_told_everywhere():
    said = f"version: {__version__}", f"version = {{{__version__}}}"
    for name, line in zip(("CITATION.cff", "CITATION.bib"), said, strict=True):
        assert line in (ROOT / name).read_text()
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_both_citations_name_the_same_works():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    titles = [citation["title"], *(work["title"] for work in citation["references"])]
    written = " ".join((ROOT / "CITATION.bib").read_text().split())
    assert [title for title in titles if f"{{{title}}}" not in written] == []
    assert written.count("@") == len(titles)


def test_the_citation_names_the_four_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert len(citation["references"]) == 4
    for reference in citation["references"]:
        assert reference["title"] and reference["authors"]
        assert "doi" not in reference, "none was printed in the texts"


def test_what_is_intended_is_said_as_datasets_md_says_it():
    said = " ".join((ROOT / "DATASETS.md").read_text().replace("*", "").split())
    said = said.replace(", and against the spirit of every set above", "")
    assert all(sentence in said for sentence in USE)


def test_weights_of_photographs_are_not_shipped():
    for path in tracked("outputs/*/model.safetensors"):
        settings = json.loads(path.with_name("model.json").read_text())
        assert settings["data"]["kind"] in ("drawn", "rendered"), path
        assert path.with_name("model.md").is_file(), f"{path} has no card"


def test_make_lab_has_the_repository_for_its_root():
    lines = (ROOT / "Makefile").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("lab:"))
    assert "--LabApp.default_url=/lab/tree/notebooks" in lines[start + 1]
    assert not re.search(r"cd |root.dir|notebook-dir|lab notebooks", lines[start + 1])

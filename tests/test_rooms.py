"""Which room may see which: an import that the table does not grant is a fault.

A room is a folder of `reidlib` or `reidrun`, or a module that stands alone in one.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reidrun.runs.environment import ROOT

SCIENCE: dict[str, set[str]] = {
    "checks": set(),
    "processes": set(),
    "collectives": {"processes"},
    "files": {"processes"},
    "reading": set(),
    "recipes": set(),
    "published_weights": set(),
    "weights": {"files", "reading"},
    "losses": {"checks"},
    "pedestrians": {"checks"},
    "rendered": {"checks", "files", "reading"},
    "data": {"checks", "files", "reading", "processes"},
    "backbones": {"weights", "checks", "files", "reading", "recipes"},
    "models": {"backbones", "losses", "checks", "recipes"},
    "benchmarks": {
        *("data", "pedestrians", "rendered", "checks", "files", "reading"),
    },
    "evaluation": {"data", "collectives", "processes"},
    "training": {
        *("evaluation", "data", "weights", "checks", "collectives", "processes"),
    },
    "analysis": {
        *("evaluation", "data", "pedestrians", "rendered", "files", "reading"),
    },
    "prepare": {
        *("models", "training", "evaluation", "data", "backbones", "losses"),
        *("pedestrians", "weights", "files", "reading"),
    },
    "plots": {"data", "evaluation.metrics"},
    "model_files": {"recipes", "data", "evaluation", "weights", "files", "reading"},
    "embedder": {"model_files", "models", "backbones", "data", "evaluation"},
    "exporting": {"embedder", "model_files", "data", "files", "pedestrians"},
    "explorer": {"embedder", "analysis", "data", "evaluation", "models", "plots"},
    "scoring": {"embedder", "data", "evaluation"},
    "photo_search": {"embedder", "data", "evaluation", "weights", "files", "reading"},
}
REPORTING = {"benchmarks", "checks", "files", "reading", "evaluation.statistics"}
REPORTING |= {"evaluation.agreement", "processes"}
RUNNING: dict[str, set[str]] = {
    "runs": REPORTING | {"published_weights"},
    "reports": REPORTING | {"data.pictures"},
    "cli": REPORTING
    | {"rendered", "embedder", "explorer", "exporting", "photo_search", "scoring"}
    | {"published_weights"},
    "watching": REPORTING | {"plots.charts", "collectives"},
    "notebook": {
        *(REPORTING | {"model_files"}),
        *("training.seeding", "data.image_cache", "plots.style", "evaluation.search"),
    },
}
WITHIN_RUNNING: dict[str, set[str]] = {
    "runs": set(),
    "reports": {"runs"},
    "cli": {"runs", "reports"},
    "watching": {"runs"},
    "notebook": {"runs", "reports", "watching"},
}
FOR_TYPES = {"evaluation.metrics", "evaluation.search"}  # reidrun sees no torch there
ONLY_TORCH = (
    *("losses", "models"),
    *("evaluation/metrics.py", "evaluation/ranks.py", "evaluation/rerank.py"),
)
WITHOUT_TORCH = ("reidlib.benchmarks", "reidlib.data.samples", "reidrun.runs.sweep")
WITHOUT_TORCH += ("reidrun.cli.run", "reidrun.cli.data", "reidrun.cli.results")
WITHOUT_TORCH += ("reidrun.cli.status", "reidrun.cli.params", "reidrun.cli.new")
FORBIDDEN_IN_MODELS = {"to", "cuda", "cpu", "training"}  # device and mode: the caller's
MODULES = sorted(
    p for wing in ("reidlib", "reidrun") for p in (ROOT / wing).rglob("*.py")
)


def room_of(dotted: str) -> str:
    """Of `reidlib.models.fanet` the room `models`; of a wing itself nothing."""
    return (dotted.split(".") + [""])[1]


def dotted_of(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imported(source: str, *, for_types: bool = False) -> Iterator[str]:
    """Every dotted name a module imports, wherever in it; `from a import b` is a.b.

    for_types   what only a type checker reads, in place of what is imported
    """
    typed, run = [], []
    for node in ast.parse(source).body:
        is_typed = (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        (typed if is_typed else run).append(node)
    for node in ast.walk(ast.Module(typed if for_types else run, [])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def granted(name: str, rooms: set[str]) -> bool:
    """Whether a name lies in one of the rooms, or in the module of one that is named.

    >>> granted("reidlib.evaluation.metrics.Scores", {"evaluation.metrics"})
    True
    >>> granted("reidlib.evaluation.search.search", {"evaluation.metrics"})
    False
    """
    inner = name.partition(".")[2]
    return any(f"{inner}.".startswith(f"{room}.") for room in rooms)


def faults(dotted: str, source: str) -> list[str]:
    """What a module imports of ours that the table does not grant."""
    wing, room = dotted.partition(".")[0], room_of(dotted)
    ours, typed = (
        [name for name in imported(source, for_types=t) if name.startswith("reid")]
        for t in (False, True)
    )
    if not room:
        return ours + typed
    science = SCIENCE if wing == "reidlib" else RUNNING
    assert room in science, f"{room}: say in the table what it may see"
    allowed = {"reidlib": science[room], "reidrun": set()}
    allowed[wing] = allowed[wing] | {room}
    if wing == "reidrun":
        allowed["reidrun"] |= WITHIN_RUNNING[room]
        typed = [name for name in typed if not granted(name, FOR_TYPES)]
    found = ours + typed
    return [n for n in found if not granted(n, allowed[n.partition(".")[0]])]


def libraries_seen(source: str) -> set[str]:
    first = {name.partition(".")[0] for name in imported(source)}
    return first - sys.stdlib_module_names


def test_every_way_of_importing_is_seen():
    source = (
        "import reidlib.data\nfrom reidrun import runs\n"
        "def f():\n    from reidlib.models.fanet import FANet\nimport os, torch.nn"
    )
    seen = {"reidlib.data", "reidrun.runs", "reidlib.models.fanet.FANet"}
    assert set(imported(source)) == seen | {"os", "torch.nn"}
    assert libraries_seen(source) == {"reidlib", "reidrun", "torch"}


TYPED = "if TYPE_CHECKING:\n    from reidlib.evaluation."


@pytest.mark.parametrize(
    ("module", "line", "is_granted"),
    [
        ("reidlib.models.fanet", "from reidlib.losses import triplet_loss", True),
        ("reidlib.models.fanet", "from reidlib.data import Batch", False),
        ("reidlib.data.loaders", "from reidrun.runs import folder", False),
        ("reidlib.plots.charts", "from reidlib.evaluation.metrics import take", True),
        ("reidlib.plots.charts", "from reidlib.evaluation import search", False),
        ("reidrun.runs.plans", "import reidlib.benchmarks", True),
        ("reidrun.runs.plans", "from reidrun.reports import study", False),
        ("reidrun.cli.main", "from reidlib.models import fanet", False),
        ("reidrun.reports.study", "from reidlib.evaluation import statistics", True),
        ("reidlib", "import reidlib.models", False),
        ("reidrun.runs.folder", TYPED + "metrics import Scores", True),
        ("reidrun.runs.folder", TYPED + "cost import Cost", False),
        ("reidrun.runs.folder", "from reidlib.evaluation import metrics", False),
        ("reidlib.models.fanet", TYPED + "metrics import Scores", False),
    ],
)
def test_the_table_refuses_what_it_does_not_grant(module, line, is_granted):
    assert (not faults(module, line)) is is_granted


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_what_its_room_may_see(path):
    source = path.read_text()
    assert not faults(dotted_of(path), source)
    if path.parent in (ROOT / "reidlib", ROOT / "reidrun") and path.stem == "__init__":
        brought = libraries_seen(source)
        assert brought <= {"lazy_loader"}, "a wing itself brings nothing heavy"
    inside = path.relative_to(ROOT / path.relative_to(ROOT).parts[0]).as_posix()
    if inside.startswith(ONLY_TORCH):
        extra = libraries_seen(source) - {"torch", "reidlib", "lazy_loader"}
        assert not extra, f"{inside} knows tensors only, not {sorted(extra)}"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "reidlib" / "models").glob("*.py")), ids=lambda p: p.stem
)
def test_a_model_knows_its_paper_and_no_device_no_mode_and_no_file(path):
    source = path.read_text()
    tree = ast.parse(source)
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & FORBIDDEN_IN_MODELS
    assert not libraries_seen(source) & {"os", "pathlib", "urllib", "requests", "io"}
    assert other_papers(path.stem, source) == []


def other_papers(paper: str, source: str) -> list[str]:
    """What a model file imports of another paper: neither layers nor `<paper>_...`."""
    known = [name for name in imported(source) if granted(name, {"models"})]
    modules = {name: name.split(".")[2] for name in known}
    own = ("layers", f"{paper}_")
    return [name for name in known if not modules[name].startswith(own)]


@pytest.mark.parametrize(
    ("module", "is_own"),
    [
        ("layers", True),
        ("rganet_prompts", True),
        ("fba", False),
        ("fba_attention", False),
    ],
)
def test_a_paper_sees_its_own_files_and_the_layers(module, is_own):
    line = f"from reidlib.models.{module} import x"
    assert (other_papers("rganet", line) == []) is is_own
    assert (
        bool(other_papers("rganet", f"from reidlib.models import {module}")) != is_own
    )


def test_no_two_rooms_wait_for_each_other():
    whole = {
        room: {name.partition(".")[0] for name in SCIENCE[room]} for room in SCIENCE
    }
    for graph in (whole, dict(WITHIN_RUNNING)):
        while graph:
            free = {room for room, seen in graph.items() if not seen & graph.keys()}
            assert free, f"a circle among {sorted(graph)}"
            graph = {room: seen for room, seen in graph.items() if room not in free}


def run_python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("words", [["--help"], [], ["fly"], ["--fly"]])
def test_help_loads_nothing_heavy(words):
    heavy = {"torch", "pandas", "numpy", "papermill"}
    run_python(
        "import sys, reidlib, reidrun.cli.main\n"
        f"try: reidrun.cli.main.main({words})\nexcept SystemExit: pass\n"
        f"sys.exit(bool({heavy} & set(sys.modules)))"
    )


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_where_torch_is_not_installed_paths_and_plans_work(module):
    run_python(f"import sys; sys.modules['torch'] = None; import {module}")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_fits_in_one_head(path):
    assert len(path.read_text().splitlines()) <= 300

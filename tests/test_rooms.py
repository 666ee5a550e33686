"""Which room may see which: an import that the table does not grant is a fault."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reidlib.runs import ROOT

BACKBONES = {"backbones", "backbones_clip", "backbones_resnet"}
ROOMS: dict[str, set[str]] = {
    # tensors only
    "metrics": set(),
    "rerank": {"metrics"},
    "losses": set(),
    "layers": set(),
    "masks": set(),
    # pretrained weights
    "checkpoints": set(),
    "torchscript": set(),
    "backbones": BACKBONES | {"checkpoints", "torchscript"},
    "backbones_clip": {"checkpoints"},
    "backbones_resnet": {"checkpoints"},
    # papers: never data, parameters, runs, training, nor each other
    "models": BACKBONES | {"layers", "losses"},
    # pictures
    "pedestrians": set(),
    "transforms": set(),
    "image_cache": {"transforms"},
    "data": {"image_cache", "transforms"},
    "captions": {"data"},
    "captioning": {"captions", "data", "pipelines"},
    "titles": {"pedestrians"},
    "readers": {"data", "pedestrians", "schema", "titles"},
    "fixtures": {"data", "pedestrians", "readers"},
    # training knows no paper
    "optim": set(),
    "step": {"data"},
    "preflight": {"step"},
    "extraction": {"data", "step"},
    "training": {"checkpoints", "data", "extraction", "optim", "preflight", "step"},
    "kept": {"pedestrians"},
    "evaluation": {
        *("data", "extraction", "image_cache", "kept", "metrics", "rerank"),
        "transforms",
    },
    "pretraining": {"backbones", "data", "losses", "masks", "metrics", "pedestrians"},
    # parameters, runs and the command know no model
    "schema": set(),
    "params": {"schema"},
    "machine": set(),
    "runs": {"machine", "metrics", "params", "readers", "schema"},
    "execute": {"runs"},
    "plans": {"params", "preflight", "readers", "runs", "schema"},
    "sweeps": {"execute", "params", "plans", "runs", "schema"},
    "batches": {"execute", "params", "plans", "runs", "schema", "sweeps"},
    "cli_arguments": {"params", "plans", "titles"},
    "cli_data": {"cli_arguments", "fixtures", "readers", "schema", "titles"},
    "cli": {
        "batches",
        "cli_arguments",
        "cli_data",
        "execute",
        "params",
        "plans",
        "records",
        "results",
        "runs",
    }
    | {"schema", "showing", "sweeps"},
    # tables and figures, for notebooks
    "published": set(),
    "comparison": set(),
    "cost": {"extraction", "metrics"},
    "claims": {"ablations", "comparison", "params", "plans"},
    "ablations": {"comparison", "params", "plans", "published", "runs"},
    "records": {"runs"},
    "gallery": {"params", "published", "runs"},
    "showing": {"execute", "runs"},
    "results": {"ablations", "comparison", "gallery", "machine", "params", "plans"}
    | {"published", "readers", "records", "runs"},
    "foreground": {"data", "extraction", "kept", "masks", "pedestrians", "transforms"},
    "looking": {"data", "extraction", "kept", "parts", "pedestrians", "transforms"},
    "branches": {"captions", "data", "extraction", "foreground", "kept", "masks"}
    | {"parts", "pedestrians", "transforms"},
    "parsing": {"data", "pedestrians", "pipelines"},
    "pipelines": set(),
    "parts": {
        *("data", "extraction", "image_cache", "kept", "masks", "pedestrians", "runs"),
        "transforms",
    },
    "plots": {"data", "metrics"},
}
ONLY_TORCH = ("metrics", "rerank", "losses", "layers", "masks", "models")
FORBIDDEN_IN_MODELS = {"to", "cuda", "cpu", "training"}  # device and mode: the caller's
MODULES = sorted((ROOT / "reidlib").rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "reidlib").with_suffix("").parts
    return parts[0]


def imported(source: str) -> Iterator[tuple[str, ...]]:
    """Every dotted name a module imports, wherever in it; `from a import b` is a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                yield (*str(node.module).split("."), alias.name)


def rooms_seen(source: str) -> set[str]:
    return {name[1] for name in imported(source) if name[0] == "reidlib"}


def libraries_seen(source: str) -> set[str]:
    return {name[0] for name in imported(source)} - sys.stdlib_module_names


def test_every_way_of_importing_is_seen():
    source = (
        "import reidlib.data\nfrom reidlib import runs\n"
        "def f():\n    from reidlib.models.fanet import FANet\nimport os, torch.nn"
    )
    assert rooms_seen(source) == {"data", "runs", "models"}
    assert libraries_seen(source) == {"reidlib", "torch"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_what_its_room_may_see(path):
    room, source = room_of(path), path.read_text()
    if room == "__init__":
        assert not libraries_seen(source), "`import reidlib` brings nothing heavy"
        return
    assert room in ROOMS, f"{room}: say in ROOMS what it may see"
    own = {room} - {"models"} if path.parent.name == room else set()
    extra = rooms_seen(source) - ROOMS[room] - own
    assert not extra, f"{room} may not import {sorted(extra)}"
    if room in ONLY_TORCH:
        extra = libraries_seen(source) - {"torch", "reidlib"}
        assert not extra, f"{room} knows tensors only, not {sorted(extra)}"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "reidlib" / "models").glob("*.py")), ids=lambda p: p.stem
)
def test_a_model_knows_no_device_no_mode_and_no_file(path):
    tree = ast.parse(path.read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & FORBIDDEN_IN_MODELS
    first = {name[0] for name in imported(path.read_text())}
    assert not first & {"os", "pathlib", "urllib", "requests", "io"}


def test_no_two_rooms_wait_for_each_other():
    graph = {room: seen - {room} for room, seen in ROOMS.items()}
    while graph:
        free = {room for room, seen in graph.items() if not seen & graph.keys()}
        assert free, f"a circle among {sorted(graph)}"
        graph = {room: seen for room, seen in graph.items() if room not in free}


def test_help_and_the_package_itself_load_no_torch():
    code = "import sys, reidlib, reidlib.cli; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_fits_in_one_head(path):
    budget = 250 if room_of(path) == "models" else 300
    assert len(path.read_text().splitlines()) <= budget

"""The notebooks' own models: built by their cells, or with all before training."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from notebook_rules import code_of, text_of
from torch import Tensor, nn
from toys.merged import merged

from reidlib import evaluation
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.model_files import load_model, save_model
from reidlib.training import seed_everything
from reidrun.runs import injected
from reidrun.runs.environment import ROOT

PAPERS = ("baseline", "fanet", "rganet", "flannet", "fba", "combined")
ABLATIONS = sorted(p.stem for p in (ROOT / "params" / "ablations").glob("*.yaml"))
MAKES_THE_MODEL = {
    *("clip", "words", "texts", "prototypes", "spelled", "prompts", "stages", "model")
}
GIVEN = {"data_root": "../data", "run_dir": "", "num_identities": 5, "num_cameras": 3}


def statements_of(book: dict) -> list[ast.stmt]:
    """Imports, and what makes the model, of a paper's notebook; no data is needed."""
    cells = {cell["id"]: ast.parse(text_of(cell)).body for cell in code_of(book)}
    kept = [s for s in cells["setup"] if isinstance(s, ast.Import | ast.ImportFrom)]
    for name in [name for name in cells if name in ("clip", "prompts", "model")]:
        targets = MAKES_THE_MODEL | ({"ids"} if name == "prompts" else set())
        kept += [s for s in cells[name] if named(s) & targets or initialises(s)]
    return kept


def named(statement: ast.stmt) -> set[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def initialises(statement: ast.stmt) -> bool:
    return ast.unparse(statement).startswith("training.initialise(")


def model_of(paper: str, variant: str, seed: int = 0, scale: str = "tiny") -> nn.Module:
    """The model of a variant as its notebook builds it."""
    book = json.loads((ROOT / "notebooks" / f"{paper}.ipynb").read_text("utf-8"))
    values = merged(ROOT, paper, "smoke", scale, variant, seed=seed)
    size = values["image_height"], values["image_width"]
    namespace = {**values, **GIVEN, "size": size, "run": Here}
    seed_everything(seed)
    for statement in statements_of(book):
        code = compile(ast.Module([statement], []), paper, "exec")
        exec(code, namespace)
    return namespace["model"]


class Here:
    """What a notebook's run says of the device."""

    device = "cpu"


def parts(embeddings: Any) -> tuple[Tensor, ...]:
    """The tensors that a model compares, one or several."""
    return (embeddings,) if isinstance(embeddings, Tensor) else tuple(embeddings)


def assert_loads(model: nn.Module, folder: Path) -> None:
    """The model that is read from a folder has all weights of what was written there.

    It is built with weights of its own, so that equal ones come from the file.
    """
    size = getattr(getattr(model, "image_tower", None), "image_size", (128, 64))
    transform = plain_transform(*size, normalisation="half")
    save_model(folder, model, evaluation.Tester(transform, "cpu", 4), {})
    again, distances, settings = load_model(folder)
    assert distances is evaluation.cosine_distances
    assert settings["model"] == again.recipe == model.recipe
    wanted, found = model.state_dict(), again.state_dict()
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        assert torch.equal(value, wanted[name]), name
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with evaluation.evaluating(model), torch.no_grad():
        found, scored = parts(again.embed(images)), parts(model.embed(images))
    assert all(map(torch.equal, found, scored))


def statements_before_training(paper: str) -> Iterator[str]:
    """What a notebook runs before its training, statement by statement."""
    book = json.loads((ROOT / "notebooks" / f"{paper}.ipynb").read_text())
    for cell in code_of(book):
        if "parameters" in cell["metadata"].get("tags", []):
            yield text_of(cell)
            continue
        for node in ast.parse(text_of(cell)).body:
            source = ast.unparse(node)
            if "training.fit(" in source:
                return
            yield source


def run_before_training(
    paper: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, dict]]:
    """Run a notebook up to its training; yield each statement and the namespace."""
    assigned = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    space: dict = {"In": [""], "display": id}
    shell = SimpleNamespace(user_ns=space)
    monkeypatch.setattr(injected, "get_ipython", lambda: shell)
    for source in statements_before_training(paper):
        space["In"].append(source)
        exec(source, space)
        if source.startswith(injected.SCHEMA_MARK):
            space["In"].append(f"{injected.INJECTED_MARK}\n{assigned}")
            exec(assigned, space)
        yield source, space
    plt.close("all")

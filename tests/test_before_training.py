"""Looking at a batch changes no model: papers' notebooks, up to their training."""

import ast
import json
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
import torch
from notebook_rules import code_of, text_of

from reidlib import evaluation
from reidrun.runs import injected
from reidrun.runs.environment import ROOT

# what stage 0 and the memory learn before the training is left out
OTHERWISE = {"rganet": {"prompt": "a photo of a [CLASS].", "assessment": "none"}}
PAPERS = ("baseline", "fanet", "rganet", "flannet", "fba")


@pytest.fixture(scope="module")
def data_root(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("data"))


def statements(paper: str) -> Iterator[str]:
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


def embeddings(space: dict, model: torch.nn.Module) -> tuple[torch.Tensor, ...]:
    inputs = {"inputs": space["ids"]} if "captions" in space else {}
    tester = evaluation.Tester(space["plain"], "cpu", 64, **inputs)
    found = tester.embedded(model, space["dataset"].query[:16]).embeddings
    return (found,) if isinstance(found, torch.Tensor) else found


@pytest.mark.parametrize("paper", PAPERS)
def test_looks_before_training_change_no_model(paper, data_root, monkeypatch):
    given = {"data_root": data_root, "device": "cpu", **OTHERWISE.get(paper, {})}
    assigned = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    space: dict = {"In": [""], "display": id}
    shell = SimpleNamespace(user_ns=space)
    monkeypatch.setattr(injected, "get_ipython", lambda: shell)
    made = None
    for source in statements(paper):
        space["In"].append(source)
        exec(source, space)
        if source.startswith(injected.SCHEMA_MARK):
            space["In"].append(f"{injected.INJECTED_MARK}\n{assigned}")
            exec(assigned, space)
        if source.startswith("training.initialise(model"):
            made = deepcopy(space["model"]).to("cpu")
    plt.close("all")
    model = space["model"]
    assert made is not None and "step" in space, "it came up to the training"
    for name, value in made.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    pairs = zip(embeddings(space, made), embeddings(space, model), strict=True)
    assert all(torch.equal(before, after) for before, after in pairs)

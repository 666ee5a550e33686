"""Looking at a batch changes no model: papers' notebooks, up to their training."""

from copy import deepcopy

import pytest
import torch
from toys.notebook_models import PAPERS, run_before_training

from reidlib import evaluation

# what stage 0 and the memory learn before the training is left out
WORDS = {"prompt": "a photo of a [CLASS]."}
OTHERWISE = {"rganet": {**WORDS, "assessment": "none"}, "combined": WORDS}


@pytest.fixture(scope="module")
def data_root(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("data"))


def embeddings(space: dict, model: torch.nn.Module) -> tuple[torch.Tensor, ...]:
    inputs = {"inputs": space["ids"]} if "captions" in space else {}
    tester = evaluation.Tester(space["plain"], "cpu", 64, **inputs)
    found = tester.embedded(model, space["dataset"].query[:16]).embeddings
    return (found,) if isinstance(found, torch.Tensor) else found


@pytest.mark.parametrize("paper", sorted(PAPERS))
def test_looks_before_training_change_no_model(paper, data_root, monkeypatch):
    given = {"data_root": data_root, "device": "cpu", **OTHERWISE.get(paper, {})}
    made = None
    for source, space in run_before_training(paper, given, monkeypatch):
        if source.startswith("training.initialise(model"):
            made = deepcopy(space["model"]).to("cpu")
    model = space["model"]
    assert made is not None and "step" in space, "it came up to the training"
    for name, value in made.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    pairs = zip(embeddings(space, made), embeddings(space, model), strict=True)
    assert all(torch.equal(before, after) for before, after in pairs)

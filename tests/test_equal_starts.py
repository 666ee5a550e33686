"""Runs of one seed start alike: the rows of an ablation differ in nothing else.

And each can be loaded from what its run leaves, which is seen here as well: to build
them all takes a while.
"""

import json

import pytest
import torch
from torch import Tensor, nn
from toys.notebook_models import ABLATIONS, PAPERS, assert_loads, model_of

from reidrun.runs.environment import ROOT
from reidrun.runs.params import read_ablation

TAUGHT = ("trunk.", "branch.")  # modules that pre-trained weights are for


def starts(model: nn.Module) -> dict[tuple, dict[str, Tensor]]:
    """Weights of each module that has some, by its name and their shapes."""
    found = {}
    for name, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        shapes = tuple((key, tuple(value.shape)) for key, value in own.items())
        if own:
            found[name, shapes] = own
    return found


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Models that were loaded already, as they are built."""
    return set()


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_variants_of_a_seed_start_with_equal_weights_in_every_common_module(
    ablation, loaded, tmp_path
):
    paper = ablation.partition("_")[0]
    known: dict[tuple, dict[str, Tensor]] = {}
    shared = 0
    for variant in read_ablation(ROOT / "params", ablation).variants:
        model = model_of(paper, variant.name)
        if (recipe := json.dumps(model.recipe)) not in loaded:  # else losses differ
            assert_loads(model, tmp_path)
            loaded.add(recipe)
        for module, weights in starts(model).items():
            others = known.setdefault(module, weights)
            shared += others is not weights
            for name, value in weights.items():
                assert torch.equal(value, others[name]), (variant.name, module[0], name)
    assert shared > 10


def test_rows_that_are_about_other_weights_start_from_them():
    random, taught = (
        starts(model_of("baseline", row, scale="study")) for row in ("scratch", "full")
    )
    theirs = [module for module in random if module[0].startswith(TAUGHT)]
    assert theirs and taught.keys() == random.keys()
    for module in theirs:
        for name, value in random[module].items():
            assert not torch.equal(value, taught[module][name]), (module[0], name)


@pytest.mark.parametrize("paper", PAPERS)
def test_another_seed_starts_elsewhere_and_loaded_weights_stay(paper):
    first, other = (starts(model_of(paper, "full", seed)) for seed in (0, 1))
    differ = {
        module[0]
        for module, weights in first.items()
        if any(not torch.equal(w, other[module][n]) for n, w in weights.items())
    }
    loaded = ("trunk", "foreground_branch", "image_tower", "text_tower")
    parts = {part for module in differ for part in module.split(".")}
    assert parts and (paper == "baseline" or not parts & set(loaded))

"""Runs of one seed start alike: the rows of an ablation differ in nothing else."""

import ast
import json

import pytest
import torch
from notebook_rules import code_of, text_of
from torch import Tensor, nn
from toys.merged import merged

from reidlib.training import seed_everything
from reidrun.runs.environment import ROOT
from reidrun.runs.params import read_ablation

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


def model_of(paper: str, variant: str, seed: int = 0) -> nn.Module:
    """The model of a variant as its notebook builds it, at the tiny scale."""
    book = json.loads((ROOT / "notebooks" / f"{paper}.ipynb").read_text("utf-8"))
    values = merged(ROOT, paper, "smoke", "tiny", variant, seed=seed)
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


def starts(model: nn.Module) -> dict[tuple, dict[str, Tensor]]:
    """Weights of each module that has some, by its name and their shapes."""
    found = {}
    for name, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        shapes = tuple((key, tuple(value.shape)) for key, value in own.items())
        if own:
            found[name, shapes] = own
    return found


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_variants_of_a_seed_start_with_equal_weights_in_every_common_module(ablation):
    paper = ablation.partition("_")[0]
    known: dict[tuple, dict[str, Tensor]] = {}
    shared = 0
    for variant in read_ablation(ROOT / "params", ablation).variants:
        for module, weights in starts(model_of(paper, variant.name)).items():
            others = known.setdefault(module, weights)
            shared += others is not weights
            for name, value in weights.items():
                assert torch.equal(value, others[name]), (variant.name, module[0], name)
    assert shared > 10


@pytest.mark.parametrize("paper", ["fanet", "fba", "flannet", "rganet", "baseline"])
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

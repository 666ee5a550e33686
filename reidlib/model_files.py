"""A trained model in two files: its weights, and in plain values how it is used.

    model.safetensors   the weights, without what only training needs
    model.json          how it is built, its pictures and distances, and what it saw

model.json is written last; a folder without it has no model.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reidlib import recipes
from reidlib.data.captions import CaptionIds
from reidlib.data.transforms import settings_of
from reidlib.evaluation.extraction import images_of
from reidlib.evaluation.search import Tester
from reidlib.files import write_text
from reidlib.reading import read_json, shown
from reidlib.weights import load_weights, read_checkpoint, write_tensors

WEIGHTS, SETTINGS = "model.safetensors", "model.json"
FORMAT = 1
LONG_TABLE = 10_000  # rows, from which on rows that repeat are stored once
ROWS, STEPS = ".rows", ".steps"
MANY = 4096  # values, from which on a table is stored in 8 bits where that is asked for
REMEDY = "run the paper again, or copy the run's folder again"


def save_model(
    folder: Path, model: nn.Module, tester: Tester, facts: Mapping[str, Any]
) -> None:
    """Write a trained model with all that is needed to embed pictures as it was tested.

    facts   what else model.json says: paper, data, scores, licence
    Raises ValueError, before it writes, for a model whose constructor nothing records,
    and for a tester that gives it anything but images and captions.
    """
    if tester.inputs is not images_of and not isinstance(tester.inputs, CaptionIds):
        raise ValueError(
            f"the model was tested with {tester.inputs} of a batch, which no embedder"
            " knows: give it images, or images with CaptionIds"
        )
    recipe = getattr(model, "recipe", {"unknown": type(model).__name__})
    recipes.check(recipe)
    arguments = recipe["with"]
    used = {
        "format": FORMAT,
        **facts,
        "model": recipe,
        "classes": arguments.get("num_identities"),
        "pictures": settings_of(tester.transform),
        "distances": recipes.recipe_of_distances(tester.distances),
        "flip_average": tester.flip_average,
        "captions": isinstance(tester.inputs, CaptionIds),
        "batch_size": tester.batch_size,
    }
    _write(folder, model, _packed(model.state_dict()), used)


def save_small(
    folder: Path,
    model: nn.Module,
    settings: Mapping[str, Any],
    scores_of: Callable[[nn.Module], Mapping[str, Any]],
) -> None:
    """Write a loaded model in a quarter of the bytes: weights in 8 bits.

    Each row of a large table is stored as whole numbers in [-127, 127] and their step;
    a value moves by half a step at most.
    settings    what model.json said of it
    scores_of   what the rounded model scores, which the new model.json says
    """
    stored = _in_eight_bits(_packed(model.state_dict()))
    rounded = recipes.build(settings["model"]).eval()
    load_weights(rounded, _unpacked(stored, rounded), "the rounded weights")
    scores = scores_of(rounded)
    data = {**settings["data"], "tested_on": list(scores)}
    used = {**settings, "data": data, "scores": scores}
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, model, stored, used)


def _write(
    folder: Path, model: nn.Module, stored: Mapping[str, Tensor], used: dict[str, Any]
) -> None:
    write_tensors(stored, folder / WEIGHTS)
    content = (folder / WEIGHTS).read_bytes()
    used["weights"] = {
        "parameters": sum(value.numel() for value in model.parameters()),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bits": 8 if any(name.endswith(STEPS) for name in stored) else 32,
    }
    write_text(folder / SETTINGS, json.dumps(used, indent=1, ensure_ascii=False) + "\n")


def load_model(folder: Path) -> tuple[nn.Module, Callable, dict[str, Any]]:
    """The model of a folder on the CPU, its distances, and what model.json says.

    Raises FileNotFoundError for a folder without a model, ValueError for files that are
    damaged, do not belong together, or were written by another version.
    """
    settings = read_settings(folder)
    path = folder / WEIGHTS
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{shown(path)} is not there, though {SETTINGS} is: {REMEDY}"
        ) from None
    if hashlib.sha256(content).hexdigest() != settings["weights"]["sha256"]:
        raise ValueError(
            f"{shown(path)} is not the file that {SETTINGS} describes: {REMEDY}"
        )
    model = recipes.build(settings["model"]).eval()
    load_weights(model, _unpacked(read_checkpoint(path), model), shown(path))
    return model, recipes.build_distances(settings["distances"]), settings


def read_settings(folder: Path) -> dict[str, Any]:
    """What model.json of a run's folder says."""
    path = folder / SETTINGS
    if not path.is_file():
        said = "its run is not finished, or older than models that are kept"
        remedy = "run it, with --fresh if it has scores already"
        raise FileNotFoundError(f"no {SETTINGS} in {shown(folder)}: {said}; {remedy}")
    settings = read_json(path, REMEDY)
    if settings.get("format") != FORMAT:
        raise ValueError(
            f"{shown(path)} has the format {settings.get('format')!r}, this version"
            f" reads {FORMAT}: use the version that wrote it"
        )
    return settings


def _packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share memory once, and of long tables the rows that differ."""
    stored: dict[str, Tensor] = {}
    for name, first in _first_names(state).items():
        if name != first:
            continue
        tensor = state[name].detach().cpu().contiguous()
        if tensor.ndim == 2 and len(tensor) >= LONG_TABLE:
            rows, places = _distinct_rows(tensor)
            if len(rows) < len(tensor) // 2:
                stored[name + ROWS], tensor = places, rows
        stored[name] = tensor
    return stored


def _in_eight_bits(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Large tables of floats as int8 and a step for each row; the rest as it is."""
    small: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        small[name] = tensor
        if tensor.is_floating_point() and tensor.ndim > 1 and tensor.numel() >= MANY:
            rows = tensor.float().flatten(1)
            steps = rows.abs().amax(1).clamp_min(1e-30) / 127  # (n,)
            numbers = (rows / steps[:, None]).round().to(torch.int8)
            small[name], small[name + STEPS] = numbers.view(tensor.shape), steps
    return small


def _unpacked(stored: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    stored = {
        name: _times(tensor, stored[name + STEPS]) if name + STEPS in stored else tensor
        for name, tensor in stored.items()
        if not name.endswith(STEPS)
    }
    state = {
        name: tensor[stored[name + ROWS].long()] if name + ROWS in stored else tensor
        for name, tensor in stored.items()
        if not name.endswith(ROWS)
    }
    for name, first in _first_names(model.state_dict()).items():
        if first in state:
            state.setdefault(name, state[first])
    return state


def _times(numbers: Tensor, steps: Tensor) -> Tensor:
    return numbers * steps.view(-1, *[1] * (numbers.ndim - 1))


def _first_names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Each name and the first one of the same memory: layers may share weights."""
    known: dict[tuple, str] = {}
    return {
        name: known.setdefault((value.data_ptr(), value.shape), name)
        if value.numel()
        else name
        for name, value in state.items()
    }


def _distinct_rows(table: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that differ in a bit, and which of them each row of the table is."""
    values = table.numpy()
    whole = values.view(np.dtype((np.void, values.strides[0])))[:, 0]
    _, first, places = np.unique(whole, return_index=True, return_inverse=True)
    return table[torch.from_numpy(first)], torch.from_numpy(places).int()

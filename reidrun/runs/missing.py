"""What a run needs and this machine has not: weights, data, packages, a GPU."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reidlib.benchmarks import is_own, missing_data, unfit_for_training
from reidlib.checks import nearest
from reidlib.published_weights import PUBLISHED
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError
from reidrun.runs.plans import Plan
from reidrun.runs.progress import missing_tensorboard
from reidrun.runs.schema import Schema, notebook_schema, unwritable_files

ASSETS = ROOT / "reidlib" / "assets"
TAUGHT = {  # on rendered people, by what parameters call them
    "rendered": ASSETS / "tiny_resnet_rendered.safetensors",
    "tiny-rendered": ASSETS / "tiny_clip_rendered.safetensors",
}


def refuse_missing_files(plans: Iterable[Plan]) -> None:
    """Raise ParameterError for weights, data and GPU of plans that are not here.

    A line each, before the first of them runs. For runs that this machine is about to
    make: a finished one needs no data any more, and a queued one is a `reid run` that
    checks on the machine where it runs.
    """
    plans = list(plans)
    schemas = {path: notebook_schema(path) for path in {p.notebook for p in plans}}
    missing = [f for p in plans for f in _missing_files(p, schemas[p.notebook])]
    missing += [fault for plan in plans for fault in _missing_device(plan.parameters)]
    missing += filter(None, (missing_tensorboard(plan.parameters) for plan in plans))
    if missing:
        raise ParameterError("\n".join(dict.fromkeys(missing)))


def _missing_device(values: Mapping[str, Any]) -> list[str]:
    wanted = values.get("device")
    precise = values.get("precision") == "fp16"
    if wanted not in ("cuda", "mps") and not precise:
        return []
    import torch  # takes seconds, and most runs ask for no device

    if wanted == "mps" and not precise:
        is_there = torch.backends.mps.is_available()
        said = "device: mps, but torch sees no such device here: take auto or cpu"
        return [] if is_there else [said]
    if torch.cuda.is_available():
        return []
    if precise:
        return ["precision: fp16 needs a GPU, and torch sees none here: take fp32"]
    return ["device: cuda, but torch sees no GPU here: take auto or cpu"]


def _missing_files(plan: Plan, schema: Schema) -> list[str]:
    here, values = plan.notebook.parent, plan.parameters
    weights = [values.get(name) for name in ("backbone", "pretrained")]
    found = [
        f"weights {name} are not shipped yet: no reidlib/assets/{path.name}"
        for name, path in TAUGHT.items()
        if name in weights and not path.is_file()
    ]
    found += [
        f"{name}: no file {values[name]}, seen from notebooks/"
        + _nearest_file(values[name], parameter.choices)
        for name, parameter in schema.items()
        if parameter.takes_file
        and values[name] not in ("", *parameter.choices)
        and not (here / values[name]).is_file()
    ]
    found += [
        f"{name}: {PUBLISHED[values[name]].absence()}"
        for name, parameter in schema.items()
        if parameter.takes_file
        and values[name] in PUBLISHED
        and not PUBLISHED[values[name]].paths()
    ]
    found += [
        f"{fault}; it is seen from notebooks/"
        for fault in unwritable_files(schema, values, here)
    ]
    data_root = Path(os.path.normpath(here / values["data_root"]))
    sets = [values["benchmark"], *filter(is_own, values.get("also_on", []))]
    found += filter(None, (missing_data(name, data_root) for name in sets))
    cameras = bool(values.get("camera_weight")) and values.get("background") is True
    unfit = unfit_for_training(sets[0], data_root, names_cameras=cameras)
    return [*found, unfit] if unfit else found


def _nearest_file(value: str, choices: list[str]) -> str:
    if Path(value).is_file():
        return f"; write {Path(value).resolve()}"
    others = ", ".join(filter(None, choices))
    remedy = f"; give {others}, or the full path of a file" if others else ""
    return nearest(value, choices) or remedy or "; give its full path"

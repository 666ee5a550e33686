"""A trained model for programs without this repository: torch.export, or ONNX.

What is written maps images (B, 3, H, W), of any B, to the tensors that the paper's
distance compares; a model that reads captions takes their token ids (B, 2, L), too.
Pre-processing is told in the file. It gets its name when it has given, for drawn
pedestrians, what the model gives.
"""

import importlib
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reidlib.data.captions import CaptionIds, Captions
from reidlib.data.transforms import NORMALISATIONS
from reidlib.embedder import Embedder
from reidlib.files import written_whole
from reidlib.model_files import WEIGHTS, save_small
from reidlib.pedestrians import Shot, draw

KINDS = {"torch": "model.pt2", "onnx": "model.onnx"}
KEY = "reidlib"  # under which the file tells of its pre-processing
BATCH, SMALLEST = 7, 1  # batches that are tried before a file gets its name
TOLERANCE = 1e-5  # of a value, relative to the largest where that is above 1
EXTRA = ("onnx", "onnxruntime", "onnxscript")
REMEDY = "ONNX needs the extra [export]: pip install -e '.[export]'"
Run = Callable[..., list[np.ndarray]]


class Exported(nn.Module):
    """A model's `embed` as tensors only: no empty ones, mirrored images averaged."""

    def __init__(self, embedder: Embedder, *inputs: Tensor) -> None:
        super().__init__()
        self.model = deepcopy(embedder.model).to("cpu").eval()
        self.flip_average = embedder.settings["flip_average"]
        with torch.no_grad():
            found = self.model.embed(*inputs)
        fields = getattr(found, "_fields", ("embedding",))
        values = [found] if isinstance(found, Tensor) else found
        self.names = [n for n, v in zip(fields, values, strict=True) if v.numel()]

    def forward(self, images: Tensor, *captions: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors called `names` of images (B, 3, H, W)."""
        found = self._values(images, *captions)
        if self.flip_average:
            mirrored = self._values(images.flip(-1), *captions)
            pairs = zip(found, mirrored, strict=True)
            found = tuple((ours + theirs) / 2 for ours, theirs in pairs)
        return found

    def _values(self, images: Tensor, *captions: Tensor) -> tuple[Tensor, ...]:
        found = self.model.embed(images, *captions)
        if isinstance(found, Tensor):
            return (found.float(),)
        return tuple(getattr(found, name).float() for name in self.names)


def export(embedder: Embedder, folder: Path, kind: str) -> tuple[Path, float]:
    """Write a model as KINDS[kind]; return its path and the largest difference.

    kind   torch, a program of torch.export | onnx
    Tried with batches of seven and of one. Raises ImportError where a package is
    missing, and ValueError, leaving no file, for values that are not the model's.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r} of export: choose from {', '.join(KINDS)}")
    if kind == "onnx":
        for name in EXTRA:
            _needed(name)
    inputs = drawn_inputs(embedder, BATCH)
    model = Exported(embedder, *inputs)
    module = deepcopy(model).to(memory_format=torch.contiguous_format)
    notes = json.dumps(preprocessing(embedder, module.names), indent=1)
    write = _write_onnx if kind == "onnx" else _write_torch
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / KINDS[kind]
    with written_whole(path) as temporary, torch.no_grad():
        run = write(module, inputs, temporary, notes)
        difference = max(
            _difference(model, run, [part[:size] for part in inputs])
            for size in (BATCH, SMALLEST)
        )
    return path, difference


def export_small(
    embedder: Embedder, folder: Path, scores_of: Callable[[Embedder], Mapping[str, Any]]
) -> Path:
    """Write a folder that reidlib.load reads, with weights in 8 bits; their path.

    scores_of   what the rounded model scores, by benchmark, which its model.json says
    """

    def scored(model: nn.Module) -> Mapping[str, Any]:
        return scores_of(replace(embedder, model=model.to(embedder.device)))

    save_small(folder, embedder.model, embedder.settings, scored)
    return folder / WEIGHTS


def drawn_inputs(embedder: Embedder, count: int) -> tuple[Tensor, ...]:
    """Drawn pedestrians as the model sees them, (B, 3, H, W), and captions' ids."""
    drawings = [draw(Shot("plaza", "query", 300 + n, n % 6, 0)) for n in range(count)]
    images = torch.stack([embedder.transform(d.image.convert("RGB")) for d in drawings])
    if not embedder.reads_captions:
        return (images,)
    texts = {Path(str(n)): Captions(*d[2:4]) for n, d in enumerate(drawings)}
    context = embedder.model.text_tower.context_length
    ids = CaptionIds(texts, context).of(list(texts))  # (B, 2, longest)
    return images, nn.functional.pad(ids, (0, context - ids.shape[2]))


def preprocessing(embedder: Embedder, outputs: list[str]) -> dict[str, Any]:
    """What a program has to do with a picture, and may say of the model, in words."""
    pictures, settings = embedder.settings["pictures"], embedder.settings
    mean, deviation = NORMALISATIONS[pictures["normalisation"]]
    told = {
        "images": "RGB in [0, 1], resized bicubically with antialiasing to height and"
        " width, less mean, over deviation: float32 (B, 3, height, width)",
        "height": pictures["height"],
        "width": pictures["width"],
        "mean": mean,
        "deviation": deviation,
        "outputs": outputs,
        "distances": settings["distances"],
    }
    if embedder.reads_captions:
        length = embedder.model.text_tower.context_length
        told["captions"] = (
            "token ids of CLIP's tokenizer, the person's caption first: int64"
            f" (B, 2, {length}), padded with 0"
        )
    kept = ("paper", "variant", "seed", "data", "licence", "use")
    return told | {name: settings[name] for name in kept if name in settings}


def _needed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{error}; {REMEDY}") from error


def _names(inputs: tuple[Tensor, ...]) -> list[str]:
    return ["images", "captions"][: len(inputs)]


def _program(
    module: Exported, inputs: tuple[Tensor, ...]
) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=SMALLEST)
    first, *others = ({0: batch} for _ in inputs)
    shapes = {"images": first} | ({"captions": tuple(others)} if others else {})
    return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)


def _write_torch(
    module: Exported, inputs: tuple[Tensor, ...], path: Path, notes: str
) -> Run:
    program = _program(module, inputs)
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={KEY: notes})
    with path.open("rb") as file:
        again = torch.export.load(file).module()
    return lambda *given: [value.numpy() for value in again(*given)]


def _write_onnx(
    module: Exported, inputs: tuple[Tensor, ...], path: Path, notes: str
) -> Run:
    onnx, runtime = _needed("onnx"), _needed("onnxruntime")
    names = _names(inputs)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it tells of each step
    with warnings.catch_warnings(action="ignore"):  # on what its own parts deprecate
        made = torch.onnx.export(
            _program(module, inputs),
            input_names=names,
            output_names=module.names,
            dynamo=True,
            verbose=False,
        )
    proto = made.model_proto
    onnx.helper.set_model_props(proto, {KEY: notes})
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda *given: session.run(
        None, {n: v.numpy() for n, v in zip(names, given, strict=True)}
    )


def _difference(model: Exported, run: Run, inputs: list[Tensor]) -> float:
    """The largest difference from the model; ValueError for one that is too large."""
    largest = 0.0
    pairs = zip(model.names, model(*inputs), run(*inputs), strict=True)
    for name, wanted, found in pairs:
        scale = max(1.0, float(wanted.abs().max()))
        off = float((torch.from_numpy(found) - wanted).abs().max()) / scale
        largest = max(largest, off)
        if not off <= TOLERANCE:
            raise ValueError(
                f"{name} of what was exported differs by {off:.1e} from the model's at"
                f" batch {len(wanted)}, more than {TOLERANCE}: nothing is written"
            )
    return largest


def read_notes(path: Path) -> Mapping[str, Any]:
    """What an exported file tells of its pre-processing."""
    if path.suffix == ".onnx":
        properties = _needed("onnx").load(str(path)).metadata_props
        return json.loads(next(p.value for p in properties if p.key == KEY))
    extra = {KEY: ""}
    with path.open("rb") as file:
        torch.export.load(file, extra_files=extra)
    return json.loads(extra[KEY])

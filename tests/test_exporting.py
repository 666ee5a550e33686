"""What is exported gives what the model gives, at any batch, or is not written."""

import json

import numpy as np
import pytest
import torch
from toys import small_combined, small_fanet, small_fba, small_flannet, small_rganet

from reidlib import exporting
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.embedder import Embedder
from reidlib.evaluation import cosine_distances

runtime = pytest.importorskip("onnxruntime")
# name -> model, image size, what it compares, whether mirror images are averaged, too
MODELS = {
    "fanet": (small_fanet, (64, 32), ["embedding"], True),
    "rganet": (small_rganet, (80, 32), ["global_feature", "regions", "weights"], False),
    "flannet": (small_flannet, (80, 32), ["embedding"], False),
    "fba": (small_fba, (80, 32), ["visual", "crossed"], False),
    "combined": (small_combined, (128, 32), ["embedding"], False),
}


def embedder_of(name: str, captions: bool | None = None, **parts) -> Embedder:
    toy, size, _, mirrored = MODELS[name]
    pictures = dict(zip(("height", "width"), size, strict=True))
    pictures |= {"normalisation": "half"}
    settings = {
        "paper": name,
        "pictures": pictures,
        "flip_average": mirrored,
        "captions": name == "fba" if captions is None else captions,
        "batch_size": 8,
        "distances": {"call": "evaluation.metrics.cosine_distances", "with": {}},
    }
    fields = (plain_transform(**pictures), cosine_distances, torch.device("cpu"))
    parts = {"depth": 1} | parts if name == "fba" else parts
    return Embedder(toy.tiny(**parts).eval(), *fields, settings)


def wanted(embedder: Embedder, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """What the model compares of these images, with mirror images where it has them."""
    with torch.no_grad():
        found = embedder.model.embed(*inputs)
        if embedder.settings["flip_average"]:
            mirrored = embedder.model.embed(inputs[0].flip(-1), *inputs[1:])
            return [(found + mirrored) / 2]
    return [found] if isinstance(found, torch.Tensor) else list(found)


OTHERS = [name for name in MODELS if name != "fba"]  # which reads captions, too
SLOW = [pytest.param(name, marks=pytest.mark.export) for name in OTHERS]


@pytest.mark.parametrize("name", ["fba", *SLOW])
def test_onnx_runs_at_batches_of_1_and_7(name, tmp_path):
    embedder = embedder_of(name)
    path, difference = exporting.export(embedder, tmp_path, "onnx")
    assert path == tmp_path / "model.onnx" and difference <= exporting.TOLERANCE
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = MODELS[name][2]
    assert [output.name for output in session.get_outputs()] == outputs
    for size in (1, 7):
        inputs = [part[:size] for part in exporting.drawn_inputs(embedder, 7)]
        given = zip(session.get_inputs(), inputs, strict=True)
        found = session.run(None, {i.name: value.numpy() for i, value in given})
        for ours, theirs in zip(found, wanted(embedder, inputs), strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-5)
    notes = json.loads(session.get_modelmeta().custom_metadata_map[exporting.KEY])
    assert notes["outputs"] == outputs and notes["mean"] == [0.5, 0.5, 0.5]
    assert (notes["height"], notes["width"]) == MODELS[name][1]
    assert ("captions" in notes) == (name == "fba")
    assert notes == exporting.read_notes(path)


def test_a_program_of_torch_runs_at_batches_of_1_and_7(tmp_path):
    embedder = embedder_of("fanet")  # ONNX is made of the same program for all
    path, _ = exporting.export(embedder, tmp_path, "torch")
    program = torch.export.load(path).module()
    for size in (1, 7):
        inputs = [part[:size] for part in exporting.drawn_inputs(embedder, 7)]
        for ours, theirs in zip(
            program(*inputs), wanted(embedder, inputs), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert exporting.read_notes(path)["paper"] == "fanet"


def test_what_a_model_without_captions_compares_has_no_empty_part(tmp_path):
    embedder = embedder_of("fba", captions=False, cross_modal=False)
    (images,) = exporting.drawn_inputs(embedder, 2)
    assert exporting.Exported(embedder, images).names == ["visual"]


def test_another_program_than_the_model_gets_no_name(tmp_path, monkeypatch):
    def wrong(module, inputs, path, notes):
        path.write_bytes(b"program")
        return lambda *given: [value.numpy() + 1e-3 for value in module(*given)]

    monkeypatch.setattr(exporting, "_write_torch", wrong)
    with pytest.raises(ValueError, match="embedding of what was exported differs by 1"):
        exporting.export(embedder_of("fanet"), tmp_path / "made", "torch")
    assert list((tmp_path / "made").iterdir()) == []


def test_an_unknown_kind_and_a_missing_package_are_named(tmp_path, monkeypatch):
    embedder = embedder_of("fanet")
    with pytest.raises(ValueError, match="no kind 'tflite' of export: choose from tor"):
        exporting.export(embedder, tmp_path, "tflite")

    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(exporting.importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r"'onnx'; ONNX needs the extra \[export\]"):
        exporting.export(embedder, tmp_path, "onnx")
    assert list(tmp_path.iterdir()) == []

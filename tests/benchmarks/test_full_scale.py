"""What full scale turns on: harmless on a CPU, and there where it is said to be."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from toys import small_fanet, small_fba, small_flannet, small_rganet
from toys.toy_training import same_weights, toy_fit, toy_parts, toy_run

from reidlib import data
from reidlib.backbones.resnet import load_resnet
from reidlib.data import transforms
from reidlib.data.samples import Sample
from reidlib.models.baseline import ResNetBaseline

ON_CUDA = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no CUDA device"
)
MODELS = {
    "baseline": lambda: ResNetBaseline(load_resnet("tiny-resnet"), num_identities=3),
    "fanet": small_fanet.tiny,
    "rganet": small_rganet.tiny,
    "flannet": small_flannet.tiny,
    "flannet-literal": partial(small_flannet.tiny, literal=True),
    "fba": small_fba.tiny,
    "fba-mean-map": partial(small_fba.tiny, pairing="background_mean"),
    "fba-crossed": partial(small_fba.tiny, **small_fba.TABLE_3["crossed"]),
}


@pytest.fixture
def eager(monkeypatch):
    """torch.compile that traces as always, and runs what it traced as it is."""
    compiled = []

    def traced(function, *arguments, **options):
        compiled.append(options)
        return compile_as_is(function, *arguments, **options)

    compile_as_is = partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", traced)
    return compiled


def test_a_compiled_training_is_the_same_and_so_is_its_checkpoint(eager, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    plain, history = toy_run(epochs=2)
    model, compiled = toy_run(epochs=2, compile=True, checkpoint=checkpoint)
    assert len(eager) == 1
    assert same_weights(model, plain)
    assert list(model.state_dict()) == list(plain.state_dict())
    assert compiled.equals(history)
    assert "_compiled_call_impl" not in model.__getstate__(), "copies are plain"
    resumed, _ = toy_run(epochs=2, checkpoint=checkpoint)
    assert same_weights(resumed, plain), "goes on without compiling, too"


@pytest.mark.parametrize("name", MODELS)
def test_models_are_traced_in_one_piece(name):
    torch.manual_seed(0)
    model, inputs = MODELS[name](), [torch.randn(4, 3, 64, 32)]
    if name not in ("baseline", "fanet"):  # a CLIP tower's grid is of 80x32 pixels
        inputs = [small_rganet.images(count=4)]
    if name.startswith("fba"):
        inputs.append(small_fba.captions(count=4))
    traced = torch.compile(model, backend="eager", fullgraph=True)
    for mode in (True, False):
        model.train(mode)
        expected, found = (call(*inputs) for call in (model, traced))
        for ours, theirs in zip(*map(tensors, (expected, found)), strict=True):
            torch.testing.assert_close(ours, theirs)
    torch._dynamo.reset()


def tensors(output) -> list[torch.Tensor]:
    if torch.is_tensor(output):
        return [output]
    return [t for part in output or () for t in tensors(part)]


@pytest.mark.parametrize("name", ["baseline", "fanet"])
def test_maps_of_resnets_stay_channels_last(name):
    model, seen = MODELS[name](), []
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda *call: seen.append(call[-1]))
    model(torch.randn(2, 3, 64, 32))
    maps = [t for t in seen if t.shape[1] > 1 and t.shape[2:].numel() > 1]
    assert len(maps) > 10
    assert all(t.is_contiguous(memory_format=torch.channels_last) for t in maps)


def test_towers_attend_by_one_fused_operation(monkeypatch):
    calls, attend = [], F.scaled_dot_product_attention
    monkeypatch.setattr(
        F,
        "scaled_dot_product_attention",
        lambda *a, **k: calls.append(1) or attend(*a, **k),
    )
    small_rganet.tiny().train()(small_rganet.images())
    assert len(calls) >= 3, "once in each of the three blocks"


def test_loaders_pin_their_batches_where_there_is_a_gpu(monkeypatch):
    plain = transforms.test_transform(8, 4, normalisation="half")
    samples = [Sample(Path("a.jpg"), 1, 0), Sample(Path("b.jpg"), 2, 0)]
    batches = {"num_identities_per_batch": 2, "images_per_identity": 1, "seed": 0}
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert data.train_loader(samples, plain, **batches).pin_memory is there
        assert data.test_loader(samples, plain, batch_size=2).pin_memory is there


@ON_CUDA
@pytest.mark.parametrize("compiled", [False, True])
def test_on_cuda_a_training_is_fused_and_learns(compiled):
    model, optimizers, schedulers = toy_parts()
    settings = {"device": "cuda", "precision": "bf16", "compile": compiled}
    history = toy_fit(model, optimizers, schedulers, epochs=12, **settings)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    assert all(group["fused"] for group in groups)
    assert history["identity"].iloc[-1] < 0.3

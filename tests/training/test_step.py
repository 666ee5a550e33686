import math

import pytest
import torch
from torch.amp import GradScaler
from toys.toy_training import (
    WEIGHTS,
    ToyOutput,
    objective,
    same_weights,
    toy_fit,
    toy_loader,
    toy_parts,
    toy_run,
)

from reidlib.evaluation.extraction import in_float32
from reidlib.training.seeding import seed_everything
from reidlib.training.step import Step


def test_bf16_on_cpu_and_losses_in_float32():
    seen = set()

    def watching(output, batch):
        seen.add(output.logits.dtype)
        return objective(output, batch)

    model, history = toy_run(precision="bf16", objective=watching, epochs=12)
    assert seen == {torch.float32}
    assert history["identity"].iloc[-1] < 0.3
    assert not same_weights(model, toy_run(epochs=12)[0])
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fp16 needs a CUDA device")
def test_fp16_on_cuda(tmp_path):
    path = tmp_path / "checkpoint.pt"
    _, history = toy_run(precision="fp16", device="cuda", epochs=12, checkpoint=path)
    assert history["identity"].iloc[-1] < 0.5
    assert history["skipped_share"].iloc[-1] == 0
    assert torch.load(path, weights_only=True)["scaler"]["scale"] > 0


def test_clipping():
    plain, history = toy_run()
    clipped, clipped_history = toy_run(max_gradient_norm=0.1)
    loose, _ = toy_run(max_gradient_norm=1e6)
    assert same_weights(plain, loose)
    assert not same_weights(plain, clipped)
    # The norm is measured before clipping, and the first epoch's first one is equal.
    assert history["gradient_norm"].min() > 0.1
    assert clipped_history["gradient_norm"].iloc[0] > 0.1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_term_is_named(value):
    steps = iter(range(100))

    def breaking(output, batch):
        terms = objective(output, batch)
        terms["size"] = terms["size"] * (value if next(steps) == 5 else 1.0)
        return terms

    with pytest.raises(
        FloatingPointError, match=f"'size' is {value} at epoch 2, step 2"
    ):
        toy_run(objective=breaking)


def test_non_finite_gradient_is_named():
    def breaking(output, batch):
        terms = objective(output, batch)
        terms["size"] = (output.logits * 0).abs().sqrt().sum()  # slope of a root at 0
        return terms

    model, optimizers, schedulers = toy_parts()
    before = model.classifier.weight.detach().clone()
    with pytest.raises(
        FloatingPointError, match="trunk.1.weight.*nan.*epoch 1, step 1"
    ):
        toy_fit(model, optimizers, schedulers, objective=breaking)
    assert torch.equal(model.classifier.weight, before)


def test_overflowing_norm_names_the_largest_gradient():
    def huge(output, batch):
        return {"identity": output.logits.mean(), "size": 1e25 * output.logits.mean()}

    with pytest.raises(FloatingPointError, match="'bnneck.*e\\+2"):
        toy_run(objective=huge)


def scaled_step(parts, terms):
    """One fp16-like step on the CPU: a loss scaler is at work, all else is float32."""
    model, optimizers, _ = parts
    step = Step(
        model=model,
        objective=terms,
        weights=WEIGHTS,
        optimizers=optimizers,
        device="cpu",
    )
    step.scaler = GradScaler("cpu", init_scale=4.0)
    return step, next(iter(toy_loader()))


def overflowing(output, batch):
    terms = objective(output, batch)
    infinite = output.logits.sum() * 0
    infinite.register_hook(lambda gradient: gradient * math.inf)
    return {**terms, "identity": terms["identity"] + infinite}


def test_loss_scaling_changes_no_gradient():
    parts = toy_parts()
    step, batch = scaled_step(parts, objective)
    seed_everything(1)
    values = step(batch, "epoch 1, step 1")
    unscaled = toy_parts()
    plain, _ = scaled_step(unscaled, objective)
    plain.scaler = GradScaler("cpu", enabled=False)
    seed_everything(1)
    expected = plain(batch, "epoch 1, step 1")
    assert same_weights(parts[0], unscaled[0])
    assert values == {**expected, "skipped_share": 0.0}


def test_scaler_skips_overflows_but_not_forever():
    parts = toy_parts()
    step, batch = scaled_step(parts, overflowing)
    before = {n: p.detach().clone() for n, p in parts[0].named_parameters()}
    for scale in (4.0, 2.0, 1.0):
        assert step.scaler.get_scale() == scale
        values = step(batch, "epoch 1, step 1")
        assert values["skipped_share"] == 1.0
        assert math.isnan(values["gradient_norm"])
    with pytest.raises(FloatingPointError, match="trunk.1.weight.*nan.*step 4"):
        step(batch, "epoch 1, step 4")
    for name, parameter in parts[0].named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_in_float32_reaches_nested_outputs():
    half = torch.ones(2, dtype=torch.bfloat16)
    output = {"a": [half, half.long()], "b": ToyOutput(half, half.double()), "c": None}
    wide = in_float32(output)
    assert wide["a"][0].dtype == wide["b"].embedding.dtype == torch.float32
    assert wide["a"][1].dtype == torch.int64
    assert wide["b"].logits.dtype == torch.float64
    assert isinstance(wide["b"], ToyOutput)
    assert wide["c"] is None

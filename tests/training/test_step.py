import math

import pytest
import torch
from pandas.testing import assert_frame_equal
from torch.amp import GradScaler
from torch.nn.utils import get_total_norm
from toys.toy_training import (
    WEIGHTS,
    ToyModel,
    ToyOutput,
    objective,
    same_weights,
    toy_fit,
    toy_loader,
    toy_parts,
    toy_run,
)

from reidlib.evaluation.extraction import in_float32
from reidlib.training.loop import fit
from reidlib.training.seeding import seed_everything
from reidlib.training.state import Checkpoint
from reidlib.training.step import Measured, Step


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


def late(parts, terms=objective):
    """A step that goes on before it knows what it measured, as on a GPU."""
    model, optimizers, _ = parts
    step = Step(
        model=model,
        objective=terms,
        weights=WEIGHTS,
        optimizers=optimizers,
        device="cpu",
    )
    step.checks_late = True
    return step


def toy_fit_late(parts, terms=objective, **settings):
    step, loader = late(parts, terms), toy_loader()
    return fit(step, loader, schedulers=parts[2], epochs=3, seed=7, **settings)


def test_late_checks_change_no_number():
    parts = toy_parts()
    history = toy_fit_late(parts)
    model, expected = toy_run(epochs=3, seed=7)
    assert same_weights(parts[0], model)
    assert_frame_equal(history, expected, check_exact=True)


def test_a_step_is_read_when_the_next_one_has_begun(monkeypatch):
    order, read, begun = [], Measured.read, iter(range(100))

    def terms(output, batch):
        order.append(("begun", next(begun)))
        return objective(output, batch)

    def reading(measured):
        order.append(("read", measured.where))
        return read(measured)

    monkeypatch.setattr(Measured, "read", reading)
    step = late(toy_parts(), terms)
    fit(step, toy_loader(), epochs=1, seed=0)
    expected = [("begun", 0)]
    for number in range(1, len(toy_loader())):
        expected += [("begun", number), ("read", f"epoch 1, step {number}")]
    assert order == [*expected, ("read", f"epoch 1, step {len(toy_loader())}")]


def test_a_late_check_names_the_term_and_its_own_step():
    steps = iter(range(100))

    def breaking(output, batch):
        terms = objective(output, batch)
        terms["size"] = terms["size"] * (math.nan if next(steps) == 5 else 1.0)
        return terms

    with pytest.raises(FloatingPointError, match="'size' is nan at epoch 2, step 2"):
        toy_fit_late(toy_parts(), breaking)
    last = iter(range(100))

    def breaking_last(output, batch):
        terms = objective(output, batch)
        terms["size"] = terms["size"] * (math.inf if next(last) == 3 else 1.0)
        return terms

    with pytest.raises(FloatingPointError, match="'size' is inf at epoch 1, step 4"):
        toy_fit_late(toy_parts(), breaking_last)


def test_a_late_check_names_the_parameter():
    def breaking(output, batch):
        terms = objective(output, batch)
        terms["size"] = (output.logits * 0).abs().sqrt().sum()
        return terms

    with pytest.raises(
        FloatingPointError, match="trunk.1.weight.*nan.*epoch 1, step 1"
    ):
        toy_fit_late(toy_parts(), breaking)

    def huge(output, batch):
        return {"identity": output.logits.mean(), "size": 1e25 * output.logits.mean()}

    with pytest.raises(FloatingPointError, match="gradient of parameter.*step 1"):
        toy_fit_late(toy_parts(), huge)


def test_nothing_is_kept_of_an_epoch_that_was_not_finite(tmp_path):
    steps = iter(range(100))

    def breaking(output, batch):
        terms = objective(output, batch)
        terms["size"] = terms["size"] * (math.nan if next(steps) == 7 else 1.0)
        return terms

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(FloatingPointError, match="epoch 2, step 4"):
        toy_fit_late(toy_parts(), breaking, checkpoint=Checkpoint(path, {}))
    kept = torch.load(path, weights_only=True)
    assert kept["epoch"] == 1
    assert all(value.isfinite().all() for value in kept["model"].values())


def test_parameters_are_looked_up_once(monkeypatch):
    calls = []
    named = ToyModel.named_parameters

    def counted(model, *args, **kwargs):
        calls.append(args)
        return named(model, *args, **kwargs)

    step, batch = late(toy_parts()), next(iter(toy_loader()))
    monkeypatch.setattr(ToyModel, "named_parameters", counted)
    for _ in range(3):
        step(batch, "a step")
    assert len(calls) == 1


def test_the_norm_is_that_of_torch():
    parts = toy_parts()
    step, batch = late(parts), next(iter(toy_loader()))
    measured = step(batch, "a step")
    gradients = [p.grad for p in parts[0].parameters() if p.grad is not None]
    assert measured["gradient_norm"] == get_total_norm(gradients).item()


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

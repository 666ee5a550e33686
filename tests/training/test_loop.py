import random

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.optim import SGD
from toys.toy_training import (
    NUM_LABELS,
    WEIGHTS,
    same_weights,
    toy_fit,
    toy_loader,
    toy_parts,
    toy_run,
)

from reidlib.training.loop import fit
from reidlib.training.seeding import pick_device, seed_everything
from reidlib.training.step import Step


def test_learns_and_keeps_a_history():
    model, history = toy_run(epochs=12)
    assert list(history["epoch"]) == list(range(1, 13))
    assert history.columns.tolist() == [
        "epoch",
        "loss",
        "identity",
        "size",
        "gradient_norm",
        "lr",
        "lr_2",
    ]
    assert history["identity"].iloc[0] > 0.9
    assert history["identity"].iloc[-1] < 0.3
    weighted = history["identity"] + 0.01 * history["size"]
    np.testing.assert_allclose(history["loss"], weighted, rtol=1e-6)
    assert len(history.attrs["seconds"]) == 12
    assert not any(module.training for module in model.modules())


def test_history_holds_the_rates_that_epochs_trained_with():
    _, history = toy_run()
    # "trunk" is the second group; the rest, named first, runs from 0.1 to 1 of 0.05.
    expected = [0.005, 0.0275, 0.05, 0.005, 0.005]
    assert history["lr"].tolist() == pytest.approx(expected)
    assert history["lr_2"].tolist() == [0.01] * 5


def test_equal_seeds_give_equal_bits_and_others_do_not():
    (model, history), (again, history_again) = toy_run(epochs=2), toy_run(epochs=2)
    assert same_weights(model, again)
    pd.testing.assert_frame_equal(history, history_again, check_exact=True)
    other, _ = toy_run(epochs=2, seed=8)
    assert not same_weights(model, other)


def test_draws_and_mode_before_training_do_not_matter():
    model, optimizers, schedulers = toy_parts()
    torch.rand(5)
    model.eval()
    toy_fit(model, optimizers, schedulers, epochs=2)
    assert same_weights(model, toy_run(epochs=2)[0])


def test_one_step_equals_the_equation():
    class Line(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = nn.Parameter(torch.tensor([3.0]))

        def forward(self, images):
            return self.slope * images.flatten(1).mean(dim=1)

    def terms(output, batch):
        return {"a": output.pow(2).mean(), "b": output.mean()}

    model, loader = Line(), toy_loader()
    optimizer = SGD(model.parameters(), lr=0.1)
    slope = torch.tensor(3.0, dtype=torch.float64)
    weights = {"a": 0.5, "b": 2.0}
    step = Step(model, terms, weights=weights, optimizers=[optimizer], device="cpu")
    fit(step, loader, epochs=1, seed=7)
    seed_everything(int(np.random.SeedSequence([7, 0]).generate_state(1)[0]))
    for batch in loader:
        means = batch.images.flatten(1).mean(dim=1).double()
        gradient = 0.5 * (2 * slope * means.pow(2)).mean() + 2.0 * means.mean()
        slope = slope - 0.1 * gradient
    assert model.slope.item() == pytest.approx(slope.item(), rel=1e-5)


def test_inputs_and_after_step():
    model, optimizers, schedulers = toy_parts()
    seen = []

    def after_step(output, batch):
        weight = model.classifier.weight
        seen.append((weight.clone(), output.logits.shape, torch.is_grad_enabled()))

    before = model.classifier.weight.detach().clone()
    toy_fit(
        model,
        optimizers,
        schedulers,
        epochs=1,
        inputs=lambda batch: (batch.images * 0,),
        after_step=after_step,
    )
    assert len(seen) == len(toy_loader())
    assert not torch.equal(seen[0][0], before)  # the step came first
    assert torch.equal(seen[-1][0], model.classifier.weight)
    assert seen[0][1:] == ((6, NUM_LABELS), False)


def test_evaluations_come_on_time_and_in_evaluation_mode():
    model, optimizers, schedulers = toy_parts()
    modes = []

    def evaluate():
        modes.append((model.training, torch.is_grad_enabled()))
        return {"mAP": torch.tensor(0.5)}

    history = toy_fit(
        model, optimizers, schedulers, evaluate=evaluate, evaluate_every=2
    )
    assert history["mAP"].notna().tolist() == [False, True, False, True, True]
    assert modes == [(False, False)] * 3
    _, history = toy_run(evaluate=lambda: {"mAP": 1.0})
    assert history["mAP"].notna().tolist() == [False] * 4 + [True]


def test_evaluating_leaves_no_trace_in_training():
    def evaluate():
        torch.rand(3)
        return {"mAP": 0.0}

    model, _ = toy_run(evaluate=evaluate, evaluate_every=1)
    assert same_weights(model, toy_run()[0])


def test_frozen_parameters_stay():
    model, _, _ = toy_parts()
    model.trunk.requires_grad_(False)
    before = model.trunk[1].weight.clone()
    trainable = [p for p in model.parameters() if p.requires_grad]
    toy_fit(model, [SGD(trainable, lr=0.1)], [], epochs=1)
    assert torch.equal(model.trunk[1].weight, before)


def test_seed_everything_covers_all_generators():
    draws = []
    for _ in range(2):
        seed_everything(3)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]


def test_weights_of_zero_still_log_their_term():
    _, history = toy_run(weights={**WEIGHTS, "size": 0.0}, epochs=1)
    assert history["size"].iloc[0] > 0
    assert history["loss"].iloc[0] == pytest.approx(history["identity"].iloc[0])


def test_sampler_draws_each_epoch_anew():
    loader, epochs = toy_loader(), []
    draw = loader.batch_sampler.set_epoch
    loader.batch_sampler.set_epoch = lambda epoch: (epochs.append(epoch), draw(epoch))
    toy_run(loader=loader, epochs=3)
    assert epochs == [0, 1, 2]


def test_a_device_goes_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == pick_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="'cuda', but torch sees no GPU"):
        pick_device("cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="'mps', but torch sees no such"):
        pick_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("mps").type == "mps"
    assert pick_device("auto").type == "cpu", "where it is named only"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == "cuda"

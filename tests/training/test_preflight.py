import math

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR
from toys.toy_training import (
    ToyModel,
    objective,
    ordered_loader,
    toy_fit,
    toy_loader,
    toy_parts,
    toy_run,
)


def one_term(output, batch):
    return {"identity": objective(output, batch)["identity"]}


def unreduced(output, batch):
    return {**objective(output, batch), "size": output.embedding.pow(2).mean(dim=1)}


def numbers(output, batch):
    return {**objective(output, batch), "size": 0.0}


def detached(output, batch):
    return {name: term.detach() for name, term in objective(output, batch).items()}


def body_only(output, batch):
    size = output.embedding.pow(2).mean()
    return {"identity": size, "size": size}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"evaluate_every": -1}, "evaluate_every is -1"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"weights": {}}, "weights is empty"),
        ({"weights": {"identity": math.nan, "size": 1.0}}, "'identity' is nan"),
        ({"weights": {"loss": 1.0}}, "term is named 'loss'"),
        ({"weights": {"lr_2": 1.0}}, "term is named 'lr_2'"),
        ({"max_gradient_norm": 0.0}, "max_gradient_norm is 0.0"),
        ({"precision": "fp8"}, "precision is 'fp8'.*fp32"),
        ({"precision": "fp16"}, "'fp16' needs a CUDA device.*cpu"),
        ({"loader": ordered_loader()}, "set_epoch"),
        ({"weights": {"identity": 1.0}}, r"\['identity', 'size'\].*\['identity'\]"),
        ({"objective": one_term}, r"\['identity'\].*\['identity', 'size'\]"),
        ({"objective": unreduced}, r"'size' must be a scalar tensor, but is \(6,\)"),
        ({"objective": numbers}, "'size' must be a scalar tensor, but is .*float"),
        ({"objective": detached}, "no trainable parameter"),
        ({"objective": body_only}, r"no gradient reached optimizer 2 \(Adam; class"),
        ({"evaluate": lambda: {"size": 1.0}}, r"evaluate gives \['size'\]"),
    ],
)
def test_refusals(changes, named):
    model, optimizers, schedulers = toy_parts()
    before = ToyModel()
    before.load_state_dict(model.state_dict())
    with pytest.raises(ValueError, match=named):
        toy_fit(model, optimizers, schedulers, **{"epochs": 1, **changes})
    if "evaluate" not in changes:
        names = {name for name, _ in model.named_parameters()}
        after = model.state_dict()
        assert all(torch.equal(before.state_dict()[n], after[n]) for n in names)


class Short(list):
    """Batches under a loader's name: as many as promised, or fewer."""

    persistent_workers = False

    def __init__(self, promised):
        self.promised = promised
        self.batch_sampler = toy_loader().batch_sampler

    def __len__(self):
        return self.promised


@pytest.mark.parametrize("promised", [0, 3])
def test_loader_without_batches(promised):
    with pytest.raises(ValueError, match="the loader (has|gave) no batch"):
        toy_run(loader=Short(promised))


def test_parameters_and_optimizers_must_agree():
    model, (body, head), schedulers = toy_parts()
    with pytest.raises(ValueError, match="in no optimizer.*classifier.weight"):
        toy_fit(model, [body], schedulers)
    with pytest.raises(ValueError, match="in two optimizers.*classifier.weight"):
        toy_fit(
            model, [body, head, SGD(model.classifier.parameters(), 1.0)], schedulers
        )
    stranger = SGD([nn.Parameter(torch.zeros(4, 2))], lr=1.0)
    with pytest.raises(ValueError, match=r"model has not.*\(4, 2\)"):
        toy_fit(model, [body, head, stranger], schedulers)
    with pytest.raises(ValueError, match="scheduler 1 belongs to an optimizer"):
        toy_fit(model, [body, head], [StepLR(stranger, 1)])
    with pytest.raises(TypeError, match=r"optimizers is a SGD.*\[optimizer\]"):
        toy_fit(model, body, schedulers)
    with pytest.raises(ValueError, match="ToyModel has no trainable parameter"):
        toy_fit(model.requires_grad_(False), [body, head], schedulers)


def test_persistent_workers_are_refused():
    with pytest.raises(ValueError, match="persistent_workers.*False"):
        toy_run(loader=toy_loader(num_workers=1, persistent_workers=True))

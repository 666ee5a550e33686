"""One optimisation step: terms to weighted loss to gradients to parameters, guarded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from reidlib.evaluation.extraction import PRECISIONS, images_of, in_float32
from reidlib.training.optim import fuse

if TYPE_CHECKING:
    from reidlib.data.loaders import Batch


@dataclass
class Step:
    """One step of training: called with a batch, it trains the model on that batch.

        loss = sum over names of weights[name] * objective(output, batch)[name]
        output = model(*inputs(batch))

    objective          unweighted scalar terms by name; the names are those of weights
    precision          of the model's call: fp32 | bf16 | fp16. Its output is brought
                       back to float32, so that objective and after_step compute
                       distances, margins and logarithms at full precision
    compile            the model's call by torch.compile, in place: checkpoints stay as
                       they are
    inputs             what of a batch the model is called with
    after_step         called after every step with output and batch, as the update of
                       a memory needs
    max_gradient_norm  to which gradients are clipped; None: they are not
    """

    model: nn.Module
    objective: Callable[[Any, Batch], Mapping[str, Tensor]]
    _: KW_ONLY
    weights: Mapping[str, float]
    optimizers: Sequence[Optimizer]
    device: torch.device | str
    precision: str = "fp32"
    compile: bool = False
    inputs: Callable[[Batch], tuple] = images_of
    after_step: Callable[[Any, Batch], object] | None = None
    max_gradient_norm: float | None = None
    scaler: GradScaler = field(init=False)

    def __post_init__(self) -> None:
        self.device = torch.device(self.device)
        self.scaler = GradScaler(self.device.type, enabled=self.precision == "fp16")

    def prepare(self) -> None:
        """Bring model and optimisers to the device, and compile where asked to."""
        self.model.to(self.device)
        fuse(self.optimizers, self.device)
        if self.compile:
            self.model.compile()

    def __call__(self, batch: Batch, where: str) -> dict[str, float]:
        """Train on one batch; return loss, terms and gradient norm as numbers."""
        batch = batch.to(self.device)
        self.model.zero_grad(set_to_none=True)
        dtype = PRECISIONS[self.precision]
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            output = self.model(*self.inputs(batch))
        output = in_float32(output)
        values = self._backward(self.objective(output, batch), where)
        values |= self._update(where)
        if self.after_step is not None:
            with torch.no_grad():
                self.after_step(output, batch)
        return values

    def _backward(self, terms: Mapping[str, Tensor], where: str) -> dict[str, float]:
        check_terms(terms, self.weights)
        loss = sum(weight * terms[name] for name, weight in self.weights.items())
        measured = [loss, *(terms[name] for name in self.weights)]
        values = torch.stack([value.detach().float() for value in measured]).tolist()
        for name, value in zip(self.weights, values[1:], strict=True):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"loss term {name!r} is {value} at {where}: look for a logarithm, "
                    "root or division in it, or lower the learning rate"
                )
        if not math.isfinite(values[0]):
            raise FloatingPointError(
                f"the loss is {values[0]} at {where}, though each term is finite: "
                f"look at the weights {dict(self.weights)}"
            )
        if not loss.requires_grad:
            raise ValueError(
                "the loss depends on no trainable parameter: a term was detached, or "
                "what it needs is frozen"
            )
        self.scaler.scale(loss).backward()
        return dict(zip(["loss", *self.weights], values, strict=True))

    def _update(self, where: str) -> dict[str, float]:
        parameters = dict(self.model.named_parameters())
        graded = {n: p for n, p in parameters.items() if p.grad is not None}
        check_gradients(self.optimizers, parameters)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = get_total_norm([parameter.grad for parameter in graded.values()])
        norm_value = norm.item()
        finite = math.isfinite(norm_value)
        if not finite:
            self._guard(graded, where)
        else:
            if self.max_gradient_norm is not None:
                clip_grads_with_norm_(graded.values(), self.max_gradient_norm, norm)
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
        self.scaler.update()
        values = {"gradient_norm": norm_value if finite else math.nan}
        if self.scaler.is_enabled():
            values["skipped_share"] = float(not finite)
        return values

    def _guard(self, parameters: Mapping[str, nn.Parameter], where: str) -> None:
        name, value = worst_gradient(parameters)
        overflows_in_fp16 = self.scaler.is_enabled() and not math.isfinite(value)
        if overflows_in_fp16 and self.scaler.get_scale() >= 1:
            return
        raise FloatingPointError(
            f"the gradient of parameter {name!r} reaches {value} at {where}, too much "
            "for a step: lower the learning rate, clip by max_gradient_norm, or look "
            "at roots and divisions near zero"
        )


def check_terms(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> None:
    """Raise a ValueError unless each weight has its term, and each term is a scalar."""
    if terms.keys() != weights.keys():
        raise ValueError(
            f"the objective gives the terms {sorted(terms)}, but weights names "
            f"{sorted(weights)}: give every term exactly one weight"
        )
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.ndim != 0:
            shape = tuple(term.shape) if isinstance(term, Tensor) else type(term)
            raise ValueError(
                f"loss term {name!r} must be a scalar tensor, but is {shape}: take "
                "its mean or sum in the objective"
            )


def check_gradients(
    optimizers: Sequence[Optimizer], parameters: Mapping[str, nn.Parameter]
) -> None:
    """Raise a ValueError naming an optimiser that no gradient reached."""
    names = {parameter: name for name, parameter in parameters.items()}
    for number, optimizer in enumerate(optimizers, 1):
        own = [p for group in optimizer.param_groups for p in group["params"]]
        if all(parameter.grad is None for parameter in own):
            held = ", ".join(names[parameter] for parameter in own[:4])
            raise ValueError(
                f"no gradient reached optimizer {number} ({type(optimizer).__name__}; "
                f"{held}, ...): its parameters take no part in the loss, so leave it "
                "out or add the term that trains them"
            )


def worst_gradient(parameters: Mapping[str, nn.Parameter]) -> tuple[str, float]:
    """Return name and largest absolute gradient of the first non-finite parameter.

    If all are finite, of the parameter with the largest.
    """
    worst, largest = "", -math.inf
    for name, parameter in parameters.items():
        value = parameter.grad.abs().max().item()
        if not math.isfinite(value):
            return name, value
        if value > largest:
            worst, largest = name, value
    return worst, largest

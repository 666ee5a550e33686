"""One optimisation step: terms to weighted loss to gradients to parameters, guarded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.utils import clip_grads_with_norm_
from torch.optim import Optimizer

from reidlib import collectives, processes
from reidlib.evaluation.extraction import PRECISIONS, images_of, in_float32
from reidlib.training.optim import fuse
from reidlib.training.parallel import in_parallel

if TYPE_CHECKING:
    from reidlib.data.loaders import Batch


class Measured:
    """What one step measured: on its way from the device, and checked when it is read.

    norms   of the gradients by parameter; None where all was checked already
    """

    def __init__(
        self,
        values: Mapping[str, Tensor],
        norms: Mapping[str, Tensor] | None,
        weights: Mapping[str, float],
        where: str,
    ) -> None:
        self.names, self.weights, self.where = list(values), weights, where
        self.graded = None if norms is None else list(norms)
        parts = [*values.values(), *(norms or {}).values()]
        self.numbers = torch.stack(parts).to("cpu", non_blocking=True)
        self.arrived = torch.cuda.Event() if parts[0].is_cuda else None
        if self.arrived:
            self.arrived.record()

    def read(self) -> dict[str, float]:
        """Loss, terms and gradient norm as numbers; waits until this step is done.

        Raises FloatingPointError for one that is not finite, naming it.
        """
        if self.arrived:
            self.arrived.synchronize()
        numbers = self.numbers.tolist()
        values = dict(zip(self.names, numbers, strict=False))
        if self.graded is None:
            return values
        check_finite(values, self.weights, self.where)
        if not math.isfinite(values["gradient_norm"]):
            norms = dict(zip(self.graded, numbers[len(self.names) :], strict=True))
            infinite = [name for name in norms if not math.isfinite(norms[name])]
            name = infinite[0] if infinite else max(norms, key=norms.get)
            raise FloatingPointError(_of_gradient(name, norms[name], self.where))
        return values


@dataclass
class Step:
    """One step of training: called with a batch, it trains the model on that batch.

        loss = sum over names of weights[name] * objective(output, batch)[name]
        output = model(*inputs(batch))

    Several processes of a run make one step together: what it measures and the
    gradients are means over their batches. The objective sees this process's batch
    alone, so hard examples are mined in there.

    objective          unweighted scalar terms by name; the names are those of weights
    precision          of the model's call: fp32 | bf16 | fp16. Its output is brought
                       back to float32, so that objective and after_step compute
                       distances, margins and logarithms at full precision
    compile            the model's call by torch.compile, in place: checkpoints stay as
                       they are
    inputs             what of a batch the model is called with
    after_step         called after every step with output and batch, as the update of
                       a memory needs; of several processes with all their outputs
                       and labels, in the same order everywhere
    max_gradient_norm  to which gradients are clipped; None: they are not
    checks_late        whether a step goes on before it is known that terms and
                       gradients are finite, so that nobody waits for the device; so on
                       a GPU, but in fp16, whose scaler asks in each step
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
    checks_late: bool = field(init=False)
    called: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        self.device = torch.device(self.device)
        self.called = self.model
        self.scaler = GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.checks_late = self.device.type == "cuda" and not self.scaler.is_enabled()

    @cached_property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The model's parameters by name, which stay the same over a training."""
        return dict(self.model.named_parameters())

    def prepare(self) -> None:
        """Bring model and optimisers to the device, and compile where asked to.

        Several processes of a run begin with the main one's weights.
        """
        self.model.to(self.device)
        fuse(self.optimizers, self.device)
        if self.compile:
            self.model.compile()
        self.called = in_parallel(self.model, self.device)

    def __call__(self, batch: Batch, where: str) -> dict[str, float]:
        """Train on one batch; return loss, terms and gradient norm as numbers."""
        return self.take(batch, where).read()

    def take(self, batch: Batch, where: str) -> Measured:
        """Train on one batch; what it measured is read when the next one has begun.

        Raises FloatingPointError, before parameters change, for a term or a gradient
        that is not finite: with checks_late `read` does, and they have changed.
        """
        batch = batch.to(self.device)
        for parameter in self.parameters.values():
            parameter.grad = None
        dtype = PRECISIONS[self.precision]
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            output = self.called(*self.inputs(batch))
        output = in_float32(output)
        values = self._backward(self.objective(output, batch), where)
        measured = self._update(values, where)
        if self.after_step is not None:
            with torch.no_grad():
                self.after_step(collectives.of_all(output), of_all_images(batch))
        return measured

    def _backward(self, terms: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
        check_terms(terms, self.weights)
        loss = sum(weight * terms[name] for name, weight in self.weights.items())
        measured = {"loss": loss} | {name: terms[name] for name in self.weights}
        values = {name: value.detach().float() for name, value in measured.items()}
        values = means_of_all(values)
        if not self.checks_late:
            numbers = torch.stack(list(values.values())).tolist()
            found = dict(zip(values, numbers, strict=True))
            check_finite(found, self.weights, where)
        if not loss.requires_grad:
            raise ValueError(
                "the loss depends on no trainable parameter: a term was detached, or "
                "what it needs is frozen"
            )
        self.scaler.scale(loss).backward()
        return values

    def _update(self, values: dict[str, Tensor], where: str) -> Measured:
        graded = {n: p for n, p in self.parameters.items() if p.grad is not None}
        check_gradients(self.optimizers, self.parameters)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norms = torch._foreach_norm([p.grad for p in graded.values()])
        norm = torch.linalg.vector_norm(torch.stack(norms))  # as get_total_norm has it
        finite = self.checks_late or math.isfinite(norm.item())
        if not finite:
            self._guard(graded, where)
        else:
            if self.max_gradient_norm is not None:
                clip_grads_with_norm_(graded.values(), self.max_gradient_norm, norm)
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
        self.scaler.update()
        values["gradient_norm"] = norm if finite else norm.new_tensor(math.nan)
        if self.scaler.is_enabled():
            values["skipped_share"] = norm.new_tensor(float(not finite))
        late = dict(zip(graded, norms, strict=True)) if self.checks_late else None
        return Measured(values, late, self.weights, where)

    def _guard(self, parameters: Mapping[str, nn.Parameter], where: str) -> None:
        name, value = worst_gradient(parameters)
        overflows_in_fp16 = self.scaler.is_enabled() and not math.isfinite(value)
        if overflows_in_fp16 and self.scaler.get_scale() >= 1:
            return
        raise FloatingPointError(_of_gradient(name, value, where))


def means_of_all(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The means over processes of scalars, so that all see one that is not finite."""
    if not processes.are_together():
        return values
    means = collectives.mean_of_all(torch.stack(list(values.values())))
    return dict(zip(values, means, strict=True))


def of_all_images(batch: Batch) -> Batch:
    """A batch with the labels and cameras of all processes; images stay their own."""
    if not processes.are_together():
        return batch
    told = {name: value for name, value in batch._asdict().items() if name != "images"}
    return batch._replace(**{n: collectives.of_all(v) for n, v in told.items()})


def _of_gradient(name: str, value: float, where: str) -> str:
    return (
        f"the gradient of parameter {name!r} reaches {value} at {where}, too much "
        "for a step: lower the learning rate, clip by max_gradient_norm, or look "
        "at roots and divisions near zero"
    )


def check_finite(
    values: Mapping[str, float], weights: Mapping[str, float], where: str
) -> None:
    """Raise a FloatingPointError for a term, else the loss, that is not finite."""
    for name in weights:
        if not math.isfinite(values[name]):
            raise FloatingPointError(
                f"loss term {name!r} is {values[name]} at {where}: look for a "
                "logarithm, root or division in it, or lower the learning rate"
            )
    if not math.isfinite(values["loss"]):
        raise FloatingPointError(
            f"the loss is {values['loss']} at {where}, though each term is finite: "
            f"look at the weights {dict(weights)}"
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
    for number, optimizer in enumerate(optimizers, 1):
        own = [p for group in optimizer.param_groups for p in group["params"]]
        if all(parameter.grad is None for parameter in own):
            names = {parameter: name for name, parameter in parameters.items()}
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

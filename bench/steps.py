"""A training step of each paper beside its floor; on an accelerator, at full size.

The floor is every layer of the paper, forward and backward, as often as the method runs
it: the model is called as in a step, and noise comes back in place of the gradients of
the losses. What a step has beyond it are losses, optimisers, the norm of the gradients
and the checks of both.
"""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.utils.flop_counter import FlopCounterMode

from bench.measuring import Record, beside_floor, say, seconds, using_threads
from bench.papers import BUILDERS, batch_of, parameters_of, step_of
from reidlib.data.loaders import Batch
from reidlib.evaluation.cost import parameters_used
from reidlib.evaluation.extraction import PRECISIONS, evaluating, in_float32
from reidlib.training.step import Step
from reidrun.runs.environment import peak_memory

# At full size the paper's batch would take minutes on a processor. Fewer images are the
# harder case: the optimiser has as much to do for them.
FULL_IMAGES = {"baseline": 16, "fanet": 16, "rganet": 16, "flannet": 16, "fba": 4}
QUICK_IMAGES = 4
ROUNDS = 5  # on an accelerator, behind one that warms up
PEAKS = {  # bf16 operations per second without sparsity, from the makers' data sheets
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}


class Costs(NamedTuple):
    """What a paper's whole method takes at a small size, on this processor.

    Counted are parameters in training, frozen towers among them, and those that an
    embedding depends on; measured are processor seconds of a step, and images embedded
    in a processor second, with captions where the method reads them.
    """

    paper: str
    parameters: int
    parameters_used: int
    images: int  # of a step
    step: float
    embedded: float


class OnCard(NamedTuple):
    """A paper's step at its own size on an accelerator; None where there is none."""

    paper: str
    images: int  # of the paper's batch
    per_second: float | None = None
    peak_share: float | None = None  # of the card's bf16 peak
    memory_mib: int | None = None
    compiled_per_second: float | None = None


def made(
    paper: str,
    scale: str,
    *,
    images: int | None,
    precision: str = "fp32",
    device: str = "cpu",
) -> tuple[Step, Batch]:
    """A step of a paper's training and a batch of noise, the paper's or a smaller one.

    images   of the batch, four or two of a person; None: as many as the paper has
    """
    torch.manual_seed(0)
    settings = parameters_of(paper, scale)
    if images is not None:
        each = min(4, images // 2)
        people = {"num_identities_per_batch": images // each}
        settings |= people | {"images_per_identity": each}
    step = step_of(BUILDERS[paper](settings), settings, precision, torch.device(device))
    step.model.train()
    return step, batch_of(settings, torch.device(device))


def reached(output: Any) -> Iterator[Tensor]:
    """The tensors of a (nested) output through which gradients come back."""
    if isinstance(output, Tensor):
        yield from [output] if output.requires_grad else []
    elif isinstance(output, dict):
        yield from reached(tuple(output.values()))
    elif isinstance(output, tuple | list):
        for part in output:
            yield from reached(part)


def floor_of(step: Step, batch: Batch) -> Callable[[], None]:
    """All layers forward and backward; gradients of noise are drawn once."""
    noise: list[Tensor] = []
    dtype = PRECISIONS[step.precision]

    def floor() -> None:
        step.model.zero_grad(set_to_none=True)
        with torch.autocast(step.device.type, dtype, enabled=dtype is not None):
            output = step.model(*step.inputs(batch))
        parts = list(reached(in_float32(output)))
        if not noise:
            noise.extend(torch.randn_like(part) / part.numel() for part in parts)
        torch.autograd.backward(parts, noise)

    return floor


class Rest(NamedTuple):
    """What a step does beyond its floor, in processor seconds."""

    step: str
    losses: float  # forward and backward, down to the model's output
    optimisers: float
    gradient_norm: float


def step_beside_floor(
    paper: str,
    scale: str,
    *,
    images: int | None = None,
    threads: int = 1,
    rounds: int = 3,
) -> tuple[Record, Rest]:
    """A paper's step on this processor beside its floor, both warm; and the rest.

    images   of the batch; None: the paper's
    """
    step, batch = made(paper, scale, images=images)
    floor = floor_of(step, batch)
    rows = torch.arange(len(batch.images)) % each_of(batch) < 2  # two of a person
    few = type(batch)(*(part[rows][:4] for part in batch[:3]), ())
    with using_threads(threads):
        floor()
        step(few, "a step that warms up")
    size = "x".join(map(str, batch.images.shape))
    record = beside_floor(
        f"{paper}, {scale} size, a step on {size}",
        lambda: step(batch, "a measured step"),
        floor_name="all layers forward and backward",
        floor=floor,
        rounds=rounds,
        threads=threads,
        most=1.25,
    )
    with using_threads(threads):
        return record, rest_of(step, batch, record.what)


def rest_of(step: Step, batch: Batch, name: str) -> Rest:
    """Time the parts of a step that its floor has not."""
    with torch.no_grad():
        output = in_float32(step.model(*step.inputs(batch)))
    leaves = detached(output)

    def losses() -> None:
        terms = step.objective(leaves, batch)
        sum(step.weights[name] * term for name, term in terms.items()).backward()

    def optimise() -> None:
        for optimizer in step.optimizers:
            optimizer.step()

    gradients = [p.grad for p in step.parameters.values() if p.grad is not None]
    work = losses, optimise, lambda: get_total_norm(gradients)
    return Rest(name, *(seconds(part).processor for part in work))


def costs(paper: str, scale: str = "study", rounds: int = 3) -> Costs:
    """Count and measure a paper's whole method; times are medians over rounds."""
    step, batch = made(paper, scale, images=None)
    inputs = step.inputs(batch)

    def embed() -> None:
        with evaluating(step.model):
            step.model.embed(*inputs)

    with using_threads(1):
        step(batch, "a step that warms up")
        embed()
        steps = [
            seconds(lambda: step(batch, "a step")).processor for _ in range(rounds)
        ]
        reads = [seconds(embed).processor for _ in range(rounds)]
    few = (part[:2] for part in inputs)
    return Costs(
        paper=paper,
        parameters=sum(p.numel() for p in step.model.parameters()),
        parameters_used=parameters_used(step.model, *few),
        images=len(batch.images),
        step=median(steps),
        embedded=len(batch.images) / median(reads),
    )


def detached(output: Any) -> Any:
    """A (nested) output as leaves that ask for gradients."""
    if isinstance(output, Tensor):
        return output.detach().requires_grad_(output.is_floating_point())
    if isinstance(output, tuple | list):
        parts = map(detached, output)
        return type(output)(*parts) if hasattr(output, "_fields") else [*parts]
    return output


def each_of(batch: Batch) -> int:
    """How many images a batch has of each person."""
    return len(batch.labels) // len(batch.labels.unique())


def on_card(paper: str, scale: str = "full", images: int | None = None) -> OnCard:
    """The paper's step in bf16 on the accelerator; no numbers without one."""
    if not torch.cuda.is_available():
        settings = parameters_of(paper, scale)
        people = settings["num_identities_per_batch"]
        return OnCard(paper, people * settings["images_per_identity"])
    options = {"images": images, "precision": "bf16", "device": "cuda"}
    step, batch = made(paper, scale, **options)
    with FlopCounterMode(display=False) as counter:
        step(batch, "the first step")
    torch.cuda.reset_peak_memory_stats()
    took = fastest(step, batch)
    memory = peak_memory()["accelerator"]
    step.model.compile()
    compiled = fastest(step, batch)
    peak, count = peak_of(torch.cuda.get_device_name()), len(batch.images)
    share = counter.get_total_flops() / took / peak if peak else None
    say(f"{paper}: {count / took:.0f} images/s, compiled {count / compiled:.0f}")
    return OnCard(paper, count, count / took, share, memory, count / compiled)


def fastest(step: Step, batch: Batch) -> float:
    """Seconds of the fastest step behind one that warms up, none waiting for a read."""
    took = [seconds(lambda: step.take(batch, "a step")).wall for _ in range(1 + ROUNDS)]
    return min(took[1:])


def peak_of(card: str) -> float | None:
    """The card's bf16 peak in operations per second, where PEAKS has it."""
    return next((peak for name, peak in PEAKS.items() if name in card), None)

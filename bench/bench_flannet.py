"""One training step of FLaN-Net at its own size, against what its two towers cost.

The floor is a bare forward and backward pass of the image tower, and one of the text
tower with a gradient to its input: with the same images, prompt and precision, in turns
with the step. The time of the optimisers is printed beside them.

    python bench/bench_flannet.py [fp32|bf16] [images]
"""

# ruff: noqa: T201
import sys
import time
from collections.abc import Callable

import torch
from bench_full_size import batch_of, build_flannet, parameters_of
from torch import Tensor
from torch.optim import SGD, Adam

from reidlib.data.loaders import Batch
from reidlib.evaluation.extraction import in_float32
from reidlib.models import flannet
from reidlib.training.optim import parameter_groups
from reidrun.runs.environment import environment, peak_memory

ROUNDS = 3  # behind a first one that warms up; the fastest counts
MOST = 1.3  # times the floor, at the paper's batch
IMAGES = 64  # the paper's batch


def step(model: flannet.FLaNNet, batch: Batch, half: bool) -> Tensor:
    """From images to gradients; the loss."""
    model.zero_grad(set_to_none=True)
    with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=half):
        output = model(batch.images)
    loss = sum(flannet.objective(in_float32(output), batch).values())
    loss.backward()
    return loss


def floor(model: flannet.FLaNNet, images: Tensor, words: Tensor, half: bool) -> Tensor:
    """The towers alone, forward and backward, with a gradient to the words."""
    model.zero_grad(set_to_none=True)
    words.grad, ids = None, model.prompts.ids.expand(len(images), -1)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        tokens = model.image_tower(images)
        text = model.prompts.text_tower.encode(words, ids).sentence
    loss = tokens.joint.float().sum() + text.float().sum()
    loss.backward()
    return loss


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call, all kernels done."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(model: flannet.FLaNNet, batch: Batch, *, half: bool) -> dict[str, float]:
    """Seconds of the fastest step, floor and optimisers."""
    images = batch.images
    shape = len(images), model.prompts.ids.shape[1], model.prompts.text_tower.width
    words = torch.randn(shape, device=images.device, requires_grad=True)
    groups = parameter_groups(model, lr=0.0, weight_decay=0.0, leave_out=["arcface"])
    optimizers = [Adam(groups), SGD([model.arcface], lr=0.0)]
    work = {
        "floor": lambda: floor(model, images, words, half),
        "step": lambda: step(model, batch, half),
        "optimisers": lambda: [optimizer.step() for optimizer in optimizers],
    }
    rounds = [{name: timed(do) for name, do in work.items()} for _ in range(1 + ROUNDS)]
    return {name: min(taken[name] for taken in rounds[1:]) for name in work}


def main(arguments: list[str]) -> int:
    """Print seconds, ratio and memory; 1 where the ratio exceeds what is promised."""
    precision, count = [*arguments, *("fp32", IMAGES)[len(arguments) :]]
    settings, count = parameters_of("flannet"), int(count)
    settings["num_identities_per_batch"] = count // settings["images_per_identity"]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model, batch = build_flannet(settings).model.to(device), batch_of(settings, device)
    best = measure(model, batch, half=precision == "bf16")
    ratio = best["step"] / best["floor"]
    hardware = environment()["hardware"]
    name = hardware["processor"] if device.type == "cpu" else hardware["accelerator"]
    peak = peak_memory()["host" if device.type == "cpu" else "accelerator"]
    print(f"{name}, {hardware['threads']} threads, torch {torch.__version__}")
    shape = "x".join(map(str, batch.images.shape))
    print(f"FLaN-Net {shape} {precision}, {peak} MiB")
    print("  ".join(f"{name} {1000 * taken:.0f} ms" for name, taken in best.items()))
    print(f"step over floor {ratio:.2f}, {count / best['step']:.1f} images/s")
    return int(count >= IMAGES and ratio > MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One training step of each paper at its own size, on random weights: no data needed.

Prints whether loss and gradients are finite, images per second and peak memory, on the
accelerator where there is one. With `bf16` the forward pass is in that precision.

    python bench/bench_full_size.py [fp32|bf16] [paper ...]
"""

# ruff: noqa: T201
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from reidlib.backbones import load_resnet
from reidlib.machine import environment, peak_memory
from reidlib.models import fanet
from reidlib.params import resolve
from reidlib.runs import ROOT
from reidlib.schema import notebook_schema
from reidlib.step import in_float32

STEPS = 3  # behind a first one that warms up; the fastest counts
IDENTITIES, CAMERAS = 751, 6  # Market-1501


class Labels(NamedTuple):
    """What the objectives read of a batch."""

    labels: Tensor
    camids: Tensor


def parameters_of(paper: str) -> dict:
    """The paper's own setting on Market-1501."""
    schema = notebook_schema(ROOT / "notebooks" / f"{paper}.ipynb")
    given = {"benchmark": "market1501", "data_root": "", "run_dir": "", "seed": 0}
    setting = {"paper": paper, "benchmark": "market1501", "scale": "full"}
    return resolve(schema, ROOT / "params", **setting, given=given)


def build_fanet(settings: dict) -> tuple[nn.Module, Callable[..., dict], dict]:
    """FA-Net with random weights, its objective and the weights of the terms."""
    model = fanet.FANet(
        load_resnet("resnet50"),
        num_identities=IDENTITIES,
        num_cameras=CAMERAS,
        attention_maps=settings["attention_maps"],
        stripe_width=settings["stripe_width"],
    )
    terms = ("identity", "camera", "target_attention")
    return model, fanet.objective, {name: settings[f"{name}_weight"] for name in terms}


BUILDERS = {"fanet": build_fanet}


def measure(paper: str, precision: str, device: torch.device) -> str:
    """Run a few steps of one paper's batch and say what they took."""
    settings = parameters_of(paper)
    torch.manual_seed(0)
    model, objective, weights = BUILDERS[paper](settings)
    model.to(device)
    people, each = settings["num_identities_per_batch"], settings["images_per_identity"]
    size = settings["image_height"], settings["image_width"]
    images = torch.randn(people * each, 3, *size, device=device)
    labels = torch.arange(people, device=device).repeat_interleave(each)
    batch = Labels(labels, torch.arange(len(labels), device=device) % CAMERAS)
    seconds = []
    for _ in range(1 + STEPS if device.type == "cuda" else 1):
        start = time.perf_counter()
        model.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            output = model(images)
        terms = objective(in_float32(output), batch)
        loss = sum(weights[name] * terms[name] for name in weights)
        loss.backward()
        norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
        finite = loss.isfinite() and torch.stack(norms).isfinite().all()
        said = f"loss {loss.item():.3f}, finite: {bool(finite)}"
        seconds.append(time.perf_counter() - start)
    rate = len(images) / min(seconds)
    kind = "accelerator" if device.type == "cuda" else "host"
    shape = "x".join(map(str, images.shape))
    peak = peak_memory()[kind]
    return f"{paper:8} {shape} {precision}: {said}, {rate:.1f} images/s, {peak} MiB"


def main(arguments: list[str]) -> None:
    """Measure the papers asked for, all by default."""
    precision, *papers = arguments or ["fp32"]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    hardware = environment()["hardware"]
    name = hardware["processor"] if device.type == "cpu" else hardware["accelerator"]
    print(f"{name}, {hardware['threads']} threads, torch {torch.__version__}")
    for paper in papers or BUILDERS:
        print(measure(paper, precision, device))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

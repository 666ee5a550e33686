"""What FBA's frozen text tower costs in a training step, and the memory of a step.

A look-up of text features would save at most the tower's share. On an accelerator a
step at full scale has 64 images. A processor's memory may not hold that many: there two
smaller batches give the line, for all but the parameters grows with the batch.

    python bench/bench_fba.py [step SCALE IMAGES]
"""

# ruff: noqa: T201
import json
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.optim import Adam

from reidlib.backbones import load_clip
from reidlib.machine import peak_memory
from reidlib.models import fba, fba_losses
from reidlib.params import resolve
from reidlib.runs import ROOT
from reidlib.schema import notebook_schema
from reidlib.step import in_float32

BENCHMARKS = {"tiny": "plaza", "full": "dukemtmcreid"}
IDENTITIES = {"tiny": 150, "full": 702}
TOKENS = {"tiny": 47, "full": 77}  # the longest drawn caption; all that CLIP reads
IMAGES, SMALLER = 64, (4, 8)
ROUNDS = 3  # the fastest counts: what else the machine does only slows
TRAINING_IMAGES = 16522  # DukeMTMC-reID
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def parameters_of(scale: str) -> dict:
    """The parameters of a run at a scale."""
    schema = notebook_schema(ROOT / "notebooks" / "fba.ipynb")
    setting = {"benchmark": BENCHMARKS[scale], "paper": "fba", "scale": scale}
    given = {"benchmark": BENCHMARKS[scale], "data_root": "", "run_dir": "", "seed": 0}
    return resolve(schema, ROOT / "params", **setting, given=given)


def build(settings: dict, num_identities: int) -> fba.FBA:
    """FBA whole; at full scale with random weights, which cost the same."""
    size = settings["image_height"], settings["image_width"]
    source = settings["backbone"] if settings["backbone"] == "tiny" else "random"
    clip = load_clip(source, image_size=size, stride=settings["stride"])
    names = ("heads", "residual", "mask", "pairing", "detach_mask", "cross_modal")
    parts = {name: settings[name] for name in names} | {"depth": settings["blocks"]}
    towers = clip.image, clip.text
    return fba.FBA(*towers, num_identities=num_identities, **parts).to(DEVICE)


def captions(text_tower: nn.Module, count: int, length: int) -> Tensor:
    """Ids (count, 2, length) of known words, all captions equally long."""
    known = text_tower.known_tokens().sort().values.tolist()
    word, start, end = known[0], known[-2], known[-1]  # these two close the vocabulary
    ids = torch.full((count, 2, length), word, device=DEVICE)
    ids[..., 0], ids[..., -1] = start, end
    return ids


def seconds(work, rounds: int) -> float:
    """The fastest of some rounds."""
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        took.append(time.perf_counter() - start)
    return min(took)


def step(scale: str, images: int) -> dict[str, float]:
    """Seconds of one training step and of the text tower in it, peak memory in MiB."""
    settings = parameters_of(scale)
    torch.manual_seed(0)
    model = build(settings, IDENTITIES[scale])
    ids = captions(model.text_tower, images, TOKENS[scale])
    size = settings["image_height"], settings["image_width"]
    pictures = torch.randn(images, 3, *size, device=DEVICE)
    labels = torch.arange(images, device=DEVICE) // (4 if images > 4 else 2)
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    autocast = partial(torch.autocast, DEVICE.type, torch.bfloat16)
    half = settings["precision"] == "bf16" and DEVICE.type == "cuda"

    def train() -> None:
        optimizer.zero_grad()
        with autocast(enabled=half):
            output = model(pictures, ids)
        batch = SimpleNamespace(labels=labels)
        sum(fba_losses.objective(in_float32(output), batch).values()).backward()
        optimizer.step()

    def read() -> None:
        with torch.no_grad(), autocast(enabled=half):
            model.text_tower(ids.flatten(0, 1))

    rounds = ROUNDS if scale == "tiny" or DEVICE.type == "cuda" else 1
    found = {"step": seconds(train, rounds), "text": seconds(read, rounds)}
    kind = "accelerator" if DEVICE.type == "cuda" else "host"
    return found | {"memory": peak_memory()[kind]}


def alone(scale: str, images: int) -> dict[str, float]:
    """The same in a process of its own, whose peak is that of this step alone."""
    command = [sys.executable, __file__, "step", scale, str(images)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found = json.loads(done.stdout)
    share = 100 * found["text"] / found["step"]
    print(
        f"{scale}, {images:2} images, {DEVICE.type}: {found['step']:.2f} s a step, text"
        f" tower {found['text']:.2f} s ({share:.1f} %), peak {found['memory']} MiB"
    )
    return found


def main() -> None:
    """Measure both scales; say what a cache would hold and what a step needs."""
    alone("tiny", IMAGES)
    if DEVICE.type == "cuda":
        alone("full", IMAGES)
    else:
        low, high = (alone("full", images)["memory"] for images in SMALLER)
        slope = (high - low) / (SMALLER[1] - SMALLER[0])
        peak = low + slope * (IMAGES - SMALLER[0])
        print(f"full, {IMAGES} images on that line: {peak:.0f} MiB in fp32")
    positions, width = TOKENS["full"], 512  # of ViT-B/16's text tower
    features = TRAINING_IMAGES * 2 * positions * width * 2  # bytes, half precision
    ids = TRAINING_IMAGES * 2 * positions * 4
    print(f"DukeMTMC-reID: features {features >> 20} MiB, ids {ids >> 20} MiB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        print(json.dumps(step(sys.argv[2], int(sys.argv[3]))))
    else:
        main()

"""What FBA's frozen text tower costs in a training step, and the memory of a step.

Keeping text features would save at most the tower's share of a step. At the paper's
size, batch 64, a step is counted rather than run: tensors without content have all
shapes, so operations and what autograd keeps are exact, and no memory is needed. On an
accelerator it is run as well.
"""

# ruff: noqa: T201

import sys
import time
from collections.abc import Callable

import torch
from bench_full_size import batch_of, build_fba, parameters_of
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.optim import Adam
from torch.utils.flop_counter import FlopCounterMode

from reidlib.data.loaders import Batch
from reidlib.evaluation.extraction import in_float32
from reidlib.models import fba
from reidrun.runs.environment import peak_memory

BENCHMARKS = {"tiny": "plaza", "full": "dukemtmcreid"}
IDENTITIES = {"tiny": 150, "full": 702}
TOKENS = {"tiny": 48, "full": 77}  # about the longest drawn caption; all CLIP reads
IMAGES = 64
TRAINING_IMAGES = 16522  # DukeMTMC-reID
ROUNDS = 3  # the fastest counts
FLOAT, HALF = 4, 2  # bytes
CUDA = torch.cuda.is_available()


def build(scale: str) -> tuple[fba.FBA, Batch, Tensor]:
    """FBA whole, a batch of images, and ids (64, 2, L) of captions of full length."""
    settings = parameters_of("fba", BENCHMARKS[scale], scale)
    model = build_fba(settings, IDENTITIES[scale]).model
    known = model.text_tower.known_tokens().sort().values.tolist()
    word, start, end = known[0], known[-2], known[-1]  # these close the vocabulary
    ids = torch.full((IMAGES, 2, TOKENS[scale]), word)
    ids[..., 0], ids[..., -1] = start, end
    return model, batch_of(settings, torch.device("cpu")), ids


def loss_of(model: nn.Module, batch: Batch, ids: Tensor, *, half: bool) -> Tensor:
    """The sum of all terms; the forward pass in bf16 where asked for."""
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=half):
        output = model(batch.images, ids)
    return sum(fba.objective(in_float32(output), batch).values())


def measured(scale: str) -> str:
    """Time of a step and of the text tower in it; on a processor, its own seconds."""
    device = torch.device("cuda" if CUDA else "cpu")
    model, batch, ids = (part.to(device) for part in build(scale))
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=1e-5)

    def train() -> None:
        optimizer.zero_grad()
        loss_of(model, batch, ids, half=CUDA and scale == "full").backward()
        optimizer.step()

    def read() -> None:
        with torch.no_grad():
            model.text_tower(ids.flatten(0, 1))

    step, text = fastest(train), fastest(read)
    peak = peak_memory()["accelerator" if CUDA else "host"]
    share = f"text tower {text:.2f} s ({text / step:.1%})"
    return f"{scale}, run: {step:.2f} s a step, {share}, peak {peak} MiB"


def reached(model: nn.Module, images: Tensor, ids: Tensor, *, half: bool) -> Tensor:
    """A scalar that reaches all that the losses see; the forward pass as in `loss_of`.

    Losses choose by content, of which counted tensors have none; theirs is the work of
    64 x 64 distances.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        output = in_float32(model(images, ids))
    seen = *output.embedding, output.background, output.logits, output.crossed_logits
    return sum(part.sum() for part in seen)


def fastest(work: Callable[[], None]) -> float:
    """Seconds of the fastest round; on a processor, those of this process."""
    clock, took = time.perf_counter if CUDA else time.process_time, []
    for _ in range(ROUNDS):
        start = clock()
        work()
        if CUDA:
            torch.cuda.synchronize()
        took.append(clock() - start)
    return min(took)


def counted(scale: str) -> list[str]:
    """Operations of a step, and its memory: what autograd keeps and what stays."""
    model, batch, ids = build(scale)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        images, ids = mode.from_tensor(batch.images), mode.from_tensor(ids)
        with FlopCounterMode(display=False) as text, torch.no_grad():
            model.text_tower(ids.flatten(0, 1))
        sizes = [kept_bytes(model, images, ids, half=half) for half in (False, True)]
        with FlopCounterMode(display=False) as step:
            reached(model, images, ids, half=False).backward()
    share = text.get_total_flops() / step.get_total_flops()
    work = f"{step.get_total_flops() / 1e12:.1f} TFLOP a step"
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters()) - trained
    stays = FLOAT * (4 * trained + frozen)  # weights, gradients, two of Adam's
    lines = [f"{scale}, counted: {work}, text tower {share:.1%} of it"]
    for kind, size in zip(("fp32", "bf16"), sizes, strict=True):
        words = f"{(stays + size) >> 20} MiB, {size >> 20} of them kept for gradients"
        lines.append(f"  peak memory, {kind}: {words}")
    return lines


def kept_bytes(model: nn.Module, images: Tensor, ids: Tensor, *, half: bool) -> int:
    """Bytes that autograd keeps of a forward pass, the parameters left out."""
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    sizes: dict[int, int] = {}
    held = []  # or an address might come again

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            sizes[storage._cdata] = storage.nbytes()
            held.append(storage)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        reached(model, images, ids, half=half)
    return sum(sizes.values())


def main() -> None:
    """Print both scales, and what a cache would hold."""
    print(f"{IMAGES} images, {'accelerator' if CUDA else 'processor'}")
    for scale in ("tiny", "full") if CUDA else ("tiny",):
        print(measured(scale))
    for scale in ("tiny", "full"):
        print("\n".join(counted(scale)))
    values = TRAINING_IMAGES * 2 * TOKENS["full"]  # positions of all captions
    width = 512  # of ViT-B/16's text tower
    sizes = f"features {HALF * values * width >> 20} MiB, ids {FLOAT * values >> 20}"
    print(f"kept for all of DukeMTMC-reID's training images: {sizes} MiB")


if __name__ == "__main__":
    sys.exit(main())

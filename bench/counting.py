"""What FBA's frozen text tower costs in a training step, and the memory of a step.

Keeping text features would save at most the tower's share of a step. At the paper's
size, batch 64, a step is counted rather than run: tensors without content have all
shapes, so operations and what autograd keeps are exact, and no memory is needed.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from bench.papers import batch_of, build_fba, parameters_of
from reidlib.evaluation.extraction import in_float32

TOKENS = {"tiny": 48, "full": 77}  # about the longest drawn caption; all CLIP reads
FLOAT = 4  # bytes


class Counted(NamedTuple):
    """A training step of FBA, on a batch of its own size."""

    scale: str
    tflop: float  # matrix products and convolutions, a multiply and its add as two
    text_share: float  # of them, the frozen text tower's
    fp32_mib: int  # memory at its peak, and in bf16
    bf16_mib: int


def count(scale: str) -> Counted:
    """Operations of a step, and its memory: what autograd keeps and what stays."""
    settings = parameters_of("fba", scale)
    model = build_fba(settings).model
    images = batch_of(settings, torch.device("cpu")).images
    ids = captions(model, len(images), TOKENS[scale])
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        images, ids = mode.from_tensor(images), mode.from_tensor(ids)
        with FlopCounterMode(display=False) as text, torch.no_grad():
            model.text_tower(ids.flatten(0, 1))
        kept = [kept_bytes(model, images, ids, half=half) for half in (False, True)]
        with FlopCounterMode(display=False) as step:
            reached(model, images, ids, half=False).backward()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters()) - trained
    stays = FLOAT * (4 * trained + frozen)  # weights, gradients, two of Adam's
    peaks = [(stays + size) >> 20 for size in kept]
    share = text.get_total_flops() / step.get_total_flops()
    return Counted(scale, step.get_total_flops() / 1e12, share, *peaks)


def captions(model: nn.Module, images: int, length: int) -> Tensor:
    """Ids (images, 2, length) of captions of full length."""
    known = model.text_tower.known_tokens().sort().values.tolist()
    word, start, end = known[0], known[-2], known[-1]  # these close the vocabulary
    ids = torch.full((images, 2, length), word)
    ids[..., 0], ids[..., -1] = start, end
    return ids


def reached(model: nn.Module, images: Tensor, ids: Tensor, *, half: bool) -> Tensor:
    """A scalar that reaches all that the losses see; the forward pass in bf16 or not.

    Losses choose by content, of which counted tensors have none; theirs is the work of
    64 x 64 distances.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        output = in_float32(model(images, ids))
    seen = *output.embedding, output.background, output.logits, output.crossed_logits
    return sum(part.sum() for part in seen)


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

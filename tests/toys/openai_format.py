"""CLIP as OpenAI writes it, and its forward pass from the names of its tensors alone.

The weights are random. In the file linear layers are fp16, norms and embeddings fp32,
and three entries are no weights.
"""

import math
import warnings
from pathlib import Path

import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = dict[str, Tensor]
KEPT_FULL = ("ln_", "embedding", "logit_scale")  # fp32 in the file


def openai_state(settings: dict, seed: int = 0) -> State:
    """Random tensors of a CLIP model under OpenAI's names, in its precisions."""
    torch.manual_seed(seed)
    found = open_clip.CLIP(**settings).state_dict()
    found = {name: torch.randn_like(t) * _size_of(name, t) for name, t in found.items()}
    state = {
        name: value if any(part in name for part in KEPT_FULL) else value.half()
        for name, value in found.items()
    }
    for name, number in [("input_resolution", 224), ("context_length", 77)]:
        state[name] = torch.tensor(number)
    return state | {"vocab_size": torch.tensor(49408)}


def _size_of(name: str, value: Tensor) -> float:
    return 1.0 if value.ndim < 2 or "embedding" in name else value[0].numel() ** -0.5


class _Node(nn.Module):
    def forward(self, scale: Tensor) -> Tensor:
        return scale * self.logit_scale


def write_torchscript(state: State, path: Path) -> None:
    """Write tensors as the parameters of traced modules, nested as their names say."""
    root = _Node()
    for name, value in state.items():
        *parents, last = name.split(".")
        node = root
        for parent in parents:
            if parent not in dict(node.named_children()):
                node.add_module(parent, _Node())
            node = node.get_submodule(parent)
        if value.is_floating_point():
            node.register_parameter(last, nn.Parameter(value))
        else:
            node.register_buffer(last, value)
    with warnings.catch_warnings():  # torch keeps the format, and advises against it
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.trace(root, torch.ones(())).save(str(path))


def image_tokens(state: State, images: Tensor, *, stride: int, heads: int) -> Tensor:
    """Every token of the image tower in the joint space: (B, 1+N, J)."""
    part = _under(state, "visual.")
    patches = F.conv2d(images, part["conv1.weight"], stride=stride)  # (B, W, h, w)
    known = part["positional_embedding"]
    side = math.isqrt(len(known) - 1)
    grid = known[1:].T.unflatten(1, (side, side))[None]
    size = patches.shape[-2:]
    grid = F.interpolate(grid, size, mode="bilinear", align_corners=False)
    positions = torch.cat([known[:1], grid[0].flatten(1).T])
    first = part["class_embedding"].expand(len(images), 1, -1)
    x = torch.cat([first, patches.flatten(2).mT], dim=1) + positions
    x = _blocks(part, _norm(part, "ln_pre", x), heads)
    return _norm(part, "ln_post", x) @ part["proj"]


def text_features(state: State, ids: Tensor, *, heads: int) -> Tensor:
    """The text tower's answer at the end of each text: (B, J)."""
    part = _under(state, "")
    length = ids.shape[1]
    x = part["token_embedding.weight"][ids] + part["positional_embedding"][:length]
    later = torch.full((length, length), -math.inf).triu(1)
    x = _norm(part, "ln_final", _blocks(part, x, heads, later))
    return x[torch.arange(len(ids)), ids.argmax(1)] @ part["text_projection"]


def _blocks(part: State, x: Tensor, heads: int, mask: Tensor | float = 0.0) -> Tensor:
    for i in range(sum(name.endswith("ln_1.bias") for name in _own(part))):
        block = _under(part, f"transformer.resblocks.{i}.")
        x = x + _attention(block, _norm(block, "ln_1", x), heads, mask)
        hidden = _linear(block, "mlp.c_fc", _norm(block, "ln_2", x))
        x = x + _linear(block, "mlp.c_proj", hidden * (1.702 * hidden).sigmoid())
    return x


def _attention(block: State, x: Tensor, heads: int, mask: Tensor | float) -> Tensor:
    weights, biases = block["attn.in_proj_weight"], block["attn.in_proj_bias"]
    answers = []
    size = x.shape[-1] // heads
    query, key, value = (x @ weights.T + biases).chunk(3, dim=-1)
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        scores = query[..., own] @ key[..., own].mT / math.sqrt(size) + mask
        answers.append(scores.softmax(-1) @ value[..., own])
    return _linear(block, "attn.out_proj", torch.cat(answers, dim=-1))


def _linear(part: State, name: str, x: Tensor) -> Tensor:
    return x @ part[f"{name}.weight"].T + part[f"{name}.bias"]


def _norm(part: State, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], part[f"{name}.weight"], part[f"{name}.bias"])


def _under(state: State, prefix: str) -> State:
    found = {
        n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)
    }
    return {name: value.float() for name, value in found.items()}


def _own(part: State) -> list[str]:
    return [name for name in part if name.startswith("transformer.")]

"""CLIP's weights: found, read, fitted to an image size, and written."""

import json
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path

import open_clip
import torch
from torch import Tensor

from reidlib.backbones.clip import Clip, set_grid
from reidlib.backbones.torchscript import is_torchscript, read_torchscript
from reidlib.files import write_text
from reidlib.weights import load_weights, read_checkpoint, write_tensors

ARCHITECTURE = "ViT-B-16-quickgelu"
TINY_WEIGHTS = Path(__file__).parents[1] / "assets" / "tiny_clip.safetensors"
SPECIAL_TOKENS = (0, 49406, 49407)  # padding, start of text, end of text
NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")
TO_FETCH = (
    "open_clip_model.safetensors of timm/vit_base_patch16_clip_224.openai, or OpenAI's "
    "own ViT-B-16.pt"
)


def load_clip(
    source: str | Path,
    *,
    image_size: tuple[int, int],
    stride: int = 16,
    config: Path | None = None,
) -> Clip:
    """Load a CLIP model and fit its image tower to an image size and a patch stride.

    source      tiny, the weights in reidlib/assets | openai, ViT-B/16 through
                open_clip's hub | random | the path of a .safetensors or .pt file, as
                OpenAI (in TorchScript, too), open_clip or save_tiny_clip write it
    image_size  (height, width) in pixels
    stride      of the patches in pixels; below the patch size they overlap
    config      open_clip's model configuration as JSON, where the key "stride" may be
                added; default: the file beside the weights with the suffix .json, or
                else ViT-B/16 with QuickGELU at 224x224

    Position embeddings are resized bilinearly without antialiasing, as in CLIP-ReID.
    Raises ValueError for sizes that do not fit the patches and for weights of another
    architecture, FileNotFoundError where weights are absent or cannot be fetched.
    """
    path = _weights_path(source)
    settings = _read_settings(path, config)
    state = _clip_state(path, settings) if path else {}
    arguments = {key: value for key, value in settings.items() if key != "stride"}
    model = open_clip.CLIP(**arguments)
    native_size = model.visual.image_size
    native_stride = settings.get("stride", model.visual.patch_size[0])
    set_grid(model.visual, tuple(native_size), native_stride)
    token_rows = state.pop("token_rows", torch.arange(model.vocab_size))
    if path:
        load_weights(model, state, f"CLIP from {source}")
    set_grid(model.visual, tuple(image_size), stride)
    return Clip(model, settings, token_rows)


def save_tiny_clip(clip: Clip, path: Path, token_ids: Iterable[int]) -> None:
    """Write a CLIP model as fp16 safetensors, and its configuration as JSON beside it.

    Of the token table only the rows of token_ids and of the special tokens are kept.
    load_clip(path, ...) reads it back. Raises ValueError for weights beyond fp16.
    """
    rows = torch.tensor(sorted({int(i) for i in token_ids}.union(SPECIAL_TOKENS)))
    state = {
        name.removeprefix("image.").removeprefix("text."): value.detach().cpu()
        for name, value in clip.state_dict().items()
    }
    state["token_embedding.weight"] = state["token_embedding.weight"][rows]
    halves = {name: value.half().contiguous() for name, value in state.items()}
    for name, value in halves.items():
        if not value.isfinite().all():
            raise ValueError(
                f"{name} has values that fp16 cannot hold: the model diverged, or "
                "train it with a smaller learning rate"
            )
    settings = deepcopy(clip.settings) | {"stride": clip.image.stride}
    settings["vision_cfg"]["image_size"] = list(clip.image.image_size)
    write_tensors(halves | {"token_rows": rows.int()}, path)
    write_text(path.with_suffix(".json"), json.dumps(settings, indent=2) + "\n")


def _weights_path(source: str | Path) -> Path | None:
    if source == "random":
        return None
    if source == "openai":
        return _fetch_openai()
    path = TINY_WEIGHTS if source == "tiny" else Path(source)
    if path.is_file():
        return path
    if source == "tiny":
        raise FileNotFoundError(
            f"the tiny CLIP weights are not at {path}: restore the file, or run "
            "notebooks/pretrain_clip.ipynb, which makes it"
        )
    raise FileNotFoundError(
        f"no CLIP weights at {source}: give tiny, openai, random, or the path of a "
        f".safetensors or .pt file; for CLIP ViT-B/16 fetch {TO_FETCH}"
    )


def _fetch_openai() -> Path:
    origin = open_clip.get_pretrained_cfg("ViT-B-16", "openai")
    try:
        return Path(open_clip.download_pretrained(origin))
    except Exception as error:  # hub clients raise many kinds
        raise FileNotFoundError(
            f"OpenAI's CLIP ViT-B/16 cannot be fetched ({error}): fetch {TO_FETCH} "
            "where there is a network, and give its path in place of 'openai'"
        ) from error


def _read_settings(path: Path | None, config: Path | None) -> dict:
    beside = path.with_suffix(".json") if path else None
    if config is None and beside is not None and beside.is_file():
        config = beside
    if config is None:
        return open_clip.get_model_config(ARCHITECTURE)
    return json.loads(Path(config).read_text(encoding="utf-8"))


def _clip_state(path: Path, settings: dict) -> dict[str, Tensor]:
    state = read_torchscript(path) if is_torchscript(path) else read_checkpoint(path)
    found = state.get("state_dict", state)
    named = found.items() if isinstance(found, dict) else ()
    state = {
        str(name).removeprefix("module."): value
        for name, value in named
        if str(name).rpartition(".")[2] not in NOT_WEIGHTS
    }
    if "token_rows" in state:
        rows = state["token_rows"] = state["token_rows"].long()
        known = state["token_embedding.weight"].float()
        vocabulary = settings["text_cfg"].get("vocab_size", 49408)
        table = known.mean(dim=0).repeat(vocabulary, 1)
        table[rows] = known
        state["token_embedding.weight"] = table
    return state

"""CLIP's weights: found, read, fitted to an image size, and written."""

import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path

import open_clip
import torch
from torch import Tensor

from reidlib.backbones.clip import Clip, ImageTower, TextTower, set_grid
from reidlib.backbones.torchscript import is_torchscript, read_torchscript
from reidlib.files import write_text
from reidlib.reading import read_json, reading
from reidlib.recipes import called, recorded
from reidlib.weights import load_weights, read_weights, write_tensors

ARCHITECTURE = "ViT-B-16-quickgelu"
ASSETS = Path(__file__).parents[1] / "assets"
TINY_WEIGHTS = ASSETS / "tiny_clip.safetensors"
TINY_RENDERED = ASSETS / "tiny_clip_rendered.safetensors"
TINY = {"tiny": TINY_WEIGHTS, "tiny-rendered": TINY_RENDERED}
SPECIAL_TOKENS = (0, 49406, 49407)  # padding, start of text, end of text
OPENAI_ONLY = ("input_resolution", "context_length", "vocab_size")  # in its files
SMALLEST_TEXT = {"layers": 1, "vocab_size": 1}
NOT_WEIGHTS = (*OPENAI_ONLY, "attn_mask")
PUBLISHED_CONFIG = "open_clip_config.json"
CONFIG_REMEDY = (
    f"lay the {PUBLISHED_CONFIG} that was published with the weights in its place"
)
TO_FETCH = (
    "open_clip_model.safetensors of timm/vit_base_patch16_clip_224.openai, with its "
    f"{PUBLISHED_CONFIG}, or OpenAI's own ViT-B-16.pt"
)


def load_clip(
    source: str | Path,
    *,
    image_size: tuple[int, int],
    stride: int = 16,
    config: Path | None = None,
) -> Clip:
    """Load a CLIP model and fit its image tower to an image size and a patch stride.

    source      tiny or tiny-rendered, the weights in reidlib/assets that were taught
                on drawn and on rendered people | openai, ViT-B/16 through open_clip's
                hub | random | the path of a .safetensors or .pt file, as OpenAI (in
                TorchScript, too), open_clip or save_tiny_clip write it
    image_size  (height, width) in pixels
    stride      of the patches in pixels; below the patch size they overlap
    config      open_clip's model configuration as JSON, where the key "stride" may be
                added; default: beside the weights the file of their name with the
                suffix .json, or open_clip_config.json; OpenAI's own files need
                none, they are ViT-B/16 with QuickGELU at 224x224

    Position embeddings are resized bilinearly without antialiasing, as in CLIP-ReID.
    Raises ValueError for sizes that do not fit the patches and for weights of another
    architecture or without a configuration, FileNotFoundError where weights are absent
    or cannot be fetched.
    """
    path = _weights_path(source)
    state = _read_state(path) if path else {}
    config = config or _config_beside(path)
    if config is None and path and source != "openai":
        _refuse_unknown_activation(path, state)
    settings = _read_config(config)
    with reading(config, CONFIG_REMEDY) if config else nullcontext():
        model = _build(settings)
    state = _clip_state(state, settings)
    token_rows = state.pop("token_rows", torch.arange(model.vocab_size))
    if path:
        load_weights(model, state, f"CLIP from {source}")
    set_grid(model.visual, tuple(image_size), stride)
    clip = Clip(model, settings, token_rows)
    size = {"image_size": clip.image.image_size, "stride": stride}
    clip.image.recipe = called(image_tower, {"settings": settings, **size})
    known = None if len(token_rows) == model.vocab_size else token_rows
    clip.text.recipe = called(text_tower, {"settings": settings, "token_rows": known})
    return clip


@recorded
def image_tower(settings: dict, image_size: Iterable[int], stride: int) -> ImageTower:
    """CLIP's image tower of an image size and a stride, its weights drawn anew."""
    text = settings["text_cfg"] | SMALLEST_TEXT  # it is thrown away
    model = _build(settings | {"text_cfg": text})
    set_grid(model.visual, tuple(image_size), stride)
    return ImageTower(model.visual)


@recorded
def text_tower(settings: dict, token_rows: Tensor | None) -> TextTower:
    """CLIP's text tower, its weights drawn anew; token_rows None: all are known."""
    model = _build(settings)
    rows = torch.arange(model.vocab_size) if token_rows is None else token_rows
    return TextTower(model, rows)


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
    path = TINY.get(str(source), Path(source))
    if path.is_file():
        return path
    if str(source) in TINY:
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


def _config_beside(path: Path | None) -> Path | None:
    if path is None:
        return None
    places = [path.with_suffix(".json"), path.with_name(PUBLISHED_CONFIG)]
    return next((place for place in places if place.is_file()), None)


def _refuse_unknown_activation(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raise ValueError for weights that do not say which activation they need."""
    if not any(name in OPENAI_ONLY for name in state):
        raise ValueError(
            f"{path} does not say whether it is for QuickGELU (as OpenAI's weights are)"
            " or for GELU (as those of LAION and DataComp): its tensors have the same"
            f" names and other features. Lay the {PUBLISHED_CONFIG} that was published"
            " with it beside it"
        )


def _read_config(config: Path | None) -> dict:
    """open_clip's model configuration, in the form that it publishes or in its own."""
    if config is None:
        return open_clip.get_model_config(ARCHITECTURE)
    found = read_json(Path(config), CONFIG_REMEDY)
    with reading(Path(config), CONFIG_REMEDY):
        settings = found.get("model_cfg", found)
        if not isinstance(settings, dict):
            raise ValueError("model_cfg is no object")
        for part in ("vision_cfg", "text_cfg"):
            if not isinstance(settings.get(part), dict):
                raise ValueError(f"no {part}: it is no configuration of open_clip")
            if foreign := [
                key for key in settings[part] if key.endswith("_model_name")
            ]:
                raise ValueError(f"{foreign[0]} in {part}: only CLIP's own towers fit")
    return settings


def _build(settings: dict) -> open_clip.CLIP:
    arguments = {key: value for key, value in settings.items() if key != "stride"}
    model = open_clip.CLIP(**arguments)
    native_stride = settings.get("stride", model.visual.patch_size[0])
    set_grid(model.visual, tuple(model.visual.image_size), native_stride)
    return model


def _read_state(path: Path) -> dict[str, Tensor]:
    state = read_torchscript(path) if is_torchscript(path) else read_weights(path)
    if any(name.startswith(("vision_model.", "text_model.")) for name in state):
        raise ValueError(
            f"{path} is CLIP under the names of the transformers library: take the"
            " open_clip_model.safetensors of the same weights"
        )
    return state


def _clip_state(found: Mapping[str, Tensor], settings: dict) -> dict[str, Tensor]:
    state = {
        name: value
        for name, value in found.items()
        if name.rpartition(".")[2] not in NOT_WEIGHTS
    }
    if "token_rows" in state:
        rows = state["token_rows"] = state["token_rows"].long()
        known = state["token_embedding.weight"].float()
        vocabulary = settings["text_cfg"].get("vocab_size", 49408)
        table = known.mean(dim=0).repeat(vocabulary, 1)
        table[rows] = known
        state["token_embedding.weight"] = table
    return state

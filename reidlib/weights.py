"""Files of tensors: written whole or not at all, read without running code in them."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint

from reidlib.files import written_whole

READABLE = 0o644  # safetensors writes files that only their owner can read


def write_checkpoint(contents: Mapping[str, object], path: Path) -> None:
    """Save tensors and plain values to path.

    A killed process leaves the old file or the new one, never a torn one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary, temporary.open("wb") as file:
        torch.save(dict(contents), file)


def write_tensors(
    tensors: Mapping[str, Tensor], path: Path, notes: Mapping[str, str] | None = None
) -> None:
    """Save tensors to a .safetensors file, with notes in its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with written_whole(path) as temporary:
        save_file(plain, temporary, metadata=notes and dict(notes))
        temporary.chmod(READABLE)


def read_checkpoint(path: Path) -> dict:
    """Load a file of tensors and plain values to the CPU; .safetensors works as well.

    Raises FileNotFoundError, or ValueError for a file that is damaged or holds Python
    objects other than tensors and plain values: to rebuild those is to run their code.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: check the path")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # on old pickles, refused below
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(_refusal(path)) from error
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} cannot be read as a file of tensors ({reason}): it is damaged or "
            "of another kind; fetch it again, or delete it if a run can make it anew"
        ) from error
    if not isinstance(contents, dict):
        raise ValueError(
            f"{path} holds a {type(contents).__name__}, but a dict of tensors is "
            "needed: save module.state_dict()"
        )
    return contents


def _refusal(path: Path) -> str:
    try:
        objects = ", ".join(sorted(get_unsafe_globals_in_checkpoint(path)))
    except Exception:  # only a hint for the message; damaged pickles fail here, too
        objects = ""
    found = f"Python objects ({objects})" if objects else "Python objects"
    return (
        f"{path} was refused, and nothing in it was run: it is a pickle of {found}, "
        "and loading such a file runs code of whoever made it. Ask for a .safetensors "
        "file, or where you trust its origin save module.state_dict() anew"
    )


def load_weights(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict that fits the module exactly; touch nothing if it does not.

    source names the file in the ValueError, which lists missing, unexpected and
    misshapen entries by name and shape.
    """
    own = _shapes(module.state_dict())
    found = _shapes(state)
    differences = {
        "misshapen": [
            f"{name}: {found[name]} in the file, {own[name]} in the model"
            for name in sorted(own.keys() & found)
            if found[name] != own[name]
        ],
        "missing in the file": [
            f"{name}: {own[name]}" for name in sorted(own.keys() - found)
        ],
        "unexpected in the file": [
            f"{name}: {found[name]}" for name in sorted(found.keys() - own)
        ],
    }
    if any(differences.values()):
        raise ValueError(_architecture_report(module, source, differences))
    module.load_state_dict(state)


def _shapes(state: Mapping[str, object]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(getattr(value, "shape", ())) for name, value in state.items()}


def _architecture_report(
    module: nn.Module, source: str, differences: Mapping[str, list[str]], limit: int = 8
) -> str:
    lines = [f"{source} is of another architecture than {type(module).__name__}:"]
    for kind, entries in differences.items():
        lines += [f"  {kind} ({len(entries)})"] if entries else []
        lines += [f"    {entry}" for entry in entries[:limit]]
        lines += [f"    and {len(entries) - limit} more"] * (len(entries) > limit)
    lines.append(
        "Build the model with the parameters the file was made with (classes, "
        "cameras, image size, widths), or choose another file."
    )
    return "\n".join(lines)

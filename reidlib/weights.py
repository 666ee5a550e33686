"""Files of tensors: written whole or not at all, read without running code in them."""

import hashlib
import logging
import pickle
import pickletools
import string
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint

from reidlib.files import written_whole

CHECKSUM = "reidlib_sha256"  # a note of our own files: safetensors has no checksum
CONTAINERS = ("state_dict", "model_state_dict", "model", "network", "net")
WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
COUNTER = "num_batches_tracked"
PRINTABLE = frozenset(string.printable.encode())
logger = logging.getLogger(__name__)
READABLE = 0o644  # safetensors writes files that only their owner can read


def write_checkpoint(contents: Mapping[str, object], path: Path) -> None:
    """Save tensors and plain values to path.

    A killed process leaves the old file or the new one, never a torn one. Raises
    OSError where it cannot be written, as on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(dict(contents), file)
        except RuntimeError as error:  # of torch's writer, behind that of the disk
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def write_tensors(
    tensors: Mapping[str, Tensor], path: Path, notes: Mapping[str, str] | None = None
) -> None:
    """Save tensors to a .safetensors file, with notes and a checksum in its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    notes = dict(notes or {})
    notes[CHECKSUM] = _checksum(plain, notes)
    with written_whole(path) as temporary:
        save_file(plain, temporary, metadata=notes)
        temporary.chmod(READABLE)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Load a .safetensors file to the CPU, with the notes in its header.

    Raises ValueError where its tensors or notes are not those that write_tensors had;
    files of others have no checksum to compare.
    """
    with safe_open(path, "pt") as file:
        names = file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
        notes = file.metadata() or {}
    written = notes.pop(CHECKSUM, "")
    if written and written != _checksum(tensors, notes):
        raise ValueError("the checksum of its tensors is wrong")
    return tensors, notes


def _checksum(tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> str:
    found = hashlib.sha256(repr(sorted(notes.items())).encode())
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def read_checkpoint(path: Path) -> dict:
    """Load a file of tensors and plain values to the CPU; .safetensors works as well.

    Raises FileNotFoundError, or ValueError for a file that is damaged or holds Python
    objects other than tensors and plain values: to rebuild those is to run their code.
    Files of torch.save, and those that write_tensors wrote, have checksums, which are
    compared.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: check the path")
    _refuse_text(path)
    try:
        if path.suffix == ".safetensors":
            return read_tensors(path)[0]
        _compare_checksums(path)
        with warnings.catch_warnings(action="ignore"):  # on old pickles, refused below
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):
            if _holds_pickle(path):
                raise ValueError(_refusal(path)) from error
            reason = "neither safetensors nor torch.save wrote it"
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


def _refuse_text(path: Path) -> None:
    """Raise ValueError for what comes in place of weights: pages, pointers, notes."""
    with path.open("rb") as file:
        head = file.read(256).strip()
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(
            f"{path} is a pointer of git-lfs, not the file it stands for: fetch that"
            " with `git lfs pull`"
        )
    if head.lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError(
            f"{path} is a web page, not the file it offers: fetch that again; a page"
            " comes in its place where one has to log in or to agree"
        )
    if head and all(byte in PRINTABLE for byte in head):
        text = head[:40].decode("ascii")
        raise ValueError(f"{path} is a text ({text!r} ...), no weights: fetch it again")


def _compare_checksums(path: Path) -> None:
    """Raise ValueError for an archive with a part that is not what was written."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if bad := archive.testzip():
            raise ValueError(f"the checksum of {bad} is wrong")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of one network by name, out of whatever was saved around them.

    Known are {"state_dict": ...}, {"model": ...} and the like (CONTAINERS), and what
    DataParallel and torch.compile put before every name. Raises as read_checkpoint
    does, and ValueError for a file without a network, or with several.
    """
    contents: Mapping = read_checkpoint(path)
    while inner := [k for k in CONTAINERS if isinstance(contents.get(k), Mapping)]:
        if len(inner) > 1:
            raise ValueError(
                f"{path} holds several networks ({', '.join(inner)}): save the one that"
                " is meant in a file of its own"
            )
        contents = contents[inner[0]]
    if {"state", "param_groups"} <= contents.keys():
        raise ValueError(
            f"{path} is the state of an optimizer, not of a network: give the file with"
            " the weights"
        )
    state = {str(k): v for k, v in contents.items() if isinstance(v, Tensor)}
    if not state:
        names = ", ".join(map(str, contents))
        raise ValueError(
            f"{path} holds no tensors by name, but {names or 'nothing'}:"
            " save module.state_dict()"
        )
    while prefix := next(
        (p for p in WRAPPERS if all(k.startswith(p) for k in state)), ""
    ):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def fitted(
    state: Mapping[str, Tensor], module: nn.Module, what: str
) -> dict[str, Tensor]:
    """The part of a larger network's tensors that is the module, under its names.

    As in the files of strong baselines, whose ResNet is `base.`; what is left out is
    logged. Counters of batches, which PyTorch did not have before 0.4.1, are zero where
    there is none.
    """
    wanted = module.state_dict()
    counters = [name for name in wanted if name.endswith(COUNTER)]
    first = next(iter(wanted))
    prefixes = sorted(k.removesuffix(first) for k in state if k.endswith(f".{first}"))
    prefix = max(
        ["", *prefixes], key=lambda p: sum(f"{p}{name}" in state for name in wanted)
    )
    inner = {
        k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)
    }
    if prefix:
        others = sorted(
            {k.partition(".")[0] for k in state if not k.startswith(prefix)}
        )
        said = f"; left out: {', '.join(others)}" if others else ""
        logger.warning("%s: the weights of `%s` are taken%s", what, prefix[:-1], said)
    if not any(name.endswith(COUNTER) for name in inner):
        inner |= {name: torch.zeros_like(wanted[name]) for name in counters}
    return inner


def _holds_pickle(path: Path) -> bool:
    """Whether it is a pickle, alone or in an archive; nothing in it is run."""
    if zipfile.is_zipfile(path):
        return True
    try:
        with path.open("rb") as file:
            return any(code.name == "STOP" for code, *_ in pickletools.genops(file))
    except ValueError:
        return False


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
    own, found = _shapes(module.state_dict()), _shapes(state)
    both = {name: (found[name], own[name]) for name in own.keys() & found}
    differences = {
        "misshapen": {
            name: f"{theirs} in the file, {ours} in the model"
            for name, (theirs, ours) in both.items()
            if theirs != ours
        },
        "missing in the file": {name: own[name] for name in own.keys() - found},
        "unexpected in the file": {name: found[name] for name in found.keys() - own},
    }
    if any(differences.values()):
        raise ValueError(_architecture_report(module, source, differences))
    module.load_state_dict(state)


def _shapes(state: Mapping[str, object]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(getattr(value, "shape", ())) for name, value in state.items()}


def _architecture_report(
    module: nn.Module, source: str, differences: Mapping[str, Mapping], limit: int = 8
) -> str:
    lines = [f"{source} is of another architecture than {type(module).__name__}:"]
    for kind, entries in differences.items():
        lines += [f"  {kind} ({len(entries)})"] if entries else []
        lines += [f"    {name}: {entries[name]}" for name in sorted(entries)[:limit]]
        lines += [f"    and {len(entries) - limit} more"] * (len(entries) > limit)
    lines.append(
        "Build the model with the parameters the file was made with (classes, "
        "cameras, image size, widths), or choose another file."
    )
    return "\n".join(lines)

"""Weights in a TorchScript archive, read without running the code that comes with them.

OpenAI publishes CLIP as one. It is a ZIP file: data.pkl pickles a tree of modules,
data/<key> holds the numbers of one tensor, code/ the methods. `torch.jit.load` compiles
the methods and runs some; here the pickle may name modules, tensors and lists, nothing
else.
"""

import pickle
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

PICKLE = "data.pkl"
MARK = "constants.pkl"  # in no file that torch.save writes
KINDS = {
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Float": torch.float32,
    "Double": torch.float64,
    "Int": torch.int32,
    "Long": torch.int64,
    "Bool": torch.bool,
}
MOST_MODULES = 100_000  # by name; ViT-B/16 has some hundreds
LISTS = ("intlist", "doublelist", "boollist", "tensorlist")


class _Module(dict):
    """A module of the archive: its tensors, plain values and modules by name."""

    __setstate__ = dict.update


def _rebuild(
    numbers: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_: object
) -> Tensor:
    return numbers.as_strided(size, stride, offset)


KNOWN = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("collections", "OrderedDict"): OrderedDict,
    **{("torch", f"{kind}Storage"): dtype for kind, dtype in KINDS.items()},
    **{("torch.jit._pickle", f"build_{kind}"): list for kind in LISTS},
}


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    part = archive.getinfo(name)
    if part.compress_type != zipfile.ZIP_STORED:  # it could grow without bound
        raise ValueError(f"{name} is compressed, as torch never writes it")
    return archive.read(part)


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(BytesIO(_part(archive, root + PICKLE)))
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str) -> object:
        if module.partition(".")[0] == "__torch__":
            return _Module
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: tuple) -> Tensor:
        _, dtype, key, _, _ = pid  # "storage", its kind, its file, device and length
        content = bytearray(_part(self.archive, f"{self.root}data/{key}"))
        return torch.frombuffer(content, dtype=dtype)


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, and not one that torch.save wrote."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(Path(name).name == MARK for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Read every tensor of a TorchScript archive to the CPU, by dotted name.

    Raises ValueError for a pickle that names anything but tensors and modules, and for
    a damaged archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if Path(n).name == PICKLE]
            module = _Reader(archive, names[0].removesuffix(PICKLE)).load()
        return dict(_tensors(module, Counter()))
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} was refused, and nothing in it was run: {error}, which is neither "
            "a tensor nor a module. Fetch it again from where it was published"
        ) from error
    except Exception as error:  # zipfile, pickle and torch raise many kinds
        raise ValueError(
            f"{path} cannot be read as a TorchScript archive ({error!r}): it is "
            "damaged or of another kind; fetch it again"
        ) from error


def _tensors(
    module: _Module, seen: Counter, prefix: str = ""
) -> Iterator[tuple[str, Tensor]]:
    """Every tensor by name; `seen` counts modules, which may share others."""
    seen["modules"] += 1
    if seen["modules"] > MOST_MODULES:
        raise ValueError(f"it has more than {MOST_MODULES:,} modules")
    for name, value in module.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _tensors(value, seen, f"{prefix}{name}.")

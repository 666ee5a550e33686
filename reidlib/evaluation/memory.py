"""What to lower where the memory of a device does not suffice, and by how much."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
ASKED = re.compile(r"allocate ([\d.]+) (?:([KMG]?)i?B|bytes)")
SHORT = (  # in words of plain RuntimeErrors
    "DefaultCPUAllocator: ",
    "MPS backend out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


class Shortage(NamedTuple):
    """A memory that did not suffice, in bytes.

    total    that the device has; 0 where it is not measured, as of a CPU
    kept     before the batch: weights, optimizers
    wanted   in all when it ended; the batch may have wanted more after that
    """

    total: int
    kept: int
    wanted: int

    def fitting(self, count: int) -> int:
        """How many of a batch's `count` parts fit: half of them at most, 1 at least.

        >>> Shortage(total=80, kept=20, wanted=84).fitting(16)
        8
        >>> Shortage(total=80, kept=20, wanted=260).fitting(16)
        4
        """
        if not self.total:  # not measured
            return max(1, count // 2)
        share = (self.total - self.kept) / max(self.wanted - self.kept, 1)
        return max(1, min(count // 2, int(count * share)))

    def __str__(self) -> str:
        if not self.total:
            return f"with this batch {self.wanted / 2**30:.1f} GiB more were wanted"
        total, kept, wanted = (f"{size / 2**30:.1f}" for size in self)
        others = " (others, as runs beside this one, had the rest)"
        return (
            f"of {total} GiB {kept} were kept by weights and optimizers, and with this"
            f" batch at least {wanted} were wanted{others * (self.wanted < self.total)}"
        )


@contextmanager
def enough_memory(
    device: torch.device | str, advice: Callable[[Shortage], str]
) -> Iterator[None]:
    """Say what to lower where what is inside wants more memory than a device has.

    advice   of which parameter, from which value to which
    Raises torch.OutOfMemoryError, with that in its message.
    """
    device = torch.device(device)
    measured = device.type == "cuda"
    kept = torch.cuda.memory_allocated(device) if measured else 0
    try:
        yield
    except RuntimeError as error:
        if not _is_short(error):
            raise
        peak = torch.cuda.max_memory_allocated(device) if measured else 0
        total = torch.cuda.get_device_properties(device).total_memory if measured else 0
        shortage = Shortage(total, kept, peak + _asked(str(error)))
        said = f"the memory of {device} does not suffice: {shortage}. "
        raise torch.OutOfMemoryError(said + advice(shortage)) from error


def _is_short(error: RuntimeError) -> bool:
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(s in said for s in SHORT)


def _asked(message: str) -> int:
    """Bytes that could not be had, which torch says in words."""
    found = ASKED.search(message)
    return int(float(found[1]) * UNITS[found[2] or ""]) if found else 0

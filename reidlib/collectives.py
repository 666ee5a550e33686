"""What the processes of a run tell each other; nothing where there is only one.

All of them call the same functions in the same order.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from reidlib import processes

PATIENCE = timedelta(minutes=30)  # for the slowest, as when it alone decodes images
FAILED = "failed"  # the key under which the first failure is told
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
LOST += ("remote process exited",)  # as NCCL says it
GONE = "another process of this run is gone; most often the memory has run out"
_store: list[Any] = []  # of failures, kept by torchrun: it outlives who told it


class OtherProcessError(RuntimeError):
    """Another process of the run has failed, or is gone."""


def join(device: torch.device) -> None:
    """Wait until all processes of the run are there; once, before anything is shared.

    They talk by NCCL between GPUs, else by gloo.
    """
    if processes.count() == 1 or dist.is_initialized():
        return
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    store, rank, size = next(dist.rendezvous("env://", timeout=PATIENCE))
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store,
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
        device_id=device if on_gpu else None,
    )
    _store.append(store)


@contextmanager
def ending_together() -> Iterator[None]:
    """Let every process end with the error of the one that failed first.

    Raises OtherProcessError in the others, with what that one said.
    """
    try:
        yield
    except OtherProcessError:
        raise
    except Exception as error:
        first = tell_failure(error)
        if first:
            raise OtherProcessError(first) from error
        raise


def tell_failure(error: Exception) -> str:
    """Tell the others what went wrong here; return what another one told before.

    "" where it was the first, or all say the same. That a connection is lost is not
    told: it follows from what went wrong elsewhere.
    """
    if not (_store and processes.are_together()):
        return ""
    what = f"{type(error).__name__}: {error}"
    own = f"process {processes.number()} of {processes.count()}: {what}"
    is_lost = any(words in str(error) for words in LOST)
    with suppress(dist.DistError):  # the store is gone with torchrun
        if is_lost and not _store[0].check([FAILED]):
            return GONE
        first = _store[0].compare_set(FAILED, "", own).decode()
        return "" if first.endswith(f": {what}") else first
    return ""


def gathered(value: Any) -> list[Any]:
    """The values of all processes, in their order; anything that can be pickled."""
    if not processes.are_together():
        return [value]
    found = [None] * processes.count()
    dist.all_gather_object(found, value)
    return found


def of_all(value: Any) -> Any:
    """Tensors of equal shapes joined over processes, alone or in tuples and lists.

    Rows follow in the order of processes: (B, ...) becomes (processes x B, ...). What
    is no tensor stays this process's own.
    """
    if not processes.are_together():
        return value
    if isinstance(value, Tensor):
        value = value.contiguous()
        parts = [torch.empty_like(value) for _ in range(processes.count())]
        dist.all_gather(parts, value)
        return torch.cat(parts)
    if isinstance(value, tuple | list):
        parts = [of_all(part) for part in value]
        is_named = hasattr(value, "_fields")
        return type(value)(*parts) if is_named else type(value)(parts)
    return value


def mean_of_all(value: Tensor) -> Tensor:
    """The mean over processes of a tensor."""
    if not processes.are_together():
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / processes.count()


def take_buffers_of_main(model: nn.Module) -> None:
    """Give all processes the main one's buffers, as running means of batch norms."""
    if processes.are_together():
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)

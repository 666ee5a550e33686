"""Functions called in several processes of this machine, as torchrun would start them.

A server that has imported torch once forks each of them, in a few milliseconds.
"""

import os
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from queue import Empty
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import distributed

from reidlib import collectives

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["toys.parallel_training"])
PATIENCE = 60  # seconds


class Started(NamedTuple):
    """Processes under way, and the queue of what they come to."""

    processes: list[BaseProcess]
    queue: Any
    store: distributed.TCPStore  # it is torchrun's, and outlives all of them


def start(function: Callable, *given: Any, count: int = 2) -> Started:
    """Start the processes."""
    queue = CONTEXT.Queue()
    store = distributed.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    told = {"WORLD_SIZE": str(count), "TQDM_DISABLE": "1"}
    told |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(store.port)}
    told |= {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    started = [
        CONTEXT.Process(target=_process, args=(rank, told, queue, function, given))
        for rank in range(count)
    ]
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):  # the server's
        for process in started:
            process.start()
    return Started(started, queue, store)


def together(function: Callable, *given: Any, count: int = 2) -> list[Any]:
    """What a function of a module returns in each process, in their order.

    An exception is returned as (its type's name, what it says).
    """
    started = start(function, *given, count=count)
    found = dict(_next(started) for _ in range(count))
    for process in started.processes:
        process.join(PATIENCE)
    return [found[rank] for rank in range(count)]


def _next(started: Started) -> tuple[int, Any]:
    try:
        return started.queue.get(timeout=PATIENCE)
    except Empty:
        for process in started.processes:
            process.kill()
        raise


def _process(
    rank: int, told: dict[str, str], queue: Any, function: Callable, given: tuple
) -> None:
    os.environ |= told | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    collectives.join(torch.device("cpu"))
    try:
        found = function(*given)
    except Exception as error:
        found = type(error).__name__, str(error)
    queue.put((rank, found))
    queue.close()
    queue.join_thread()

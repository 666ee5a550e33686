"""The processes of one run: how many, which this one is, and when they are together.

torchrun starts them and says it in the environment. Each executes the whole notebook
and trains on batches of its own. The first is the main one: it alone writes and shows.
What they tell each other is in collectives.py; here is no torch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_apart = False


def count() -> int:
    """How many processes make this run; 1 where torchrun started none."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def number() -> int:
    """Which of them this one is, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def number_here() -> int:
    """Which of those on this machine it is, from 0: the number of its GPU."""
    return int(os.environ["LOCAL_RANK"]) if count() > 1 else 0


def is_main() -> bool:
    """Whether this is the process that writes and shows."""
    return number() == 0


def are_together() -> bool:
    """Whether there are several, which wait for each other."""
    return count() > 1 and not _apart


@contextmanager
def apart() -> Iterator[None]:
    """Wait for no other process inside, as where one may fail and go on alone."""
    global _apart
    before, _apart = _apart, True
    try:
        yield
    finally:
        _apart = before

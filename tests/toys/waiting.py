"""Waiting for other processes, which are slow on a busy machine."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool]) -> bool:
    """Wait a minute at most; return whether the condition holds."""
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()

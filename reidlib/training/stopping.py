"""A training that is told to stop: it ends its step, is kept, and goes on later.

A queue that wants its machine back sends SIGTERM some time before SIGKILL, or SIGUSR1
before a time limit, as it was asked to.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class TrainingStopped(KeyboardInterrupt):
    """A training was told to stop; what it has come to is in its checkpoint."""


class Stop:
    """Whether a training was told to stop: `signal` is the name of what told it."""

    def __init__(self) -> None:
        self.signal, self._waits = "", True

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: by a flag, between whose looks a step is whole."""
        self.signal = signal.Signals(number).name
        if not self._waits:
            self.check()

    def check(self) -> None:
        """Raise TrainingStopped where a signal has come."""
        if self.signal:
            raise TrainingStopped(self.signal)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Do not wait for the end of what is inside: it is long, and can be redone."""
        self.check()
        self._waits = False
        try:
            yield
        finally:
            self._waits = True


@contextmanager
def told_to_stop(*, kept: bool) -> Iterator[Stop]:
    """Take notice of SIGNALS as long as a training lasts, in place of ending by them.

    kept   whether the training has a checkpoint; one that has none ends as ever, as
           does one outside the main thread, which no signal reaches
    """
    stop, before = Stop(), {}
    if kept and threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, stop.note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

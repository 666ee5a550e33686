"""A run that is told to stop: a command hears it, and tells its kernel.

SIGTERM comes from a queue that wants its machine back, SIGUSR1 before a time limit. A
kernel that trains ends its step and keeps it; one that does not is ended, and what it
has not kept is made again. Either way the command exits with STOPPED.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen
from types import FrameType

STOPPED = os.EX_TEMPFAIL  # 75: "try again", in sysexits.h
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
GOES_ON = "the same command goes on"
_came: list[int] = []  # signals that were passed on


class Stopped(KeyboardInterrupt):
    """A run was told to stop: nothing has failed, the same command goes on."""


def listen() -> None:
    """Let this process raise Stopped when it is told to stop."""
    _came.clear()
    for number in SIGNALS:
        signal.signal(number, _stop)


def as_interrupt(*signals: signal.Signals) -> None:
    """Let signals interrupt this process; a shell's `&` has it ignore Ctrl-C."""
    for one in signals:
        signal.signal(one, signal.default_int_handler)


def interrupt_without_stdin() -> None:
    """Interrupt this process when its stdin is closed."""
    while os.read(0, 1):  # reading sys.stdin would block the interpreter's exit
        pass
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(told_by(number))


def check() -> None:
    """Raise Stopped where a signal came and the kernel that got it ended well."""
    if _came:
        _stop(_came[0], None)


def told_by(number: int) -> str:
    """What is said of a process that a signal has ended."""
    return f"told to stop by {signal.Signals(number).name}: {GOES_ON}"


def reason(came: list[int], code: int | None) -> str:
    """What is said of a kernel that was told to stop; "" where it was not.

    came   the signals that were passed on to it
    code   with which it ended, which tells of signals that others sent it
    """
    by = came or [number for number in SIGNALS if code == -number]
    return told_by(by[0]) if by else ""


@contextmanager
def passing_on(kernel: Callable[[], Popen | None]) -> Iterator[list[int]]:
    """Pass what tells this process to stop on to a kernel, as long as the block lasts.

    kernel   its process; None until there is one: then Stopped is raised at once
    Yields the signals that have come. Signals that `listen` does not hear are as ever.
    """

    def pass_on(number: int, frame: FrameType | None) -> None:
        _came.append(number)
        process = kernel()
        if process is None:
            _stop(number, frame)
        process.send_signal(number)

    heard = [number for number in SIGNALS if signal.getsignal(number) is _stop]
    for number in heard:
        signal.signal(number, pass_on)
    try:
        yield _came
    finally:
        for number in heard:
            signal.signal(number, _stop)

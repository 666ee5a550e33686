"""Who makes the run of a folder: one at a time.

Who makes a run holds a lock on running.lock in its folder, and has written there who it
is. The system lets go of a lock however that ends, so that a killed run is never taken
for one that goes on. A kernel inherits the lock of the command that started it: the run
is nobody else's until both have ended.
"""

import errno
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from reidlib.files import is_alive, is_at
from reidlib.reading import printable, shown
from reidrun.runs.errors import RunError

RUNNING = "running.lock"
COMMAND = "REID_COMMAND"  # of the environment: the process that holds a kernel's run
LOOK_SECONDS = 1.0  # that somebody who only looks may hold a lock
ORPHAN_SECONDS = 15.0  # in which what a killed process has started ends, too
PAUSE_SECONDS = 0.1
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk, a quota, a limit
_inherited: dict[str, int] = {}  # open files of locks, for kernels: by folder


class Maker(NamedTuple):
    """A process that makes a run."""

    host: str
    process: int
    since: str

    def __str__(self) -> str:
        return f"process {self.process} on {printable(self.host)} since {self.since}"

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == platform.node()

    @property
    def is_ours(self) -> bool:
        """Whether it is this process, or the command that started this kernel."""
        ours = (str(os.getpid()), os.environ.get(COMMAND))
        return self.is_here and str(self.process) in ours

    @property
    def is_dead(self) -> bool:
        """Whether it is known to have ended."""
        return self.is_here and not is_alive(self.process)


def hold(folder: Path) -> IO | None:
    """Say that a run is being made in a folder until the file is let go, or we end.

    None where this process, or the command that started it, has said so already. Who
    has died leaves nothing to wait for but what it had started. Raises RunError that
    names who makes the run, or a folder that cannot be written to.
    """
    path, begun = folder / RUNNING, time.monotonic()
    while True:
        file = _opened(path)
        maker = _read(file)
        if _lock(file, maker) and is_at(path, file):
            _sign(file, path)
            _inherited[str(folder)] = file.fileno()
            os.environ[COMMAND] = str(os.getpid())
            return file
        file.close()
        if maker and maker.is_ours:
            return None
        _wait(folder, maker, begun)


def _opened(path: Path) -> IO:
    try:
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise RunError(unwritten(error, path.parent)) from None


def unwritten(error: OSError, folder: Path) -> str:
    """Say that nothing can be written to a folder, and what to do about it."""
    room = "make room, or " if error.errno in FULL else ""
    said = f"{shown(folder)} cannot be written to ({error.strerror})"
    return f"{said}: {room}name another folder by --outputs"


def _wait(folder: Path, maker: Maker | None, begun: float) -> None:
    """Wait for a moment, or raise RunError where there is nothing to wait for."""
    patience = ORPHAN_SECONDS if maker and maker.is_dead else LOOK_SECONDS
    if time.monotonic() - begun > patience:
        raise RunError(_refusal(folder, maker))
    time.sleep(PAUSE_SECONDS)


def _refusal(folder: Path, maker: Maker | None) -> str:
    return (
        f"{shown(folder)} is being made by {maker or 'another process'}: wait until it"
        " has ended, or end it; `reid status` says how far it is"
    )


def _lock(file: IO, maker: Maker | None) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: known is who lives on this machine
        return maker is None or not maker.is_here or maker.is_dead
    return True


def _sign(file: IO, path: Path) -> None:
    now = datetime.now().astimezone().isoformat(" ", "seconds")
    text = json.dumps(Maker(platform.node(), os.getpid(), now)._asdict())
    file.truncate(0)
    try:
        os.write(file.fileno(), text.encode())
    except OSError as error:
        path.unlink(missing_ok=True)
        file.close()
        raise RunError(unwritten(error, path.parent)) from None


def _read(file: IO) -> Maker | None:
    """Who has signed; None where nobody has, or is about to."""
    file.seek(0)
    with suppress(ValueError, TypeError, KeyError):
        found = json.loads(file.read(1000))
        host, process, since = (found[name] for name in Maker._fields)
        return Maker(str(host), int(process), str(since))
    return None


def let_go(folder: Path, file: IO | None) -> None:
    """Say that the run of a file that `hold` returned is no longer made."""
    if file is not None:
        _inherited.pop(str(folder), None)
        Path(file.name).unlink(missing_ok=True)
        file.close()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder for as long as what is inside takes."""
    file = hold(folder)
    try:
        yield
    finally:
        let_go(folder, file)


def inherited() -> tuple[int, ...]:
    """The open files by which a kernel holds what this process holds."""
    return tuple(_inherited.values())


def is_running(folder: Path) -> bool:
    """Whether somebody makes the run of a folder, on this machine or another."""
    try:
        with (folder / RUNNING).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file, not ours, or a file system without locks
        return False
    return False


def maker_of(folder: Path) -> Maker | None:
    """Who makes the run of a folder, or has made it and died; None where nobody did."""
    with suppress(OSError), (folder / RUNNING).open(encoding="utf-8") as file:
        return _read(file)
    return None


def refuse_running(folder: Path) -> None:
    """Raise RunError that names who makes the run of a folder, if anybody does."""
    begun = time.monotonic()
    while is_running(folder):
        _wait(folder, maker_of(folder), begun)

"""Files, written whole or not at all."""

import fcntl
import os
import platform
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

from reidlib import processes


@contextmanager
def written_whole(path: Path, *, by_any: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`, which becomes `path` when the block ends.

    What is written there reaches the disk before it is renamed: a process that is
    killed leaves the old file or the new one. Where the block raises, `path` stays as
    it was, and nothing else is left. What a killed process did leave is removed when
    another process of this machine first writes into the folder.

    Of several processes of one run only the main one writes; what another one wrote is
    thrown away, unless it is a file that any of them may write.
    """
    if not (by_any or processes.is_main()):
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch, path.name)
        return
    _remove_leftovers(path.parent.absolute())
    temporary = path.with_name(f".{path.name}.{machine()}-{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:  # of the file that was wanted, not of the temporary one
        if error.filename in (None, str(temporary)) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """The same for text, as UTF-8."""
    write_bytes(path, text.encode())


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait for a lock, which a process that dies gives back; its file goes at the end.

    On a file system without locks nobody waits.
    """
    with _locked(lock):
        try:
            yield
        finally:
            with suppress(OSError):  # gone already, or another user's
                lock.unlink()


def _locked(lock: Path) -> IO:
    while True:
        file = _opened(lock)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            return file
        if is_at(lock, file):
            return file
        file.close()


def _opened(lock: Path) -> IO:
    try:
        return lock.open("w")
    except PermissionError:
        if not lock.exists():
            raise
        return lock.open()  # another user's, whose process was killed


def is_at(path: Path, file: IO) -> bool:
    """Whether an open file is the one at a path: nobody has removed or replaced it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:  # removed; over NFS by another machine, too
        return False


def unwritable(path: Path) -> str:
    """Why no file can be written at a path, in words; "" where one can.

    Folders above it that are not there can be made.
    """
    if path.is_dir():
        return "is a folder: name a file in it"
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        return f"cannot be written: {above.name} is a file, no folder"
    if not os.access(above, os.W_OK):
        return f"cannot be written: the folder {above.name} may not be written to"
    return ""


@cache
def machine() -> str:
    """This machine in eight characters: a process id means nothing on another one."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


@cache  # once in a process: a folder may get thousands of files
def _remove_leftovers(folder: Path) -> None:
    temporary = re.compile(rf"\..+\.{machine()}-(\d+)\.tmp")
    for path in folder.iterdir():
        match = temporary.fullmatch(path.name)
        if match and not is_alive(int(match[1])):
            path.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Whether a process of this machine has not ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True

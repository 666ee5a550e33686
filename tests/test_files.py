"""Files are whole or not there, and nothing else is left beside them."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from toys.killed import of_a_dead_process

from reidlib import files
from reidlib.files import (
    alone,
    is_at,
    unwritable,
    write_bytes,
    write_text,
    written_whole,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_becomes_the_file_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "ä #1: x.json"
    write_text(path, "old ü")
    with written_whole(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_text("utf-8") == "old ü"
        assert temporary.parent == path.parent, "one file system: a rename is enough"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == [path.name]


def test_one_at_a_time_holds_a_lock_and_its_file_goes(tmp_path):
    lock, inside = tmp_path / "lock", []

    def work(_):
        with alone(lock):
            inside.append(1)
            assert len(inside) == 1, "somebody else is inside"
            time.sleep(0.01)
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(work, range(24)))) == 24
    assert not lock.exists()


def test_without_locks_nobody_waits(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    monkeypatch.setattr(files, "is_at", lambda *_: False)  # inodes that change
    with alone(tmp_path / "lock"), alone(tmp_path / "lock"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_that_another_user_left_is_taken(tmp_path, monkeypatch):
    opened = Path.open

    def read_only(path, mode="r", **options):
        if "w" in mode:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(PermissionError), alone(tmp_path / "lock"):
        pass
    (tmp_path / "lock").touch()
    with alone(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()


def test_a_file_that_cannot_be_looked_at_is_not_the_open_one(tmp_path, monkeypatch):
    def stale(*_, **__):
        raise OSError(errno.ESTALE, "Stale file handle")

    with (tmp_path / "file").open("w") as file:
        assert is_at(tmp_path / "file", file)
        monkeypatch.setattr(Path, "stat", stale)
        assert not is_at(tmp_path / "file", file)


def test_a_lock_goes_with_its_file_where_the_block_raises(tmp_path):
    with pytest.raises(KeyError), alone(tmp_path / "lock"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_block_that_raises_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "metrics.json"
    write_bytes(path, b"old")
    with pytest.raises(ZeroDivisionError), written_whole(path) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["metrics.json"])


def test_where_no_file_can_be_written_is_said_before(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert unwritable(tmp_path) == "is a folder: name a file in it"
    assert unwritable(tmp_path / "file" / "x" / "y").endswith(
        "file is a file, no folder"
    )
    assert unwritable(tmp_path / "file") == unwritable(tmp_path / "new" / "x") == ""
    monkeypatch.chdir(tmp_path)
    assert unwritable(Path("x")) == ""
    monkeypatch.setattr(os, "access", lambda path, how: path != tmp_path)
    assert unwritable(Path("new/x")).endswith(f"{tmp_path.name} may not be written to")


def test_a_full_disk_leaves_nothing(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from reidlib.files import write_text\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"
        f"write_text(Path({str(tmp_path / 'metrics.json')!r}), 'x' * 5000)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "File too large" in done.stderr
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed_and_what_is_being_written_stays(
    tmp_path,
):
    path = tmp_path / "checkpoint.pt"
    code = (
        "import os, signal; from pathlib import Path\n"
        "from reidlib.files import written_whole\n"
        f"with written_whole(Path({str(path)!r})) as temporary:\n"
        "    temporary.touch()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == -signal.SIGKILL and len(names(tmp_path)) == 1
    (tmp_path / of_a_dead_process("history.csv")).touch()
    alive = f".history.csv.{files.machine()}-{os.getppid()}.tmp"
    elsewhere = of_a_dead_process("a").replace(files.machine(), "00000000")
    for name in (alive, elsewhere, ".keep.tmp"):
        (tmp_path / name).touch()
    write_text(path, "whole")
    assert names(tmp_path) == sorted([".keep.tmp", elsewhere, alive, "checkpoint.pt"])


def test_the_process_of_another_user_is_alive():
    assert files.is_alive(1)

"""One process makes a run: the next one is told who, and the dead hold nothing."""

import errno
import fcntl
import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from reidrun.runs import locks
from reidrun.runs.errors import RunError
from reidrun.runs.locks import (
    RUNNING,
    held,
    hold,
    is_running,
    let_go,
    maker_of,
    refuse_running,
)

HOLDING = """
import sys
from pathlib import Path
from reidrun.runs.locks import hold

file = hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Another process that holds the folder; this one is not what started it."""
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0.2)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_told_who_makes_the_run_and_since_when(tmp_path, other):
    text = (tmp_path / RUNNING).read_text()
    said = f"is being made by process {other.pid} on {platform.node()} since 20"
    for refused in (hold, refuse_running):
        with pytest.raises(RunError, match=f"{said}.*wait until it has ended, or end"):
            refused(tmp_path)
    assert is_running(tmp_path)
    assert (tmp_path / RUNNING).read_text() == text, "the first is not disturbed"


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, other):
    other.kill()
    other.wait()
    assert maker_of(tmp_path).process == other.pid, "it could not take its name away"
    refuse_running(tmp_path)
    with held(tmp_path):
        assert maker_of(tmp_path).process == os.getpid()
        assert is_running(tmp_path)
    assert not is_running(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_process_has_started_is_waited_for(tmp_path, other, monkeypatch):
    file = (tmp_path / RUNNING).open()  # as a worker that lives on has it
    other.kill()
    other.wait()
    fcntl.flock(file, fcntl.LOCK_SH)
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 9:
            file.close()

    monkeypatch.setattr(locks.time, "sleep", sleep)
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0)
    with held(tmp_path):
        assert len(waited) == 9


def test_a_kernel_has_the_lock_of_its_command(tmp_path):
    with held(tmp_path):
        assert hold(tmp_path) is None, "this process has it"
        (fd,) = locks.inherited()
        code = HOLDING.replace("hold(", "print(hold(").replace("[1]))", "[1])))")
        kernel = subprocess.Popen(
            [sys.executable, "-c", code, tmp_path],
            pass_fds=(fd,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert kernel.stdout.readline() == "None\n", "its parent has it"
    assert locks.inherited() == ()
    kernel.communicate()


def test_it_is_held_until_what_inherited_it_has_ended(tmp_path):
    file = hold(tmp_path)
    kernel = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        pass_fds=locks.inherited(),
        stdin=subprocess.PIPE,
    )
    locks._inherited.clear()
    file.close()
    assert is_running(tmp_path), "the command has died, its kernel not yet"
    kernel.communicate()
    assert not is_running(tmp_path)


def test_a_file_that_was_removed_meanwhile_is_no_lock(tmp_path, monkeypatch):
    flock, removed = fcntl.flock, []

    def remove_first(file, how):
        if not removed:
            removed.append((tmp_path / RUNNING).unlink())
        return flock(file, how)

    monkeypatch.setattr(locks.fcntl, "flock", remove_first)
    file = hold(tmp_path)
    assert removed and os.path.samestat(
        os.fstat(file.fileno()), (tmp_path / RUNNING).stat()
    )
    let_go(tmp_path, file)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"host": "a"}', '{"host": 1}'])
def test_whatever_stands_in_a_stale_file_is_taken_over(tmp_path, text):
    (tmp_path / RUNNING).write_text(text)
    assert maker_of(tmp_path) is None
    with held(tmp_path):
        assert maker_of(tmp_path).process == os.getpid()


def test_outputs_that_are_read_only_are_named(tmp_path, monkeypatch):
    def read_only(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "open", read_only)
    said = "cannot be written to .Read-only file system.: name another folder by --out"
    with pytest.raises(RunError, match=said):
        hold(tmp_path)


def test_a_disk_that_is_full_is_named(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # fails as a full disk
    said = "cannot be written to .File too large.: make room, or name another folder by"
    try:
        with pytest.raises(RunError, match=said):
            hold(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_without_locks_who_lives_here_is_known(tmp_path, monkeypatch):
    def no_locks(file, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0)
    here = {"host": platform.node(), "process": 1, "since": "2026-01-01 00:00:00"}
    for maker, taken in (
        (here, False),
        (here | {"process": 2**22 + 1}, True),  # no machine has so many
        (here | {"host": "elsewhere"}, True),  # who lives there is not known
    ):
        (tmp_path / RUNNING).write_text(json.dumps(maker))
        if taken:
            let_go(tmp_path, hold(tmp_path))
        else:
            with pytest.raises(RunError, match="by process 1 on .* since 2026-01-01"):
                hold(tmp_path)
    assert not is_running(tmp_path)

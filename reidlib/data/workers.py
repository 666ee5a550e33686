"""Processes that load images: who may end them."""

import os
import signal
import threading


def end_with_the_parent(worker: int) -> None:
    """Let a process that loads images end when its parent says so, and not before.

    A queue that wants its machine back sends SIGTERM to every process of a job. The
    step under way is then ended first, and a training that has lost a worker cannot.
    Given to a DataLoader as worker_init_fn.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS: who sent it is not known there
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_wait_for, args=(os.getppid(),), daemon=True).start()


def _wait_for(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)

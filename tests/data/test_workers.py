"""Workers outlast signals to all processes of a job, and end with their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toys.waiting import wait_until

TESTS = Path(__file__).parents[1]
PARENT = """
import os, signal, sys, time
from toys.toy_training import toy_loader
from reidlib.data.workers import end_with_the_parent

loader = toy_loader(num_workers=2, persistent_workers=True,
                    worker_init_fn=end_with_the_parent)
batches = iter(loader)
_ = next(batches), next(batches)  # one of each: both have begun
print(*(worker.pid for worker in batches._workers), flush=True)
sys.stdin.readline()
print(len(list(batches)), flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return ") Z " not in Path(f"/proc/{pid}/stat").read_text()


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="who sent it is unknown")
@pytest.mark.parametrize(("how", "code"), [("ended", 0), ("killed", -9)])
def test_workers_outlast_a_queue_and_end_with_their_parent(how, code):
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, how],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGTERM)
        os.kill(worker, signal.SIGUSR1)
    time.sleep(0.2)
    assert all(is_alive(worker) for worker in workers)
    out, _ = parent.communicate("go on\n", timeout=60)
    assert (out, parent.returncode) == ("2\n", code), "all batches came"
    assert wait_until(lambda: not any(is_alive(worker) for worker in workers))

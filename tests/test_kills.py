"""Runs of every paper, killed and stopped at random moments, end as if nothing was.

`pytest -s -m kills tests/test_kills.py` prints what each kill left. KILLS and STOPS say
how many there are, over all papers; what a small sample can show is in tests/runs.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toys.waiting import wait_until

from reidrun.runs.environment import ROOT
from reidrun.runs.folder import is_complete, read_metrics
from reidrun.runs.progress import progress_of

PAPERS = ("fanet", "rganet", "flannet", "fba")
SETTINGS = {"epochs": 2, "num_identities_per_batch": 8, "images_per_identity": 2}
SETTINGS |= {"checkpoint_minutes": 0.03, "flip_probability": 0.5}
SAME = ("history.csv", "queries.csv.gz", "model.safetensors")  # to the byte
ONE_THREAD = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
TARGETS = ("command", "kernel", "both")
KILLS, STOPS = int(os.environ.get("KILLS", "20")), int(os.environ.get("STOPS", "10"))
ENDED = {"command": {-9}, "both": {-9}, "kernel": {1}}  # exit codes after a kill


class Place:
    """Where the runs of a paper are made."""

    def __init__(self, place: Path, paper: str, outputs: str) -> None:
        self.outputs, self.data, self.sockets = place / outputs, place / "data", place
        self.paper = paper
        words = [
            sys.executable,
            "-m",
            "reidrun.cli.main",
            "run",
            paper,
            "--on",
            "smoke",
        ]
        for name, value in SETTINGS.items():
            words += ["-p", name, str(value)]
        words += ["--outputs", str(self.outputs), "--data", str(self.data)]
        self.words = words

    def start(self) -> subprocess.Popen:
        """Start the command, and wait until it has begun."""
        said = self.sockets / "said.txt"
        with said.open("w") as log:
            command = subprocess.Popen(
                self.words,
                cwd=ROOT,
                env=os.environ | ONE_THREAD | {"TMPDIR": str(self.sockets)},
                stdout=log,
                stderr=log,
            )
        assert wait_until(lambda: said.read_text().startswith(self.paper))
        return command

    @property
    def folder(self) -> Path:
        """The folder of the run, once there is one."""
        return next(self.outputs.glob("*/*/*"))


def kernel_of(command: subprocess.Popen) -> int | None:
    """The process of a command's kernel, while there is one."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            words = path.with_name("cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if parent == command.pid and b"ipykernel" in words:
            return int(path.parent.name)
    return None


def send(command: subprocess.Popen, number: int, target: str, moment: float) -> int:
    """Send a signal after some seconds, if the command still runs; return its code."""
    try:
        return command.wait(moment)
    except subprocess.TimeoutExpired:
        pass
    kernel = None
    if target != "command":
        wait_until(lambda: command.poll() is not None or kernel_of(command) is not None)
        kernel = kernel_of(command)
    for process in (kernel, command.pid if target != "kernel" else None):
        if process is not None and command.poll() is None:
            os.kill(process, number)
    return command.wait(600)


def assert_finished_as(folder: Path, whole: Path) -> None:
    found, wanted = read_metrics(folder), read_metrics(whole)
    for part in ("scores", "measures", "parameters"):
        assert found[part] == wanted[part]
    for name in SAME:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    left = {path.name for path in folder.iterdir()}
    left ^= {path.name for path in whole.iterdir()}
    assert left <= {"model.md"}, left


def assert_nothing_is_left(place: Place) -> None:
    assert not list(place.outputs.rglob(".*")), "no temporary file"
    assert not list(place.data.rglob(".*.tmp"))
    assert not [*place.sockets.glob("reid-*"), *place.sockets.glob("*.json")]


def disturb(place: Path, paper: str, whole: Path, seconds: float, plan: list) -> None:
    """Send what is planned, (signal, target) each; let runs end, and compare them."""
    moments, made = random.Random(paper), 0
    while plan:
        made += 1
        here = Place(place, paper, f"disturbed-{made}")
        while plan:
            number, target = plan[0]
            moment = moments.uniform(0, seconds)
            code = send(here.start(), number, target, moment)
            if code == 0:
                print(f"  {paper}: finished before {moment:.1f} s", flush=True)
                break
            plan.pop(0)
            state = progress_of(here.folder).state
            name = signal.Signals(number).name
            said = (
                f"  {paper}: {name} to the {target} after {moment:.1f} s: exit {code}"
            )
            print(f"{said}, {state}", flush=True)
            ended = {75} if number == signal.SIGTERM else ENDED[target]
            assert code in ended
            assert not is_complete(here.folder) or state in ("finished", "running")
            assert number != signal.SIGTERM or state == "stopped"
        assert here.start().wait(600) == 0
        assert_finished_as(here.folder, whole)
        assert_nothing_is_left(here)
        print(f"  {paper}: finished, all bits as undisturbed", flush=True)


@pytest.mark.kills
@pytest.mark.skipif(sys.platform != "linux", reason="kernels are found in /proc")
@pytest.mark.parametrize("paper", PAPERS)
def test_a_run_that_was_killed_and_stopped_ends_as_one_that_was_not(tmp_path, paper):
    own = PAPERS.index(paper)
    kills = [(signal.SIGKILL, TARGETS[i % 3]) for i in range(own, KILLS, len(PAPERS))]
    stops = [(signal.SIGTERM, TARGETS[i % 2]) for i in range(own, STOPS, len(PAPERS))]
    whole = Place(tmp_path, paper, "undisturbed")
    begun = time.monotonic()
    assert whole.start().wait(900) == 0
    seconds = time.monotonic() - begun
    print(f"\n{paper}: undisturbed in {seconds:.0f} s", flush=True)
    disturb(tmp_path, paper, whole.folder, seconds, [*kills, *stops])

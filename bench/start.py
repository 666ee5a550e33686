"""What a user waits for before anything is computed, beside an interpreter's start."""

import subprocess
import sys
from functools import partial

from bench.measuring import Record, beside_floor
from reidrun.runs.environment import ROOT

COMMANDS = {
    "reid --help": ["--help"],
    "a parameter that is refused": [
        "run",
        "fanet",
        "--on",
        "plaza",
        "-p",
        "epochs",
        "0",
    ],
}


def starting(what: str, *, rounds: int = 3, threads: int = 1) -> Record:
    """One of COMMANDS, beside `python -c pass`."""
    run = partial(subprocess.run, capture_output=True, cwd=ROOT, check=False)
    command = [sys.executable, "-m", "reidrun.cli.main", *COMMANDS[what]]
    return beside_floor(
        what,
        lambda: run(command),
        floor_name="starting Python",
        floor=lambda: run([sys.executable, "-c", "pass"]),
        rounds=rounds,
        threads=threads,
    )

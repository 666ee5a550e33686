"""Run commands one after the other, and print what each and all of them took.

    python bench/timed.py 'installation=make .venv/ready' 'runs=.venv/bin/reid run ...'

Needs nothing but Python, since the first command may be the installation. Stops at a
failure, with its exit code.
"""

import os
import shlex
import subprocess
import sys
import time


def run(named: list[str]) -> int:
    """The exit code of the first command that fails, else 0; each is `name=command`."""
    start, code = time.perf_counter(), 0
    for name, _, command in (text.partition("=") for text in named):
        began = time.perf_counter()
        code = subprocess.run(shlex.split(command)).returncode
        say(name, time.perf_counter() - began)
        if code:
            break
    user, system = os.times()[2:4]  # of processes that have ended
    took = time.perf_counter() - start
    say("in all", took, f", {user + system:.0f} seconds of processors")
    return code


def say(what: str, seconds: float, more: str = "") -> None:
    """A line with minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    print(f"{what}: {minutes} min {rest} s{more}", flush=True)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

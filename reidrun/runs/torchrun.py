"""One run in several processes of this machine, a GPU each, which torchrun starts.

Who asks for it holds the run's folder and says how far it is. Each process executes the
notebook in a kernel of its own; the page of the main one is the run's, those of the
others go with the scratch folder. `python -m reidrun.runs.torchrun FILE` is one.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reidlib import processes
from reidlib.files import write_text
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.execute import execute_page
from reidrun.runs.locks import inherited
from reidrun.runs.stopping import Stopped, as_interrupt, interrupt_without_stdin
from reidrun.runs.sweep import threads

PATIENCE_SECONDS = 60  # for processes that were told to stop
LOG_LINES = 20
SECOND = "OtherProcessError"  # what fails where another process failed first


def check_processes(asked: int, parameters: Mapping[str, Any]) -> None:
    """Raise ParameterError for processes that cannot be, or have no GPU each."""
    if asked < 1:
        raise ParameterError(f"processes: {asked}; at least 1 is wanted")
    if asked == 1 or parameters.get("device") == "cpu":
        return
    import torch  # takes seconds, and most runs are of one process

    there = torch.cuda.device_count()
    if 0 < there < asked:
        remedy = f"start {there}, or add -p device cpu"
        raise ParameterError(
            f"processes: {asked}, but torch sees {there} GPUs; {remedy}"
        )


def global_batch(parameters: Mapping[str, Any], count: int) -> str:
    """Say what a step of several processes sees, and what its rates were stated for."""
    sides = [parameters.get("num_identities_per_batch")]
    sides += [parameters.get("images_per_identity")]
    rates = [name for name in parameters if name.endswith("learning_rate")]
    if None in sides:
        return f"{count} processes, each with batches of its own"
    one = sides[0] * sides[1]
    text = f"{count} processes: a step sees {count} batches of {sides[0]} × {sides[1]}"
    text += f" images, {count * one} in all"
    verb = "is" if len(rates) == 1 else "are"
    told = f"; {', '.join(rates)} {verb} stated for one batch, {one} images"
    return text + (told if rates else "")


def execute_together(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    *,
    log: bool = False,
    count: int,
) -> str:
    """Execute a notebook in several processes, as `execute_page` does in one.

    Raises RunError with the end of the error of the process that failed first, and
    Stopped where a kernel of theirs was told to stop. None of them outlives this one.
    """
    with tempfile.TemporaryDirectory(prefix="reid-") as folder:
        scratch = Path(folder)
        order = {"notebook": str(notebook), "output": str(output), "log": log}
        order["parameters"] = dict(parameters)
        write_text(scratch / "order.json", json.dumps(order))
        code = _launch(scratch, count, show=log)
        told = _told(scratch)
        for said in filter(None, (told[number]["stopped"] for number in sorted(told))):
            raise Stopped(said)
        if code or 0 not in told:
            raise _failure(told, scratch / "log", code)
        return told[0]["spent"]


def _launch(scratch: Path, count: int, *, show: bool) -> int:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(count), "--log-dir", str(scratch / "logs")]
    command += ["-m", "reidrun.runs.torchrun", str(scratch / "order.json")]
    env = {"TORCH_CPP_LOG_LEVEL": "ERROR", **os.environ}  # its warnings fill the page
    env["OMP_NUM_THREADS"] = str(threads(count))
    with (scratch / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=None if show else log,
            stderr=None if show else log,
            env=env,
            pass_fds=inherited(),  # the run is theirs until all have ended
            start_new_session=True,  # Ctrl-C reaches this process, which stops them
        )
        try:
            return process.wait()
        finally:
            process.stdin.close()  # each process ends with its stdin
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _told(scratch: Path) -> dict[int, dict[str, str]]:
    """What each process said at its end, by its number; one that was killed did not."""
    files = sorted(scratch.glob("*.told"))
    return {int(path.stem): json.loads(path.read_text("utf-8")) for path in files}


def _failure(told: Mapping[int, Mapping[str, str]], log: Path, code: int) -> RunError:
    failed = [number for number in sorted(told) if told[number]["error"]]
    if not failed:
        lines = log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
        said = "\n".join([f"torchrun ended with code {code}", *lines])
        return RunError(said)
    first = min(failed, key=lambda number: told[number]["error"].startswith(SECOND))
    where = f"in process {first}: " if first else ""
    error = RunError(where + told[first]["error"])
    error.__cause__ = RunError(where + told[first]["whole"])
    return error


def main() -> None:
    """Execute the notebook of an order as one of its processes."""
    as_interrupt(signal.SIGTERM, signal.SIGINT)
    path = Path(sys.argv[1])
    order, number = json.loads(path.read_text("utf-8")), processes.number()
    threading.Thread(target=interrupt_without_stdin, daemon=True).start()
    is_main = processes.is_main()
    output = Path(order["output"]) if is_main else path.with_name(f"{number}.ipynb")
    told = {"spent": "", "error": "", "whole": "", "stopped": ""}
    try:
        told["spent"] = execute_page(
            Path(order["notebook"]),
            output,
            order["parameters"],
            log=order["log"] and is_main,
        )
    except RunError as error:
        told |= {"error": str(error), "whole": str(error.__cause__ or error)}
    except Stopped as stopped:
        told["stopped"] = str(stopped)
    path.with_name(f"{number}.told").write_text(json.dumps(told), "utf-8")
    sys.exit(1 if told["error"] or told["stopped"] else 0)


if __name__ == "__main__":
    main()

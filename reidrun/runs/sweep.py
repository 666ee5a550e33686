"""Ablations planned, and their runs made on this machine, several side by side.

Each run has a process of its own: one that is killed stops no other, and a notebook
can start runs as well (papermill does not work inside a running event loop).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reidlib.checks import unknown
from reidlib.files import write_text
from reidrun.runs import execute, params
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.folder import is_complete, make_folder
from reidrun.runs.locks import refuse_running
from reidrun.runs.missing import refuse_missing_files
from reidrun.runs.names import folder_name
from reidrun.runs.plans import (
    Plan,
    make_plans,
    place_of,
    refuse_other_parameters,
)
from reidrun.runs.progress import last_line
from reidrun.runs.records import read_record
from reidrun.runs.schema import notebook_schema, validate
from reidrun.runs.stopping import STOPPED, Stopped

COMMAND = (sys.executable, "-m", "reidrun.runs.execute")
PAUSE_SECONDS = 0.1  # between two looks at what has ended
PATIENCE_SECONDS = 20  # for a run that was interrupted
STEP_SECONDS = 600  # for one that ends its step; a queue has less patience


class Failure(NamedTuple):
    """A run that failed, and the last line of its error."""

    plan: Plan
    message: str


class Page(NamedTuple):
    """The notebook of an ablation, checked: its tables and figures over all runs."""

    notebook: Path
    output: Path
    parameters: dict[str, Any]


class _Run(NamedTuple):
    plan: Plan
    process: subprocess.Popen
    began: float


def plan(
    *,
    ablation: str,
    benchmarks: Sequence[str],
    seeds: Sequence[int],
    outputs: Path,
    data_root: Path,
    variants: Sequence[str] = (),
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    rows: Sequence[params.Variant] = (),
    root: Path = ROOT,
) -> list[Plan]:
    """Plan the runs of an ablation, all of a seed before the next seed.

    ablation     a file of params/ablations by name, e.g. "fanet_components"
    variants     of the ablation; all where it is empty
    rows         its variants, where they were read before
    The rest is as in `make_plans`. Raises ParameterError for what is unknown, and
    RunError where a folder holds a run with other parameters.
    """
    _refuse_what_needs_no_runs(ablation, root)
    rows = rows or params.read_ablation(root / "params", ablation).variants
    known = [row.name for row in rows]
    for name in variants:
        if name not in known:
            raise ParameterError(unknown(f"variant of {ablation}", name, known))
    made = make_plans(
        root,
        ablation.partition("_")[0],
        benchmarks=benchmarks,
        seeds=seeds,
        variants=[row for row in rows if row.name in (variants or known)],
        outputs=outputs,
        data_root=data_root,
        scale=scale,
        overrides=overrides,
    )
    for one in made:
        refuse_other_parameters(one)
    return list({one.folder: one for one in made}.values())  # each run once


def _refuse_what_needs_no_runs(ablation: str, root: Path) -> None:
    place = Path("notebooks", "ablations")
    layer = root / "params" / "ablations" / f"{ablation}.yaml"
    if (root / place / f"{ablation}.ipynb").is_file() and not layer.is_file():
        raise ParameterError(
            f"{ablation} is a notebook that needs no runs: open it in JupyterLab, or"
            f" papermill --cwd {place} {place / ablation}.ipynb out.ipynb"
        )


def missing(plans: Iterable[Plan]) -> list[Plan]:
    """Return the plans whose run is not finished."""
    return [one for one in plans if not is_complete(one.folder)]


def check_jobs(jobs: int) -> None:
    """Raise ParameterError for less than one run at a time."""
    if jobs < 1:
        raise ParameterError(f"jobs: {jobs}; at least 1 is wanted")


def run(
    plans: Sequence[Plan], jobs: int = 1, report: Callable[[str], object] = print
) -> list[Failure]:
    """Run what is missing, `jobs` at a time; return what failed.

    `report` gets a line at the start and one for each run as it ends. A run that was
    interrupted goes on; one that fails stops no other. No run outlives an exception.
    Raises ParameterError before the first where a run's weights or data are not here.
    """
    check_jobs(jobs)
    waiting, running = missing(plans), []
    refuse_missing_files(waiting)
    total, ended = len(plans), len(plans) - len(waiting)
    report(f"{total} runs, {ended} already there")
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running += _start(waiting.pop(0), jobs, report)
            time.sleep(PAUSE_SECONDS)
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                ended += 1
                count = f"[{ended:{len(str(total))}}/{total}]"
                report(f"{count} {one.plan.title}: {_outcome(one)}")
    except Stopped:
        _let_end(running)
        raise
    finally:
        _stop(running)
    return failures(plans)


def _start(plan: Plan, jobs: int, report: Callable[[str], object]) -> list[_Run]:
    """Start a run; none where another process makes it, which is said."""
    try:
        refuse_running(plan.folder)
    except RunError as error:
        report(f"{plan.title}: {error}")
        return []
    make_folder(plan.folder)
    order = [str(plan.notebook), str(plan.folder), plan.parameters]
    # for errors before `execute` writes its own log, as of an import
    with (plan.folder / execute.ERROR_LOG).open("w") as log:
        process = subprocess.Popen(
            COMMAND,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=_environment(jobs),
            start_new_session=True,  # Ctrl-C reaches this process, which stops its runs
        )
    with contextlib.suppress(BrokenPipeError):  # it has died, as `run` will see
        process.stdin.write(f"{json.dumps(order)}\n".encode())
    return [_Run(plan, process, time.monotonic())]


def _environment(jobs: int) -> dict[str, str]:
    """This process's environment; runs side by side share the cores."""
    if jobs == 1:
        return dict(os.environ)
    return {**os.environ, "OMP_NUM_THREADS": str(threads(jobs))}


def threads(jobs: int) -> int:
    """Threads of each of `jobs` runs: OMP_NUM_THREADS, else a share of the cores."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit():
        return int(given)
    on_linux = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if on_linux else os.cpu_count() or 1
    return max(1, cores // jobs)


def _outcome(one: _Run) -> str:
    """Say in a line what a run scored, and how long it took, or that it failed."""
    one.process.stdin.close()
    if one.process.returncode == STOPPED:
        return "stopped"
    if not is_complete(one.plan.folder):
        _explain(one)
        return "FAILED"
    try:
        scores = read_record(one.plan.folder)["scores"]
    except RunError as error:
        return str(error)
    words = [f"{name} {100 * score['mAP']:.1f} mAP" for name, score in scores.items()]
    return ", ".join([*words, f"{time.monotonic() - one.began:.0f} s"])


def _explain(one: _Run) -> None:
    """Write into an empty error.log how the process of a run was ended."""
    path, code = one.plan.folder / execute.ERROR_LOG, one.process.returncode
    if last_line(path):
        return
    how = f"with code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
    remedy = execute.OUT_OF_MEMORY if code == -signal.SIGKILL else ""
    with contextlib.suppress(OSError):  # of a full disk
        write_text(path, f"the process of this run was ended {how}{remedy}\n")


def failures(plans: Iterable[Plan]) -> list[Failure]:
    """The plans whose run is not finished, with the last line of each error.log."""
    return [Failure(plan, _why(plan.folder)) for plan in missing(plans)]


def _why(folder: Path) -> str:
    if said := last_line(folder / execute.ERROR_LOG):
        return said
    try:
        refuse_running(folder)
    except RunError as error:
        return str(error)
    stopped = (folder / "checkpoint.pt").is_file()
    return "stopped; it can go on" if stopped else "no error.log"


def _let_end(running: Sequence[_Run]) -> None:
    """Tell runs to end their step and keep it, and wait for that."""
    for one in running:
        one.process.terminate()
    ending = time.monotonic() + STEP_SECONDS
    for one in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(max(0, ending - time.monotonic()))


def _stop(running: Sequence[_Run]) -> None:
    for one in running:
        one.process.stdin.close()  # a run ends with its stdin
    for one in running:
        try:
            one.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()


def plan_page(
    *,
    ablation: str,
    benchmarks: Sequence[str],
    seeds: Sequence[int],
    outputs: Path,
    data_root: Path,
    variants: Sequence[str] = (),
    root: Path = ROOT,
) -> Page | None:
    """Plan notebooks/ablations/<ablation>.ipynb; None where there is no such notebook.

    It gets those of these arguments that its schema names, places as seen from its
    folder, and is written to <outputs>/<first benchmark>/<paper>/<what>.ipynb.
    """
    notebook = root.resolve() / "notebooks" / "ablations" / f"{ablation}.ipynb"
    if not notebook.is_file():
        return None
    paper, _, what = ablation.partition("_")
    outputs, data_root = Path(outputs).resolve(), Path(data_root).resolve()
    benchmarks = [place_of(name, data_root) for name in benchmarks]
    given = {
        "benchmarks": list(benchmarks),
        "seeds": list(seeds),
        "variants": list(variants),
        "outputs": os.path.relpath(outputs, notebook.parent),
        "data_root": os.path.relpath(data_root, notebook.parent),
    }
    schema = notebook_schema(notebook)
    named = {name: value for name, value in given.items() if name in schema}
    parameters = validate(named, schema, where=notebook.name, partial=True)
    output = outputs / folder_name(benchmarks[0]) / paper / f"{what}.ipynb"
    return Page(notebook, output, parameters)

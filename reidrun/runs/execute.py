"""One notebook, executed in a run folder through papermill.

A run is judged by two things together: no cell failed, and metrics.json is there.
`python -m reidrun.runs.execute` is a run in a process of its own; `sweep` starts it.
"""

import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from reidlib.files import write_text
from reidlib.reading import read_json
from reidrun.runs import stopping
from reidrun.runs.errors import RunError
from reidrun.runs.folder import (
    ERROR_LOG,
    PROGRESS,
    drop_checkpoint,
    is_complete,
    make_folder,
    write_parameters,
)
from reidrun.runs.kernels import ThisPython, folder_of_sockets, kernel_config
from reidrun.runs.locks import FULL, RUNNING, held, unwritten
from reidrun.runs.names import OF_THIS_MACHINE
from reidrun.runs.progress import PACE

KEPT = "TrainingStopped"  # what a kernel raises that was told to stop, and is kept
NOTEBOOK, PAGE = "run.ipynb", "run.html"
AUTOSAVE_SECONDS = 30
LOOK_SECONDS = 0.5  # between two looks at how far a run is
START_SECONDS = 300  # until a kernel answers, on a busy machine
ERROR_LINES = 40
SLOWEST_CELLS = 6  # whose seconds are said
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|/)[^)#]+\.(?:ipynb|md)")  # to a file of ours
KEPT_MEMORY = {  # bytes that glibc keeps when they are free, for the next batch
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
}
NO_RECORD = "ended without metrics.json: call run.save"
OUT_OF_MEMORY = "; most often the memory has run out"


def execute(
    notebook: Path,
    folder: Path,
    parameters: Mapping[str, Any],
    *,
    log: bool = False,
    report: Callable[[str], object] | None = None,
    keep_checkpoint: bool = False,
    make_page: Callable[..., str] | None = None,
) -> None:
    """Execute a notebook with parameters; leave folder/run.ipynb and what it writes.

    The kernel's folder is the notebook's. `log` shows the output of the cells as it
    comes, `report` gets a line per epoch, and one that says which cells took how many
    seconds. The checkpoint of a finished run goes, unless it is to be kept. `make_page`
    executes it otherwise than `execute_page`. Raises RunError with the end of the
    error; error.log then holds all of it. Raises Stopped where the command or the
    kernel was told to stop, and RunError before anything is touched where another
    process makes the run.
    """
    make_page = make_page or execute_page
    make_folder(folder)
    with held(folder):
        (folder / ERROR_LOG).unlink(missing_ok=True)
        try:
            write_parameters(folder, parameters)
        except OSError as error:
            raise RunError(unwritten(error, folder)) from None
        try:
            with _reported(folder / PROGRESS, report):
                spent = make_page(notebook, folder / NOTEBOOK, parameters, log=log)
            if report and spent:
                report(spent)
            if not is_complete(folder):
                raise RunError(f"{notebook.name} {NO_RECORD}")
        except (RunError, stopping.Stopped) as error:
            (folder / "metrics.json").unlink(missing_ok=True)
            if isinstance(error, RunError):
                _keep(error, folder)
            raise
        if not keep_checkpoint:
            drop_checkpoint(folder)


def tidy_finished(notebook: Path, folder: Path, *, keep_checkpoint: bool) -> None:
    """Do for a finished run what was left to do when its command was killed."""
    if keep_checkpoint or not (folder / RUNNING).is_file():
        return
    with held(folder):
        drop_checkpoint(folder)
        for name in (PROGRESS, PACE):
            (folder / name).unlink(missing_ok=True)
        with suppress(ValueError, OSError):
            _tidy(folder / NOTEBOOK, notebook.parent)


def _keep(error: RunError, folder: Path) -> None:
    """Write what went wrong to error.log, where the disk still takes it."""
    whole = error.__cause__ or error
    with suppress(OSError):
        write_text(folder / ERROR_LOG, f"{str(whole).rstrip()}{_remedy(whole)}\n")


@contextmanager
def _reported(path: Path, report: Callable[[str], object] | None) -> Iterator[None]:
    """Report the lines of a file as they come, and remove it in the end."""
    path.unlink(missing_ok=True)
    ended, shown = threading.Event(), 0

    def follow() -> None:
        nonlocal shown
        while True:
            last = ended.wait(LOOK_SECONDS)
            lines = path.read_text("utf-8").splitlines() if path.is_file() else []
            for line in lines[shown:]:
                report(line)
            shown = len(lines)
            if last:
                return

    follower = threading.Thread(target=follow, daemon=True)
    if report:
        follower.start()
    try:
        yield
    finally:
        ended.set()
        if report:
            follower.join()
        path.unlink(missing_ok=True)


def execute_page(
    notebook: Path, output: Path, parameters: Mapping[str, Any], *, log: bool = False
) -> str:
    """Execute a notebook that leaves `output` but no record: the page of an ablation.

    Returns which cells took how many seconds, in words. Raises RunError with the end of
    the error; `output` then shows all of it. Raises Stopped where this process or the
    kernel was told to stop.
    """
    make_folder(output.parent)
    ThisPython.process = None
    with stopping.passing_on(lambda: ThisPython.process) as came:
        try:
            _papermill(notebook, output, parameters, log)
            return _seconds_of_cells(output)
        except Exception as error:
            if said := _stopped(error, came):
                raise stopping.Stopped(said) from None
            if isinstance(error, OSError) and error.errno in FULL:  # of the page
                raise RunError(unwritten(error, output.parent)) from error
            raise RunError(_last_lines(error)) from error
        finally:
            with suppress(ValueError, OSError):  # cut short, by a full disk or a kill
                _tidy(output, notebook.parent)


def _stopped(error: Exception, came: list[int]) -> str:
    """What is said where a notebook ended because it was told to; "" where it failed.

    came   the signals that told this process; those to the kernel are known by its end
    """
    if name := getattr(error, "ename", ""):  # raised by a cell
        return error.evalue if name == KEPT else ""
    return stopping.reason(came, getattr(ThisPython.process, "returncode", None))


def _papermill(
    notebook: Path, output: Path, parameters: Mapping[str, Any], log: bool
) -> None:
    import papermill  # here, as it takes two seconds; nbformat and nbconvert, too

    quiet, shown = ("TQDM_DISABLE", "1"), ("TQDM_MININTERVAL", "10")
    os.environ.setdefault(*(shown if log else quiet))  # a bar is an output per refresh
    for name, size in KEPT_MEMORY.items():
        os.environ.setdefault(name, size)
    if log:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    with folder_of_sockets() as sockets:
        papermill.execute_notebook(
            _literal(notebook),
            _literal(output),
            parameters=dict(parameters),
            kernel_name="python3",
            cwd=notebook.parent,
            progress_bar=False,
            log_output=log,
            autosave_cell_every=AUTOSAVE_SECONDS,
            start_timeout=START_SECONDS,
            config=kernel_config(sockets),
            coalesce_streams=True,
        )


def _literal(path: Path) -> str:
    """A path for papermill, which puts parameters where it sees braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _last_lines(error: Exception) -> str:
    name = getattr(error, "ename", type(error).__name__)
    text = f"{name}: {getattr(error, 'evalue', error)}{_remedy(error)}"
    return "\n".join(text.splitlines()[-ERROR_LINES:])


def _remedy(error: Exception) -> str:
    return OUT_OF_MEMORY if type(error).__name__ == "DeadKernelError" else ""


def _seconds_of_cells(path: Path) -> str:
    """Where the time of an executed notebook went, in words; "" if it does not say."""
    cells = read_json(path, "execute it again", raises=RunError)["cells"]
    timed = [
        (c["metadata"].get("papermill", {}).get("duration"), c["id"]) for c in cells
    ]
    timed = sorted([(took, name) for took, name in timed if took], reverse=True)
    if not timed:
        return ""
    most, others = timed[:SLOWEST_CELLS], timed[SLOWEST_CELLS:]
    most = [f"{name} {took:.0f}" for took, name in most]
    others = f"others {sum(took for took, _ in others):.0f}"
    total = sum(took for took, _ in timed)
    return f"{total:.0f} seconds in cells: {', '.join([*most, others])}"


def _tidy(path: Path, home: Path) -> None:
    """Remove times and this machine's folders from an executed notebook.

    Its links were written in `home`, the folder of the notebook that was executed.
    """
    if not path.is_file():
        return
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _relinked(cell.source, home, path.parent)
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            places = tuple(f"{name} =" for name in OF_THIS_MACHINE)
            lines = cell.source.splitlines()
            cell.source = "\n".join(x for x in lines if not x.startswith(places))
    write_text(path, nbformat.writes(notebook) + "\n")


def _relinked(text: str, home: Path, here: Path) -> str:
    """Markdown with its links to files changed from folder `home` to `here`."""
    return LINK.sub(
        lambda link: Path(os.path.relpath(home / link[0], here)).as_posix(), text
    )


def write_page(folder: Path) -> Path:
    """Write run.html, the executed notebook as one page; return its path."""
    write_text(folder / PAGE, as_page(folder / NOTEBOOK))
    return folder / PAGE


def as_page(notebook: Path) -> str:
    """A notebook as HTML, as it was executed."""
    from nbconvert import HTMLExporter

    return HTMLExporter().from_filename(str(notebook))[0]


def main() -> None:
    """Execute the run that a line on stdin asks for, and stop when stdin is closed.

    The line is JSON: [notebook, run folder, parameters]. Whatever ends the process that
    started this one closes stdin, so that no run is left behind.
    """
    stopping.listen()
    stopping.as_interrupt(signal.SIGINT)
    notebook, folder, parameters = json.loads(sys.stdin.readline())
    threading.Thread(target=stopping.interrupt_without_stdin, daemon=True).start()
    try:
        execute(Path(notebook), Path(folder), parameters)
    except RunError as error:
        sys.exit(str(error))
    except stopping.Stopped:
        sys.exit(stopping.STOPPED)


if __name__ == "__main__":
    main()

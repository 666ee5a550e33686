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
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config

from reidlib.files import write_text
from reidlib.reading import read_json
from reidrun.runs.errors import RunError
from reidrun.runs.folder import (
    ERROR_LOG,
    PROGRESS,
    drop_checkpoint,
    is_complete,
    make_folder,
    write_parameters,
)
from reidrun.runs.names import FOLDER_PARAMETERS
from reidrun.runs.progress import held

NOTEBOOK, PAGE = "run.ipynb", "run.html"
AUTOSAVE_SECONDS = 30
LOOK_SECONDS = 0.5  # between two looks at how far a run is
START_SECONDS = 300  # until a kernel answers, on a busy machine
ERROR_LINES = 40
SLOWEST_CELLS = 6  # whose seconds are said
LONGEST_TMPDIR = 70  # bytes: a socket's path has at most 107, on macOS 103
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|/)[^)#]+\.(?:ipynb|md)")  # to a file of ours
KEPT_MEMORY = {  # bytes that glibc keeps when they are free, for the next batch
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
}
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
    error; error.log then holds all of it.
    """
    make_page = make_page or execute_page
    make_folder(folder)
    (folder / ERROR_LOG).unlink(missing_ok=True)
    write_parameters(folder, parameters)
    try:
        with held(folder), _reported(folder / PROGRESS, report):
            spent = make_page(notebook, folder / NOTEBOOK, parameters, log=log)
        if report and spent:
            report(spent)
        if not is_complete(folder):
            raise RunError(f"{notebook.name} ended without metrics.json: call run.save")
    except RunError as error:
        (folder / "metrics.json").unlink(missing_ok=True)
        whole = error.__cause__ or error
        write_text(folder / ERROR_LOG, f"{str(whole).rstrip()}{_remedy(whole)}\n")
        raise
    if not keep_checkpoint:
        drop_checkpoint(folder)


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
    the error; `output` then shows all of it.
    """
    make_folder(output.parent)
    try:
        _papermill(notebook, output, parameters, log)
        return _seconds_of_cells(output)
    except Exception as error:
        raise RunError(_last_lines(error)) from error
    finally:
        _tidy(output, notebook.parent)


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
    with _folder_of_sockets() as sockets:
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
            config=_kernel_config(sockets),
            coalesce_streams=True,
        )


def _literal(path: Path) -> str:
    """A path for papermill, which puts parameters where it sees braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _folder_of_sockets() -> tempfile.TemporaryDirectory:
    """A folder whose path a socket's name can hold: TMPDIR, or /tmp for a long one."""
    usual = tempfile.gettempdir()
    place = usual if len(os.fsencode(usual)) <= LONGEST_TMPDIR else "/tmp"
    try:
        return tempfile.TemporaryDirectory(
            prefix="reid-", dir=place, ignore_cleanup_errors=True
        )
    except OSError as error:
        said = f"{place} cannot be written to ({error.strerror})"
        raise RunError(f"{said}: set TMPDIR to a short path") from None


class ThisPython(AsyncKernelManager):
    """Kernels of the interpreter that runs this, whatever `python3` is elsewhere.

    JUPYTER_PATH or a user's own folder may have a kernel python3 of another one.
    """

    @property
    def kernel_spec(self) -> KernelSpec:
        """How a kernel is started."""
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


def _kernel_config(sockets: str) -> Config:
    """A kernel with sockets in a folder of its own: ports could clash side by side."""
    config = Config()
    config.NotebookClient.kernel_manager_class = ThisPython
    config.KernelManager.transport = "ipc"
    config.KernelManager.ip = f"{sockets}/kernel"
    return config


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
            places = tuple(f"{name} =" for name in FOLDER_PARAMETERS)
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
    as_interrupt(signal.SIGINT)
    notebook, folder, parameters = json.loads(sys.stdin.readline())
    threading.Thread(target=interrupt_without_stdin, daemon=True).start()
    try:
        execute(Path(notebook), Path(folder), parameters)
    except RunError as error:
        sys.exit(str(error))


def as_interrupt(*signals: signal.Signals) -> None:
    """Let signals interrupt this process; a shell's `&` has it ignore Ctrl-C."""
    for one in signals:
        signal.signal(one, signal.default_int_handler)


def interrupt_without_stdin() -> None:
    """Interrupt this process when its stdin is closed."""
    while os.read(0, 1):  # reading sys.stdin would block the interpreter's exit
        pass
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


if __name__ == "__main__":
    main()

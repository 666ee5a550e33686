"""One notebook, executed in a run folder through papermill.

A run is judged by two things together: no cell failed, and metrics.json is there.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reidlib.runs import RunError, is_complete, write_parameters, write_text

NOTEBOOK, PAGE, ERROR_LOG = "run.ipynb", "run.html", "error.log"
AUTOSAVE_SECONDS = 30
START_SECONDS = 300  # a busy machine takes its time to start a kernel
ERROR_LINES = 40


def execute(
    notebook: Path, folder: Path, parameters: Mapping[str, Any], *, log: bool = False
) -> None:
    """Execute a notebook with parameters; leave folder/run.ipynb and what it writes.

    The kernel's folder is the notebook's. `log` shows the output of the cells as it
    comes. Raises RunError with the end of the error; error.log then holds all of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ERROR_LOG).unlink(missing_ok=True)
    write_parameters(folder, parameters)
    try:
        _papermill(notebook, folder / NOTEBOOK, parameters, log)
    except Exception as error:
        (folder / "metrics.json").unlink(missing_ok=True)
        write_text(folder / ERROR_LOG, f"{error}\n")
        raise RunError(_last_lines(error)) from error
    finally:
        _tidy(folder / NOTEBOOK)
    if not is_complete(folder):
        raise RunError(f"{notebook.name} ended without metrics.json: call save_run")


def _papermill(
    notebook: Path, output: Path, parameters: Mapping[str, Any], log: bool
) -> None:
    import papermill
    from traitlets.config import Config

    quiet, shown = ("TQDM_DISABLE", "1"), ("TQDM_MININTERVAL", "10")
    os.environ.setdefault(*(shown if log else quiet))  # a bar is an output per refresh
    if log:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = Config()
    config.KernelManager.transport = "ipc"  # no ports, so parallel runs never clash
    papermill.execute_notebook(
        notebook,
        output,
        parameters=dict(parameters),
        kernel_name="python3",
        cwd=notebook.parent,
        progress_bar=False,
        log_output=log,
        autosave_cell_every=AUTOSAVE_SECONDS,
        start_timeout=START_SECONDS,
        config=config,
        coalesce_streams=True,
    )


def _last_lines(error: Exception) -> str:
    name = getattr(error, "ename", type(error).__name__)
    text = f"{name}: {getattr(error, 'evalue', error)}"
    if name == "DeadKernelError":
        text += "; most often the memory has run out"
    return "\n".join(text.splitlines()[-ERROR_LINES:])


def _tidy(path: Path) -> None:
    """Take times and paths of this machine out of an executed notebook's metadata."""
    if not path.is_file():
        return
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
    write_text(path, nbformat.writes(notebook) + "\n")


def write_page(folder: Path) -> Path:
    """Write run.html, the executed notebook as one page; return its path."""
    from nbconvert import HTMLExporter

    body, _ = HTMLExporter().from_filename(str(folder / NOTEBOOK))
    write_text(folder / PAGE, body)
    return folder / PAGE

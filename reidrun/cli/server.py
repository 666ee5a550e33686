"""`reid gallery`, on this machine: notebooks become pages when asked for."""

import argparse
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from reidrun.cli.arguments import add_folder
from reidrun.runs.errors import RunError
from reidrun.runs.execute import as_page

HOST = "127.0.0.1"  # other machines are not answered
PORT = 8899  # not that of JupyterLab
SAY = partial(print, flush=True)  # in a pipe too, before it waits


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid gallery` its arguments."""
    text = "of this machine where they are shown (default: %(default)s)"
    command.add_argument("--port", type=int, default=PORT, help=text)
    add_folder(command, "--outputs", root / "outputs", "of the runs")
    command.set_defaults(command=show_gallery)


def show_gallery(args: argparse.Namespace, root: Path) -> int:
    """Show the executed notebooks under --outputs until Ctrl-C."""
    show(args.outputs, args.port)
    return 0


class Pages(SimpleHTTPRequestHandler):
    """The files of a folder; a notebook as the page that `reid run --html` writes."""

    def do_GET(self) -> None:
        """Answer with a page for a notebook, else with the file."""
        path = Path(self.translate_path(self.path))
        if path.suffix != ".ipynb" or not path.is_file():
            super().do_GET()
            return
        try:
            page = as_page(path).encode()
        except Exception as error:  # nbformat and nbconvert raise what parsers raise
            fault = HTTPStatus.INTERNAL_SERVER_ERROR
            self.send_error(fault, f"{path.name} is no notebook", str(error))
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        """Stay silent: a terminal is no log of who looked at what."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Listen on a port of this machine, any free one if it is 0.

    Raises RunError where the folder is not there or the port is taken.
    """
    if not folder.is_dir():
        raise RunError(f"{folder.name} is no folder: try reid run")
    try:
        return ThreadingHTTPServer((HOST, port), partial(Pages, directory=str(folder)))
    except OSError as error:
        raise RunError(f"port {port}: {error.strerror}; try another --port") from None


def show(folder: Path, port: int, say: Callable[[str], Any] = SAY) -> None:
    """Show a folder until Ctrl-C."""
    with server(folder, port) as listening:
        say(f"http://{HOST}:{listening.server_port}/ until Ctrl-C")
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            say("")

"""`reid gallery`: the site that `make site` has built, on this machine alone."""

import argparse
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from reidrun.cli.arguments import add_folder
from reidrun.cli.messages import short
from reidrun.runs.errors import RunError

HOST = "127.0.0.1"  # other machines are not answered
NAMES = {HOST, "localhost", ""}  # nor names that somebody else points here
PORT = 8899  # not that of JupyterLab
SAY = partial(print, flush=True)  # in a pipe too, before it waits


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid gallery` its arguments."""
    text = "of this machine where it is shown (default: %(default)s)"
    command.add_argument("--port", type=int, default=PORT, help=text)
    add_folder(command, "--site", root / "site", "that `make site` has written")
    command.set_defaults(command=show_gallery)


def show_gallery(args: argparse.Namespace, root: Path) -> int:
    """Show the site until Ctrl-C."""
    show(args.site, args.port)
    return 0


class Pages(SimpleHTTPRequestHandler):
    """The files of a folder, for those who ask this machine for them by its name."""

    def send_head(self) -> Any:
        """Answer as the library does, but refuse other names and what lies outside."""
        name, _, port = self.headers.get("Host", "").partition(":")
        if name not in NAMES or not (port or "0").isdecimal():
            return self._refuse(HTTPStatus.FORBIDDEN)
        try:
            path = Path(self.translate_path(self.path)).resolve()
            inside = path.is_relative_to(Path(self.directory).resolve())
            is_there = inside and path.exists()
        except (OSError, ValueError):  # a name that no file can have
            is_there = False
        return super().send_head() if is_there else self._refuse(HTTPStatus.NOT_FOUND)

    def _refuse(self, code: HTTPStatus) -> None:
        self.send_error(code)  # in the library's words: a name would write headers

    def list_directory(self, path: Any) -> None:
        """A folder without a page shows nothing."""
        return self._refuse(HTTPStatus.NOT_FOUND)

    def log_message(self, *_: Any) -> None:
        """Stay silent: a terminal is no log of who looked at what."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Listen on a port of this machine, any free one if it is 0.

    Raises RunError where the folder is not there or the port is taken.
    """
    if not folder.is_dir():
        raise RunError(f"{short(folder)} is not there: `make site` builds it")
    try:
        return ThreadingHTTPServer((HOST, port), partial(Pages, directory=str(folder)))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise RunError(f"port {port}: {why}; try another --port") from None


def show(folder: Path, port: int, say: Callable[[str], Any] = SAY) -> None:
    """Show a folder until Ctrl-C."""
    with server(folder, port) as listening:
        say(f"http://{HOST}:{listening.server_port}/ until Ctrl-C")
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            say("")

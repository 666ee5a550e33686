"""A hub of weights on this machine, for torch.hub and for Hugging Face's client."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

COMMIT = "0123456789" * 4


class Hub(BaseHTTPRequestHandler):
    """Answers for files by "owner/repository/file", or by a path of their own."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        content = self.content(self.path.partition("?")[0].strip("/"))
        self.send_response(404 if content is None else 200)
        content = content or b""
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.end_headers()
        return content

    def content(self, path: str) -> bytes | None:
        if not path.startswith("api/models/"):
            for revision in (COMMIT, "main"):
                path = path.replace(f"resolve/{revision}/", "")
            return self.files.get(path)
        repository = "/".join(path.split("/")[2:4])
        start = f"{repository}/"
        own = {n.removeprefix(start): n for n in self.files if n.startswith(start)}
        siblings = [{"rfilename": name} for name in own]
        about = {"id": repository, "sha": COMMIT, "siblings": siblings}
        tree = [
            {"type": "file", "path": n, "size": len(self.files[own[n]]), "oid": COMMIT}
            for n in own
        ]
        found = tree if "/tree/" in path else about
        return json.dumps(found).encode() if own else None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def small_hub(files: dict[str, bytes]) -> Iterator[str]:
    """Serve files; give the address."""
    handler = type("OwnHub", (Hub,), {"files": files})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

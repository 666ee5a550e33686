"""The site in a browser: to this machine's names alone, and nothing from outside it."""

import socket
import threading
from contextlib import contextmanager
from urllib.request import urlopen

import pytest

from reidrun.cli import server as showing
from reidrun.runs.errors import RunError


@contextmanager
def listening(folder):
    with showing.server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def site(tmp_path):
    """A site, and beside it what nobody should see."""
    folder = tmp_path / "site"
    (folder / "empty").mkdir(parents=True)
    (folder / "index.html").write_text("<p>home</p>")
    (tmp_path / "secret.txt").write_text("SECRET")
    (folder / "link.txt").symlink_to("../secret.txt")
    (folder / "up").symlink_to("..")
    (folder / "near.html").symlink_to("index.html")
    return folder


def asked(port: int, path: str, host: str = "127.0.0.1", method: str = "GET") -> bytes:
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        head = f"{method} {path} HTTP/1.0\r\nHost: {host}\r\n\r\n"
        connection.sendall(head.encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_files_come_as_they_are(site):
    with listening(site) as port:
        with urlopen(f"http://localhost:{port}/?x=1") as answer:
            assert answer.read() == b"<p>home</p>"
            assert answer.headers["Content-Type"] == "text/html"
        for host in ("localhost", f"127.0.0.1:{port}", f"localhost:{port}"):
            assert b"<p>home</p>" in asked(port, "/index.html", host)
        assert b"<p>home</p>" in asked(port, "/near.html"), "a link inside"
        assert asked(port, "/", method="HEAD").startswith(b"HTTP/1.0 200")


@pytest.mark.parametrize(
    "host", ["attacker.example", "127.0.0.1.attacker.example", "localhost:x", "[::1"]
)
def test_another_name_is_refused(site, host):
    with listening(site) as port:
        for method in ("GET", "HEAD"):
            answer = asked(port, "/index.html", host, method)
            assert answer.startswith(b"HTTP/1.0 403") and b"home" not in answer


@pytest.mark.parametrize(
    "path",
    [
        *("/absent.html", "/../secret.txt", "/%2e%2e/secret.txt", "/link.txt"),
        *("/up/secret.txt", "/up/", "/empty/", "/a%00", "/" + "a" * 5000),
        *("/bad%0d%0aX-Injected:%201%0d%0a.html", "/%E6%A8%A1%E5%9E%8B.ipynb"),
    ],
)
def test_what_is_not_there_or_lies_outside_is_refused(site, path):
    with listening(site) as port:
        answer = asked(port, path)
    assert answer.startswith(b"HTTP/1.0 404")
    assert b"SECRET" not in answer and b"\r\nX-Injected" not in answer


def test_a_folder_or_port_that_cannot_be_had_is_named(tmp_path):
    with pytest.raises(RunError, match="absent is not there: `make site` builds it"):
        showing.server(tmp_path / "absent", 0)
    taken = pytest.raises(RunError, match=r"port \d+: .*in use; try another --port")
    with showing.server(tmp_path, 0) as server, taken:
        showing.server(tmp_path, server.server_port)
    with pytest.raises(RunError, match="port 70000: .*; try another --port"):
        showing.server(tmp_path, 70000)


def test_ctrl_c_ends_it(tmp_path, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(showing.ThreadingHTTPServer, "serve_forever", interrupt)
    said = []
    showing.show(tmp_path, 0, said.append)
    assert said[0].startswith("http://127.0.0.1:") and said[1:] == [""]

"""The gallery in a browser: notebooks come as pages, other files as they are."""

import threading
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from toys.small_runs import image, write_notebook

from reidrun.cli import server as showing
from reidrun.runs.errors import RunError


@contextmanager
def listening(folder):
    with showing.server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{showing.HOST}:{server.server_port}"
        server.shutdown()


def test_notebooks_come_as_pages_and_files_as_they_are(tmp_path):
    write_notebook(tmp_path / "runs/full+epochs=1-s0/run.ipynb", image())
    (tmp_path / "index.html").write_text("<p>cards</p>")
    with listening(tmp_path) as address:
        with urlopen(f"{address}/") as answer:
            assert answer.read() == b"<p>cards</p>"
        with urlopen(f"{address}/runs/full%2Bepochs%3D1-s0/run.ipynb?x=1") as answer:
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            page = answer.read().decode()
    assert '<h1 id="A-toy">A toy' in page
    assert "data:image/png;base64," in page


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("absent.ipynb", 404),
        ("broken.ipynb", 500),
        ("../secret.txt", 404),
        ("%2e%2e/secret.txt", 404),
        ("%2e%2e/other.ipynb", 404),
    ],
)
def test_what_is_not_there_or_no_notebook_is_refused(tmp_path, place, code):
    folder = tmp_path / "outputs"
    folder.mkdir()
    (folder / "broken.ipynb").write_text("{")
    (tmp_path / "secret.txt").write_text("not for the browser")
    write_notebook(tmp_path / "other.ipynb")
    with listening(folder) as address, pytest.raises(HTTPError) as error:
        urlopen(f"{address}/{place}")
    with error.value:
        assert error.value.code == code


def test_a_folder_or_port_that_cannot_be_had_is_named(tmp_path):
    with pytest.raises(RunError, match="absent is no folder"):
        showing.server(tmp_path / "absent", 0)
    taken = pytest.raises(RunError, match=r"port \d+: .*in use; try another --port")
    with showing.server(tmp_path, 0) as server, taken:
        showing.server(tmp_path, server.server_port)


def test_ctrl_c_ends_it(tmp_path, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(showing.ThreadingHTTPServer, "serve_forever", interrupt)
    said = []
    showing.show(tmp_path, 0, said.append)
    assert said[0].startswith("http://127.0.0.1:") and said[1:] == [""]

"""Notebooks executed where surroundings are odd: their kernel, their folders."""

import json
import tempfile
from pathlib import Path

import pytest
from toys.toy_paper import notebook

from reidrun.runs import execute
from reidrun.runs.errors import RunError
from reidrun.runs.folder import make_folder

CELLS = {
    "parameters": 'seed: int = 0  # of all, in [0, inf)\nrun_dir: str = ""  # place',
    "save": "import sys\nfrom pathlib import Path\n"
    'text = f\'{{"by": "{sys.executable}"}}\'\n'
    "_ = Path(run_dir, 'metrics.json').write_text(text)",
}


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "paper.ipynb"
    path.write_text(json.dumps(notebook(CELLS)))

    def run(folder: Path) -> dict:
        execute.execute(path, folder, {"seed": 0, "run_dir": str(folder)})
        assert (folder / "run.ipynb").is_file()
        return json.loads((folder / "metrics.json").read_text())

    return run


def test_braces_in_a_path_are_no_parameters_and_the_kernel_is_this_python(
    run, tmp_path, monkeypatch
):
    import sys

    other = tmp_path / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    kernel = {"argv": ["/bin/false"], "display_name": "Hub", "language": "python"}
    (other / "kernel.json").write_text(json.dumps(kernel))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    assert run(tmp_path / "out{1}{seed} ä") == {"by": sys.executable}


def test_sockets_lie_where_their_path_is_short(monkeypatch, tmp_path):
    long = tmp_path / ("scratch_" * 11)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with execute._folder_of_sockets() as folder:
        assert folder.startswith("/tmp/reid-")
    monkeypatch.setattr(tempfile, "tempdir", "/absent")
    with pytest.raises(RunError, match="absent cannot be written to .*: set TMPDIR"):
        execute._folder_of_sockets()


def test_outputs_that_cannot_be_made_are_said_in_a_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file/run cannot be made .*by --outputs"):
        make_folder(tmp_path / "file" / "run")

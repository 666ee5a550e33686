"""Notebooks executed where surroundings are odd: their kernel, their folders."""

import json
from pathlib import Path

import pytest
from toys.toy_paper import notebook

from reidrun.runs import execute
from reidrun.runs.errors import RunError
from reidrun.runs.folder import make_folder

CELLS = {
    "parameters": 'seed: int = 0  # of all, in [0, inf)\nrun_dir: str = ""  # place',
    "save": "import json\nimport os\nimport sys\nfrom pathlib import Path\n"
    'kept = os.environ.get("MALLOC_TRIM_THRESHOLD_")\n'
    'text = json.dumps({"by": sys.executable, "kept": kept})\n'
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
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    made = run(tmp_path / "out{1}{seed} ä")
    assert made == {"by": sys.executable, "kept": "4294967296"}


def test_where_the_seconds_went_is_said_and_not_kept(tmp_path, monkeypatch):
    took = {f"cell-{n}": 10.0 * n for n in range(1, 9)}

    def stand_in(notebook_, output, parameters, log):
        book = notebook(dict.fromkeys(took, "x = 1"))
        for cell in book["cells"]:
            cell["metadata"]["papermill"] = {"duration": took[cell["id"]]}
        output.write_text(json.dumps(book))
        (output.parent / "metrics.json").write_text("{}")

    monkeypatch.setattr(execute, "_papermill", stand_in)
    lines = []
    execute.execute(tmp_path / "a.ipynb", tmp_path / "out", {}, report=lines.append)
    assert lines == [
        "360 seconds in cells: cell-8 80, cell-7 70, cell-6 60, cell-5 50, cell-4 40,"
        " cell-3 30, others 30"
    ]
    page = tmp_path / "out" / "run.ipynb"
    assert "duration" not in page.read_text()
    assert execute._seconds_of_cells(page) == "", "it does not say any more"


def test_outputs_that_cannot_be_made_are_said_in_a_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file/run cannot be made .*by --outputs"):
        make_folder(tmp_path / "file" / "run")

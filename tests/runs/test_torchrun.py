"""A notebook in two processes of this machine: one page, and no kernel left behind."""

import json
import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from toys.toy_paper import notebook

from reidrun.cli import main as cli
from reidrun.runs import execute, torchrun
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.locks import is_running
from reidrun.runs.plans import make_plan
from reidrun.runs.stopping import Stopped

CELLS = {
    "parameters": 'seed: int = 0  # of all, in [0, inf)\nrun_dir: str = ""  # place',
    "who": "import os, time\nfrom pathlib import Path\n"
    "from reidlib import processes\nfrom reidlib.files import write_text\n"
    "pids = Path(run_dir).parent / 'pids'\npids.mkdir(exist_ok=True)\n"
    "_ = (pids / str(processes.number())).write_text(str(os.getpid()))",
    "hold": "from reidrun.runs.locks import hold, is_running\n"
    "if processes.is_main():\n"
    "    assert is_running(Path(run_dir)), 'who asked for it holds the run'\n"
    "    assert hold(Path(run_dir)) is None, 'and for this kernel, too'",
    "save": "text = f'{{\"count\": {processes.count()}}}'\n"
    "write_text(Path(run_dir, 'metrics.json'), text)",
}
ONE_FAILS = """\
if processes.number() == 1:
    raise OSError("cannot read 0001.jpg")
time.sleep(300)
"""


def execute_in_two(root: Path, cells: dict[str, str], report=None) -> Path:
    path, folder = root / "paper.ipynb", root / "run"
    path.write_text(json.dumps(notebook(cells)))
    given = {"seed": 0, "run_dir": str(folder)}
    make_page = partial(torchrun.execute_together, count=2)
    try:
        execute.execute(path, folder, given, report=report, make_page=make_page)
    finally:
        assert_all_are_gone(root / "pids")
    return folder


def assert_all_are_gone(pids: Path) -> None:
    kernels = [int(path.read_text()) for path in sorted(pids.iterdir())]
    assert len(kernels) == 2
    for _ in range(100):
        if not any(Path("/proc", str(pid)).exists() for pid in kernels):
            return
        time.sleep(0.1)
    raise AssertionError(f"of {kernels} one is left")


def test_the_page_is_the_main_process_s_and_the_others_leave_nothing(tmp_path):
    lines = []
    folder = execute_in_two(tmp_path, CELLS, lines.append)
    assert json.loads((folder / "metrics.json").read_text()) == {"count": 2}
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["metrics.json", "params.yaml", "run.ipynb"]
    assert len(lines) == 1
    assert "seconds in cells" in lines[0]


def test_one_that_fails_ends_all_with_what_it_says(tmp_path):
    began = time.monotonic()
    with pytest.raises(RunError) as error:
        execute_in_two(tmp_path, CELLS | {"who": CELLS["who"] + "\n" + ONE_FAILS})
    assert time.monotonic() - began < 120
    assert str(error.value) == "in process 1: OSError: cannot read 0001.jpg"
    log = (tmp_path / "run" / "error.log").read_text()
    assert log.startswith("in process 1: ")
    assert 'raise OSError("cannot read 0001.jpg")' in log
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_a_kernel_that_is_told_to_stop_stops_all(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    stopped = "\nimport signal\nif processes.number() == 1:\n    "
    stopped += "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(300)"
    with pytest.raises(Stopped, match="told to stop by SIGTERM: the same command goes"):
        execute_in_two(tmp_path, CELLS | {"who": CELLS["who"] + stopped})
    assert not (tmp_path / "run" / "error.log").exists(), "nothing has failed"
    assert not list(scratch.glob("torchelastic_*")), "torchrun leaves nothing"


def told(**errors: str) -> dict[int, dict[str, str]]:
    """What processes said, `p0="..."` for the first."""
    return {
        int(name[1:]): {"error": said, "whole": f"Traceback\n{said}", "spent": ""}
        for name, said in errors.items()
    }


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ({"p0": "OSError: disk", "p1": ""}, "OSError: disk"),
        (
            {"p0": "OtherProcessError: process 1", "p1": "OSError"},
            "in process 1: OSErr",
        ),
        (
            {"p0": "OtherProcessError: process 1 of 2: x"},
            "OtherProcessError: process 1",
        ),
        ({"p1": "DeadKernelError"}, "in process 1: DeadKernelError"),
        ({}, "torchrun ended with code 9\nno port is free"),
    ],
)
def test_the_first_failure_is_told_not_those_that_follow(tmp_path, errors, said):
    (tmp_path / "log").write_text("no port is free\n")
    error = torchrun._failure(told(**errors), tmp_path / "log", 9)
    assert str(error).startswith(said)


def test_a_run_of_several_processes_is_another_run(tmp_path):
    asked = {"benchmark": "plaza", "seed": 0, "outputs": tmp_path}
    asked["data_root"] = tmp_path
    one, two = (make_plan(ROOT, "fanet", processes=n, **asked) for n in (1, 2))
    assert one.folder.name == "full-s0"
    assert two.folder.name == "full+processes=2-s0"
    assert one.parameters.keys() == two.parameters.keys()
    differing = {n for n, v in one.parameters.items() if v != two.parameters[n]}
    assert differing == {"run_dir", "variant"}


def test_a_step_of_several_processes_and_its_rates_are_said():
    sizes = {"num_identities_per_batch": 16, "images_per_identity": 4}
    said = torchrun.global_batch(sizes | {"learning_rate": 0.1}, 4)
    assert said == (
        "4 processes: a step sees 4 batches of 16 × 4 images, 256 in all; learning_rate"
        " is stated for one batch, 64 images"
    )
    rates = {"learning_rate": 0.1, "image_learning_rate": 0.1}
    said = torchrun.global_batch(sizes | rates, 4)
    assert "; learning_rate, image_learning_rate are stated for one batch" in said
    assert torchrun.global_batch({}, 2) == "2 processes, each with batches of its own"


def test_processes_without_a_gpu_each_are_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    torchrun.check_processes(2, {"device": "auto"})
    torchrun.check_processes(4, {"device": "cpu"})
    with pytest.raises(ParameterError, match="processes: 0; at least 1"):
        torchrun.check_processes(0, {})
    with pytest.raises(ParameterError, match="4, but torch sees 2 GPUs; start 2"):
        torchrun.check_processes(4, {"device": "auto"})


def test_nothing_is_started_for_a_wrong_number(capsys, tmp_path):
    words = ["run", "fanet", "--on", "smoke", "--outputs", str(tmp_path)]
    assert cli.main([*words, "--processes", "0"]) == 2
    assert "processes: 0; at least 1 is wanted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def scores_of(folder: Path) -> dict:
    record = json.loads((folder / "metrics.json").read_text())
    assert record["hardware"]["processes"] == 2
    return record["scores"] | {"history": (folder / "history.csv").read_text()}


@pytest.mark.processes
@pytest.mark.parametrize("paper", ["fanet", "rganet"])
def test_a_run_that_is_killed_comes_to_the_scores_of_one_that_is_not(tmp_path, paper):
    """Whatever is killed, all of it ends, and the same command goes on."""
    words = [sys.executable, "-m", "reidrun.cli.main", "run", paper, "--on", "smoke"]
    words += ["--processes", "2", "-p", "epochs", "4", "--outputs"]
    name = Path("smoke", paper, "full+epochs=4+processes=2-s0")
    subprocess.run([*words, str(tmp_path / "whole")], check=True, cwd=ROOT)
    expected = scores_of(tmp_path / "whole" / name)
    folder, moments = tmp_path / "killed" / name, random.Random(7)
    for _ in range(2):
        begun = (folder / "checkpoint.pt").is_file()
        run = subprocess.Popen([*words, str(tmp_path / "killed")], cwd=ROOT)
        while not begun and not (folder / "checkpoint.pt").is_file():
            assert run.poll() is None
            time.sleep(0.1)
        time.sleep(moments.uniform(0, 30 if begun else 3))
        run.kill()
        run.wait()
        while is_running(folder):
            time.sleep(0.1)
        assert not (folder / "metrics.json").is_file()
    subprocess.run([*words, str(tmp_path / "killed")], check=True, cwd=ROOT)
    assert scores_of(folder) == expected
    assert not [path for path in folder.iterdir() if path.suffix in (".tmp", ".lock")]

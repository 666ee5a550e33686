"""How far a run is: while it trains, when it was killed, when it is finished."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from toys.toy_paper import TOY_CELLS, TOY_LAYERS, notebook

from reidrun.cli import main as cli
from reidrun.runs import locks, progress
from reidrun.runs.errors import RunError
from reidrun.runs.folder import make_folder
from reidrun.runs.locks import held
from reidrun.runs.progress import progress_of, runs_below, write_history

TESTS = Path(__file__).parents[1]
SCHEMA = TOY_CELLS["parameters"] + (
    'device: str = "cpu"  # auto | cpu | cuda\n'
    'image_cache: str = ""  # folder of decoded images\n'
    'tensorboard: str = ""  # folder for event files\n'
    'gate: str = ""  # what is waited for after two epochs\n'
)
CELLS = {
    "parameters": SCHEMA,
    "setup": "from reidrun.notebook import start_run\n\nrun = start_run('toy')",
    "fit": """\
import time
from pathlib import Path
from toys.toy_training import toy_run
from reidlib.training import Checkpoint

def watch(history):
    run.watch(history)
    while len(history) == 2 and not Path(gate).exists():
        time.sleep(0.05)

model, history = toy_run(
    epochs=epochs, seed=seed, watch=watch,
    checkpoint=run.checkpoint, fingerprint=run.fingerprint,
)
""",
    "save": """\
import torch
from reidlib.evaluation.metrics import Scores

ranks, pids = torch.tensor([1, 3]), torch.tensor([7, 8])
scores = Scores(0.5, torch.ones(20), torch.rand(2), ranks, pids, 2, 0)
run.save(scores={benchmark: scores}, history=history)
""",
}
LAYERS = {
    **TOY_LAYERS,
    "base": TOY_LAYERS["base"] + 'device: cpu\nimage_cache: ""\ntensorboard: ""\n',
}


def wait_until(condition, seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def house(toy_root: Path, monkeypatch) -> Path:
    """The toy paper, with a training that waits at a gate after two epochs."""
    (toy_root / "notebooks/toy.ipynb").write_text(json.dumps(notebook(CELLS)))
    (toy_root / "params/base.yaml").write_text(LAYERS["base"])
    paths = [str(TESTS.parent), str(TESTS)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return toy_root


def test_status_of_a_run_that_trains_is_killed_and_goes_on(house, capsys):
    folder = house / "outputs/plaza/toy/full+epochs=4+gate=gate-s0"
    given = ["-p", "epochs", "4", "-p", "gate", str(house / "gate")]
    order = ["run", "toy", "--on", "plaza", *given]
    begin = "import sys; from pathlib import Path; from reidrun.cli import main as cli;"
    begin += f"sys.exit(cli.main({order}, Path({str(house)!r})))"

    def status() -> list[str]:
        assert cli.main(["status"], house) == 0
        return capsys.readouterr().out.splitlines()[-1].split()

    def rows() -> list[int]:
        path = folder / "history.csv"
        return pd.read_csv(path)["epoch"].tolist() if path.exists() else []

    process = subprocess.Popen([sys.executable, "-c", begin], start_new_session=True)
    assert wait_until(lambda: len(rows()) == 2)
    state, epoch, loss, left, name = status()
    assert (state, epoch, name) == ("running", "2/4", f"plaza/toy/{folder.name}")
    assert float(loss) == pytest.approx(
        pd.read_csv(folder / "history.csv")["loss"][1], rel=1e-3
    )
    assert left == "0:00"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert wait_until(lambda: not locks.is_running(folder), 20), "its kernel ends"
    assert rows() == [1, 2]
    assert status()[:2] == ["stopped", "2/4"]
    (house / "gate").touch()
    done = subprocess.run([sys.executable, "-c", begin], capture_output=True, text=True)
    assert "going on" in done.stdout and done.returncode == 0, done.stderr
    assert rows() == [1, 2, 3, 4]
    assert status()[:2] == ["finished", "4/4"]
    left_over = {path.name for path in folder.iterdir()}
    assert not left_over & {locks.RUNNING, progress.PACE, "progress.log"}


def history(epochs: int, done: int) -> pd.DataFrame:
    rows = [{"epoch": i + 1, "loss": 2.0 - i / 4} for i in range(done)]
    table = pd.DataFrame(rows)
    table.attrs |= {"epochs": epochs, "seconds": [10.0, 20.0, 60.0][:done]}
    return table


def test_what_is_left_is_as_long_as_epochs_took(tmp_path):
    with held(tmp_path):
        write_history(tmp_path, history(5, 3))
        found = progress_of(tmp_path)
    assert (found.state, found.epoch, found.epochs) == ("running", 3, 5)
    assert found.loss == 1.5 and found.seconds == pytest.approx(2 * 30)
    assert progress_of(tmp_path)[1:] == ("stopped", 3, 5, 1.5, None, "")


def test_history_is_what_the_checkpoint_has_come_to(tmp_path):
    write_history(tmp_path, history(4, 3))
    write_history(tmp_path, history(4, 1))
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1
    write_history(tmp_path, history(4, 0))
    assert not (tmp_path / "history.csv").exists(), "it begins anew"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("no such thing\n\n", "no such thing"),
        (
            "a.ValueError: one\nTraceback\nRunError: lower\n  P\nkept\n",
            "RunError: lower P kept",
        ),
        ("KeyError: wide" + "\n  a line" * 20, "KeyError: wide"),
        ("What is no error: first\nlast", "last"),
    ],
)
def test_an_error_of_a_few_lines_is_said_whole(tmp_path, log, said):
    (tmp_path / "error.log").write_text(log)
    assert progress.last_line(tmp_path / "error.log") == said


def test_a_run_that_failed_says_why_until_it_is_made_again(tmp_path):
    (tmp_path / "params.yaml").write_text("epochs: 2\n")
    (tmp_path / "error.log").write_text("Traceback\nValueError: no images\n")
    assert progress_of(tmp_path).state == "failed"
    assert progress_of(tmp_path).error == "ValueError: no images"
    with held(tmp_path):
        assert progress_of(tmp_path)[1:] == ("running", 0, None, None, None, "")
    (tmp_path / "metrics.json").write_text("{}")
    assert progress_of(tmp_path).state == "finished"


@pytest.mark.parametrize("content", ["[]", "{}", '{"epochs": 2, "seconds": "x"}'])
def test_a_pace_of_other_types_is_named(tmp_path, content):
    (tmp_path / "pace.json").write_text(content)
    with held(tmp_path), pytest.raises(RunError, match=r"pace\.json cannot be read"):
        progress_of(tmp_path)


def test_status_lists_every_state_and_goes_on_over_damaged_files(toy_root, capsys):
    outputs = toy_root / "outputs/plaza/toy"
    for name in ("a-s0", "b-s0", "c-s0"):
        make_folder(outputs / name)
        write_history(outputs / name, history(4, 2))
    (outputs / "a-s0/error.log").write_text("it broke")
    (outputs / "b-s0/metrics.json").write_text("{}")
    (outputs / "c-s0/pace.json").write_text("{")
    (outputs / "not-a-run").mkdir()
    assert len(runs_below(toy_root / "outputs")) == 3
    with held(outputs / "a-s0"):
        assert cli.main(["status", "plaza"], toy_root) == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == [
        *("state", "finished", "running")
    ]
    assert "pace.json" in err and "run it again with --fresh" in err
    assert cli.main(["status", "toy/a"], toy_root) == 0
    assert capsys.readouterr().out.endswith("plaza/toy/a-s0: it broke\n")
    assert cli.main(["status", "station"], toy_root) == 2
    assert "no run in" in capsys.readouterr().err
    with pytest.raises(RunError, match="pace.json"):
        progress_of(outputs / "c-s0")


def test_event_files_need_their_package(monkeypatch):
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: None)
    said = progress.missing_tensorboard({"tensorboard": "events"})
    assert said.startswith("tensorboard is events, but") and "[tensorboard]" in said
    assert progress.missing_tensorboard({"tensorboard": ""}) == ""
    assert progress.missing_tensorboard({}) == ""

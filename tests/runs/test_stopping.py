"""A command or a kernel that is told to stop keeps its step and exits with 75."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toys.toy_paper import TOY_CELLS, TOY_LAYERS, notebook
from toys.toy_training import toy_loader, toy_run
from toys.waiting import wait_until

from reidrun.cli import main as cli
from reidrun.runs.folder import is_complete, read_metrics
from reidrun.runs.locks import is_running, maker_of
from reidrun.runs.progress import last_line, progress_of
from reidrun.runs.stopping import STOPPED

SECONDS = 300  # until a kernel has imported all, on a busy machine
TESTS = Path(__file__).parents[1]
STEPS = len(toy_loader())
EPOCHS, STEP = 3, 2 * STEPS + 2  # of the training, and where it waits at the gate
SCHEMA = TOY_CELLS["parameters"] + (
    'device: str = "cpu"  # auto | cpu | cuda\n'
    'image_cache: str = ""  # folder of decoded images\n'
    'tensorboard: str = ""  # folder for event files\n'
    'outputs: str = ""  # where the gate is\n'
)
CELLS = {
    "parameters": SCHEMA,
    "setup": """\
import os
import time
from pathlib import Path

from reidrun.notebook import start_run

run, gate = start_run("toy"), Path(outputs, "gate")

def wait_at(place):
    if not gate.exists():
        (gate.parent / "kernel").write_text(f"{os.getpid()} {place}")
        while not gate.exists():
            time.sleep(0.05)
""",
    "fit": f"""\
from toys.toy_training import objective, toy_run

steps = 0

def gated(output, batch):
    global steps
    steps += 1
    if steps == {STEP}:
        wait_at("training")
    return objective(output, batch)

model, history = toy_run(
    epochs=epochs, seed=seed, watch=run.watch, checkpoint=run.checkpoint,
    objective=gated, fingerprint=run.fingerprint,
)
""",
    "save": """\
import torch
from reidlib.evaluation.metrics import Scores

wait_at("testing")
ranks, pids = torch.tensor([1, 3]), torch.tensor([7, 8])
scores = Scores(0.5, torch.ones(20), torch.ones(2), ranks, pids, 2, 0)
run.save(scores={benchmark: scores}, history=history)
""",
}
BASE = TOY_LAYERS["base"] + 'device: cpu\nimage_cache: ""\ntensorboard: ""\n'
BEGIN = "import sys; from pathlib import Path; from reidrun.cli import main as cli;"
BEGIN += "sys.exit(cli.main(sys.argv[2:], Path(sys.argv[1])))"


class House:
    """The toy paper, with a training that waits at a gate within its third epoch."""

    def __init__(self, root: Path) -> None:
        self.root, self.outputs = root, root / "outputs"
        self.started: list[subprocess.Popen] = []
        (root / "notebooks/toy.ipynb").write_text(json.dumps(notebook(CELLS)))
        (root / "params/base.yaml").write_text(BASE)
        self.outputs.mkdir()
        self.gate = self.outputs / "gate"
        given = ["--on", "plaza", "-p", "epochs", str(EPOCHS)]
        given += ["-p", "outputs", str(self.outputs)]
        self.run = ["run", "toy", *given]
        self.sweep = ["sweep", "toy_parts", *given, "--seeds", "0", "--variants"]
        self.sweep += ["full", "--profile", "none"]
        self.folder = self.outputs / f"plaza/toy/full+epochs={EPOCHS}-s0"

    def start(self, words: list[str]) -> subprocess.Popen:
        command = subprocess.Popen(
            [sys.executable, "-c", BEGIN, self.root, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(command)
        return command

    def kernel(self, place: str) -> int:
        """Wait until the training is at the gate; return the kernel's process."""
        path = self.outputs / "kernel"
        is_there = wait_until(
            lambda: path.is_file() and path.read_text().endswith(place), SECONDS
        )
        assert is_there
        return int(path.read_text().split()[0])

    def end(self, command: subprocess.Popen) -> tuple[int, str]:
        said, _ = command.communicate(timeout=SECONDS)
        return command.returncode, said

    def finish(self) -> None:
        """Let the same command go on: it ends as if it had never been stopped."""
        code, said = self.end(self.start(self.run))
        assert code == 0 and "toy on plaza" in said and "going on" in said, said
        history = toy_run(epochs=EPOCHS, seed=0)[1].to_csv(index=False)
        assert (self.folder / "history.csv").read_text() == history
        assert read_metrics(self.folder)["scores"]["plaza"]["mAP"] == 0.5
        left = {path.name for path in self.folder.iterdir()}
        kept = {"params.yaml", "metrics.json", "history.csv", "queries.csv.gz"}
        assert left - {"checkpoint.pt"} == kept | {"run.ipynb"}


@pytest.fixture
def house(toy_root, monkeypatch):
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = House(toy_root)
    yield made
    for command in made.started:
        if command.poll() is None:
            command.kill()
            command.communicate()


def assert_stopped_not_failed(house, kept):
    assert not is_complete(house.folder) and not is_running(house.folder)
    assert not last_line(house.folder / "error.log")
    assert (house.folder / "checkpoint.pt").is_file() is kept
    assert progress_of(house.folder).state == "stopped"
    assert not list(house.outputs.rglob(".*"))


def test_a_command_passes_it_on_and_nobody_else_makes_its_run(house, capsys):
    command = house.start(house.run)
    house.kernel("training")
    assert maker_of(house.folder).process == command.pid
    for more in ([], ["--fresh"]):
        assert cli.main([*house.run, *more], house.root) == 2
        said = f"is being made by process {command.pid} on "
        assert said in capsys.readouterr().err
    command.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    house.gate.touch()
    code, said = house.end(command)
    assert code == STOPPED == 75
    assert "reid: told to stop by SIGTERM in epoch 3 of 3, behind step 2; 2 epochs" in (
        said
    )
    assert " and 2 steps are in the checkpoint: run the same again to go on" in said
    assert_stopped_not_failed(house, kept=True)
    house.finish()


def test_a_kernel_that_is_told_alone_ends_its_command_the_same_way(house):
    command = house.start(house.run)
    kernel = house.kernel("training")
    os.kill(kernel, signal.SIGUSR1)
    time.sleep(0.3)
    house.gate.touch()
    code, said = house.end(command)
    assert code == STOPPED and "told to stop by SIGUSR1 in epoch 3 of 3" in said
    assert_stopped_not_failed(house, kept=True)
    house.gate.unlink()
    command = house.start(house.run)  # goes on behind the gate, and is tested
    os.kill(house.kernel("testing"), signal.SIGTERM)
    code, said = house.end(command)
    assert code == STOPPED and "told to stop by SIGTERM: the same command goes" in said
    assert_stopped_not_failed(house, kept=True)
    house.gate.touch()
    house.finish()


@pytest.mark.parametrize("who", ["the sweep", "its run"])
def test_a_sweep_stops_its_run(house, who):
    command = house.start(house.sweep)
    house.kernel("training")
    told = command.pid if who == "the sweep" else maker_of(house.folder).process
    assert who == "the sweep" or told != command.pid
    os.kill(told, signal.SIGTERM)
    time.sleep(0.3)
    house.gate.touch()
    code, said = house.end(command)
    assert_stopped_not_failed(house, kept=True)
    if who == "the sweep":
        assert code == STOPPED and "told to stop by SIGTERM" in said
    else:
        assert code == 1 and "full+epochs=3-s0: stopped\n" in said
        assert "failed: stopped; it can go on" in said

"""Sweeps: what is missing is run, side by side, and nothing takes another with it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import papermill
import pytest
from toys.stand_in import STAND_IN
from toys.toy_paper import TOY_CELLS, leaving_a_page, notebook
from toys.waiting import wait_until

from reidrun.cli import main as cli
from reidrun.runs import execute, sweep
from reidrun.runs.errors import ParameterError
from reidrun.runs.folder import SCORES, is_complete, read_metrics, write_parameters

REID = "import sys, pathlib, reidrun.cli.main as c; r = pathlib.Path(sys.argv[1])"
REID += "; sys.exit(c.main(sys.argv[2:], r))"


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(sweep, "COMMAND", (sys.executable, "-c", STAND_IN))


@pytest.fixture
def plan(toy_root):
    places = {"outputs": toy_root / "outputs", "data_root": toy_root / "data"}
    asked = {"root": toy_root, "ablation": "toy_parts", "benchmarks": ["plaza"]}
    return lambda **more: sweep.plan(**{**asked, "seeds": [0], **places, **more})


@pytest.fixture
def reid(toy_root, capsys):
    def reid(*arguments):
        code = cli.main(["sweep", *map(str, arguments)], toy_root)
        return code, *capsys.readouterr()

    return reid


def add_page(root: Path, use: str) -> None:
    schema = """\
# Schema: what `reid sweep` gives.
benchmarks: list[str] = ["plaza"]  # columns
seeds: list[int] = [0]  # runs of a row
outputs: str = "../../outputs"  # folder of the runs
"""
    check = TOY_CELLS["check"] + "outputs, root = Path(outputs), Path('../..')\n"
    imports = "from pathlib import Path\nfrom reidrun.runs import sweep\n"
    book = notebook({"parameters": schema, "check": imports + check, "use": use})
    folder = root / "notebooks" / "ablations"
    folder.mkdir()
    (folder / "toy_parts.ipynb").write_text(json.dumps(book))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # one that nobody has waited for is dead
    return not (stat.is_file() and ") Z " in stat.read_text())


def test_what_is_done_is_skipped_and_a_failure_stops_no_other(plan, stand_in):
    plans = plan(seeds=[0, 7, 8, 1], variants=["plain"])
    done, failing, killed, _ = (one.folder for one in plans)
    done.mkdir(parents=True)
    (done / "metrics.json").write_text("{}")
    lines = []
    assert sweep.missing(plans) == plans[1:]
    failures = sweep.run(plans, report=lines.append)
    assert [line.partition(": ")[0] for line in lines] == [
        "4 runs, 1 already there",
        "[2/4] toy on plaza, plain-s7",
        "[3/4] toy on plaza, plain-s8",
        "[4/4] toy on plaza, plain-s1",
    ]
    outcomes = [line.partition(": ")[2] for line in lines]
    assert outcomes[1:3] == ["FAILED", "FAILED"]
    assert re.fullmatch(r"plaza 83.2 mAP, station 50.0 mAP, \d+ s", outcomes[3])
    words = "the process of this run was ended by SIGKILL"
    assert [plan.folder for plan, _ in failures] == [failing, killed]
    assert failures[0].message == "ValueError: seven"
    assert failures[1].message == f"{words}; most often the memory has run out"
    assert (failing / "error.log").read_text() == "a traceback\nValueError: seven\n"
    assert words in (killed / "error.log").read_text()
    assert sweep.missing(plans) == plans[1:3]
    (failing / "error.log").write_bytes(b"ValueError: caf\xe9")
    assert "caf\ufffd" in sweep.failures(plans)[0].message, "whatever was written"


def test_a_record_that_is_damaged_stops_no_other_run(plan, stand_in):
    lines = []
    sweep.run(plan(seeds=[4, 1], variants=["plain"]), report=lines.append)
    assert "plain-s4/metrics.json: no record of a run: scores: " in lines[1]
    assert "plain-s1: plaza 83.2 mAP, " in lines[2]


def test_jobs_run_side_by_side_and_share_the_cores(plan, stand_in, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(7), raising=False)
    pair = plan(seeds=[5])  # neither ends without the other
    assert sweep.run(pair, jobs=2, report=list) == []
    assert read_metrics(pair[0].folder)["threads"] == "3"
    assert sweep._environment(9)["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in sweep._environment(1), "as in reid run"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert sweep._environment(2)["OMP_NUM_THREADS"] == "5", "the user's"
    with pytest.raises(ParameterError, match="jobs: 0; at least 1"):
        sweep.run(pair, jobs=0)


@pytest.mark.parametrize("seed", [6, 9])
def test_no_run_outlives_an_interruption(plan, stand_in, monkeypatch, seed):
    monkeypatch.setattr(sweep, "PATIENCE_SECONDS", 2)
    endless, _, short, waiting = plan(seeds=[seed, 0])
    pid = endless.folder / "pid"

    def interrupt(line):
        if line.startswith("["):
            assert wait_until(lambda: pid.is_file() and pid.read_text())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run([endless, short, waiting], jobs=2, report=interrupt)
    assert not is_alive(int(pid.read_text()))
    assert is_complete(short.folder) and not waiting.folder.exists()


def test_the_command_checks_runs_and_says_what_failed(reid, stand_in, toy_root):
    path = "params/ablations/toy_parts.yaml"
    code, out, err = reid(path, "--on", "plaza", "--seeds", 0, 7)
    first, *lines = out.splitlines()
    assert (code, first) == (1, "4 runs, 0 already there")
    assert [line.partition("plaza 83")[0] for line in lines] == [
        "[1/4] toy on plaza, full-s0: ",
        "[2/4] toy on plaza, plain-s0: ",
        "[3/4] toy on plaza, full-s7: FAILED",
        "[4/4] toy on plaza, plain-s7: FAILED",
    ]
    said = err.splitlines()
    assert said[0] == "reid: toy on plaza, full-s7 failed: ValueError: seven"
    assert said[1].startswith("reid: see ")
    assert said[1].endswith("outputs/plaza/toy/full-s7/error.log")
    assert len(said) == 4
    code, out, err = reid("toy_parts", "--on", "plaza", "--seeds", 0)
    assert (code, out, err) == (0, "2 runs, 2 already there\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("toy_partz --on plaza", "unknown ablation 'toy_partz'; did you mean toy_p"),
        ("toy_parts --on plaza --variants plian", "unknown variant of toy_parts 'pli"),
        ("toy_parts --on plaza plazza", "unknown benchmark 'plazza'; did you mean"),
        ("toy_parts --on plaza -p epohcs 1", "epohcs: unknown parameter; did you"),
        ("toy_parts --on plaza --jobs 0", "jobs: 0; at least 1 is wanted"),
        (__file__ + " --on plaza", "an ablation lives in params/ablations/"),
    ],
)
def test_a_bad_request_is_refused_before_anything_starts(
    reid, stand_in, toy_root, arguments, message
):
    code, out, err = reid(*arguments.split(), "--seeds", 0)
    assert (code, out) == (2, "")
    assert message in err
    assert not (toy_root / "outputs").exists()


def test_one_folder_with_other_parameters_stops_all(reid, stand_in, toy_root, plan):
    last = plan(seeds=[1])[-1]
    last.folder.mkdir(parents=True)
    write_parameters(last.folder, last.parameters | {"epochs": 3})
    code, out, err = reid("toy_parts", "--on", "plaza", "--seeds", 0, 1)
    assert (code, out) == (2, "")
    assert "outputs/plaza/toy/plain-s1 holds a run with other parameters" in err
    assert len(list((toy_root / "outputs").rglob("*-s*"))) == 1


def test_the_page_of_an_ablation_is_executed_whatever_failed(
    reid, stand_in, toy_root, monkeypatch
):
    pages = []
    monkeypatch.setattr(execute, "_papermill", leaving_a_page(pages))
    add_page(toy_root, "1")
    asked = ("toy_parts", "--on", "station", "plaza", "--seeds")
    code, out, _ = reid(*asked, 0, 7, "--outputs", toy_root / "kept")
    assert code == 1
    ((book, output, parameters, _),) = pages
    assert book == toy_root / "notebooks/ablations/toy_parts.ipynb"
    assert output == toy_root / "kept/station/toy/parts.ipynb"
    places = {"outputs": "../../kept"}  # its schema has no data_root, no variants
    assert parameters == {"benchmarks": ["station", "plaza"], "seeds": [0, 7]} | places
    assert out.splitlines()[-1].endswith("kept/station/toy/parts.ipynb")

    assert reid(*asked, 0, "-p", "epochs", 3)[0] == 0
    assert len(pages) == 1, "it would show other runs than these"


def test_a_page_that_fails_is_a_failure(reid, stand_in, toy_root, monkeypatch):
    def fail(*_):
        raise ValueError("an empty table")

    monkeypatch.setattr(execute, "_papermill", fail)
    add_page(toy_root, "1")
    code, out, err = reid("toy_parts", "--on", "plaza", "--seeds", 0)
    assert code == 1 and "parts.ipynb" not in out
    assert "toy_parts.ipynb failed: ValueError: an empty table" in err


def test_every_run_has_sockets_of_its_own(toy_root, monkeypatch):
    places = []

    def start(*_, config, **__):
        places.append(config.KernelManager.ip)
        if len(places) < 2:
            execute._papermill(toy_root / "notebooks/toy.ipynb", None, {}, False)

    monkeypatch.setattr(papermill, "execute_notebook", start)
    execute._papermill(toy_root / "notebooks/toy.ipynb", None, {}, False)
    one, other = places
    assert one != other and Path(one).is_absolute() and Path(other).is_absolute()


RUN_FROM_A_CELL = """\
places = {"outputs": outputs, "data_root": outputs, "root": root}
plans = sweep.plan(ablation="toy_parts", benchmarks=benchmarks, seeds=seeds, **places)
failures = sweep.run(plans, jobs=2)
assert [plan.folder.name for plan in sweep.missing(plans)] == ["full-s8"]
((plan, message),) = failures
message
"""


def test_a_notebook_runs_others_even_if_one_kills_its_process(toy_root):
    cells = TOY_CELLS | {"save": "import json\nfolder = Path(run_dir)\n"}
    record = {"paper": "toy", "variant": "VARIANT", "drawn": True, "seconds": 1.0}
    record |= {"commit": "", "scores": {"plaza": dict.fromkeys(SCORES, 0.5)}}
    kept = f"{record} | {{'benchmark': benchmark, 'seed': seed}}".replace(
        "'VARIANT'", "folder.name[:-3]"
    )
    cells["save"] += f'(folder / "metrics.json").write_text(json.dumps({kept}))'
    die = "import os\nif seed == 8 and erasing:\n    os.kill(os.getppid(), 9)\n"
    cells["fit"] += die + "    import time\n    time.sleep(60)\n"
    (toy_root / "notebooks/toy.ipynb").write_text(json.dumps(notebook(cells)))
    add_page(toy_root, RUN_FROM_A_CELL)
    page = toy_root / "notebooks/ablations/toy_parts.ipynb"
    output = toy_root / "outputs/plaza/toy/parts.ipynb"
    execute.execute_page(page, output, {"seeds": [0, 8], "outputs": "../../outputs"})
    text = output.read_text()
    assert "the process of this run was ended by SIGKILL" in text
    assert "[4/4] toy on plaza, " in text and ": plaza 50.0 mAP, " in text
    assert str(toy_root) not in text and '"papermill"' not in text
    run = (toy_root / "outputs/plaza/toy/plain-s8/run.ipynb").read_text()
    assert str(toy_root) not in run and '"papermill"' not in run


@pytest.mark.parametrize(("how", "code"), [("SIGINT", 130), ("SIGKILL", -9)])
def test_kernels_end_with_the_command_and_their_runs_can_go_on(toy_root, how, code):
    wait = "import os, time\n(Path(run_dir) / 'pid').write_text(str(os.getpid()))\n"
    cells = TOY_CELLS | {"fit": TOY_CELLS["fit"] + wait + "time.sleep(600)"}
    (toy_root / "notebooks/toy.ipynb").write_text(json.dumps(notebook(cells)))
    asked = "sweep toy_parts --on plaza --seeds 0 --variants plain"
    command = subprocess.Popen([sys.executable, "-c", REID, toy_root, *asked.split()])
    folder = toy_root / "outputs/plaza/toy/plain-s0"
    assert wait_until((folder / "pid").is_file)
    time.sleep(0.2)
    command.send_signal(signal.Signals[how])
    assert command.wait(60) == code
    kernel = int((folder / "pid").read_text())
    assert wait_until(lambda: not is_alive(kernel))
    assert (folder / "checkpoint.pt").is_file() and not is_complete(folder)
    book = folder / "run.ipynb"
    assert wait_until(lambda: '"papermill"' not in book.read_text()), "tidied"

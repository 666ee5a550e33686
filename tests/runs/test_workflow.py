"""Batches: the same plans through Snakemake; what is finished stays as it is."""

import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from toys.toy_paper import leaving_a_page, notebook
from toys.waiting import wait_until

from reidrun.cli import main as cli
from reidrun.cli import run as run_command
from reidrun.runs import execute, params, sweep, workflow
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.folder import write_parameters

CONFIG = {"runs": "toy_parts", "benchmarks": "plaza", "seeds": 0}
CONFIG |= {"outputs": "outputs", "data": "data"}
PLACE = "outputs/plaza/toy"

# in place of `python -m reidrun.cli.main`: a run that scores 0.5, or fails if told so
STAND_IN = """
import json, sys, time
from pathlib import Path

given = dict(zip(sys.argv[1:], sys.argv[2:]))
place = Path(given["--outputs"], given["--on"], "toy")
if "sweep" in given:
    (place / "parts.ipynb").write_text("")
    sys.exit()
folder = place / (given["--variant"] + "-s" + given["--seed"])
with Path("started").open("a") as file:
    print(folder.name, file=file)
(folder / "params.yaml").write_text("")
while Path("waits").is_file():
    time.sleep(0.1)
(folder / "run.ipynb").write_text("executed")
if Path("fails").is_file() and folder.name == Path("fails").read_text():
    (folder / "error.log").write_text("a traceback\\nValueError: told so")
    sys.exit("told so")
scores = {"plaza": {"mAP": 0.5}}
(folder / "metrics.json").write_text(json.dumps({"scores": scores}))
"""
needs_snakemake = pytest.mark.skipif(
    importlib.util.find_spec("snakemake") is None, reason="the extra `batch`"
)


@pytest.fixture
def house(toy_root):
    """The toy's house with a page, and with the workflow and profiles of this one."""
    schema = 'benchmarks: list[str] = ["plaza"]  # columns\n'
    (toy_root / "notebooks/ablations").mkdir()
    book = notebook({"parameters": f"# Schema: of a page.\n{schema}"})
    (toy_root / "notebooks/ablations/toy_parts.ipynb").write_text(json.dumps(book))
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, toy_root / name)
    (toy_root / "stand_in.py").write_text(STAND_IN)
    snakefile = toy_root / "workflow/Snakefile"
    command = (sys.executable, "stand_in.py")
    start, text = "batch = read(", snakefile.read_text()
    assert text.count(start) == 1
    told = f"import reidrun.runs.workflow as w\nw.REID = {command}\n{start}"
    snakefile.write_text(text.replace(start, told))
    return toy_root


def finish(folder):
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{}")


def test_a_batch_holds_what_the_sweep_plans_but_for_what_is_finished(house):
    finish(house / PLACE / "plain-s0")
    batch = workflow.read(CONFIG, house)
    needs = [f"{PLACE}/{name}-s0/metrics.json" for name in ("full", "plain")]
    assert list(batch.runs) == [f"{PLACE}/full-s0"]
    assert batch.targets == [*needs, f"{PLACE}/parts.ipynb"]
    assert batch.pages[f"{PLACE}/parts.ipynb"].needs == needs


def test_a_paper_is_its_full_variant_or_those_that_are_named(house):
    asked = {"runs": ["toy"], "benchmarks": "plaza station", "seeds": ["0", "1"]}
    batch = workflow.read(CONFIG | asked, house)
    assert [folder.removeprefix("outputs/") for folder in batch.runs] == [
        *("plaza/toy/full-s0", "station/toy/full-s0"),
        *("plaza/toy/full-s1", "station/toy/full-s1"),
    ]
    assert not batch.pages
    named = workflow.read(CONFIG | {"runs": "toy", "variants": "plain"}, house)
    assert list(named.runs) == [f"{PLACE}/plain-s0"]
    twice = workflow.read(CONFIG | {"runs": ["toy", "toy_parts"]}, house)
    assert len(twice.runs) == 2, "one folder, one run"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"scale": "full"},
        {"parameters": {"milestones": [2, 4], "erasing": False, "epochs": "3"}},
        {"outputs": "../kept", "variants": "plain", "seeds": 3},
    ],
)
def test_the_command_of_a_run_makes_the_run_that_was_planned(house, monkeypatch, more):
    carried_out = []
    monkeypatch.setattr(
        run_command, "_carry_out", lambda plan, _: carried_out.append(plan) or False
    )
    batch = workflow.read(CONFIG | more, house)
    assert batch.runs and bool(batch.pages) == (not {"scale", "parameters"} & {*more})
    for folder, command in batch.runs.items():
        python, *module, verb, _ = shlex.split(command)[:5]
        assert (python, module, verb) == (
            sys.executable,
            ["-m", "reidrun.cli.main"],
            "run",
        )
        assert cli.main(shlex.split(command)[3:], house) == 1
        assert carried_out[-1].folder == (house / folder).resolve()


def test_by_default_a_batch_is_all_papers():
    config = yaml.safe_load((ROOT / "workflow/config.yaml").read_text())
    batch = workflow.read(config | {"outputs": "outputs/none"}, ROOT)
    papers = {folder.split("/")[3] for folder in batch.runs}
    assert papers == params.owners(ROOT / "params/papers")
    assert len(batch.runs) == len(papers) * len(config["seeds"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"seedz": [0]}, "unknown name in the config 'seedz'; did you mean seeds"),
        ({"runs": "toyy"}, "unknown paper 'toyy'; did you mean toy"),
        ({"variants": "plian"}, "unknown variant of toy_parts 'plian'"),
        ({"parameters": {"epohcs": 1}}, "epohcs: unknown parameter"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(house, more, message):
    with pytest.raises(ParameterError, match=message):
        workflow.read(CONFIG | more, house)


def test_a_folder_with_other_parameters_is_refused(house):
    folder = house / PLACE / "full-s0"
    folder.mkdir(parents=True)
    write_parameters(folder, {"epochs": 3})
    for name in ("toy", "toy_parts"):
        with pytest.raises(RunError, match="holds a run with other parameters"):
            workflow.read(CONFIG | {"runs": name}, house)


def test_a_sweep_takes_snakemake_where_it_is_installed(house, toy_root, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert workflow.choose_profile(None, house) == "none"
    with pytest.raises(ParameterError, match="Snakemake is not installed; pip"):
        workflow.choose_profile("slurm", house)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: "there")
    assert workflow.choose_profile(None, house) == "default"
    assert workflow.choose_profile("slurm", house) == "slurm"
    assert workflow.choose_profile("none", house) == "none"
    with pytest.raises(ParameterError, match="unknown profile 'slum'; did you mean sl"):
        workflow.choose_profile("slum", house)
    (house / "workflow/Snakefile").unlink()
    assert workflow.choose_profile(None, house) == "none"


@pytest.fixture
def plans(house):
    asked = {"benchmarks": ["plaza"], "seeds": [0, 1], "root": house}
    places = {"outputs": house / "outputs", "data_root": house / "data"}
    return sweep.plan(ablation="toy_parts", **asked, **places)


@pytest.fixture
def asked(house):
    return workflow.Request.read(CONFIG | {"seeds": [0, 1]}, house)


def queue_of(code, monkeypatch):
    """Stand in for Snakemake; `config` is what it was handed."""
    start = "import json, pathlib, sys, time\n"
    start += "config = json.loads(pathlib.Path(sys.argv[1]).read_text())\n"

    def command(_, config, *__):
        return [sys.executable, "-c", start + code, str(config)]

    monkeypatch.setattr(workflow, "_snakemake", command)


def test_snakemake_says_how_it_goes_and_what_is_missing_then_has_failed(
    house, plans, asked, monkeypatch, capfd
):
    folders = [plan.folder for plan in plans]
    finish(folders[0])
    for folder in folders[1:]:
        folder.mkdir()
        (folder / "error.log").write_text("of another day")
    code = f"pathlib.Path({str(folders[2])!r}, 'metrics.json').touch()\n"
    code += f"pathlib.Path({str(folders[1])!r}, 'error.log')"
    code += ".write_text('Error: of today')\nprint(config)\nraise SystemExit(1)"
    queue_of(code, monkeypatch)
    queue = {"profile": "default", "jobs": None, "root": house}
    failures = workflow.run(plans, asked, **queue)
    assert [plan.folder for plan, _ in failures] == [folders[1], folders[3]]
    assert [message for _, message in failures] == ["Error: of today", "no error.log"]
    said = capfd.readouterr().out
    assert "'runs': ['toy_parts'], 'benchmarks': ['plaza']" in said
    assert not list((house / ".snakemake").iterdir()), "the configuration is gone"
    with pytest.raises(ParameterError, match="jobs: 0; at least 1"):
        workflow.run(plans, asked, **queue | {"jobs": 0})


@pytest.mark.parametrize(
    "name", ["dätä", "out #1", "out: 1", "two  words", "it's", "é"]
)
def test_a_place_is_handed_over_as_it_is(house, name):
    asked = workflow.Request.read(
        CONFIG | {"outputs": name, "data": f"{name}/x"}, house
    )
    asked = asked._replace(parameters={"also_on": [], "text": f"a # {name}: yes"})
    config = json.loads(json.dumps(asked._asdict(), default=str))
    assert workflow.Request.read(config, house) == asked
    assert asked.outputs == house / name


def test_an_interrupted_sweep_stops_its_queue(house, plans, asked, monkeypatch):
    code = """
try:
    pathlib.Path("started").touch()
    time.sleep(600)
except KeyboardInterrupt:
    pathlib.Path("stopped").touch()
"""
    queue_of(code, monkeypatch)
    wait = subprocess.Popen.wait

    def interrupted(process, timeout=None):
        if timeout is None:
            while not (house / "started").exists():
                time.sleep(0.05)
            raise KeyboardInterrupt
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        workflow.run(plans, asked, profile="slurm", jobs=2, root=house)
    assert (house / "stopped").exists()


def test_jobs_become_cores_here_and_places_in_a_queue(house, plans, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")

    def words(profile, jobs):
        config = house / "a config.json"
        return " ".join(workflow._snakemake(plans[:1], config, profile, jobs, house))

    here = words("default", 2)
    assert "--cores 6 --set-threads run=3 --configfile" in here
    assert here.endswith(f"a config.json -- {PLACE}/full-s0/metrics.json")
    assert "--jobs 7" in words("slurm", 7)
    alone = words("slurm", None)
    assert "--jobs" not in alone and "--cores" not in alone


def on_a_gpu(house, given=None):
    """Start a command that says which GPU it has, and ends when its stdin does."""
    env = os.environ | {"PATH": f"{house}:{os.environ['PATH']}"}
    env.pop("CUDA_VISIBLE_DEVICES", None)
    env |= {} if given is None else {"CUDA_VISIBLE_DEVICES": given}
    say = ["bash", "-c", "echo $CUDA_VISIBLE_DEVICES; read line"]
    return subprocess.Popen(
        ["bash", "workflow/on_a_gpu.sh", *say],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
        cwd=house,
    )


@pytest.mark.skipif(shutil.which("flock") is None, reason="GPUs are Linux's")
def test_every_run_has_a_gpu_of_its_own(house):
    (house / "nvidia-smi").write_text("#!/bin/sh\necho 0; echo 1\n")
    (house / "nvidia-smi").chmod(0o755)
    (house / ".snakemake").mkdir()
    first, second = on_a_gpu(house), on_a_gpu(house)
    taken = {first.stdout.readline(), second.stdout.readline()}
    assert taken == {"0\n", "1\n"}
    third, queued = on_a_gpu(house), on_a_gpu(house, "5")
    assert queued.communicate()[0] == "5\n", "the queue has chosen"
    assert third.poll() is None, "waits"
    second.communicate()
    assert third.communicate(timeout=30)[0] in taken
    assert on_a_gpu(house, "6,7").communicate()[0] == "6\n"
    first.communicate()
    (house / "nvidia-smi").write_text("#!/bin/sh\necho it has failed; exit 9\n")
    assert on_a_gpu(house).communicate()[0] == "\n"


HEARS = """
import signal, sys, time

def hear(number, frame):
    time.sleep(0.3)  # of a step
    sys.exit(75)

signal.signal(signal.SIGTERM, hear)
print("hears", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("state", "how", "code", "queued"),
    [
        ("RUNNING", signal.SIGTERM, 75, True),
        ("CANCELLED", signal.SIGTERM, 75, False),  # by somebody, who means it
        ("RUNNING", signal.SIGKILL, 137, False),
    ],
)
def test_a_job_that_was_told_to_stop_is_queued_again(house, state, how, code, queued):
    stub = house / "scontrol"
    stub.write_text(f"#!/bin/sh\necho $* >> said\necho JobId=7 JobState={state}\n")
    stub.chmod(0o755)
    env = os.environ | {"PATH": f"{house}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    env |= {"CUDA_VISIBLE_DEVICES": "0", "REQUEUE_SECONDS": "0"}
    job = subprocess.Popen(
        ["bash", "workflow/on_a_gpu.sh", sys.executable, "-c", HEARS],
        env=env,
        cwd=house,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert job.stdout.readline() == "hears\n"
    if how == signal.SIGTERM:
        os.killpg(job.pid, how)  # as SLURM does: to all processes of a job
    else:
        (child,) = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        os.kill(int(child), how)
    job.communicate(timeout=60)
    assert job.returncode == code
    said = (house / "said").read_text().splitlines() if code == 75 else []
    assert said == ["show job 7", *["requeue 7"] * queued][: len(said)]
    assert ("requeue 7" in said) is queued


def batch_command(*arguments):
    command = [sys.executable, "-m", "snakemake", *arguments, "--config"]
    return command + [f"{name}={value}" for name, value in CONFIG.items()]


def snakemake(house, *arguments):
    command = batch_command(*arguments)
    done = subprocess.run(command, cwd=house, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def started(house):
    text = (house / "started").read_text().split()
    (house / "started").write_text("")
    return sorted(text)


@needs_snakemake
def test_what_failed_is_run_again_with_what_needs_it_and_nothing_else(house):
    folder, page = house / PLACE, house / PLACE / "parts.ipynb"
    folder.mkdir(parents=True)
    page.write_text("of other runs")  # as a clone has it
    (house / "fails").write_text("full-s0")
    code, said = snakemake(house)
    assert code == 1, said
    assert started(house) == ["full-s0", "plain-s0"]
    assert (folder / "full-s0/run.ipynb").read_text() == "executed", "the log is kept"
    assert page.read_text() == "of other runs"

    (house / "fails").unlink()
    finished = folder / "plain-s0/metrics.json"
    os.utime(finished, (0, 0))  # a clone's times mean nothing
    before = finished.stat().st_mtime_ns
    code, said = snakemake(house)
    assert (code, started(house)) == (0, ["full-s0"]), said
    assert page.read_text() == "" and finished.stat().st_mtime_ns == before

    os.utime(page, (1, 1))
    code, said = snakemake(house)
    assert (code, started(house)) == (0, []), said
    assert "Nothing to be done" in said


@needs_snakemake
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_runs_when_a_batch_is_ended_ends_by_itself_and_is_kept(house, how):
    (house / "waits").touch()
    batch = subprocess.Popen(batch_command(), cwd=house, stderr=subprocess.DEVNULL)
    assert wait_until((house / "started").is_file)
    batch.send_signal(how)
    if how == signal.SIGKILL:
        assert batch.wait(60) == -how
        assert "--unlock" in snakemake(house)[1], "the lock is left, as documented"
    else:
        with pytest.raises(subprocess.TimeoutExpired):
            batch.wait(2)
    (house / "waits").unlink()
    (first,) = started(house)
    assert wait_until((house / PLACE / first / "metrics.json").is_file)
    assert batch.wait(60) != 0
    assert how == signal.SIGTERM or snakemake(house, "--unlock")[0] == 0
    code, said = snakemake(house)
    assert (code, started(house)) == (0, [*{"full-s0", "plain-s0"} - {first}]), said


@needs_snakemake
@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_the_plan_of_a_profile_names_every_run_and_its_command(house, profile):
    finish(house / PLACE / "plain-s0")
    code, said = snakemake(
        house, "-n", "-p", "--workflow-profile", f"profiles/{profile}"
    )
    assert code == 0, said
    assert said.count("stand_in.py run toy --on plaza --variant full --seed 0") == 1
    assert "plain-s0 " not in said and "--variant plain" not in said
    assert said.count("stand_in.py sweep toy_parts --on plaza --seeds 0") == 1


@needs_snakemake
@pytest.mark.parametrize("kept", ["outputs", "dätä #1: it's"])
def test_a_sweep_goes_through_snakemake(house, monkeypatch, capfd, kept):
    pages = []
    monkeypatch.setattr(execute, "_papermill", leaving_a_page(pages))
    (house / "fails").write_text("full-s0")
    asked = ["sweep", "toy_parts", "--on", "plaza", "--seeds", "0"]
    asked += ["--outputs", str(house / kept)]
    code = cli.main(asked, house)
    out, err = capfd.readouterr()
    assert (code, len(pages)) == (1, 1), err
    assert sorted(started(house)) == ["full-s0", "plain-s0"]
    assert "toy on plaza, full-s0 failed: ValueError: told so" in err
    assert f"{kept}/plaza/toy/full-s0/error.log" in err
    assert "plain-s0 failed" not in err and "rule run" in err

    (house / "fails").unlink()
    assert cli.main(asked, house) == 0
    assert started(house) == ["full-s0"]
    assert len(list((house / kept).glob("plaza/toy/*/metrics.json"))) == 2

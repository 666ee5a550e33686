"""Runs of the command that break off say why and how to go on, and then go on.

One run of the baseline breaks again and again, each time by another fault, and ends to
the bit as one that nothing happened to. `pytest -s -m kills tests/test_broken_runs.py`
does the same with the four papers.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from toys.stand_in import STAND_IN
from toys.toy_paper import TOY_CELLS, notebook
from toys.toy_training import toy_run

from reidlib.benchmarks import load_benchmark
from reidlib.data.sampler import IdentitySampler
from reidlib.weights import read_checkpoint, write_checkpoint
from reidrun.cli import main as cli
from reidrun.runs import locks, sweep
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import RunError
from reidrun.runs.folder import is_complete, read_metrics
from reidrun.runs.progress import progress_of
from reidrun.watching import Watch

TESTS = Path(__file__).parent
EPOCHS, PEOPLE, IMAGES, STEPS = 3, 4, 12, 4  # all of smoke's 16 x 12 images an epoch
SETTINGS = {"epochs": EPOCHS, "num_identities_per_batch": PEOPLE, "workers": 1}
SETTINGS |= {"images_per_identity": IMAGES}
SMALL = {"image_height": 64, "image_width": 32}
SAME = ("history.csv", "queries.csv.gz", "model.safetensors")  # to the byte
FAULT, IMAGE = "FAULT_AFTER_STEP", "FAULT_IMAGE"
# sitecustomize.py of a kernel that has a fault at a step, as "memory@epoch 2, step 1"
FAULTS = f"""
import os

if "{FAULT}" in os.environ:
    import signal
    import time
    from multiprocessing import active_children
    from pathlib import Path

    import torch

    from reidlib.training.step import Step

    take, (fault, place) = Step.take, os.environ["{FAULT}"].split("@")

    def break_image():
        path = Path(os.environ["{IMAGE}"])
        path.write_bytes(path.read_bytes()[:300])

    def kill_worker():
        os.kill(active_children()[0].pid, signal.SIGKILL)
        time.sleep(0.5)  # in which torch's handler has its turn

    def fill_gpu():
        said = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total"
        raise torch.OutOfMemoryError(said)

    def fill_memory():
        torch.empty(1 << 50, dtype=torch.uint8)

    def take_and_break(step, batch, where):
        measured = take(step, batch, where)
        if where == place:
            globals()[fault]()
        return measured

    Step.take = take_and_break
"""
BEGIN = "import sys, pathlib, reidrun.cli.main as c; r = pathlib.Path(sys.argv[1])"
BEGIN += "; sys.exit(c.main(sys.argv[2:], r))"
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Drawn pedestrians of our own, to be damaged."""
    folder = tmp_path_factory.mktemp("data")
    load_benchmark("smoke", folder)
    return folder


@pytest.fixture
def reid(tmp_path, monkeypatch, capsys):
    """The command; the kernels that it starts have the fault that is given."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FAULTS)
    paths = [str(tmp_path / "site"), str(ROOT), str(TESTS)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def reid(words, fault="", root=ROOT):
        with monkeypatch.context() as changed:
            if fault:
                changed.setenv(FAULT, fault)
            code = cli.main([str(word) for word in words], root)
        return code, *capsys.readouterr()

    return reid


@contextmanager
def room(size):
    """Let no file of this process, or of those it starts, be larger: a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def in_a_line(err):
    return " ".join(err.replace("reid: ", "").split())


def assert_broken(folder, code, err, epochs, *said):
    """The command failed and said why; what was finished is there, and nothing else."""
    assert code == 1 and "Traceback" not in err
    assert all(line.startswith("reid: ") for line in err.splitlines())
    for words in said:
        assert words in in_a_line(err)
    assert read_checkpoint(folder / "checkpoint.pt")["epoch"] == epochs
    assert len(pd.read_csv(folder / "history.csv")) == epochs
    assert not is_complete(folder) and not list(folder.glob(".*"))
    run = progress_of(folder)
    assert run.state == "failed" and said[0] in run.error, "and so does reid status"


def image_of(step, epoch, data):
    """An image that is in a certain step of a certain epoch."""
    samples = load_benchmark("smoke", data).train
    sizes = {"num_identities_per_batch": PEOPLE, "images_per_identity": IMAGES}
    sampler = IdentitySampler(samples, **sizes, seed=0)
    sampler.set_epoch(epoch - 1)
    return samples[list(sampler)[step - 1][0]].path


PAPERS = ["baseline"]
PAPERS += [
    pytest.param(paper, marks=pytest.mark.kills)
    for paper in ("fanet", "rganet", "flannet", "fba")
]


@pytest.mark.skipif(sys.platform != "linux", reason="a limit stands for a full disk")
@pytest.mark.parametrize("paper", PAPERS)
def test_a_run_that_breaks_by_one_fault_after_the_other_ends_as_one_that_did_not(
    reid, data, tmp_path, monkeypatch, paper
):
    words = ["run", paper, "--on", "smoke", "--data", data]
    for name, value in (SETTINGS | (SMALL if paper == "baseline" else {})).items():
        words += ["-p", name, value]
    whole, broken = ([*words, "--outputs", tmp_path / name] for name in ("a", "b"))
    assert reid(whole)[0] == 0

    image = image_of(step=3, epoch=2, data=data)
    content = image.read_bytes()
    monkeypatch.setenv(IMAGE, str(image))
    code, _, err = reid(broken, f"break_image@epoch 1, step {STEPS}")
    (folder,) = (tmp_path / "b").glob("*/*/*")
    kept = "in epoch 2 of 3, behind step 2; 1 epochs and 2 steps are in the checkpoint"
    said = f"{image.name} cannot be decoded", "copy it from the release again", kept
    assert_broken(folder, code, err, 1, *said)
    image.write_bytes(content)

    code, out, err = reid(broken, "kill_worker@epoch 2, step 3")
    kept = "in epoch 2 of 3, behind step 3; 1 epochs and 3 steps are in the checkpoint"
    said = "a process that loads images has died", "lower `workers`, or free mem", kept
    assert "going on" in out
    assert_broken(folder, code, err, 1, *said)

    code, _, err = reid(broken, "fill_gpu@epoch 3, step 2")
    lower = "Lower num_identities_per_batch from 4 to 2 (images_per_identity is 12)"
    kept = "This was in epoch 3 of 3, behind step 1; 2 epochs are in the checkpoint"
    said = "with this batch 2.5 GiB more were wanted", lower, kept
    assert_broken(folder, code, err, 2, *said)

    with room((folder / "checkpoint.pt").stat().st_size - 1):  # the next is as large
        code, _, err = reid(broken)
    kept = "File too large; 2 epochs are in the checkpoint: make room or choose other"
    assert_broken(folder, code, err, 2, kept, "and run the same again to go on")

    code, out, err = reid(broken)
    assert (code, err) == (0, "") and "going on" in out and "epoch 2 of 3" not in out
    (undisturbed,) = (tmp_path / "a").glob("*/*/*")
    for part in ("scores", "measures", "parameters"):
        assert read_metrics(folder)[part] == read_metrics(undisturbed)[part]
    for name in SAME:
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name
    left = {path.name for path in folder.iterdir()}
    assert left == {path.name for path in undisturbed.iterdir()}
    assert "already there" in reid(broken)[1]


CELLS = {
    "parameters": TOY_CELLS["parameters"],
    "check": TOY_CELLS["check"],
    "fit": """\
from pathlib import Path
from toys.toy_training import toy_run

model, history = toy_run(
    checkpoint=Path(run_dir, "checkpoint.pt"), epochs=epochs, seed=seed,
)
""",
    "save": TOY_CELLS["save"].replace(
        'history = pd.DataFrame({"epoch": range(epochs)})\n', ""
    ),
}


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    weights = read_checkpoint(path)["model"]["classifier.weight"].numpy().tobytes()
    content[content.index(weights)] ^= 1
    path.write_bytes(content)


def replace_by_another_run(path):
    path.unlink()
    toy_run(checkpoint=path, epochs=1, seed=9)


def raise_version(path):
    write_checkpoint(read_checkpoint(path) | {"format": 3}, path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_short, ["cannot be read as a file of tensors", "delete it if a run can"]),
        (
            flip_a_bit,
            ["(the checksum of ", "it is damaged or of another kind"],
        ),
        (
            replace_by_another_run,
            ["was made with other parameters: seed: 9 in the check", "set them back"],
        ),
        (
            raise_version,
            ["of another version: its format is 3, here it is 2", "or delete it to"],
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_gone_on_with_is_refused_and_left_alone(
    reid, toy_root, damage, said
):
    (toy_root / "notebooks/toy.ipynb").write_text(json.dumps(notebook(CELLS)))
    folder = toy_root / "outputs/plaza/toy/full-s0"
    path = folder / "checkpoint.pt"
    toy_run(checkpoint=path, epochs=1, seed=0)
    whole = path.read_bytes()
    damage(path)
    damaged = path.read_bytes()
    assert damaged != whole
    words = ["run", "toy", "--on", "plaza"]
    code, out, err = reid(words, root=toy_root)
    assert code == 1 and "going on" in out
    for one in ("full-s0/checkpoint.pt", *said, "full-s0/error.log"):
        assert one in in_a_line(err)
    assert path.read_bytes() == damaged and not is_complete(folder)
    assert all(one in progress_of(folder).error for one in said)
    if damage is not cut_short:  # one that goes on is enough, each takes seconds
        return
    path.write_bytes(whole)
    code, out, err = reid(words, root=toy_root)
    assert (code, err) == (0, "") and "going on" in out and is_complete(folder)
    history = toy_run(epochs=2, seed=0)[1].to_csv(index=False)
    assert (folder / "history.csv").read_text() == history


HOLDING = """
import sys
from pathlib import Path
from reidrun.runs.locks import hold

file = hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
STUDY = """\
parts:
  first: {about: the whole method, runs: [toy], benchmarks: [plaza], seeds: [0, 1]}
"""


@contextmanager
def made_by_another(folder):
    """Let another process hold a run folder; yields its number."""
    folder.mkdir(parents=True)
    order, pipe = [sys.executable, "-c", HOLDING, folder], subprocess.PIPE
    with subprocess.Popen(order, stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout.readline() == "held\n"
        yield first.pid
        first.stdin.close()


@pytest.mark.parametrize(
    "words",
    [
        "run toy --on plaza",
        "run toy --on plaza --fresh",
        "sweep toy_parts --on plaza --seeds 0 1 --variants full --profile none",
        "study --run",
    ],
)
def test_the_second_command_on_a_run_is_told_of_the_first_and_makes_the_others(
    reid, toy_root, monkeypatch, words
):
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(sweep, "COMMAND", (sys.executable, "-c", STAND_IN))
    (toy_root / "params/study.yaml").write_text(STUDY)
    held, other = (toy_root / f"outputs/plaza/toy/full-s{seed}" for seed in (0, 1))
    is_one = words.startswith("run")
    with made_by_another(held) as first:
        (held / "checkpoint.pt").write_text("what the first has come to")
        code, out, err = reid(words.split(), root=toy_root)
        assert code == (2 if is_one else 1)
        assert f"full-s0 is being made by process {first} on " in err
        assert "wait until it has ended, or end it; `reid status` says how far" in err
        assert (held / "checkpoint.pt").read_text() == "what the first has come to"
        assert is_complete(other) is not is_one
    if not is_one:
        assert reid(words.split(), root=toy_root)[0] == 0 and is_complete(held)


def test_a_notebook_in_the_folder_of_a_run_that_is_made_is_told_of_it(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0.2)
    folder = tmp_path / "run"
    with made_by_another(folder) as first:
        said = f"is being made by process {first} on .*: wait until it has ended, or"
        with pytest.raises(RunError, match=said):
            toy_run(watch=Watch(folder), checkpoint=folder / "checkpoint.pt")
        assert [path.name for path in folder.iterdir()] == ["running.lock"]


def without_rights(folder):
    """How a command is begun that may not write where its user may not: root may."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may write anywhere, and there is no setpriv")
    done = subprocess.run([*WITHOUT_RIGHTS, "touch", folder / "x"], capture_output=True)
    if not done.returncode or b"Permission denied" not in done.stderr:
        pytest.skip("root may write anywhere, and cannot give that up here")
    return WITHOUT_RIGHTS


def test_outputs_that_are_read_only_are_refused_and_the_run_goes_on_when_they_are_not(
    reid, toy_root
):
    folder, fresh = (toy_root / f"outputs/plaza/toy/full-s{seed}" for seed in (0, 1))
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_text("what there is")
    for one in (folder, folder.parent):
        one.chmod(0o555)
    begin = [*without_rights(folder), sys.executable, "-c", BEGIN, toy_root]
    for seed, code, said in (
        (0, 1, f"{folder} cannot be written to (Permission denied): name another"),
        (1, 2, f"{fresh} cannot be made (Permission denied): name another folder by"),
    ):
        words = ["run", "toy", "--on", "plaza", "--seed", str(seed)]
        done = subprocess.run([*begin, *words], capture_output=True, text=True)
        assert done.returncode == code and said in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert [path.name for path in folder.iterdir()] == ["checkpoint.pt"]
    assert (folder / "checkpoint.pt").read_text() == "what there is"
    for one in (folder, folder.parent):
        one.chmod(0o755)
    code, out, _ = reid(["run", "toy", "--on", "plaza"], root=toy_root)
    assert code == 0 and "going on" in out and is_complete(folder)

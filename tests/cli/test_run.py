"""A wrong parameter is said before a notebook's kernel is started."""

import shutil

import pytest

from reidrun.cli import main as cli
from reidrun.runs import execute
from reidrun.runs.environment import ROOT


@pytest.fixture
def house(tmp_path):
    """The notebooks and parameters of this repository, and no outputs."""
    for name in ("notebooks", "params"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch):
    def started(*_):
        raise AssertionError("a kernel was started")

    monkeypatch.setattr(execute, "_papermill", started)


WRONG = [
    ("fanet", "epoch=3", "epoch: unknown parameter; did you mean epochs?"),
    ("fanet", "epochs=zero", "epochs: zero is not a whole number"),
    ("fanet", "epochs=0", "epochs is 0, but must be in"),
    ("fba", "learning_rate=nan", "learning_rate: nan is not finite"),
    ("rganet", "regions=foo", "'foo' is none of none, stripe, text"),
    ("fanet", "milestones=4,2", "milestones are [4, 2], but must rise"),
    ("rganet", "milestones=2,2", "milestones are [2, 2], but must rise"),
    ("fanet", "num_identities_per_batch=301", "301, but plaza has 300 identities"),
    ("flannet", "also_on=plazza", "also_on: unknown benchmark 'plazza'"),
    ("rganet", "prompt_path=no.pt", "prompt_path: no file no.pt"),
    ("fba", "heads=3", "heads is 3, which does not divide 128"),
    ("baseline", "weights_path=../params", "weights_path: ../params is a folder: name"),
    (
        "baseline",
        "weights_path=baseline.ipynb/w",
        "baseline.ipynb is a file, no folder",
    ),
    ("fba", "precision=fp16", "fp16 needs a GPU"),
]


@pytest.mark.parametrize(("paper", "given", "said"), WRONG)
def test_no_kernel_is_started_for_a_parameter_that_is_wrong(
    house, capsys, monkeypatch, paper, given, said
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    name, _, value = given.partition("=")
    words = ["run", paper, "--on", "plaza", "-p", name, value]
    assert cli.main(words, house) != 0
    assert said in capsys.readouterr().err
    assert not (house / "outputs").exists()


def test_nor_for_a_sweep(house, capsys):
    words = ["sweep", "fanet_components", "--on", "plaza", "--seeds", "0"]
    words += ["--profile", "none", "-p", "milestones", "4,2"]
    assert cli.main(words, house) != 0
    assert "milestones are [4, 2]" in capsys.readouterr().err
    assert not (house / "outputs").exists()


def test_papers_run_side_by_side(toy_root, capsys):
    for path in [*toy_root.rglob("toy.*"), *toy_root.rglob("tiny@toy.yaml")]:
        other = path.read_text().replace("toy", "other")
        path.with_name(path.name.replace("toy", "other")).write_text(other)
    words = ["run", "toy", "other", "--on", "plaza", "--jobs", "2"]
    words += ["--outputs", str(toy_root / "outputs")]
    assert cli.main(words, toy_root) == 0
    out = capsys.readouterr().out
    assert "[2/2]" in out and "other on plaza, full-s0: " in out
    for paper in ("toy", "other"):
        assert (toy_root / f"outputs/plaza/{paper}/full-s0/metrics.json").is_file()


@pytest.mark.parametrize("also", ["--log", "--keep-checkpoint", "--processes=2"])
def test_what_is_for_one_run_at_a_time_is_refused(toy_root, capsys, also):
    words = ["run", "toy", "--on", "plaza", "--jobs", "2", also]
    assert cli.main(words, toy_root) != 0
    name = also.partition("=")[0]
    assert f"jobs: 2, but {name} is for one run" in capsys.readouterr().err
    assert not (toy_root / "outputs").exists()

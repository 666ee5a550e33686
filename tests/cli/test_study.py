"""`reid study`: what it lists, what it runs, and how it stops."""

import os
import signal
import sys

import pytest
from toys.stand_in import STAND_IN

from reidlib.backbones import clip_weights as clip
from reidlib.backbones import resnet
from reidrun.cli import main as cli
from reidrun.runs import missing, sweep
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError
from reidrun.runs.plans import make_plan
from reidrun.runs.stopping import STOPPED

STUDY = """\
parts:
  first:
    about: the whole method
    runs: [toy]
    benchmarks: [plaza]
    seeds: [0]
  second:
    about: both rows
    runs: [toy_parts]
    benchmarks: [plaza]
    seeds: [0, 7]
"""


@pytest.fixture
def reid(toy_root, capsys, monkeypatch):
    monkeypatch.setattr(sweep, "COMMAND", (sys.executable, "-c", STAND_IN))
    (toy_root / "params/study.yaml").write_text(STUDY)

    def reid(*arguments):
        code = cli.main(["study", *map(str, arguments)], toy_root)
        return code, *capsys.readouterr()

    return reid


def table(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def test_what_is_missing_is_listed_and_nothing_is_run(reid, toy_root):
    code, out, err = reid()
    assert (code, err) == (0, "")
    assert table(out)[1:] == [
        ["first", "1", "0", "0", "?", "the", "whole", "method"],
        ["second", "3", "0", "0", "?", "both", "rows"],
        ["4", "runs", "left,", "4", "of", "them", *table(out)[3][6:]],
    ]
    assert out.endswith("4 runs left, 4 of them not timed yet; --run makes them\n")
    assert not (toy_root / "outputs").exists()
    assert "toy on plaza, plain-s7" not in out
    code, out, err = reid("second")
    lines = out.splitlines()
    assert [line for line in lines if line.startswith("toy on ")] == [
        "toy on plaza, plain-s0",
        "toy on plaza, full-s7",
        "toy on plaza, plain-s7",
    ]


def test_a_run_that_fails_is_told_and_the_same_command_goes_on(reid):
    code, out, err = reid("--run", "--jobs", 2)
    assert code == 1
    assert out.startswith("4 runs, 0 already there; 4 runs left")
    assert "reid: toy on plaza, full-s7 failed: ValueError: seven" in err
    code, out, err = reid("--run", "first")
    assert (code, out, err) == (0, "1 runs, 1 already there; none left\n", "")
    code, out, err = reid()
    assert table(out)[2][:4] == ["second", "3", "1", "0"]


def test_what_cannot_be_made_here_is_held_up_and_the_rest_is_made(reid, monkeypatch):
    def refuse(plans):
        raise ParameterError("no weights") if plans else None

    monkeypatch.setattr("reidrun.runs.study_plan.refuse_missing_files", refuse)
    code, out, err = reid("--run", "first")
    held = "0 runs, 0 already there; none left, but 1 held up (no weights)\n"
    assert (code, out) == (1, held)
    said = "reid: 1 runs, first toy on plaza, full-s0, are held up: no weights\n"
    assert err == said
    code, out, err = reid("first")
    assert code == 0 and err == said
    assert table(out)[1][:4] == ["first", "1", "0", "1"]
    assert out.endswith(", but 1 held up (no weights)\n"), "there are no others"

    def held_up(plans):
        return {"no weights": plans[:1]}

    monkeypatch.setattr("reidrun.runs.study_plan.held_up", held_up)
    _, out, _ = reid()
    assert out.endswith(", but 1 held up (no weights); --run makes the others\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frist"], "unknown part of the study 'frist'; did you mean first"),
        (["--jobs", 0], "jobs: 0; at least 1 is wanted"),
        (["--run", "--jobs", "two"], "argument --jobs: 'two' is not a whole number"),
    ],
)
def test_a_bad_request_is_refused(reid, toy_root, arguments, said):
    code, out, err = reid(*arguments)
    assert (code, out) == (2, "") and said in err
    assert not (toy_root / "outputs").exists()


def test_ctrl_c_stops_and_says_how_to_go_on(reid, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("reidrun.cli.study.say", interrupted)
    code, _, err = reid("--run")
    said = "reid: interrupted; the same command goes on\n"
    assert (code, err) == (cli.INTERRUPTED, said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_queue_that_stops_it_is_told_to_try_again(reid, monkeypatch, number):
    monkeypatch.setattr(
        "reidrun.cli.study.say", lambda *_: os.kill(os.getpid(), number)
    )
    code, _, err = reid("--run")
    said = f"reid: told to stop by {number.name}: the same command goes on\n"
    assert (code, err) == (STOPPED, said)


def test_weights_that_are_not_shipped_are_told_before_anything_is_trained(monkeypatch):
    known = {"rendered": resnet.TINY_RENDERED, "tiny-rendered": clip.TINY_RENDERED}
    assert known == missing.TAUGHT
    absent = {"tiny-rendered": ROOT / "no_such.safetensors"}
    monkeypatch.setattr(missing, "TAUGHT", absent)
    asked = {"benchmark": "atrium_smoke", "seed": 0, "outputs": ROOT / "outputs"}
    plan = make_plan(ROOT, "rganet", **asked, data_root=ROOT / "data")
    assert plan.parameters["image_height"] == 64
    with pytest.raises(ParameterError, match=r"tiny-rendered are not shipped yet: no"):
        missing.refuse_missing_files([plan])

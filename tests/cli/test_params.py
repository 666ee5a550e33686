"""`reid params`: a file for papermill that says what each value means."""

import json

import papermill
import pytest
import yaml

from reidrun.cli import main as cli
from reidrun.runs.plans import make_plan


@pytest.fixture
def printed(toy_root, capsys):
    def printed(*words: str) -> str:
        assert cli.main(["params", "toy", *words], toy_root) == 0
        return capsys.readouterr().out

    return printed


def test_what_is_printed_are_the_parameters_of_the_run(printed, toy_root):
    text = printed("--on", "station", "--seed", "2", "--variant", "plain")
    asked = {"benchmark": "station", "seed": 2, "variant": "plain"}
    places = {"outputs": toy_root / "outputs", "data_root": toy_root / "data"}
    plan = make_plan(toy_root, "toy", **asked, **places)
    assert yaml.safe_load(text) == plan.parameters


def test_every_line_has_meaning_range_and_source(printed):
    lines = printed("--on", "plaza", "-p", "epochs", "7").splitlines()
    assert lines[0].endswith("-f THIS_FILE")
    said = dict(line.split("  # ", 1) for line in lines[2:])
    assert said["epochs: 7"] == (
        "passes over the training images, in [1, inf) [the command]"
    )
    assert said["milestones: [1]"].endswith("[params/scales/tiny@toy.yaml: tiny]")
    assert said["learning_rate: 0.5"].endswith("[params/scales/tiny.yaml: tiny]")
    assert said["erasing: true"].endswith("[params/papers/toy.yaml: Sec. 4]")
    assert said["also_on: []"].endswith("[params/base.yaml: none]")
    assert said["data_root: ../data"].endswith("[the command]")


def test_a_variant_is_a_source(printed):
    text = printed("--on", "plaza", "--variant", "plain")
    assert "erasing: false  # erase a box of the image [variant plain]" in text


def test_papermill_takes_the_file(printed, toy_root, tmp_path):
    file, output = tmp_path / "p.yaml", tmp_path / "out.ipynb"
    file.write_text(printed("--on", "plaza"))
    papermill.execute_notebook(
        str(toy_root / "notebooks/toy.ipynb"),
        str(output),
        parameters=papermill.iorw.read_yaml_file(str(file)),
        prepare_only=True,
    )
    cells = [cell["source"] for cell in json.loads(output.read_text())["cells"]]
    assert any("milestones = [1]" in "".join(cell) for cell in cells)


def test_what_is_not_there_is_refused(toy_root, capsys):
    assert cli.main(["params", "toy", "--on", "plazza"], toy_root) == 2
    assert "did you mean plaza" in capsys.readouterr().err

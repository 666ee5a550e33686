"""The command `reid`, on a toy paper that scores 0.5 without training."""

import json
import re
import shutil

import pytest
from toys.toy_paper import leaving_a_page, notebook

from reidrun.cli import main as cli
from reidrun.cli import run as run_command
from reidrun.cli import server as showing
from reidrun.reports import readme as results
from reidrun.runs import execute
from reidrun.runs.errors import RunError
from reidrun.runs.folder import PROGRESS, SCORES, is_complete, read_metrics


@pytest.fixture
def reid(toy_root, capsys):
    def reid(*arguments):
        try:
            code = cli.main([str(a) for a in arguments], toy_root)
        except SystemExit as stop:  # argparse
            code = stop.code
        return code, *capsys.readouterr()

    return reid


@pytest.fixture
def executed(monkeypatch):
    """Stand in for papermill: write what the toy would, at once."""
    calls = []

    def stand_in(notebook, output, parameters, log):
        (output.parent / PROGRESS).write_text("epoch 1 of 1, loss 2, 0:00 left")
        calls.append(dict(parameters))
        folder = output.parent
        shutil.copy(notebook, output)
        score = dict.fromkeys(SCORES, 0.5)
        record = {"paper": notebook.stem, "seed": parameters["seed"], "commit": ""}
        record |= {"benchmark": parameters["benchmark"], "drawn": True, "seconds": 1.0}
        variant = folder.name.rpartition("-s")[0]
        score |= {"num_valid": 1, "num_skipped": 0}
        record |= {"variant": variant, "scores": {"plaza": score}}
        (folder / "metrics.json").write_text(json.dumps(record))

    monkeypatch.setattr(execute, "_papermill", stand_in)
    return calls


def test_a_run_leaves_notebook_page_and_record_and_is_not_redone(reid, toy_root):
    command = ["run", "toy", "--on", "plaza", "--seed", 1, "--html"]
    code, out, err = reid(*command, "-p", "also_on", "station")
    assert (code, err) == (0, "")
    folder = toy_root / "outputs/plaza/toy/full+also_on=station-s1"
    expected = ["checkpoint.pt", "history.csv", "metrics.json", "params.yaml"]
    expected += ["queries.csv.gz", "run.html", "run.ipynb"]
    assert sorted(p.name for p in folder.iterdir()) == expected
    record = read_metrics(folder)
    assert record["variant"] == "full+also_on=station"
    assert record["parameters"]["epochs"] == 2
    assert record["parameters"]["erasing"] is True
    notebook = (folder / "run.ipynb").read_text()
    assert str(toy_root) not in notebook, "no path of this machine"
    assert '"papermill"' not in notebook, "no times"
    table = [line.split() for line in out.splitlines() if "drawn pedestrians" in line]
    assert [row[:5] for row in table] == [
        ["toy", "full+also_on=station", "1", "plaza", "plaza"],
        ["toy", "full+also_on=station", "1", "plaza", "station"],
    ]
    assert table[0][-4:] == ["50.0", "100.0", "100.0", "100.0"]
    assert "run.ipynb" in out.splitlines()[-1] and "run.html" in out.splitlines()[-1]

    before = (folder / "metrics.json").stat().st_mtime_ns
    code, out, _ = reid(*command, "-p", "also_on", "station")
    assert code == 0
    assert "already there" in out and "drawn pedestrians" in out
    assert (folder / "metrics.json").stat().st_mtime_ns == before


def test_a_failed_run_says_why_and_where_and_the_next_one_goes_on(reid, toy_root):
    command = ["run", "toy", "--on", "plaza", "-p", "epochs", "10"]
    code, out, err = reid(*command)
    folder = toy_root / "outputs/plaza/toy/full+epochs=10-s0"
    assert code == 1
    assert "AssertionError: the power went out" in err
    assert "full+epochs=10-s0/run.ipynb" in err
    assert "the power went out" in (folder / "error.log").read_text()
    assert (folder / "run.ipynb").is_file()
    assert not is_complete(folder)
    assert "Traceback" not in err
    code, out, _ = reid(*command)
    assert code == 0 and "going on" in out
    assert is_complete(folder) and not (folder / "error.log").exists()


def test_plain_papermill_stops_in_the_first_cell_on_an_unknown_name(toy_root):
    output = toy_root / "out.ipynb"
    with pytest.raises(Exception, match=r'encountered at "In \[3\]"') as caught:
        execute._papermill(
            toy_root / "notebooks/toy.ipynb", output, {"epohcs": 1}, False
        )
    message = "ParameterError: epohcs: unknown parameter; did you mean epochs?"
    assert str(caught.value).strip().splitlines()[-1] == message
    assert caught.value.traceback == [message], "short, and nothing else"


def test_an_executed_notebook_is_tidied(tmp_path):
    injected = "# Parameters\ndata_root = '/somewhere'\nrun_dir = '..'\nseed = 1"
    book = notebook({"plot": "figure", "injected": injected})
    links = "[b](../b.ipynb), [c](c.ipynb#d), [e](x.md), [f](file:///f.ipynb), [g](#g)"
    text = {"cell_type": "markdown", "id": "text", "metadata": {}, "source": links}
    book["cells"].append(text)
    book["metadata"]["papermill"] = {"output_path": "/somewhere/run.ipynb"}
    cell, parameters, _ = book["cells"]
    parameters["metadata"] = {"tags": ["injected-parameters"]}
    cell["metadata"] = {"papermill": {"duration": 1.0}, "execution": {}, "tags": ["a"]}
    path = tmp_path / "outputs/run.ipynb"
    path.parent.mkdir()
    path.write_text(json.dumps(book))
    execute._tidy(path, tmp_path / "notebooks/ablations")
    tidied = json.loads(path.read_text())
    assert tidied["metadata"] == {"kernelspec": book["metadata"]["kernelspec"]}
    assert tidied["cells"][0]["metadata"] == {"tags": ["a"]}
    assert tidied["cells"][0]["source"] == ["figure"]
    assert "".join(tidied["cells"][1]["source"]) == "# Parameters\nseed = 1"
    links = links.replace("../b.ipynb", "../notebooks/b.ipynb")
    links = links.replace("c.ipynb#d", "../notebooks/ablations/c.ipynb#d")
    links = links.replace("x.md", "../notebooks/ablations/x.md")
    assert "".join(tidied["cells"][2]["source"]) == links


def test_a_notebook_that_ends_without_a_record_has_failed(reid, executed, monkeypatch):
    monkeypatch.setattr(execute, "_papermill", leaving_a_page([]))
    code, _, err = reid("run", "toy", "--on", "plaza")
    assert code == 1
    assert "toy.ipynb ended without metrics.json" in err


def test_a_record_left_before_a_failure_does_not_count(toy_root, monkeypatch):
    folder = toy_root / "run"

    def fail_late(*_):
        (folder / "metrics.json").write_text("{}")
        raise RuntimeError("Kernel died")

    monkeypatch.setattr(execute, "_papermill", fail_late)
    with pytest.raises(RunError, match="RuntimeError: Kernel died"):
        execute.execute(toy_root / "notebooks/toy.ipynb", folder, {"seed": 0})
    assert not is_complete(folder)


def test_the_notebook_gets_every_parameter_and_relative_places(reid, executed):
    assert reid("run", "toy", "--on", "plaza", "-p", "learning_rate", "5e-6")[0] == 0
    (parameters,) = executed
    assert parameters == {
        "benchmark": "plaza",
        "also_on": [],
        "data_root": "../data",
        "run_dir": "../outputs/plaza/toy/full+learning_rate=5e-06-s0",
        "variant": "full+learning_rate=5e-06",
        "seed": 0,
        "epochs": 2,
        "learning_rate": 5e-6,
        "milestones": [1],
        "erasing": True,
    }


def test_real_benchmarks_run_at_full_scale_and_drawn_ones_on_request(
    reid, executed, toy_root
):
    (toy_root / "data/market1501/query").mkdir(parents=True)
    reid("run", "toy", "--on", "market1501")
    reid("run", "toy", "--on", "plaza", "--scale", "full")
    assert [call["epochs"] for call in executed] == [60, 60]
    assert executed[0]["run_dir"].endswith("market1501/toy/full-s0")
    assert executed[1]["run_dir"].endswith("plaza/toy/full+scale=full-s0")


def test_variants_are_runs_of_their_own(reid, executed):
    assert reid("run", "toy", "--on", "plaza", "--variant", "plain")[0] == 0
    assert executed[0]["erasing"] is False
    assert executed[0]["run_dir"].endswith("plain-s0")


def test_other_parameters_in_a_run_folder_are_refused(reid, executed, toy_root):
    command = ["run", "toy", "--on", "plaza"]
    reid(*command)
    layer = toy_root / "params/scales/tiny@toy.yaml"
    layer.write_text("epochs: 3\nmilestones: [1]\n")
    code, _, err = reid(*command)
    assert code == 2
    assert "outputs/plaza/toy/full-s0 holds a run with other parameters" in err
    assert "epochs: 2 there, 3 wanted" in err and "--fresh" in err
    assert len(executed) == 1
    assert reid(*command, "--fresh")[0] == 0
    assert [call["epochs"] for call in executed] == [2, 3]
    reid(*command, "--outputs", toy_root / "elsewhere")
    assert (toy_root / "elsewhere/plaza/toy/full-s0/metrics.json").is_file()


def test_fresh_throws_away_run_folders_only(reid, executed, toy_root):
    mine = toy_root / "outputs/plaza/toy/full-s0/mine.txt"
    mine.parent.mkdir(parents=True)
    mine.touch()
    reid("run", "toy", "--on", "plaza", "--fresh")
    assert mine.exists()


def test_a_fresh_run_that_is_refused_throws_nothing_away(reid, executed, toy_root):
    split = toy_root / "data/market1501/query"
    split.mkdir(parents=True)
    command = ["run", "toy", "--on", "market1501"]
    assert reid(*command)[0] == 0
    split.rmdir()
    assert "already there" in reid(*command)[1], "a finished run needs no data"
    code, _, err = reid(*command, "--fresh")
    assert code == 2 and "market1501: no data in" in err
    assert is_complete(toy_root / "outputs/market1501/toy/full-s0")


def test_several_papers_give_one_table_and_a_failure_stops_no_other(
    reid, executed, toy_root, monkeypatch
):
    for name in ("other", "third"):
        for path in (toy_root / "params").rglob("*toy.yaml"):
            shutil.copy(path, path.with_name(path.name.replace("toy", name)))
        notebooks = toy_root / "notebooks"
        shutil.copy(notebooks / "toy.ipynb", notebooks / f"{name}.ipynb")
    stand_in = execute._papermill

    def failing(notebook, *rest):
        if notebook.stem == "other":
            raise RuntimeError("no memory")
        stand_in(notebook, *rest)

    monkeypatch.setattr(execute, "_papermill", failing)
    further = ("-p", "also_on", '["station"]')
    code, out, err = reid("run", "toy", "other", "third", "--on", "plaza", *further)
    assert code == 1
    assert (
        "other on plaza, full+also_on=station-s0 failed" in err and "no memory" in err
    )
    table = [line.split()[0] for line in out.splitlines() if "drawn ped" in line]
    assert table == ["toy", "third"], "a row each, of the benchmark asked for"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run ty --on plaza", "unknown paper 'ty'; did you mean toy? (known: toy)"),
        ("run toy --on plazza", "unknown benchmark 'plazza'; did you mean plaza?"),
        ("run toy --on plaza --variant plian", "did you mean plain? (known: full, pl"),
        ("run toy --on plaza --scale tny", "unknown scale 'tny'; did you mean tiny?"),
        ("run toy --on plaza -p epohcs 1", "epohcs: unknown parameter; did you mean"),
        ("run toy --on plaza -p epochs many", "epochs: many is not a whole num"),
        ("run toy --on plaza -p epochs 1.5", "epochs: 1.5 is not a whole number"),
        ("run toy --on plaza -p epochs -3", "epochs is -3, but must be in [1, inf)"),
        ("run toy --on plaza -p erasing yes", "erasing: yes is not true or false"),
        (
            "run toy --on plaza -p also_on [plaza",
            "also_on: [plaza is not a list: write",
        ),
        ("run toy --on plaza -p also_on plazza", "also_on: unknown benchmark 'plazza'"),
        ("run toy --on plaza --seed -1", "seed is -1, but must be in [0, 4294967296)"),
        ("run toy --on plaza --seed 4294967296", "seed is 4294967296, but must be in"),
        ("run toy --on market1501", "house/data is no folder; --data names"),
        ("sweep toy_parts --on plaza --seeds 0 a", "argument --seeds: 'a' is not a wh"),
        ("run toy --on market1501 --data /nonexist", "/nonexist is no folder; --data"),
        ("sweep toy_parts --on plaza --seeds 0 -1", "seed is -1, but must be in [0,"),
        ("sweep toy_parts --on market1501 --seeds 0", "market1501: /"),
        ("run toy --on plaza -p seed 1", "seed: give it by --seed, not by -p"),
        ("run toy --on plaza -p run_dir x", "run_dir: give it by --outputs"),
        ("run toy --on plaza -p variant x", "variant: give it by --variant"),
        ("run toy --on occluded_reid", "occluded_reid is for testing only, it has no"),
        ("data tree plazza", "unknown benchmark 'plazza'; did you mean plaza?"),
        ("data check plazza x", "unknown benchmark 'plazza'; did you mean plaza?"),
        ("data fixture plaza x", "unknown benchmark 'plaza'"),
        ("results", "no finished run in"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_runs(
    reid, executed, toy_root, arguments, message
):
    code, out, err = reid(*arguments.split())
    assert (code, out) == (2, "")
    assert message in err
    assert all(line.startswith("reid: ") for line in err.splitlines())
    assert not executed
    assert not any((toy_root / name).exists() for name in ("outputs", "data"))


def test_notebooks_that_are_no_runs_are_told_from_typing_errors(reid, toy_root):
    folder = toy_root / "notebooks/ablations"
    folder.mkdir()
    (folder / "toy_cost.ipynb").touch()
    code, _, err = reid("sweep", "toy_cost", "--on", "plaza", "--seeds", 0)
    assert code == 2 and "toy_cost is a notebook that needs no runs: open it" in err
    (toy_root / "notebooks/people.ipynb").touch()
    code, _, err = reid("run", "people", "--on", "plaza")
    assert code == 2 and "people is a notebook, but of no paper (known: toy)" in err


def test_help_lists_the_names_there_are(reid):
    _, run, _ = reid("run", "--help")
    assert "papers: toy\n" in run and "scales: full, tiny" in run
    _, sweep, _ = reid("sweep", "--help")
    assert "ablations: toy_parts\n" in sweep
    for text in (run, sweep, reid("data", "tree", "--help")[1]):
        assert "benchmarks: arcade, " in text and "station" in text


@pytest.mark.parametrize(
    "arguments",
    ["", "run", "run toy", "fly", "run toy --on a -p", "data", "data check market1501"],
)
def test_an_incomplete_command_shows_its_use(reid, arguments):
    code, _, err = reid(*arguments.split())
    assert code == 2 and "usage: reid" in err


def test_a_run_says_how_far_it_is_and_keeps_no_log_of_it(reid, executed, toy_root):
    _, out, _ = reid("run", "toy", "--on", "plaza")
    assert "\n  epoch 1 of 1, loss 2, 0:00 left\n" in out
    assert not (toy_root / "outputs/plaza/toy/full-s0" / PROGRESS).exists()


def test_results_are_printed(reid, executed):
    reid("run", "toy", "--on", "plaza", "--seed", 4)
    reid("run", "toy", "--on", "plaza", "--seed", 5)
    reid("run", "toy", "--on", "plaza", "--seed", 4, "-p", "epochs", 1)
    code, out, _ = reid("results")
    assert code == 0
    assert re.search(r"toy +full .*drawn pedestrians +2 50\.0 ± 0\.0", out)
    assert "epochs=1" not in out and "1 runs of other variants: --paper PAPER" in out
    code, out, _ = reid("results", "--paper", "toy", "--on", "plaza")
    assert code == 0 and re.search(r"full\+epochs=1 .* 1 +50\.0 ", out)
    code, out, _ = reid("results", "--csv", "--variant", "full")
    assert [line.split(",")[:3] for line in out.splitlines()[1:]] == [
        ["toy", "full", "4"],
        ["toy", "full", "5"],
    ]
    code, _, err = reid("results", "--variant", "fulll")
    assert code == 2 and "no finished run of variant fulll: full, full+epochs=1" in err


def test_results_leave_out_and_name_what_is_damaged(reid, executed, toy_root):
    for seed in (4, 5):
        reid("run", "toy", "--on", "plaza", "--seed", seed)
    record = toy_root / "outputs/plaza/toy/full-s5/metrics.json"
    record.write_text(record.read_text().replace("0.5", '"half"'))
    code, out, err = reid("results")
    assert code == 2 and re.search(r"toy +full .* 1 +50\.0 ", out)
    assert "left out: " in err and "full-s5/metrics.json: no record of a run" in err
    code, _, err = reid("run", "toy", "--on", "plaza", "--seed", 5)
    assert code == 1 and "plaza, full-s5 is damaged: " in err


def test_results_are_written(reid, executed, toy_root):
    reid("run", "toy", "--on", "plaza")
    code, _, err = reid("results", "--write")
    assert code == 2 and "README.md: a line `<!-- results" in err
    readme = toy_root / "README.md"
    readme.write_text(f"# House\n{results.START}\n{results.END}\n")
    code, out, _ = reid("results", "--write")
    assert code == 0 and "rank-1" not in out, "the table is in the README"
    assert "README.md" in out and "left out" not in out
    assert "| `toy` | `plaza` | | 50.0 / 50.0 | | | `reid run toy" in readme.read_text()
    record = toy_root / "outputs/plaza/toy/full-s0/metrics.json"
    record.write_text(record.read_text().replace('"toy"', '"fba"'))
    code, _, err = reid("results", "--write")
    assert code == 2 and "full-s0/metrics.json: it is the record of plaza/fba/" in err


def test_the_gallery_is_shown(reid, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(showing, "show", lambda *asked: shown.append(asked))
    assert reid("gallery", "--site", tmp_path, "--port", 0)[0] == 0
    assert shown == [(tmp_path, 0)]
    monkeypatch.undo()
    code, _, err = reid("gallery", "--site", tmp_path / "absent")
    assert code == 2 and "absent is not there: `make site` builds it" in err


def test_ctrl_c_is_no_traceback(reid, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "make_plan", interrupt)
    code, _, err = reid("run", "toy", "--on", "plaza")
    assert code == 130 and "the same command goes on" in err


@pytest.mark.parametrize("place", ["afile", "/proc/nothing"])
def test_outputs_that_cannot_be_made_are_a_line(reid, toy_root, place):
    (toy_root / "afile").touch()
    code, _, err = reid("run", "toy", "--on", "plaza", "--outputs", toy_root / place)
    assert code == 2 and len(err.splitlines()) == 1
    assert "cannot be made" in err and "by --outputs" in err


def test_names_with_escape_sequences_are_spelled_out(reid, toy_root):
    folder = toy_root / "outputs/plaza/toy/\x1b[31mred-s0"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{")
    code, out, err = reid("results")
    assert code == 2 and "\\x1b[31mred-s0" in err and "\x1b" not in out + err


def test_fresh_throws_away_a_run_whose_params_are_gone(reid, toy_root, executed):
    assert reid("run", "toy", "--on", "plaza")[0] == 0
    folder = toy_root / "outputs/plaza/toy/full-s0"
    (folder / "params.yaml").unlink()
    assert reid("run", "toy", "--on", "plaza", "--fresh")[0] == 0
    assert len(executed) == 2


def test_a_terminal_of_ascii_only_shows_a_table(toy_root):
    import os
    import subprocess
    import sys

    words = ["results", "--outputs", "outputs"]
    command = [sys.executable, "-m", "reidrun.cli.main", *words]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        command, cwd=cli.ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")

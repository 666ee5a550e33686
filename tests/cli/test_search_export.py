"""`reid search` and `reid export`, on the model of a run that was not trained."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from toys.notebook_models import model_of

import reidlib
from reidlib import evaluation, exporting
from reidlib.benchmarks import USE, load_benchmark
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.model_files import save_model
from reidlib.pedestrians import Shot, draw
from reidrun.cli import export as cli_export
from reidrun.cli import main as cli
from reidrun.reports.model_card import facts

SCORE = {"mAP": 0.5, "rank1": 0.75}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "outputs" / "plaza" / "toy" / "full-s0"
    folder.mkdir(parents=True)
    model = model_of("baseline", "full").eval()
    transform = plain_transform(128, 64, normalisation="imagenet")
    parameters = {"benchmark": "plaza", "variant": "full", "seed": 0}
    known = facts("toy", parameters, {"plaza": SCORE}, {"commit": "abc"})
    save_model(folder, model, evaluation.Tester(transform, "cpu", 8), known)
    return folder


@pytest.fixture
def photographs(tmp_path) -> Path:
    for place, count in (("who", 2), ("where", 6)):
        for n in range(count):
            path = tmp_path / "my pictures" / place / f"<{n}> & 'ä'.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(Shot("plaza", place, 300 + n, n, 0)).image.save(path)
    return tmp_path / "my pictures"


@pytest.fixture
def reid(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def reid(*words):
        try:
            code = cli.main([str(word) for word in words], tmp_path)
        except SystemExit as stop:  # argparse
            code = stop.code
        return code, *capsys.readouterr()

    return reid


def test_a_search_leaves_a_table_and_a_page(reid, run, photographs, tmp_path):
    (photographs / "where" / "broken.jpg").write_bytes(b"x")
    words = ["--query", photographs / "who", "--gallery", photographs / "where"]
    code, out, err = reid("search", run, *words, "--count", 4)
    assert code == 0, err
    assert [out.count(sentence) for sentence in USE] == [1, 1]
    assert "2 queries, 6 pictures: search/ranking.csv, search/index.html" in out
    assert err.count("left out") == 1 and "broken.jpg" in err
    table = pd.read_csv(tmp_path / "search" / "ranking.csv")
    assert table["rank"].tolist() == [1, 2, 3, 4, 1, 2, 3, 4]
    assert set(table["query"]) == {str(p) for p in (photographs / "who").iterdir()}
    page = (tmp_path / "search" / "index.html").read_text()
    assert "<script" not in page and "://" not in page and 'src="data:image' in page
    assert page.count("<img") == 2 * (1 + 4)
    assert "&lt;0&gt; &amp; &#39;ä&#39;.png" in page and "<0>" not in page
    assert "broken.jpg" in page and "plaza/toy/full-s0" in page
    assert all(sentence in page for sentence in USE)
    distances = re.findall(r"<strong>\d+ · ([\d.]+)</strong>", page)
    assert distances == [f"{d:.3f}" for d in table["distance"]]


def test_a_search_never_writes_among_runs(reid, run, photographs, tmp_path):
    words = ["--query", photographs / "who", "--gallery", photographs / "where"]
    (tmp_path / "link").symlink_to(tmp_path / "outputs", target_is_directory=True)
    places = ("outputs", "outputs/photographs", "link/photographs", run, run / "page")
    for place in places:
        code, _, err = reid("search", run, *words, "--out", place)
        assert code == 2 and "where runs are kept and no photographs" in err
    assert sorted(p.name for p in run.iterdir()) == ["model.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"RUN": "nowhere"}, "no model.json in nowhere"),
        ({"--query": "absent.jpg"}, "absent.jpg is neither a picture nor a folder"),
        ({"--gallery": "empty"}, "there is no picture that can be read"),
        ({"--count": "0"}, "argument --count: 0 is not at least 1"),
        ({"--device": "gpu"}, "device"),
    ],
)
def test_what_cannot_be_searched_is_said_in_a_line(
    reid, run, photographs, tmp_path, changed, message
):
    (tmp_path / "empty").mkdir()
    options = {"--query": photographs / "who", "--gallery": photographs / "where"}
    given = {"RUN": run} | options | changed
    where = given.pop("RUN")
    code, _, err = reid("search", where, *(w for pair in given.items() for w in pair))
    assert code == 2 and message in err and "Traceback" not in err


def test_a_run_is_named_as_reid_status_names_it(reid, run, photographs, tmp_path):
    kept = tmp_path / "outputs" / "plaza" / "toy" / "full-s0"
    shutil.copytree(run, kept)
    places = "--query", photographs / "who", "--gallery", photographs / "where"
    code, out, err = reid("search", "plaza/toy/full-s0", *places)
    assert code == 0 and (tmp_path / "search" / "ranking.csv").is_file(), out + err
    code, _, err = reid("export", "plaza/toy/full-s0", "--to", "small")
    assert code == 2 and "would replace the run's own weights" in err


def test_an_export_says_how_near_it_is(reid, run, tmp_path):
    code, out, err = reid("export", run, "--to", "torch", "--out", tmp_path / "made")
    assert code == 0, err
    assert "made/model.pt2" in out and "batches of 7 and 1" in out
    notes = exporting.read_notes(tmp_path / "made" / "model.pt2")
    assert (notes["height"], notes["width"]) == (128, 64)
    assert notes["paper"] == "toy" and notes["use"] == list(USE)
    code, _, err = reid("export", tmp_path, "--to", "onnx")
    assert code == 2 and "no model.json" in err


def test_a_small_copy_is_scored_anew_and_has_a_card(reid, run, tmp_path, monkeypatch):
    asked = []

    def few(name, root):
        asked.append((name, root))
        return load_benchmark("smoke", tmp_path / "data")

    monkeypatch.setattr(cli_export, "load_benchmark", few)
    words = ["--to", "small", "--data", "data"]
    code, _, err = reid("export", run, *words)
    assert code == 2 and "would replace the run's own weights: give --out" in err
    code, out, err = reid("export", run, *words, "--out", "made")
    assert code == 0, err
    assert asked == [("plaza", Path("data"))]
    score = reidlib.load("made").settings["scores"]["plaza"]
    said = f"on plaza mAP 0.500 -> {score['mAP']:.3f}, rank1 0.750 -> "
    assert "made/model.safetensors: " in out and said in out
    assert "weights in 8 bits" in (tmp_path / "made" / "model.md").read_text()


def test_a_copy_never_takes_the_place_of_a_run_or_a_file(reid, run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("metrics.json", "model.safetensors"):
        (other / name).write_text("another run")
    code, _, err = reid("export", run, "--to", "small", "--out", other)
    assert code == 2 and "holds another run, whose weights small would replace" in err
    assert (other / "model.safetensors").read_text() == "another run"
    for kind in ("small", "torch"):
        place = other / "metrics.json" / "made"
        code, _, err = reid("export", run, "--to", kind, "--out", place)
        assert code == 2 and "made cannot be made (Not a directory): name ano" in err


def test_pictures_of_a_phone_are_found_upright(reid, run, photographs, tmp_path):
    folder = tmp_path / "phone"
    folder.mkdir()
    (first, *_) = sorted((photographs / "where").iterdir())
    turned = Image.Exif()
    turned[0x0112] = 8
    image = Image.open(first).rotate(-90, expand=True).resize((1280, 640))
    image.save(folder / "IMG_1.JPG", exif=turned, quality=95)
    shutil.copy(sorted((photographs / "where").iterdir())[1], folder / "other.png")
    code, _, err = reid("search", run, "--query", first, "--gallery", folder)
    assert code == 0, err
    table = pd.read_csv(tmp_path / "search" / "ranking.csv")
    assert table["gallery"][0].endswith("IMG_1.JPG")

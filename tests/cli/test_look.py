"""`reid look`: pictures of what runs see in a data set lie beside it, nowhere else."""

import shutil
from pathlib import Path

import pytest
from PIL import Image
from toys.notebook_models import model_of

from reidlib import evaluation
from reidlib.benchmarks import USE, load_benchmark
from reidlib.benchmarks.fixtures import write_fixture
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.model_files import save_model
from reidlib.models import rganet
from reidrun.cli import main as cli

DISTANCES = {"rganet": {"distances": rganet.distances}}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Path:
    """Runs with models as their notebooks build them, which nobody has trained."""
    root = tmp_path_factory.mktemp("house") / "outputs"
    for paper, variant in [
        ("fanet", "full"),
        ("rganet", "baseline"),
        ("rganet", "full"),
    ]:
        folder = root / "plaza" / paper / f"{variant}-s0"
        folder.mkdir(parents=True)
        transform = plain_transform(128, 64, normalisation="half")
        tester = evaluation.Tester(transform, "cpu", 64, **DISTANCES.get(paper, {}))
        model = model_of(paper, variant).eval()
        save_model(folder, model, tester, {"paper": paper, "captions": False})
    return root


@pytest.fixture(scope="module")
def layouts(tmp_path_factory) -> Path:
    """Folders as the real sets have them, with drawn people."""
    root = tmp_path_factory.mktemp("sets")
    write_fixture("market1501", root / "Market-1501-v15.09.15")
    write_fixture("occluded_duke", root / "Occluded_Duke")
    return root


@pytest.fixture
def reid(tmp_path, capsys, monkeypatch, outputs):
    monkeypatch.chdir(tmp_path)

    def reid(*words):
        code = cli.main([str(word) for word in words], outputs.parent)
        return code, *capsys.readouterr()

    return reid


def files(root: Path) -> list[str]:
    found = (path for path in root.rglob("*") if path.is_file())
    return sorted(path.relative_to(root).as_posix() for path in found)


def test_fanets_maps_and_lists_of_market1501_lie_beside_it(reid, outputs, layouts):
    runs, known = files(outputs), load_benchmark("market1501", layouts)
    asked = ["--on", "market1501", "--data", layouts, "--queries", 2, "--count", 3]
    code, out, err = reid("look", "plaza/fanet/full-s0", *asked)
    assert code == 0, err
    made = files(layouts / "figures")
    names = [f"plaza-fanet-full-s0-{kind}.png" for kind in ("lists", "maps")]
    assert made == [f"market1501/{name}" for name in names]
    assert [line.rpartition("/")[2] for line in out.splitlines()] == names[::-1]
    for name in made:
        with Image.open(layouts / "figures" / name) as image:
            assert min(image.size) > 100
    assert files(outputs) == runs, "nothing among the runs"
    assert load_benchmark("market1501", layouts) == known, "and the set is as it was"


def test_rganets_baseline_and_whole_method_are_asked_for_the_same(reid, layouts):
    runs = [f"plaza/rganet/{variant}-s0" for variant in ("baseline", "full")]
    asked = ["--on", "occluded_duke", "--data", layouts, "--queries", 2, "--count", 3]
    code, out, err = reid("look", *runs, *asked)
    assert code == 0, err
    assert "plaza-rganet-baseline-s0: this model has no maps" in out
    assert files(layouts / "figures" / "occluded_duke") == [
        "plaza-rganet-baseline-s0-lists.png",
        "plaza-rganet-full-s0-lists.png",
        "plaza-rganet-full-s0-maps.png",
    ]


def test_photographs_of_ones_own_come_with_what_is_intended(reid, layouts, tmp_path):
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        place = layouts / "Market-1501-v15.09.15" / folder
        shutil.copytree(place, tmp_path / "crops" / folder)
    asked = ["--on", "own:crops", "--data", tmp_path / "crops", "--queries", 1]
    code, out, err = reid("look", "plaza/fanet/full-s0", *asked)
    assert code == 0, err
    assert [out.count(sentence) for sentence in USE] == [1, 1]
    (folder,) = (tmp_path / "crops" / "figures").iterdir()
    assert folder.name.startswith("own:crops-") and len(files(folder)) == 2
    assert reid("look", "plaza/fanet/full-s0", *asked)[0] == 0, "once more"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--out": "outputs/figures"}, "where runs are kept and no photographs"),
        ({"--out": "outputs/plaza/fanet/full-s0"}, "name another folder by --out"),
        ({"--data": "nowhere"}, "nowhere"),
        ({"--on": "market150"}, "market1501"),
        ({"--queries": 0}, "--queries is 0, not at least 1"),
        ({"--count": -1}, "--count is -1, not at least 1"),
        ({"--device": "gpu"}, "choose auto, cpu or cuda"),
        ({"RUN": "plaza/fanet/half-s0"}, "no model.json in plaza/fanet/half-s0"),
    ],
)
def test_what_cannot_be_shown_is_said_before_anything_is_drawn(
    reid, outputs, layouts, changed, said
):
    runs = files(outputs)
    given = {"RUN": "plaza/fanet/full-s0", "--on": "market1501", "--data": layouts}
    given |= {name: value for name, value in changed.items() if name != "--out"}
    if "--out" in changed:
        given["--out"] = outputs.parent / changed["--out"]
    run = given.pop("RUN")
    made = files(layouts)
    code, _, err = reid("look", run, *(word for pair in given.items() for word in pair))
    assert code == 2 and said in err and "Traceback" not in err
    assert files(outputs) == runs and files(layouts) == made


def test_a_run_that_is_named_twice_is_refused(reid, layouts):
    twice = ["plaza/fanet/full-s0"] * 2
    code, _, err = reid("look", *twice, "--on", "market1501", "--data", layouts)
    assert code == 2 and "plaza-fanet-full-s0 is there twice" in err

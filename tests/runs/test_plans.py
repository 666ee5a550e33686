"""What is asked for becomes plans, or is refused; either way nothing is written."""

import json

import pytest
from toys.toy_paper import TOY_CELLS, notebook

from reidlib.benchmarks.fixtures import write_fixture
from reidrun.runs import sweep, workflow
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.folder import write_parameters
from reidrun.runs.missing import refuse_missing_files
from reidrun.runs.plans import make_plan, refuse_other_parameters


@pytest.fixture
def places(toy_root):
    before = sorted(toy_root.rglob("*"))
    yield {"outputs": toy_root / "outputs", "data_root": toy_root / "data"}
    assert sorted(toy_root.rglob("*")) == before, "nothing is written"


@pytest.fixture
def plan(toy_root, places):
    asked = {"benchmark": "plaza", "seed": 0} | places
    return lambda **more: make_plan(toy_root, "toy", **asked | more)


@pytest.fixture
def planned(toy_root, places):
    asked = {"ablation": "toy_parts", "benchmarks": ["plaza"], "seeds": [0]}
    return lambda **more: sweep.plan(root=toy_root, **asked | places | more)


def test_a_plan_has_every_parameter_and_places_seen_from_the_notebook(plan, toy_root):
    made = plan(seed=3, variant="plain")
    assert made.title == "toy on plaza, plain-s3"
    assert made.notebook == toy_root / "notebooks/toy.ipynb"
    assert made.folder == toy_root / "outputs/plaza/toy/plain-s3"
    assert made.parameters == {
        "benchmark": "plaza",
        "also_on": [],
        "data_root": "../data",
        "run_dir": "../outputs/plaza/toy/plain-s3",
        "variant": "plain",
        "seed": 3,
        "epochs": 2,
        "learning_rate": 0.5,
        "milestones": [1],
        "erasing": False,
    }


def test_text_and_values_override_alike(plan):
    typed = plan(overrides={"epochs": "4", "also_on": "station", "erasing": "false"})
    values = plan(overrides={"epochs": 4, "also_on": ["station"], "erasing": False})
    assert typed == values
    assert typed.folder.name == "full+also_on=station+epochs=4+erasing=false-s0"


def test_a_run_on_drawings_in_a_real_layout_is_a_run_of_its_own(toy_root, tmp_path):
    write_fixture("market1501", tmp_path / "drawn" / "market1501")
    asked = {"benchmark": "market1501", "seed": 0, "outputs": toy_root / "outputs"}
    made = make_plan(toy_root, "toy", **asked, data_root=tmp_path / "drawn")
    assert made.folder.name == "full+pictures=drawn-s0"
    real = make_plan(toy_root, "toy", **asked, data_root=tmp_path / "absent")
    assert real.folder.name == "full-s0"


def test_only_an_unusual_scale_becomes_part_of_the_name(plan):
    assert plan(scale="tiny") == plan()
    assert plan(scale="full").folder.name == "full+scale=full-s0"
    assert plan(benchmark="market1501") == plan(benchmark="market1501", scale="full")


def test_a_set_with_a_scale_of_its_own_is_run_at_it_under_plain_names(tmp_path):
    where = {"outputs": tmp_path, "data_root": tmp_path, "seed": 0}
    own, tiny = (
        make_plan(ROOT, "fanet", benchmark="plaza_small", scale=scale, **where)
        for scale in (None, "tiny")
    )
    assert own.folder == tmp_path / "plaza_small" / "fanet" / "full-s0"
    assert tiny.folder.name == "full+scale=tiny-s0"
    people = "num_identities_per_batch"
    assert own.parameters[people] < tiny.parameters[people]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"benchmark": "plazza"}, "unknown benchmark 'plazza'; did you mean plaza?"),
        ({"variant": "plian"}, "unknown variant of toy 'plian'; did you mean plain?"),
        ({"scale": "tny"}, "unknown scale 'tny'; did you mean tiny?"),
        ({"overrides": {"epohcs": 1}}, "epohcs: unknown parameter; did you mean"),
        ({"overrides": {"epochs": 1.5}}, "epochs: 1.5 is a float, an int is wanted"),
        ({"overrides": {"epochs": "1.5"}}, "epochs: 1.5 is not a whole number"),
        ({"overrides": {"epochs": 0}}, "epochs is 0, but must be in [1, inf)"),
        ({"overrides": {"also_on": "nope"}}, "also_on: unknown benchmark 'nope'"),
        ({"overrides": {"seed": 1}}, "seed: give it by --seed, not by -p"),
        ({"seed": -1}, "seed is -1, but must be in [0, 4294967296)"),
        ({"seed": 2**32}, "seed is 4294967296, but must be in [0, 4294967296)"),
    ],
)
def test_what_is_not_there_is_refused(plan, asked, message):
    with pytest.raises(ParameterError) as caught:
        plan(**asked)
    assert message in str(caught.value)


def add_parameter(root, line, layer):
    cells = TOY_CELLS | {"parameters": TOY_CELLS["parameters"] + line + "\n"}
    (root / "notebooks/toy.ipynb").write_text(json.dumps(notebook(cells)))
    with (root / "params/base.yaml").open("a") as file:
        file.write(layer + "\n")


def test_a_value_is_one_of_the_choices_that_the_schema_names(toy_root):
    line = 'precision: str = "fp32"  # of sums: fp32 | bf16, half | fp16 on a GPU'
    add_parameter(toy_root, line, "precision: fp32")
    asked = {"benchmark": "plaza", "seed": 0}
    asked |= {"outputs": toy_root, "data_root": toy_root}
    make_plan(toy_root, "toy", **asked, overrides={"precision": "fp16"})
    with pytest.raises(ParameterError) as caught:
        make_plan(toy_root, "toy", **asked, overrides={"precision": "bf61"})
    assert str(caught.value) == (
        "command line: precision: 'bf61' is none of fp32, bf16, fp16;"
        " did you mean bf16?"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", ""),
        ("weights.pt", ""),  # as the notebook sees it
        ("opnai", "no file opnai, seen from notebooks/; did you mean openai?"),
        ("../no.pt", "notebooks/; give tiny, openai, or the full path of a file"),
        ("house/notebooks/weights.pt", "house/notebooks/weights.pt"),
    ],
)
def test_weights_are_a_name_or_a_file_that_is_there(
    toy_root, monkeypatch, tmp_path, value, said
):
    monkeypatch.chdir(tmp_path)
    line = 'backbone: str = "tiny"  # CLIP: "" | tiny | openai | a file'
    add_parameter(toy_root, line, "backbone: tiny")
    (toy_root / "notebooks/weights.pt").touch()
    places = {"outputs": toy_root, "data_root": toy_root}
    asked = {"benchmark": "plaza", "seed": 0, "overrides": {"backbone": value}}
    plans = [make_plan(toy_root, "toy", **asked, **places)] * 2
    if not said:
        refuse_missing_files(plans)
        return
    with pytest.raises(ParameterError) as caught:
        refuse_missing_files(plans)
    message = str(caught.value)
    assert message.startswith("backbone: no file ") and message.endswith(said)
    assert "\n" not in message, "said once"


def test_data_of_a_real_set_is_asked_for_where_runs_are_made(toy_root, tmp_path):
    places = {"outputs": toy_root / "outputs", "data_root": tmp_path / "none"}
    asked = {"ablation": "toy_parts", "benchmarks": ["market1501"], "seeds": [0]}
    plans = sweep.plan(root=toy_root, **asked, **places)
    queue = {"profile": "default", "jobs": 1, "root": toy_root}
    for run in (sweep.run, lambda plans: workflow.run(plans, {}, **queue)):
        with pytest.raises(ParameterError) as caught:
            run(plans)
        assert str(caught.value) == (
            f"market1501: {tmp_path}/none is no folder; --data names its folder,"
            " see `reid data tree market1501`"
        )
    (tmp_path / "none/market1501/query").mkdir(parents=True)
    refuse_missing_files(plans)
    assert not (toy_root / "outputs").exists()


def test_a_queue_is_planned_where_no_data_is_seen(toy_root):
    asked = {"runs": "toy_parts", "benchmarks": "market1501", "seeds": 0}
    asked |= {"outputs": "outputs", "data": "elsewhere"}
    assert len(workflow.read(asked, toy_root).runs) == 2


def test_a_marker_that_cannot_be_read_is_refused(toy_root, tmp_path):
    folder = write_fixture("market1501", tmp_path / "market1501") and tmp_path
    (folder / "market1501/about.json").write_text("{bad")
    asked = {"benchmark": "market1501", "seed": 0, "outputs": toy_root}
    with pytest.raises(ParameterError, match=r"about\.json cannot be read"):
        make_plan(toy_root, "toy", **asked, data_root=folder)


def test_a_folder_with_other_parameters_is_refused_by_a_name_without_this_machine(
    toy_root, tmp_path
):
    places = {"outputs": tmp_path / "kept", "data_root": tmp_path}
    made = make_plan(toy_root, "toy", benchmark="plaza", seed=0, **places)
    refuse_other_parameters(made)  # no folder
    made.folder.mkdir(parents=True)
    write_parameters(made.folder, made.parameters)
    refuse_other_parameters(made)
    write_parameters(made.folder, made.parameters | {"epochs": 3})
    with pytest.raises(RunError) as caught:
        refuse_other_parameters(made)
    assert str(caught.value).splitlines() == [
        "kept/plaza/toy/full-s0 holds a run with other parameters:",
        "  epochs: 3 there, 2 wanted",
        "reid run --fresh throws it away, --outputs DIR keeps both",
    ]


def test_a_sweep_is_every_variant_on_every_benchmark_a_seed_at_a_time(planned):
    plans = planned(benchmarks=["plaza", "station"], seeds=[0, 1])
    assert [one.title for one in plans] == [
        f"toy on {benchmark}, {variant}-s{seed}"
        for seed in (0, 1)
        for benchmark in ("plaza", "station")
        for variant in ("full", "plain")
    ]
    assert [one.parameters["erasing"] for one in plans[:2]] == [True, False]


def test_what_is_asked_twice_is_planned_once_in_the_order_of_the_file(planned):
    assert (
        planned(seeds=[0, 0])
        == planned(variants=["plain", "full", "plain"])
        == planned()
    )
    (one,) = planned(variants=["plain"], overrides={"epochs": 3})
    assert one.folder.name == "plain+epochs=3-s0"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("device", "cuda", "torch sees no GPU here"),
        ("precision", "fp16", "needs a GPU"),
    ],
)
def test_a_gpu_that_is_not_here_is_missed_before_a_kernel_starts(
    monkeypatch, name, value, words
):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = {"benchmark": "smoke", "seed": 0, "overrides": {name: value}}
    places = {"outputs": ROOT / "no", "data_root": ROOT / "data"}
    made = make_plan(ROOT, "fanet", **asked, **places)
    with pytest.raises(ParameterError, match=words):
        refuse_missing_files([made])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    refuse_missing_files([made])

"""Layers of parameters: who wins, what is refused; params/ fits the notebooks."""

import json
import linecache
import re

import pytest
import yaml
from toys.merged import merged
from toys.toy_paper import TOY_CELLS

from reidlib.benchmarks import BENCHMARKS
from reidrun.runs import params
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError
from reidrun.runs.injected import check_parameters
from reidrun.runs.params import GIVEN, read_layer
from reidrun.runs.schema import notebook_schema, parse_schema, validate

OWN_LAYERS = {
    path.stem.partition("@")[2] for path in (ROOT / "params/papers").glob("*@*.yaml")
}
PAPERS = sorted(params.owners(ROOT / "params" / "papers"))
PLAN = ROOT / "params" / "study.yaml"  # of runs, no layer of one
LAYERS = sorted({*(ROOT / "params").rglob("*.yaml")} - {PLAN})
WHOLE = [p for p in LAYERS if p.parent.name == "params" and p.stem != "base"]
ABLATIONS = sorted((ROOT / "params" / "ablations").glob("*.yaml"))
FANET_PARTS = {
    "enhancement",
    "background",
    "interaction",
    "pyramid",
    "target_attention",
}
VARIED = {  # what a table or a figure of a paper varies; of ours, the readings compared
    "baseline_directions": {  # ours
        *("erasing_probability", "identity_weight", "test_feature"),
        *("pretrained", "triplet_weight", "triplets"),
    },
    "baseline_ladder": {  # the strong baseline's table, and ways to search
        *("bnneck", "centre_weight", "erasing_probability", "label_smoothing"),
        *("last_stride", "mirrored", "rerank", "test_feature", "warmup_epochs"),
    },
    "combined_components": {"regions", "stripes"},  # ours
    "fanet_attention_maps": {"attention_maps"},  # Fig. 5
    "fanet_components": {  # Table I, FAN-6; controls, ours
        *(*FANET_PARTS, "identity_weight", "camera_weight"),
    },
    "fanet_target_attention": {"pyramid", "target_attention"},  # Table II
    "fanet_unseen_scenes": {*FANET_PARTS, "identity_weight"},  # Table III
    "fba_captions": {"mask", "maps_of", "pairing", "residual"},  # ours
    "fba_components": {"cross_modal", "diversity", "mask"},  # Table 3
    "fba_diversity": {"diversity", "diversity_weight"},  # Fig. 2
    "fba_resolution": {"image_height", "stride"},  # Table 4
    "flannet_components": {  # Table 5; the last is of a control
        *("prompt", "cross_attention", "fusion", "always_fused"),
    },
    "flannet_fusion": {"fusion", "fusion_of", "detach"},  # Table 6; readings
    "flannet_prompts": {  # Table 4; readings
        *("prompt", "query_residual", "literal", "positives"),
    },
    "flannet_queries": {"queries"},  # Fig. 3
    "rganet_components": {"regions", "assessment"},  # Table V
    "rganet_hyperparameters": {  # Fig. 3, of which a-c are without the assessment
        *("assessment", "num_regions", "amplification", "context_vectors", "momentum")
    },
    "rganet_prompts": {"assessment", "prompt"},  # Table VI
    "rganet_readings": {  # ours
        *("assessment", "class_token", "momentum_of", "ram", "regions")
    },
}
GIVEN_HERE = {"data_root": "../data", "run_dir": "", "seed": 0}


@pytest.fixture(autouse=True)
def in_notebooks(monkeypatch):
    """Where a notebook's kernel runs."""
    monkeypatch.chdir(ROOT / "notebooks")


@pytest.fixture
def merge(toy_root):
    def merge(benchmark="plaza", scale="tiny", variant="full", **given):
        given = GIVEN_HERE | given
        return merged(toy_root, "toy", benchmark, scale, variant, **given)

    return merge


def test_the_last_layer_wins(merge):
    assert merge()["epochs"] == 2  # scales/tiny@toy over papers/toy over base
    assert merge()["learning_rate"] == 0.5  # scales/tiny over base
    assert merge()["erasing"] is True  # papers/toy alone
    assert merge(scale="full")["epochs"] == 60
    assert merge(scale="full")["learning_rate"] == 1.0e-4
    assert merge(variant="plain")["erasing"] is False
    assert merge(variant="plain", erasing=True)["erasing"] is True  # command line


def test_a_papers_own_setting_for_a_benchmark_comes_before_the_scale(merge, toy_root):
    (toy_root / "params" / "scales" / "tiny.yaml").write_text("")
    assert merge("station")["learning_rate"] == 0.25
    assert merge("plaza")["learning_rate"] == 0.1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("base", "epohcs: 3", "params/base.yaml: epohcs: unknown parameter; did you"),
        ("papers/toy", "milestones: [1]", "params for toy: erasing: missing, a bool"),
        ("papers/toy", "learning_rate: 5e-6", "text, write 5.0e-6"),
        ("base", "epochs: 1\nepochs: 2", "params/base.yaml: epochs: given twice"),
        ("base", "loss: {margin: 1}", "params/base.yaml: loss: nested"),
        ("base", "milestones: [[1], [2]]", "params/base.yaml: milestones: nested"),
        ("base", "on: 1", "params/base.yaml: True: nested, or no name"),
        ("base", "- 1", "lines `name: value` are wanted"),
        ("base", "a: [1", "params/base.yaml: while parsing"),
        ("ablations/toy_parts", "variants: [{row: I}]", "variants.0.name: Field req"),
        ("ablations/toy_parts", "rows: []", "toy_parts.yaml: variants: Field required"),
        (
            "ablations/toy_parts",
            "variants: [{name: full, overrides: {epochs: 2}}]",
            "full has other overrides elsewhere",
        ),
        (
            "ablations/toy_parts",
            "variants: [{name: full, overrides: {epochs: 2, epochs: 3}}]",
            "epochs: given twice",
        ),
    ],
)
def test_faults_in_a_layer_name_the_file(merge, toy_root, name, text, message):
    (toy_root / "params" / f"{name}.yaml").write_text(text)
    with pytest.raises(ParameterError) as caught:
        merge()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"seed: caf\xe9", r"base\.yaml .*byte 0xe9 in line 1 is not UTF-8"),
        (b"seed: 2001-99-99", r"base\.yaml cannot be read \(month must be in 1..12\)"),
        (b"seed: 0x_", r"base\.yaml cannot be read \(invalid literal for int"),
        (b"seed: !!bool maybe", r"base\.yaml cannot be read"),
        (b"seed: !!timestamp x", r"base\.yaml cannot be read"),
        (b"a: " + b"[" * 20_000, r"base\.yaml cannot be read \(it is nested too deep"),
        (b"? [a, b]\n: 1", r"base\.yaml: .*unhashable key"),
        (b"a: &x [1]\nb: [*x, *x]", r"base\.yaml: \*x, line 2: write out the value"),
    ],
)
def test_a_layer_that_is_no_plain_yaml_is_named(tmp_path, content, said):
    path = tmp_path / "params" / "base.yaml"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=f"(?s){said}"):
        params.read_layer(path)


def test_a_layer_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "base.yaml"
    path.write_bytes(b"\xef\xbb\xbfepochs: 2  # of M\xc3\xbcller")
    assert params.read_layer(path) == {"epochs": 2}


def test_faults_in_a_variant_or_on_the_command_line_say_so(merge, toy_root):
    with pytest.raises(ParameterError, match="command line: epochs: 'many' is a str"):
        merge(epochs="many")
    with pytest.raises(ParameterError, match="'plian'; did you mean plain.*known: ful"):
        merge(variant="plian")
    path = toy_root / "params" / "ablations" / "toy_more.yaml"
    path.write_text("variants: [{name: more, overrides: {epcohs: 2}}]")
    with pytest.raises(ParameterError, match="variant more: epcohs: unknown"):
        merge(variant="more")


def test_a_variant_may_differ_otherwise_at_a_scale(merge, toy_root):
    path = toy_root / "params" / "ablations" / "toy_sizes.yaml"
    large = "{name: large, row: II, overrides: {epochs: 80}, at: {tiny: {epochs: 4}}}"
    path.write_text(f"variants: [{large}]")
    assert merge(variant="large")["epochs"] == 4
    assert merge(variant="large", scale="full")["epochs"] == 80
    assert merge(variant="large", epochs=5)["epochs"] == 5
    again = path.with_name("toy_sizes_again.yaml")
    again.write_text("variants: [{name: large, row: III}]")
    (named,) = params.read_ablation(toy_root / "params", "toy_sizes_again").variants
    assert (named.differs("tiny"), named.differs("full")) == (
        {"epochs": 4},
        {"epochs": 80},
    )
    again.write_text("variants: [{name: large, overrides: {epochs: 80}}]")
    with pytest.raises(ParameterError, match="large has other overrides elsewhere"):
        merge()
    again.write_text("variants: [{name: a, overrides: {}, at: {tyni: {epochs: 4}}}]")
    with pytest.raises(ParameterError, match="unknown scale 'tyni' .known: full, tiny"):
        merge()


def test_an_empty_layer_and_the_missing_optional_ones_are_fine(merge, toy_root):
    (toy_root / "params" / "scales" / "tiny.yaml").write_text("# nothing yet\n")
    (toy_root / "params" / "scales" / "tiny@toy.yaml").unlink()
    assert merge()["epochs"] == 60


SCHEMA_CELL = TOY_CELLS["parameters"]


def run_cells(*cells):
    namespace: dict = {}
    for cell in cells:
        if not cell.startswith("%"):
            exec(cell, namespace)
    return check_parameters(["", *cells, "check_parameters(In, globals())"], namespace)


def test_a_notebook_gets_its_own_values_and_those_injected():
    schema = parse_schema(SCHEMA_CELL)
    assert run_cells(SCHEMA_CELL) == {n: p.default for n, p in schema.items()}
    found = run_cells(SCHEMA_CELL, "# Parameters\nepochs = 5\nmilestones = [2, 4]\n")
    assert (found["epochs"], found["milestones"]) == (5, [2, 4])
    assert list(found) == list(schema)


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        ("epohcs = 1", "epohcs: unknown parameter; did you mean epochs?"),
        ('epochs = "many"', "epochs: 'many' is a str, an int is wanted"),
        ('learning_rate = "1e-3"', "write 1.0e-3"),
        ("zzz = 1", "zzz: unknown parameter"),
    ],
)
def test_a_notebook_refuses_what_was_injected(injected, message):
    with pytest.raises(ParameterError) as caught:
        run_cells(SCHEMA_CELL, f"# Parameters\n{injected}\n")
    assert message in str(caught.value)
    (line,) = caught.value._render_traceback_()  # all that a notebook shows
    assert line == f"ParameterError: {caught.value}"


def test_only_the_latest_schema_and_what_was_injected_after_it_count():
    stale = "# Parameters\nepohcs = 1\n"
    assert run_cells(SCHEMA_CELL, stale, SCHEMA_CELL)["epochs"] == 2
    edited = SCHEMA_CELL.replace("epochs: int = 2", "epochs: int = 7")
    assert run_cells(SCHEMA_CELL, stale, edited)["epochs"] == 7


READS = "print(learning_rate, epochs)"


def test_a_name_that_a_live_kernel_still_has_is_refused_where_its_cell_lost_it():
    mistyped = SCHEMA_CELL.replace("learning_rate: float", "learning_rat: float")
    with pytest.raises(ParameterError) as caught:
        run_cells(SCHEMA_CELL, READS, mistyped)
    assert str(caught.value) == (
        "learning_rate: cells read it, but it is not in the parameters cell that was"
        " run, which has learning_rat; write learning_rate there, or restart the kernel"
    )
    found = run_cells(SCHEMA_CELL, READS, mistyped, SCHEMA_CELL)
    assert "learning_rate" in found and "learning_rat" not in found, "mended"
    line = SCHEMA_CELL.splitlines()[7]
    assert line.startswith("epochs")
    commented = SCHEMA_CELL.replace(line, f"# {line}")
    with pytest.raises(ParameterError, match=r"^epochs: cells read it.* run; write"):
        run_cells(SCHEMA_CELL, READS, commented)
    new = SCHEMA_CELL + "mine: int = 1  # new\n"
    assert run_cells(SCHEMA_CELL, READS, new)["mine"] == 1
    assert "mine" not in run_cells(new, READS, SCHEMA_CELL), "which no cell reads"


def test_a_parameters_cell_that_lost_its_first_line_is_refused():
    _, _, bare = SCHEMA_CELL.partition("\n")
    bare = bare.replace("epochs: int = 2", "epochs: int = 9")
    with pytest.raises(ParameterError, match=r"epochs.*does not begin with `# Schema`"):
        run_cells(SCHEMA_CELL, READS, bare)
    assert run_cells(SCHEMA_CELL, bare, SCHEMA_CELL)["epochs"] == 2
    assert run_cells(SCHEMA_CELL, "count: int = 3", "%matplotlib inline")["epochs"] == 2


def test_what_was_checked_does_not_change_with_the_notebooks_lists():
    namespace: dict = {}
    exec(SCHEMA_CELL, namespace)
    found = check_parameters(["", SCHEMA_CELL], namespace)
    namespace["milestones"].append(9)
    assert found["milestones"] == [1]


def test_a_kernel_that_keeps_no_history_is_read_from_its_sources(monkeypatch):
    cells = [SCHEMA_CELL, "# Parameters\nepohcs = 1\n"]
    sources = {"lazy.py": (lambda: "",)} | {
        f"cell-{i}.py": (len(c), None, c.splitlines(keepends=True), f"cell-{i}.py")
        for i, c in enumerate(cells)
    }
    namespace: dict = {}
    exec(SCHEMA_CELL, namespace)
    monkeypatch.setattr(linecache, "cache", sources)
    with pytest.raises(ParameterError, match="epohcs: unknown"):
        check_parameters([""], namespace | {"epohcs": 1})
    del sources["cell-1.py"]
    assert check_parameters([""], namespace)["epochs"] == 2


def test_without_the_parameters_cell_a_notebook_says_what_to_do():
    with pytest.raises(ParameterError, match="run the parameters cell first"):
        check_parameters(["", "x = 1"], {"x": 1})


# The files of this repository


def test_layers_of_a_benchmark_are_of_one_that_there_is():
    assert OWN_LAYERS and set(BENCHMARKS) >= OWN_LAYERS


def test_there_are_papers_and_all_scales():
    assert {"fanet", "baseline"} <= set(PAPERS)
    scales = params.owners(ROOT / "params" / "scales")
    assert scales == {"tiny", "study", "full", "plaza_small"}


@pytest.mark.parametrize("paper", sorted(PAPERS))
@pytest.mark.parametrize("scale", ["tiny", "study", "full"])
@pytest.mark.parametrize("benchmark", sorted(OWN_LAYERS | {"smoke", "market1501"}))
def test_layers_name_exactly_the_notebooks_parameters(paper, scale, benchmark):
    schema = notebook_schema(ROOT / "notebooks" / f"{paper}.ipynb")
    for variant in params.read_variants(ROOT / "params", paper):
        found = merged(ROOT, paper, benchmark, scale, variant, **GIVEN_HERE)
        assert list(found) == list(schema)


@pytest.mark.parametrize("path", LAYERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_layer_is_flat_owned_and_sourced_on_every_line(path):
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    if path.parent.name == "ablations":
        variants = yaml.safe_load(path.read_text())["variants"]
        assert all(variant["row"] for variant in variants), "each row has its table"
        return
    if path not in WHOLE:
        assert not set(read_layer(path)) & set(GIVEN), "these come from the command"
    bare = [line for line in lines if not re.search(r"(^|\s)#\s*\S", line)]
    assert not bare, "every line has its source in a comment"
    loose = [line for line in lines if re.match(r"\w+: (yes|no|on|off)\b", line, re.I)]
    assert not loose, "booleans are true and false"


@pytest.mark.parametrize("path", WHOLE, ids=lambda p: p.stem)
def test_a_notebooks_own_file_names_its_parameters(path):
    notebook = path.stem.partition("@")[0]
    schema = notebook_schema(ROOT / "notebooks" / f"{notebook}.ipynb")
    validate(read_layer(path), schema, partial=True)


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda p: p.stem)
def test_at_full_scale_a_variant_changes_what_the_paper_varies(path):
    name, paper = path.stem, path.stem.partition("_")[0]
    full = merged(ROOT, paper, "market1501", "full", "full", **GIVEN_HERE)
    changed = set()
    for variant in params.read_ablation(ROOT / "params", name).variants:
        found = merged(ROOT, paper, "market1501", "full", variant.name, **GIVEN_HERE)
        changed |= {k for k in found if found[k] != full[k]} - {"variant"}
    assert changed == VARIED[name]


@pytest.mark.parametrize("scale", ["tiny", "study", "full"])
def test_each_point_of_m_u_has_the_gate_of_its_scale(scale):
    points = ["mu-0.1", "mu-0.2", "open-gate", "mu-0.5", "mu-0.7", "mu-0.9"]
    found = [merged(ROOT, "rganet", "smoke", scale, p, **GIVEN_HERE) for p in points]
    assert [point["momentum"] for point in found] == [0.1, 0.2, 0.3, 0.5, 0.7, 0.9]
    gate = {"tiny": 0.45, "study": 0.45, "full": 0.85}[scale]
    assert {point["threshold"] for point in found} == {gate}


def test_a_layer_does_not_repeat_what_it_would_get_anyway():
    base = read_layer(ROOT / "params" / "base.yaml")
    for paper in PAPERS:
        layer = read_layer(ROOT / "params" / "papers" / f"{paper}.yaml")
        same = {name for name in layer.keys() & base if layer[name] == base[name]}
        assert not same, f"papers/{paper}.yaml repeats base.yaml"


def test_a_kernel_in_another_folder_is_told_before_data_are_drawn_there(
    monkeypatch, tmp_path
):
    cells = [TOY_CELLS["parameters"]]
    namespace = {}
    exec(cells[0], namespace)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match="papermill --cwd notebooks, or a full"):
        check_parameters(cells, namespace)
    namespace["data_root"] = str(tmp_path)
    assert check_parameters(cells, namespace)["data_root"] == str(tmp_path)


@pytest.mark.parametrize("name", ["pretrain_clip", "baseline"])
def test_a_notebook_that_would_write_weights_to_a_folder_is_told_before_it_trains(
    monkeypatch, tmp_path, name
):
    cells = json.loads((ROOT / f"notebooks/{name}.ipynb").read_text())["cells"]
    (cell,) = ["".join(c["source"]) for c in cells if c["id"] == "parameters"]
    namespace = {}
    exec(cell, namespace)
    monkeypatch.chdir(ROOT / "notebooks")
    namespace["weights_path"] = str(tmp_path)
    with pytest.raises(ParameterError, match="^weights_path: .* is a folder: name a"):
        check_parameters([cell], namespace)
    namespace["weights_path"] = str(tmp_path / "new" / "weights.safetensors")
    assert check_parameters([cell], namespace)["seed"] == 0

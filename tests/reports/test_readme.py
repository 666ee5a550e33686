"""The README's table: which run is in which cell, what makes a row, what is stale."""

import shlex
import subprocess
from statistics import mean, stdev

import pytest
from toys.small_runs import write_record

from reidlib.benchmarks import BENCHMARKS
from reidrun.cli import main as cli
from reidrun.reports.pages import (
    is_stale,
    made_readme,
    untracked_runs,
    write_readme,
)
from reidrun.reports.published import HEADLINES
from reidrun.reports.readme import (
    END,
    START,
    between_marks,
    markdown,
    printed_scores,
    results_table,
)
from reidrun.reports.records import collect
from reidrun.reports.tables import NO_BREAK
from reidrun.runs import plans, sweep
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import RunError
from reidrun.runs.folder import is_complete
from reidrun.runs.plans import Setting

PLUS_MINUS = f"{NO_BREAK}±{NO_BREAK}"
README = f"# House\n\n{START}\n| old |\n{END}\n\nMore.\n"
PARTS = """\
variants:
  - {name: baseline, row: Baseline, overrides: {erasing: false}}
  - {name: full, row: All}
"""


@pytest.fixture
def house(toy_root):
    """The toy's layers under the names of two papers, and a README."""
    layers = toy_root / "params"
    for paper in ("fanet", "rganet"):
        text = (layers / "papers/toy.yaml").read_text()
        (layers / f"papers/{paper}.yaml").write_text(text)
    also_on = "also_on: [partial_reid]  # Table II\n"
    (layers / "papers/rganet@market1501.yaml").write_text(also_on)
    (layers / "ablations/fanet_parts.yaml").write_text(PARTS)
    (layers / "ablations/fanet_a.yaml").write_text("variants: [{name: full}]\n")
    (toy_root / "README.md").write_text(README)
    (toy_root / "outputs").mkdir()
    return toy_root


@pytest.fixture
def table(house):
    def rows(paper="FA-Net"):
        made = results_table(collect(house / "outputs"), house)
        return [row for row in made.values.tolist() if row[0].startswith(paper)]

    return rows


def test_without_runs_the_papers_stand_alone(table):
    rows = table()
    assert rows[:2] == [
        [
            "FA-Net",
            "Market-1501",
            "84.6 / 95.0",
            "",
            "",
            "",
            "reid run fanet --on market1501",
        ],
        [
            *("FA-Net, baseline", "Market-1501", "72.7 / 89.7", "", "", ""),
            "reid run fanet --on market1501 --variant baseline",
        ],
    ]
    assert len(rows) == 6
    assert len(table("RGANet")) == 7
    assert not table("`toy`"), "who prints nothing and was not run has no row"
    assert not table("FBA"), "whose notebook is not there has no row"


def test_drawn_runs_have_a_column_and_rows_of_their_own(table, house):
    values = [0.5, 0.6, 0.8]
    for seed, value in enumerate(values):
        write_record(house / "outputs", paper="fanet", seed=seed, plaza=value)
    write_record(house / "outputs", paper="fanet", variant="baseline", seed=3)
    full, baseline = table()[6:]
    ranks = [(1 + value) / 2 for value in values]
    pairs = [(100 * mean(v), 100 * stdev(v)) for v in (values, ranks)]
    words = [f"{m:.1f}{PLUS_MINUS}{s:.1f}" for m, s in pairs]
    assert full[:6] == ["FA-Net", "`plaza`", "", " / ".join(words), "", ""]
    sweep = "reid sweep fanet_parts --on plaza --variants full --seeds 0 1 2"
    assert full[6] == sweep, "of the ablation that has the baseline too"
    assert baseline[3:6] == ["50.0 / 75.0", "", ""]
    assert baseline[:2] == ["FA-Net, baseline", "`plaza`"]
    assert baseline[6] == "reid run fanet --on plaza --variant baseline --seed 3"


def test_rendered_runs_have_a_column_of_their_own_between_the_two(table, house):
    named = {"benchmark": "concourse", "paper": "fanet", "pictures": "rendered"}
    write_record(house / "outputs", **named, concourse=0.4)
    assert results_table(collect(house / "outputs"), house).columns[3:6].tolist() == [
        "ours, drawn pedestrians",
        "ours, rendered people",
        "ours, photographs",
    ]
    row = table()[6]
    assert row[1:6] == ["`concourse`", "", "", "40.0 / 70.0", ""]
    assert row[6] == "reid run fanet --on concourse --seed 0"


def test_runs_on_photographs_stand_in_the_papers_row(table, house):
    for seed in (0, 2):
        folder = house / "outputs", "market1501", "fanet"
        write_record(*folder, seed=seed, drawn=False, market1501=0.8)
    row = table()[0]
    assert row[1:6] == [
        "Market-1501",
        "84.6 / 95.0",
        "",
        "",
        "80.0 ± 0.0 / 90.0 ± 0.0".replace(" ± ", PLUS_MINUS),
    ]
    assert row[6].endswith("--on market1501 --variants full --seeds 0 2")
    assert len(table()) == 6


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("market1501", "fanet", "full+pictures=drawn"), {}),
        (("market1501", "fanet", "full"), {"drawn": True}),
        (("market1501", "fanet", "full"), {"drawn": False, "plaza": 0.5}),
        (("market1501", "fanet", "full"), {"tested_drawn": False, "msmt17": 0.5}),
        (
            ("market1501", "rganet"),
            {"drawn": False, "tested_drawn": True, "msmt17": 0.5},
        ),
        (("market1501", "fanet", "full+scale=tiny"), {"drawn": False}),
        (("market1501", "fanet", "full+epochs=1"), {"drawn": False}),
        (("market1501", "fanet", "tem"), {"drawn": False}),
        (("market1501", "fba", "full"), {"drawn": False}),
        (("plaza", "fanet", "full"), {"drawn": True, "market1501": 0.5}),
        (("plaza", "fanet", "full"), {"drawn": False}),
        (("plaza", "fanet", "full+epochs=1"), {}),
        (("plaza", "fanet", "full"), {"plaza re-ranked": 0.5}),
    ],
)
def test_what_is_not_the_run_of_a_row_is_in_no_cell(table, house, names, options):
    before = table()
    write_record(house / "outputs", *names, **options)
    assert table() == before


def test_sets_that_are_tested_only_say_where_the_training_was(table, house):
    rows = {row[1]: row for row in table("RGANet")}
    layered = rows["Market-1501 → Partial-REID"]
    assert layered[2:] == ["– / 87.2", "", "", "", "reid run rganet --on market1501"]
    row = rows["Market-1501 → Occluded-REID"]
    command = "reid run rganet --on market1501 -p also_on occluded_reid"
    assert row[2:] == ["80.0 / 86.4", "", "", "", command], "no layer tests it"

    named = house / "outputs", "market1501", "rganet"
    scores = {"market1501": 0.75, "partial_reid": 0.5, "occluded_reid": 0.25}
    write_record(*named, drawn=False, **scores)
    write_record(*named, "full+also_on=occluded_reid", drawn=False, occluded_reid=0.5)
    ours = {row[1]: row[5] for row in table("RGANet")}
    assert ours["Market-1501"] == "75.0 / 87.5"
    assert ours["Market-1501 → Partial-REID"] == "50.0 / 75.0"
    assert ours["Market-1501 → Occluded-REID"] == "50.0 / 75.0", "of its own command"


def test_a_benchmark_is_tested_after_its_own_training_where_there_is_one(table, house):
    (house / "params/papers/fanet@plaza.yaml").write_text("also_on: [station]  # III\n")
    write_record(house / "outputs", paper="fanet", plaza=0.5, station=0.25)
    assert [row[1] for row in table()[6:]] == ["`plaza`", "`plaza` → `station`"]
    write_record(house / "outputs", "station", "fanet", station=0.75)
    assert [row[1] for row in table()[6:]] == ["`plaza`", "`station`"]
    assert [row[3] for row in table()[6:]] == ["50.0 / 75.0", "75.0 / 87.5"]


def test_a_paper_that_prints_no_numbers_has_rows_of_its_runs(table, house):
    for seed in (1, 0):
        write_record(house / "outputs", seed=seed)
    ((*cells, command),) = table("`toy`")
    assert cells == [
        "`toy`",
        "`plaza`",
        "",
        "50.0 ± 0.0 / 75.0 ± 0.0".replace(" ± ", PLUS_MINUS),
        "",
        "",
    ]
    assert command == "reid sweep toy_parts --on plaza --variants full --seeds 0 1"
    (house / "params/ablations/toy_parts.yaml").unlink()
    command = table("`toy`")[0][-1]
    assert (
        command == "reid run toy --on plaza --seed 0; reid run toy --on plaza --seed 1"
    )


def test_rganet_on_msmt17_trains_on_both_lists(table):
    made = {row[0]: row[-1] for row in table("") if row[1].startswith("MSMT17")}
    assert made["RGANet"] == "reid run rganet --on msmt17_trainval"
    assert made["FA-Net"] == "reid run fanet --on msmt17"


@pytest.mark.parametrize("paper", HEADLINES)
def test_every_number_of_a_headline_belongs_to_a_benchmark(paper):
    printed = printed_scores(paper)
    named = {name for _, at in printed for name in (at.trained_on, at.tested_on)}
    assert named <= {*BENCHMARKS}
    variants = {variant for variant, _ in printed}
    assert "full" in variants and len(variants) == 2
    assert all(words.count("–") <= 1 for words in printed.values())


def test_fba_was_tested_after_another_training_than_the_others():
    of_fba, of_flannet = printed_scores("fba"), printed_scores("flannet")
    assert ("full", Setting("cuhk03np_labeled", "occluded_reid")) in of_fba
    assert ("full", Setting("market1501", "occluded_reid")) in of_flannet


def test_the_table_as_markdown(house):
    text = markdown(results_table(collect(house / "outputs"), house)).splitlines()
    assert text[0].startswith("| method | trained and tested on | the paper, photog")
    assert text[1] == "| --- | --- | --- | --- | --- | --- | --- |"
    command = "`reid run fanet --on market1501`"
    assert text[2] == f"| FA-Net | Market-1501 | 84.6 / 95.0 | | | | {command} |"
    assert {line.count("|") for line in text} == {8}


@pytest.mark.parametrize(
    "text", ["", f"{START}\n", f"{END}\n", f"a {START}\n{END}", f"{START}\n" * 2 + END]
)
def test_a_readme_without_its_marks_is_refused(text):
    with pytest.raises(RunError, match=r"README\.md: a line `<!-- .* is wanted, once"):
        between_marks(text, "| a |")


def test_only_the_lines_between_the_marks_change():
    made = between_marks(README, "| a |")
    assert made == README.replace("| old |", "\n| a |\n")
    assert between_marks(made, "| a |") == made


def test_the_table_is_rebuilt_from_the_runs_alone(house):
    outputs, readme = house / "outputs", house / "README.md"
    assert is_stale(house, outputs)
    folder = write_record(outputs)
    assert write_readme(house, outputs) == readme
    assert not is_stale(house, outputs)
    before = readme.read_bytes()
    write_readme(house, outputs)
    assert readme.read_bytes() == before

    write_record(outputs, seed=1)
    assert is_stale(house, outputs)
    write_readme(house, outputs)
    readme.write_text(readme.read_text().replace("50.0", "60.0"))
    assert is_stale(house, outputs)
    readme.write_text(
        readme.read_text().replace("60.0", "50.0").replace("More", "Less")
    )
    assert not is_stale(house, outputs), "the rest is written by hand"
    (folder / "metrics.json").unlink()
    assert is_stale(house, outputs)


def test_git_decides_what_is_shown(house, table):
    outputs = house / "outputs"
    assert untracked_runs(outputs) == []
    subprocess.run(["git", "init", "-q", str(house)], check=True)
    (house / ".gitignore").write_text("/outputs/smoke/\n")
    for name in ("plaza", "station", "smoke"):
        write_record(outputs, name)
    added = ["git", "-C", str(outputs), "add", "plaza"]
    subprocess.run(added, check=True)
    readme = made_readme(house, outputs)
    assert "`plaza`" in readme and "`station`" not in readme and "`smoke`" not in readme
    assert untracked_runs(outputs) == ["station/toy/full-s0"]
    (outputs / "plaza/toy/full-s0/metrics.json").unlink()
    assert "`plaza`" not in made_readme(house, outputs)


def test_a_run_that_git_takes_or_loses_makes_the_table_stale(house):
    outputs = house / "outputs"
    subprocess.run(["git", "init", "-q", str(house)], check=True)
    write_readme(house, outputs)
    record = write_record(outputs) / "metrics.json"
    assert not is_stale(house, outputs), "nobody else has it yet"
    subprocess.run(["git", "-C", str(outputs), "add", "."], check=True)
    assert is_stale(house, outputs)
    write_readme(house, outputs)
    assert not is_stale(house, outputs)
    record.unlink()
    assert is_stale(house, outputs)


# The README of this repository


def test_the_readme_is_what_the_committed_runs_say():
    assert not is_stale(ROOT, ROOT / "outputs"), "make results"


def rows_of_the_readme() -> list[list[str]]:
    _, _, rest = (ROOT / "README.md").read_text().partition(START)
    lines = rest.partition(END)[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def planned(command: str, data_root) -> list[plans.Plan]:
    words = shlex.split(command)
    args = cli._parser(ROOT, words[1]).parse_args(words[1:])
    more = {"outputs": args.outputs, "data_root": data_root}
    more["overrides"] = dict(args.parameter)
    if words[1] == "sweep":
        asked = {"benchmarks": args.on, "seeds": args.seeds, "variants": args.variants}
        return sweep.plan(ablation=args.ablation, **asked, **more)
    asked = {"benchmark": args.on, "seed": args.seed, "variant": args.variant}
    made = [plans.make_plan(ROOT, paper, **asked, **more) for paper in args.papers]
    for plan in made:
        plans.refuse_other_parameters(plan)
    return made


def test_every_command_makes_the_runs_that_its_row_shows(tmp_path):
    for *_, drawn, rendered, real, code in rows_of_the_readme():
        commands = code.strip("`").split("; ")
        made = [plan for command in commands for plan in planned(command, tmp_path)]
        assert made, code
        if drawn or rendered or real:
            missing = [plan.title for plan in made if not is_complete(plan.folder)]
            assert not missing, f"{code}: {missing}"
            assert ("±" in drawn + rendered + real) == (len(made) > 1)

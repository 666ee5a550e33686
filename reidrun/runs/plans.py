"""From an order to checked plans of runs; nothing is written here."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reidlib.benchmarks import (
    BENCHMARKS,
    DataError,
    is_own,
    pictures_of,
    place_name,
    training_fault,
)
from reidlib.checks import unknown
from reidrun.runs import params
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.folder import differing
from reidrun.runs.names import row_name, run_folder, variant_name
from reidrun.runs.schema import TYPE_NAMES, Schema, notebook_schema, read_value

OPTIONS = {"benchmark": "--on", "data_root": "--data"}
OPTIONS |= {"run_dir": "--outputs", "seed": "--seed", "variant": "--variant"}
USUAL_SCALES = {"photographs": "full", "rendered": "study", "drawn": "tiny"}
NOUNS = {"bool": "true or false", "int": "a whole number", "float": "a number"}


class Setting(NamedTuple):
    """What a model was trained on, what it was tested on, and how it searched there.

    search   "" for the search as the paper has it, else what the other one is called

    >>> print(Setting("plaza", "plaza", "visual"), Setting("plaza", "avenue"), sep="; ")
    plaza visual; plaza → avenue
    """

    trained_on: str
    tested_on: str
    search: str = ""

    @property
    def is_elsewhere(self) -> bool:
        """Whether it was tested on what it was not trained on."""
        return self.trained_on != self.tested_on

    def __str__(self) -> str:
        tested = row_name((self.tested_on, self.search))
        return f"{self.trained_on} → {tested}" if self.is_elsewhere else tested


class Plan(NamedTuple):
    """A run that was checked and may start."""

    title: str
    variant: str  # as the ablation calls it
    notebook: Path
    folder: Path
    parameters: dict[str, Any]


class _Setup(NamedTuple):
    """What all runs of a paper on one benchmark share."""

    notebook: Path
    schema: Schema
    layers: dict[str, Any]  # of params/, merged
    scale: str
    values: dict[str, Any]  # that the command gives, and those that a run's name says
    named: dict[str, Any]


def make_plan(
    root: Path,
    paper: str,
    *,
    benchmark: str,
    seed: int,
    variant: str = params.FULL,
    **asked: Any,
) -> Plan:
    """Plan one run of a variant by name; the rest is as in `make_plans`."""
    variants = params.choose_variants(root / "params", paper, [variant])
    several = {"benchmarks": [benchmark], "seeds": [seed], "variants": variants}
    return make_plans(root, paper, **several, **asked)[0]


def make_plans(
    root: Path,
    paper: str,
    *,
    benchmarks: Sequence[str],
    seeds: Sequence[int],
    variants: Sequence[params.Variant],
    outputs: Path,
    data_root: Path,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    processes: int = 1,
) -> list[Plan]:
    """Check what is asked for and merge the parameters of every run.

    All runs of a seed come before the next seed; every file of params/ is read once.
    root        holds notebooks/ and params/
    scale       where it is None, that of the benchmark's own name, if params/scales/
                has one; else the usual one: see USUAL_SCALES
    overrides   by name; text is read as a value of the parameter's type
    processes   that make each run: of several, its name says how many
    Raises ParameterError for what is unknown, of another type, or out of its range.
    Weights and data are not looked for: see `missing.refuse_missing_files`.
    """
    _refuse_paper(root, paper)
    notebook = root.resolve() / "notebooks" / f"{paper}.ipynb"
    schema = notebook_schema(notebook)
    values = _read_overrides(overrides or {}, schema)
    benchmarks = [place_of(name, data_root) for name in benchmarks]
    if "also_on" in values:
        values["also_on"] = [
            place_of(name, data_root) if is_own(name) else name
            for name in values["also_on"]
        ]
    setups = {}
    for name in benchmarks:
        scaled = scale_of(root, name, scale)
        which = {"paper": paper, "benchmark": name, "scale": scaled}
        layers = params.read_layers(schema, root / "params", **which)
        named = {} if scaled == usual_scale(root, name) else {"scale": scaled}
        named |= _named(name, data_root, values)
        named |= {"processes": processes} if processes > 1 else {}
        setups[name] = _Setup(notebook, schema, layers, scaled, values, named)
    places = Path(outputs).resolve(), Path(data_root).resolve()
    return [
        _plan(setups[benchmark], benchmark, seed, variant, *places)
        for seed in seeds
        for benchmark in benchmarks
        for variant in variants
    ]


def _plan(
    setup: _Setup,
    benchmark: str,
    seed: int,
    variant: params.Variant,
    outputs: Path,
    data_root: Path,
) -> Plan:
    paper, home = setup.notebook.stem, setup.notebook.parent
    name = variant_name(variant.name, setup.named)
    run = {"benchmark": benchmark, "seed": seed}
    folder = run_folder(outputs, paper=paper, variant=name, **run)
    places = {
        "data_root": os.path.relpath(data_root, home),
        "run_dir": os.path.relpath(folder, home),
    }
    merged = params.resolve(
        setup.schema,
        setup.layers,
        variant,
        paper=paper,
        scale=setup.scale,
        given={"variant": name} | run | places | setup.values,
    )
    _refuse_unknown_sets(merged)
    title = f"{paper} on {benchmark}, {folder.name}"
    return Plan(title, variant.name, setup.notebook, folder, merged)


def place_of(benchmark: str, data_root: Path) -> str:
    """The name of a benchmark in runs: of own data it tells their folder, too.

    Raises ParameterError for one that is not known.
    """
    try:
        if is_own(benchmark):
            return place_name(benchmark, data_root)
    except DataError as error:
        raise ParameterError(str(error)) from None
    if benchmark not in BENCHMARKS:
        known = (*BENCHMARKS, "own:<name>")
        raise ParameterError(unknown("benchmark", benchmark, known))
    return benchmark


def scale_of(root: Path, benchmark: str, scale: str | None) -> str:
    """The scale of runs on a benchmark; refuses unknown ones and sets for testing."""
    scales = params.owners(root / "params" / "scales")
    if scale and scale not in scales:
        raise ParameterError(unknown("scale", scale, scales))
    if fault := training_fault(benchmark):
        raise ParameterError(fault)
    return scale or usual_scale(root, benchmark)


def usual_scale(root: Path, benchmark: str) -> str:
    """The scale of runs on a benchmark, unless another is asked for."""
    if benchmark in params.owners(root / "params" / "scales"):
        return benchmark
    return USUAL_SCALES[pictures_of(benchmark)]


def _named(
    benchmark: str, data_root: Path, values: Mapping[str, Any]
) -> dict[str, Any]:
    """What a run's name says besides the variant and an unusual scale."""
    named: dict[str, Any] = {}
    kind = _pictures(benchmark, data_root)
    if kind != pictures_of(benchmark):
        named["pictures"] = kind  # a run of its own, not the real set's
    return named | dict(values)


def papers(root: Path) -> set[str]:
    """Name what has a notebook and a layer of its own."""
    notebooks = {path.stem for path in (root / "notebooks").glob("*.ipynb")}
    return notebooks & params.owners(root / "params" / "papers")


def _refuse_paper(root: Path, paper: str) -> None:
    known = papers(root)
    if paper in known:
        return
    if (root / "notebooks" / f"{paper}.ipynb").is_file():
        others = ", ".join(sorted(known))
        raise ParameterError(
            f"{paper} is a notebook, but of no paper (known: {others}): open"
            f" notebooks/{paper}.ipynb in JupyterLab, by `make lab`"
        )
    raise ParameterError(unknown("paper", paper, known))


def _pictures(benchmark: str, data_root: Path) -> str:
    try:
        return pictures_of(benchmark, data_root)
    except DataError as error:
        raise ParameterError(str(error)) from None


def _read_overrides(overrides: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    for name in overrides:
        if name in OPTIONS:
            raise ParameterError(f"{name}: give it by {OPTIONS[name]}, not by -p")
    return {
        name: _read(name, value, schema[name].kind)
        if name in schema and isinstance(value, str)
        else value
        for name, value in overrides.items()
    }


def _read(name: str, text: str, kind: Any) -> Any:
    value = read_value(text, kind)
    if isinstance(value, str) and kind is not str:
        wanted = NOUNS.get(TYPE_NAMES[str(kind)], "a list: write one,other or [one]")
        raise ParameterError(f"{name}: {text} is not {wanted}")
    return value


def _refuse_unknown_sets(parameters: Mapping[str, Any]) -> None:
    for name in parameters.get("also_on", []):
        if name not in BENCHMARKS and not is_own(name):
            raise ParameterError(f"also_on: {unknown('benchmark', name, BENCHMARKS)}")


def refuse_other_parameters(plan: Plan) -> None:
    """Raise RunError where the plan's folder holds a run with other parameters."""
    differences = differing(plan.folder, plan.parameters)
    if not differences:
        return
    place = Path(*plan.folder.parts[-4:]).as_posix()  # the rest is of this machine
    lines = [f"{place} holds a run with other parameters:"]
    for name, (there, wanted) in differences.items():
        lines.append(f"  {name}: {there!r} there, {wanted!r} wanted")
    lines.append("reid run --fresh throws it away, --outputs DIR keeps both")
    raise RunError("\n".join(lines))

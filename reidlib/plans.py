"""From what is asked for to a checked Plan of a run; nothing is written here."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reidlib import params, runs
from reidlib.schema import ParameterError, Schema, notebook_schema, read_value, unknown

OPTIONS = {"benchmark": "--on", "data_root": "--data"}
OPTIONS |= {"run_dir": "--outputs", "seed": "--seed"}


class Plan(NamedTuple):
    """A run that was checked and may start."""

    title: str
    variant: str  # as the ablation calls it
    notebook: Path
    folder: Path
    parameters: dict[str, Any]


def make_plan(
    root: Path,
    paper: str,
    *,
    benchmark: str,
    seed: int,
    outputs: Path,
    data_root: Path,
    variant: str = params.FULL,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Plan:
    """Check what is asked for and merge the parameters of a run.

    root        holds notebooks/ and params/
    scale       tiny for drawn benchmarks, full for real ones, where it is None
    overrides   by name; text is read as a value of the parameter's type
    Raises ParameterError for what is unknown or of another type.
    """
    from reidlib.readers import is_drawn

    usual = "tiny" if is_drawn(benchmark) else "full"
    scale = scale or usual
    _refuse_unknown(root, paper=paper, benchmark=benchmark, scale=scale)
    notebook = root.resolve() / "notebooks" / f"{paper}.ipynb"
    schema = notebook_schema(notebook)
    values = _read_overrides(overrides or {}, schema)
    named = values if scale == usual else {"scale": scale, **values}
    if is_drawn(benchmark, data_root) and not is_drawn(benchmark):
        named = {"pictures": "drawn", **named}  # a run of its own, not the real set's
    name = runs.variant_name(variant, named)
    run = {"benchmark": benchmark, "seed": seed}
    folder = runs.run_folder(Path(outputs).resolve(), paper=paper, variant=name, **run)
    places = {"data_root": Path(data_root).resolve(), "run_dir": folder}
    given = {name: os.path.relpath(p, notebook.parent) for name, p in places.items()}
    merged = params.resolve(
        schema,
        root / "params",
        paper=paper,
        benchmark=benchmark,
        scale=scale,
        variant=variant,
        given=run | given | values,
    )
    title = f"{paper} on {benchmark}, {folder.name}"
    return Plan(title, variant, notebook, folder, merged)


def _refuse_unknown(root: Path, *, paper: str, benchmark: str, scale: str) -> None:
    from reidlib.readers import BENCHMARKS, training_fault

    notebooks = {path.stem for path in (root / "notebooks").glob("*.ipynb")}
    papers = notebooks & params.owners(root / "params" / "papers")
    scales = params.owners(root / "params" / "scales")
    asked = (("paper", paper, papers), ("benchmark", benchmark, BENCHMARKS))
    for what, name, known in (*asked, ("scale", scale, scales)):
        if name not in known:
            raise ParameterError(unknown(what, name, known))
    if fault := training_fault(benchmark):
        raise ParameterError(fault)


def _read_overrides(overrides: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    for name in overrides:
        if name in OPTIONS:
            raise ParameterError(f"{name}: give it by {OPTIONS[name]}, not by -p")
    return {
        name: read_value(value, schema[name].kind)
        if name in schema and isinstance(value, str)
        else value
        for name, value in overrides.items()
    }


def refuse_other_parameters(plan: Plan) -> None:
    """Raise RunError where the plan's folder holds a run with other parameters."""
    differences = runs.differing(plan.folder, plan.parameters)
    if not differences:
        return
    place = Path(*plan.folder.parts[-4:]).as_posix()  # the rest is of this machine
    lines = [f"{place} holds a run with other parameters:"]
    for name, (there, wanted) in differences.items():
        lines.append(f"  {name}: {there!r} there, {wanted!r} wanted")
    lines.append("reid run --fresh throws it away, --outputs DIR keeps both")
    raise runs.RunError("\n".join(lines))

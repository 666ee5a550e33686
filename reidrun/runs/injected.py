"""The parameters of a running notebook: its own, and what papermill put in their place.

Light, so that a notebook with a misspelt parameter stops before anything is loaded.
"""

import ast
import linecache
from collections.abc import Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from IPython import get_ipython

from reidlib.checks import nearest
from reidrun.runs.errors import ParameterError
from reidrun.runs.schema import Schema, parse_schema, unwritable_files, validate

SCHEMA_MARK = "# Schema"
INJECTED_MARK = "# Parameters"  # papermill writes it at the top of its cell


def check_parameters(
    inputs: Sequence[str] | None = None, namespace: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a running notebook's parameters; refuse unknown names and wrong types.

    `inputs` is IPython's `In` and `namespace` the notebook's `globals()`; both are
    found when they are not given. The cells that were run are read each time: papermill
    only warns of an unknown name, and a live kernel still has the values of names that
    were edited since.
    """
    if namespace is None:
        shell = get_ipython()
        if shell is None:
            raise RuntimeError("no notebook is running: give inputs and namespace")
        namespace = shell.user_ns
    inputs = namespace.get("In", ()) if inputs is None else inputs
    cells = list(inputs) if any(map(str.strip, inputs)) else _unrecorded_cells()
    marked = [i for i, cell in enumerate(cells) if _starts(cell, SCHEMA_MARK)]
    if not marked:
        raise ParameterError("no schema was run; run the parameters cell first")
    latest, later = cells[marked[-1]], cells[marked[-1] + 1 :]
    schema = parse_schema(latest)
    _refuse_left_over(schema, cells)
    _refuse_unmarked(schema, later)
    injected = [cell for cell in later if _starts(cell, INJECTED_MARK)]
    given = _assigned(injected[-1], ast.Assign) if injected else set()
    names = schema.keys() | given
    found = {name: namespace[name] for name in names if name in namespace}
    values = validate(found, schema)
    _refuse_other_folder(schema, values)
    if faults := unwritable_files(schema, values, Path.cwd()):
        raise ParameterError("\n".join(faults))
    return deepcopy(values)


def declared(parameters: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    """Return parameters that have all names, or raise ParameterError."""
    faults = [
        f"{name}: the parameters cell does not declare it{nearest(name, parameters)}"
        for name in names
        if name not in parameters
    ]
    if faults:
        raise ParameterError("\n".join(faults))
    return parameters


def _refuse_left_over(schema: Schema, cells: Sequence[str]) -> None:
    """Refuse a schema without a name that an earlier one had and that cells read.

    They would go on with the value that the kernel still has of it.
    """
    schemas = [cell for cell in cells if _starts(cell, SCHEMA_MARK)]
    had = {name for cell in schemas for name in _assigned(cell, ast.AnnAssign)}
    read = {name for cell in cells for name in _read(cell)}
    faults = []
    for name in sorted((had & read) - schema.keys()):
        near = get_close_matches(name, schema.keys() - read, n=1)
        instead = f", which has {near[0]}" if near else ""
        faults.append(
            f"{name}: cells read it, but it is not in the parameters cell that was"
            f" run{instead}; write {name} there, or restart the kernel"
        )
    if faults:
        raise ParameterError("\n".join(faults))


def _refuse_unmarked(schema: Schema, later: Sequence[str]) -> None:
    """Refuse a parameters cell that was run again without its first line."""
    for cell in later:
        again = schema.keys() & _assigned(cell, ast.AnnAssign)
        if again:
            raise ParameterError(
                f"{', '.join(sorted(again))}: declared in a cell that does not begin"
                f" with `{SCHEMA_MARK}`; give the parameters cell its first line back"
            )


def _assigned(cell: str, kind: type[ast.stmt]) -> set[str]:
    """Names that a cell assigns at its top: plainly (Assign), or typed (AnnAssign)."""
    nodes = [node for node in _statements(cell) if isinstance(node, kind)]
    targets = [getattr(node, "targets", None) or [node.target] for node in nodes]
    return {t.id for many in targets for t in many if isinstance(t, ast.Name)}


def _read(cell: str) -> set[str]:
    nodes = [node for top in _statements(cell) for node in ast.walk(top)]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    is_schema = _starts(cell, SCHEMA_MARK)  # whose types are names, too
    return {n.id for n in names if isinstance(n.ctx, ast.Load) and not is_schema}


def _statements(cell: str) -> list[ast.stmt]:
    try:
        return ast.parse(cell).body
    except SyntaxError:  # a magic, or a cell that failed
        return []


def _refuse_other_folder(schema: Schema, values: Mapping[str, Any]) -> None:
    """Places are seen from the notebook's folder; papermill may start elsewhere."""
    for name, parameter in schema.items():
        up = Path(str(parameter.default)).parts.count("..")
        if not up or Path(values[name]).is_absolute():
            continue
        here = Path.cwd().resolve()
        if here.parts[-up:][:1] != ("notebooks",):
            raise ParameterError(
                f"{name} is {values[name]}, seen from the notebook's folder, but this"
                f" kernel runs in {here}: papermill --cwd {_home(up)}, or a full path"
            )


def _home(up: int) -> str:
    return "notebooks" if up == 1 else "<the notebook's folder>"


def _unrecorded_cells() -> list[str]:
    """The cells of a kernel that keeps no history (nbval's), as tracebacks see them."""
    entries = linecache.cache.values()
    return ["".join(entry[2]) for entry in entries if len(entry) > 2]


def _starts(cell: str, mark: str) -> bool:
    return cell.lstrip().startswith(mark)

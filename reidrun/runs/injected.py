"""The parameters of a running notebook: its own, and what papermill put in their place.

Light, so that a notebook with a misspelt parameter stops before anything is loaded.
"""

import ast
import linecache
from collections.abc import Mapping, Sequence
from typing import Any

from IPython import get_ipython

from reidrun.runs.schema import ParameterError, parse_schema, validate

SCHEMA_MARK = "# Schema"
INJECTED_MARK = "# Parameters"  # papermill writes it at the top of its cell


def check_parameters(
    inputs: Sequence[str] | None = None, namespace: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a running notebook's parameters; refuse unknown names and wrong types.

    `inputs` is IPython's `In` and `namespace` the notebook's `globals()`; both are
    found when they are not given. Papermill only warns of an unknown name, so the cell
    that it injected is read here, and the run stops.
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
    schema = parse_schema(cells[marked[-1]])
    injected = [c for c in cells[marked[-1] :] if _starts(c, INJECTED_MARK)]
    given = {
        target.id
        for node in ast.parse(injected[-1] if injected else "").body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    names = schema.keys() | given
    return validate({n: namespace[n] for n in names if n in namespace}, schema)


def _unrecorded_cells() -> list[str]:
    """The cells of a kernel that keeps no history (nbval's), as tracebacks see them."""
    entries = linecache.cache.values()
    return ["".join(entry[2]) for entry in entries if len(entry) > 2]


def _starts(cell: str, mark: str) -> bool:
    return cell.lstrip().startswith(mark)

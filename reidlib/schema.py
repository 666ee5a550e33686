"""The schema of a notebook: its parameters cell, read but never executed.

One typed assignment per line, `name: type = value  # meaning`. The values are the
smoke run; what papermill or `reid run` gives instead is checked against the types.
"""

import ast
import difflib
import io
import json
import re
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict, ValidationError, create_model

TYPES: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "list[int]": list[int],
    "list[float]": list[float],
    "list[str]": list[str],
}
TYPE_NAMES = {str(kind): name for name, kind in TYPES.items()}


class ParameterError(ValueError):
    """A parameter that is unknown, missing or of another type."""

    def _render_traceback_(self) -> list[str]:  # IPython then shows this line only
        return [f"{type(self).__name__}: {self}"]


class Parameter(NamedTuple):
    """One line of a parameters cell."""

    kind: Any
    default: Any
    meaning: str


Schema = dict[str, Parameter]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` where a known name is near, else nothing.

    >>> nearest("epohcs", ["epochs", "seed"])
    '; did you mean epochs?'
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, which is nearest, and which there are.

    >>> unknown("paper", "fanett", ["baseline", "fanet"])
    "unknown paper 'fanett'; did you mean fanet? (known: baseline, fanet)"
    """
    known = sorted(known)
    return f"unknown {what} {name!r}{nearest(name, known)} (known: {', '.join(known)})"


def parse_schema(source: str) -> Schema:
    """Read a parameters cell: name -> type, default and meaning.

    >>> parse_schema("epochs: int = 2  # passes over the training images")["epochs"]
    Parameter(kind=<class 'int'>, default=2, meaning='passes over the training images')
    """
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    schema: Schema = {}
    for node in ast.parse(source).body:
        name, kind, default = _parse_line(node)
        if name in schema:
            raise ParameterError(f"{name}: stands twice in the parameters cell")
        schema[name] = Parameter(kind, default, comments.get(node.end_lineno, ""))
    return schema


def _parse_line(node: ast.stmt) -> tuple[str, Any, Any]:
    wanted = "write `name: type = value  # meaning`"
    if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
        line = ast.unparse(node)
        raise ParameterError(f"parameters cell: `{line}` is no parameter; {wanted}")
    name, annotation = node.target.id, ast.unparse(node.annotation)
    if annotation not in TYPES:
        known = ", ".join(TYPES)
        raise ParameterError(f"{name}: type {annotation} is none of {known}")
    try:
        return name, TYPES[annotation], ast.literal_eval(node.value)
    except (ValueError, TypeError):
        raise ParameterError(f"{name}: no plain value; {wanted}") from None


def notebook_schema(path: Path) -> Schema:
    """Read the schema of a notebook, and check its defaults against it."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", ())]
    if len(tagged) != 1:
        raise ParameterError(
            f"{path.name}: {len(tagged)} cells are tagged `parameters`, one is wanted"
        )
    schema = parse_schema("".join(tagged[0]["source"]))
    validate({name: p.default for name, p in schema.items()}, schema, where=path.name)
    return schema


def validate(
    values: Mapping[str, Any], schema: Schema, *, where: str = "", partial: bool = False
) -> dict[str, Any]:
    """Return `values` with the schema's types, in the schema's order.

    An int is accepted for a float; nothing else is converted. `partial` allows names
    to be absent. Raises ParameterError with all faults, one a line, after `where`.
    """
    fields = {
        name: (parameter.kind, ...)
        for name, parameter in schema.items()
        if name in values or not partial
    }
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    model = create_model("Parameters", __config__=config, **fields)
    try:
        return model(**values).model_dump()
    except ValidationError as error:
        faults = [_explain(fault, schema) for fault in error.errors()]
    start = f"{where}: " if where else ""
    raise ParameterError("\n".join(start + fault for fault in faults))


def _explain(fault: Mapping[str, Any], schema: Schema) -> str:
    name, *index = fault["loc"]
    if fault["type"] == "extra_forbidden":
        return f"{name}: unknown parameter{nearest(name, schema)}"
    value, wanted = fault["input"], TYPE_NAMES[str(schema[name].kind)]
    if fault["type"] == "missing":
        return f"{name}: missing, {_a(wanted)} is wanted"
    if index:
        name, wanted = f"{name}[{index[0]}]", wanted.removeprefix("list[")[:-1]
    if fault["type"] == "finite_number":
        return f"{name}: {value} is not finite, {_a(wanted)} is wanted"
    found = _a(type(value).__name__)
    return f"{name}: {value!r} is {found}, {_a(wanted)} is wanted{_remedy(value)}"


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _remedy(value: Any) -> str:
    """What to write instead of a number that YAML reads as text (5e-6, 1.0e3)."""
    number = re.fullmatch(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)", str(value))
    if not (isinstance(value, str) and number):
        return ""
    whole, fraction, sign, power = number.groups()
    fraction = fraction if fraction and len(fraction) > 1 else ".0"
    return f"; YAML reads it as text, write {whole}{fraction}e{sign or '+'}{power}"


def read_value(text: str, kind: Any) -> Any:
    """Read a value typed on the command line; what does not fit stays text.

    >>> read_value("5e-6", float), read_value("40,80", list[int])
    (5e-06, [40, 80])
    """
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    if kind is str:
        return text
    parts = (part.strip(" '\"") for part in text.strip("[] ").split(","))
    return [read_value(part, kind.__args__[0]) for part in parts if part]

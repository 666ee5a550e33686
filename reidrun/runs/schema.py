"""The schema of a notebook: its parameters cell, read but never executed.

One typed assignment per line, `name: type = value  # meaning`. The values are those of
the smoke run. What papermill or `reid run` passes instead is checked against the types
and against what the meaning ends in: choices, `one | other`, or for numbers, also those
of a list, an interval, `in [0, 1)`.
"""

import ast
import io
import operator
import re
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict, ValidationError, create_model

from reidlib.checks import nearest
from reidlib.files import unwritable
from reidlib.reading import read_json, reading
from reidrun.runs.conflicts import conflicts
from reidrun.runs.errors import ParameterError

TYPES: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "list[int]": list[int],
    "list[float]": list[float],
    "list[str]": list[str],
}
AGAIN = "it is no notebook; get it from git again"
A_FILE = "a file"  # in a meaning: a path may be given
WRITTEN = ("where to write ", "where to keep ")  # begins the meaning of such a file's
INTERVAL = re.compile(r"\bin ([\[(])([-.\d]+), ([-.\d]+|inf)([\])])$")
SURROGATE = re.compile("[\ud800-\udfff]")  # how Python has bytes that are not UTF-8
TYPE_NAMES = {str(kind): name for name, kind in TYPES.items()}


class Parameter(NamedTuple):
    """One line of a parameters cell."""

    kind: Any
    default: Any
    meaning: str

    @property
    def choices(self) -> list[str]:
        """What may be chosen: the first words of `one | other, why | a file`.

        >>> Parameter(str, "tiny", "CLIP: tiny | openai | a file").choices
        ['tiny', 'openai']
        >>> Parameter(str, "sum", 'of a stripe: "" | max | sum of both').choices
        ['', 'max', 'sum']
        """
        named = [part for part in self._parts() if not part.startswith("a ")]
        return [re.match(r"\w[\w-]*|", part.strip('"'))[0] for part in named]

    @property
    def is_open(self) -> bool:
        """Whether any other value may be given: no choices, or `a file`, `a ...`."""
        return self._parts() == [] or any(p.startswith("a ") for p in self._parts())

    @property
    def takes_file(self) -> bool:
        """Whether the path of a file may be given."""
        return A_FILE in self.meaning

    @property
    def is_written(self) -> bool:
        """Whether it names a file that the notebook writes."""
        return self.meaning.startswith(WRITTEN)

    @property
    def interval(self) -> str:
        """Where numbers lie, as the meaning has it; "" where it says nothing.

        >>> Parameter(float, 0.5, "of the triplet loss, in [0, inf)").interval
        '[0, inf)'
        """
        found = INTERVAL.search(self.meaning)
        return found[0].removeprefix("in ") if found else ""

    def holds(self, value: float) -> bool:
        """Whether a number is where it may be."""
        found = INTERVAL.search(self.meaning)
        if not found:
            return True
        left, low, high, right = found.groups()
        above = operator.ge if left == "[" else operator.gt
        below = operator.le if right == "]" else operator.lt
        return above(value, float(low)) and below(value, float(high))

    def _parts(self) -> list[str]:
        parts = self.meaning.rpartition(": ")[2].split(" | ")
        return parts if len(parts) > 1 else []


Schema = dict[str, Parameter]


def unwritable_files(
    schema: Schema, values: Mapping[str, Any], home: Path
) -> list[str]:
    """Say which files cannot be written that parameters name, seen from a folder."""
    named = [name for name in schema if schema[name].is_written and values[name]]
    faults = {name: unwritable(home / values[name]) for name in named}
    return [f"{name}: {values[name]} {why}" for name, why in faults.items() if why]


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
    content = read_json(path, AGAIN, raises=ParameterError)
    with reading(path, AGAIN, raises=ParameterError):
        cells = [(c["metadata"].get("tags", ()), c["source"]) for c in content["cells"]]
    sources = ["".join(source) for tags, source in cells if "parameters" in tags]
    if len(sources) != 1:
        raise ParameterError(
            f"{path.name}: {len(sources)} cells are tagged `parameters`, one is wanted"
        )
    schema = parse_schema(sources[0])
    validate({name: p.default for name, p in schema.items()}, schema, where=path.name)
    return schema


def validate(
    values: Mapping[str, Any], schema: Schema, *, where: str = "", partial: bool = False
) -> dict[str, Any]:
    """Return `values` with the schema's types, in the schema's order.

    An int is accepted for a float; nothing else is converted. `partial` allows names
    to be absent. Raises ParameterError with all faults, one a line, after `where`:
    names, types, numbers that are not finite or out of their interval, what is none of
    the choices and, unless `partial`, what means nothing together.
    """
    fields = {
        name: (parameter.kind, ...)
        for name, parameter in schema.items()
        if name in values or not partial
    }
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    model = create_model("Parameters", __config__=config, **fields)
    try:
        valid = model(**values).model_dump()
        faults = [f for n in valid for f in _value_faults(n, valid[n], schema[n])]
        if not partial and not faults:
            faults = conflicts(valid)
    except ValidationError as error:
        faults = [_explain(fault, schema) for fault in error.errors()]
    if not faults:
        return valid
    start = f"{where}: " if where else ""
    raise ParameterError("\n".join(start + fault for fault in faults))


def _value_faults(name: str, value: Any, parameter: Parameter) -> list[str]:
    known, parts = parameter.choices, value if isinstance(value, list) else [value]
    outside = [part for part in parts if not parameter.holds(part)]
    if outside:
        return [f"{name} is {outside[0]}, but must be in {parameter.interval}"]
    if any(SURROGATE.search(str(part)) for part in parts):
        return [f"{name}: {value!r} is not UTF-8, as notebooks are: rename it"]
    if parameter.is_open or str(value) in known:
        return []
    shown = ", ".join(word or '""' for word in known)
    return [f"{name}: {value!r} is none of {shown}{nearest(str(value), known)}"]


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
    found, remedy = _a(type(value).__name__), _remedy(name, value, wanted)
    return f"{name}: {value!r} is {found}, {_a(wanted)} is wanted{remedy}"


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _remedy(name: str, value: Any, wanted: str) -> str:
    """How to write what arrives as text: 5e-6 and 1.0e3 in YAML, papermill's lists."""
    if isinstance(value, str) and wanted.startswith(("list", "bool")):
        return f"; give it to papermill as -y '{name}: {value}'"
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
    >>> read_value("[40, 80", list[int])
    '[40, 80'
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
    if text.strip().startswith("[") != text.strip().endswith("]"):
        return text
    parts = (part.strip(" '\"") for part in text.strip("[] ").split(","))
    return [read_value(part, kind.__args__[0]) for part in parts if part]

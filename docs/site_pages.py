"""What the site makes of notebooks and docstrings; docs/conf.py hands it to Sphinx.

A lesson's equation and the function that is shown beside it lead to each other: the
equation's cell names the function, and the function's docstring has the equation.
"""

import ast
import re
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import nbformat
from nbformat import NotebookNode, v4
from PIL import Image

from reidrun.reports.records import read_record
from reidrun.runs.environment import tracked
from reidrun.runs.folder import pictures
from reidrun.runs.names import read_row_name, row_name

EXECUTED = ("*/*/*/run.ipynb", "*/*/*.ipynb", "*/run.ipynb", "*.ipynb")
EXECUTED += ("benchmarks/*.ipynb",)
SETUP = {"check", "imports", "setup"}  # cells that a reader may skip
HIDDEN = {"parameters", "injected-parameters"}  # tags of such
EQUATION = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
ALIGNED = re.compile(r"^\s|\S {2,}\S", re.MULTILINE)  # set in columns, or a formula
DOCTEST = ">>> "
CODE = re.compile(r"(`[^`\n]+`|\*[A-Z][^*\n]+\*)")  # also a title: *An End-to-End ...*


def executed(root: Path) -> list[str]:
    """Executed notebooks below `root` that git tracks (all, without git), by path.

    That of a run is there once its record is.
    """
    outputs = root / "outputs"
    among = tracked(outputs)
    found = {path for place in EXECUTED for path in outputs.glob(place)}
    found = found if among is None else found & among
    runs = {path for path in found if len(path.relative_to(outputs).parts) == 4}
    unfinished = {path for path in runs if not (path.parent / "metrics.json").is_file()}
    return sorted(path.relative_to(root).as_posix() for path in found - unfinished)


def page(text: str, path: Path, root: Path) -> tuple[str, str]:
    """A notebook as the site shows it, and what is wrong with it; "" where nothing is.

    A notebook that cannot be shown becomes a page that says so.
    """
    try:
        book = _readable(text)
        if (path.parent / "metrics.json").is_file():
            _run(book, path, root)
        else:
            _lesson(book, path, root)
        return nbformat.writes(book), ""
    except Exception as error:  # nbformat, Pillow and JSON raise what they like
        fault = f"cannot be shown: {type(error).__name__}: {error}"[:200]
    words = f"# {path.stem}\n\nThis notebook {fault.replace('`', ' ')}"
    instead = v4.new_notebook(cells=[v4.new_markdown_cell(words)])
    return nbformat.writes(instead), fault


def picture(root: Path) -> str:
    """The first chart of the page of all results, as SVG; "" where there is none."""
    path = root / "outputs" / "results.ipynb"
    book = nbformat.read(path, as_version=4) if path.is_file() else v4.new_notebook()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    charts = [output.get("data", {}).get("image/svg+xml") for output in outputs]
    return next(("".join(chart) for chart in charts if chart), "")


def _readable(text: str) -> NotebookNode:
    book = nbformat.reads(text, as_version=4)
    nbformat.validate(book)
    if not book.cells or not "".join(book.cells[0].source).startswith("# "):
        raise ValueError("its first cell is no title")
    for cell in book.cells:
        for output in cell.get("outputs", []):
            for kind, data in output.get("data", {}).items():
                if kind in ("image/png", "image/jpeg"):
                    Image.open(BytesIO(b64decode(data))).verify()
    return book


def _lesson(book: NotebookNode, path: Path, root: Path) -> None:
    """Fold code away: of a lesson its setting up, of a page of results all of it."""
    place = path.relative_to(root).parts
    is_page = "ablations" in place or (place[0] == "outputs" and len(place) != 5)
    for cell in book.cells:
        tags = cell.metadata.setdefault("tags", [])
        skipped = cell.id in SETUP or bool(HIDDEN & {*tags})
        if cell.cell_type == "code" and is_page and skipped:
            tags.append("remove-cell")
        elif cell.cell_type == "code" and (is_page or skipped):
            tags.append("hide-input")
    for cell, names in shown_beside(book, root):
        links = (f"{{py:obj}}`{n.split('.')[-1]} <{n}>`" for n in names)
        cell.source += f"\n\nIn the API: {', '.join(links)}."


def _run(book: NotebookNode, path: Path, root: Path) -> None:
    """The page of a run says first what came out."""
    record = read_record(path.parent)
    lines = [
        f"| {row_name(read_row_name(name))} | {100 * scores['mAP']:.1f}"
        f" | {100 * scores['rank1']:.1f}"
        f" | {pictures(scores, record)} |"
        for name, scores in record["scores"].items()
    ]
    head = "| tested on | mAP (%) | rank-1 (%) | pictures |\n| --- | --- | --- | --- |"
    said = (
        f"What came out of this run of `{record['variant']}`, trained on"
        f" `{record['benchmark']}` with seed {record['seed']}:"
    )
    book.cells[0].source = book.cells[0].source.replace("# ", "# One run of ", 1)
    _lesson(book, path, root)
    came_out = v4.new_markdown_cell("\n\n".join([said, "\n".join([head, *lines])]))
    book.cells.insert(1, came_out)


def shown_beside(book: NotebookNode, root: Path) -> Iterator[tuple]:
    """Every cell with an equation, and what of ours `show_source` shows beside it.

    Names are whole, as `reidlib.losses.triplet.triplet_loss`.
    """
    equation = None
    for cell in book.cells:
        if cell.cell_type == "markdown":
            equation = cell if EQUATION.search(cell.source) else equation
        elif equation is not None and "show_source(" in cell.source:
            written = ast.walk(ast.parse(cell.source))
            names = {ast.unparse(n) for n in written if isinstance(n, ast.Attribute)}
            known = (_whole_name(name, root) for name in sorted(names))
            if found := [name for name in known if name]:
                yield equation, found


def _whole_name(name: str, root: Path) -> str:
    """Of what a notebook calls `losses.f`, where it is defined; "" if not by us."""
    room, _, rest = name.partition(".")
    folder = root / "reidlib" / room
    if room not in ("losses", "models") or not rest:
        return ""
    if (folder / f"{rest.partition('.')[0]}.py").is_file():
        return f"reidlib.{name}" if "." in rest else ""
    for node in ast.parse((folder / "__init__.py").read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and rest in {n.name for n in node.names}:
            return f"{node.module}.{rest}"
    return ""


@cache
def equations(root: Path) -> dict[str, list[str]]:
    """What the API says under a docstring: the equations of the lesson that shows it.

    By the whole name of a function or class; lines of reStructuredText.
    """
    found: dict[str, list[str]] = {}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        try:
            book = nbformat.reads(path.read_text("utf-8"), as_version=4)
        except (ValueError, nbformat.ValidationError):  # its own page says it
            continue
        for cell, names in shown_beside(book, root):
            lines = ["", f"In the lesson :doc:`/notebooks/{path.stem}`:"]
            for formula in EQUATION.findall(cell.source):
                lines += ["", ".. math::", "", f"   {' '.join(formula.split())}"]
            for name in names:
                found[name] = found.get(name, []) + [*lines, ""]
    return found


def as_rst(lines: list[str]) -> list[str]:
    r"""A docstring as reStructuredText that looks as it was written.

    Prose is prose, with `names` as code; what is indented or set in columns stays so.

    >>> as_rst(["A sum of *a and* `b`."])
    ['A sum of \\*a and\\* ``b``.', '']
    """
    text = "\n".join(lines).strip("\n")
    blocks = re.split(r"\n{2,}", text) if text else []
    made: list[str] = []
    for block in blocks:
        if block.lstrip().startswith(DOCTEST):
            made += block.split("\n")
        elif ALIGNED.search(block):
            made += [".. code-block:: none", ""]
            made += [f"   {line}" for line in block.split("\n")]
        else:
            made += _prose(block).split("\n")
        made.append("")
    return made


def _prose(text: str) -> str:
    parts = CODE.split(text)
    for place, part in enumerate(parts):
        if part.startswith("`"):
            parts[place] = f"`{part}`"
        elif not place % 2:
            parts[place] = re.sub(r"([\\*|`]|_(?=\W|$))", r"\\\1", part)
    return "".join(parts)

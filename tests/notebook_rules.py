"""The rules for notebooks; each returns or yields the faults it finds, in words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from reidrun.notebook import SCHEMA_MARK
from reidrun.runs.schema import ParameterError, parse_schema

CHECK = "parameters = check_parameters(In, globals())"
LINES, SCHEMA_LINES, WIDTH = 15, 50, 88
CELLS, CODE_IN_A_ROW, PROSE_PER_CODE = 45, 3, 0.7
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
LOOPS = ast.For | ast.While
SMALL = 9  # an integer up to it counts what is shown; all else is a setting
MACHINE = {"chdir", "environ", "filterwarnings", "urlopen"}
BUILTINS = {"exec", "eval"}  # as a method, eval is a module's
ABSOLUTE = re.compile(r"/\w|~|[A-Za-z]:\\")
COMMAND = re.compile(r"^\s*[!%].*$", re.MULTILINE)


def text_of(cell: dict) -> str:
    return "".join(cell["source"])


def tags_of(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def code_of(book: dict) -> list[dict]:
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def nodes_of(cell: dict) -> list[ast.AST]:
    return list(ast.walk(ast.parse(COMMAND.sub("pass", text_of(cell)))))


def faults(book: dict, folder: Path) -> list[str]:
    """Every fault of a notebook that lies in a folder."""
    rules = (frame_faults, id_faults, schema_faults, cell_faults, syntax_faults)
    found = [fault for rule in rules for fault in rule(book)]
    return found + list(link_faults(book, folder))


def frame_faults(book: dict) -> list[str]:
    cells, code, metadata = book["cells"], code_of(book), book["metadata"]
    prose = len(cells) - len(code)
    kinds = "".join(cell["cell_type"][0] for cell in cells)
    found = {
        "the kernel is not python3": metadata["kernelspec"]["name"] != "python3",
        "stored widgets": "widgets" in metadata,
        f"{len(cells)} cells, more than {CELLS}": len(cells) > CELLS,
        f"{prose} cells of prose for {len(code)} of code": (
            prose < PROSE_PER_CODE * len(code)
        ),
        f"more than {CODE_IN_A_ROW} cells of code without prose between": (
            "c" * (CODE_IN_A_ROW + 1) in kinds
        ),
    }
    return [words for words, fault in found.items() if fault]


def id_faults(book: dict) -> Iterator[str]:
    ids = [cell.get("id", "") for cell in book["cells"]]
    for name in ids:
        word = re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)
        if not word or re.fullmatch(r"[0-9a-f]{8}", name):
            yield f"{name}: an id is a name in lower case"
    yield from (f"{i}: id given twice" for i in sorted(set(ids)) if ids.count(i) > 1)


def schema_faults(book: dict) -> Iterator[str]:
    code = code_of(book)
    places = [i for i, cell in enumerate(code) if "parameters" in tags_of(cell)]
    if places != [0]:
        yield "the first cell of code, and no other, is tagged parameters"
        return
    source, later = text_of(code[0]), code[1:]
    if not source.startswith(SCHEMA_MARK):
        yield f"parameters does not begin with `{SCHEMA_MARK}`"
    if not later or CHECK not in text_of(later[0]):
        yield f"after parameters comes `{CHECK}`"
    try:
        schema = parse_schema(source)
    except ParameterError as error:
        yield str(error)
        return
    names = (n for cell in later for n in nodes_of(cell) if isinstance(n, ast.Name))
    read = {name.id for name in names if isinstance(name.ctx, ast.Load)}
    yield from (f"{name}: no meaning" for name, p in schema.items() if not p.meaning)
    yield from (f"{name}: no cell reads it" for name in schema if name not in read)


def cell_faults(book: dict) -> Iterator[str]:
    for cell in code_of(book):
        lines = text_of(cell).splitlines()
        count = len(lines) - imports_in(cell)
        budget = SCHEMA_LINES if "parameters" in tags_of(cell) else LINES
        found = {
            "stored output": cell["outputs"] or cell["execution_count"] is not None,
            f"{count} lines, more than {budget}": count > budget,
            f"a line over {WIDTH} letters": any(len(line) > WIDTH for line in lines),
            "a ! or % command": COMMAND.search(text_of(cell)),
            "something left to do": re.search(r"\b(TODO|FIXME)\b", text_of(cell)),
        }
        yield from (f"{cell['id']}: {words}" for words, fault in found.items() if fault)


def imports_in(cell: dict) -> int:
    """Lines of imports: they are long by convention and say nothing to read."""
    found = (n for n in nodes_of(cell) if isinstance(n, ast.Import | ast.ImportFrom))
    return sum(1 + node.end_lineno - node.lineno for node in found)


def syntax_faults(book: dict) -> Iterator[str]:
    for cell in code_of(book):
        for node in nodes_of(cell):
            inside = [inner for inner in ast.walk(node) if inner is not node]
            found = {
                "a definition: it belongs in reidlib": isinstance(node, DEFINITIONS),
                "try": isinstance(node, ast.Try),
                "a loop in a loop": nested(node, inside, LOOPS),
                "an if in an if": nested(node, inside, ast.If),
                "print in a loop": isinstance(node, LOOPS) and "print" in names(inside),
                "it changes the machine": names([node]) & MACHINE
                or getattr(node, "id", "") in BUILTINS
                or ast.unparse(node) == "sys.path",
                "an absolute path": ABSOLUTE.match(str(getattr(node, "value", ""))),
            }
            yield from (f"{cell['id']}: {words}" for words, bad in found.items() if bad)


def nested(node: ast.AST, inside: list[ast.AST], kind: type) -> bool:
    return isinstance(node, kind) and any(isinstance(n, kind) for n in inside)


def names(nodes: list[ast.AST]) -> set[str]:
    return {getattr(n, "id", None) or getattr(n, "attr", "") for n in nodes}


def link_faults(book: dict, folder: Path) -> Iterator[str]:
    for cell in book["cells"]:
        if cell["cell_type"] != "markdown":
            continue
        for link in re.findall(r"\]\(([^)#\s]+)", text_of(cell)):
            is_near = "://" in link or not ABSOLUTE.match(link)
            if not is_near or not ("://" in link or (folder / link).exists()):
                yield f"{cell['id']}: {link} leads nowhere"


def number_faults(book: dict) -> Iterator[str]:
    """For a paper's notebook: its numbers stand among the parameters."""
    for cell in code_of(book):
        if "parameters" in tags_of(cell):
            continue
        for node in nodes_of(cell):
            value = getattr(node, "value", None)
            if isinstance(value, float) or isinstance(value, int) and value > SMALL:
                yield f"{cell['id']}: the number {value}"

"""The rules for notebooks; each returns or yields the faults it finds, in words."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from reidrun.notebook import READ_AT_OPENING, READ_AT_START
from reidrun.runs.errors import ParameterError
from reidrun.runs.injected import SCHEMA_MARK
from reidrun.runs.schema import parse_schema

START, CHECK = "run = start_run(", "parameters = check_parameters("
OPEN = "open_study(parameters"
STATEMENTS, LINES, SCHEMA_LINES, WIDTH = 15, 20, 56, 88
COMPARED = {"keep_output", "nbval-check-output"}  # nbstripout's tag, and nbval's
OUTPUT_LINES = 40  # of a stored output
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


def tracked(folder: Path) -> list[Path]:
    """The notebooks below a folder that git knows: none that Jupyter left there."""
    names = _git(folder, "ls-files", "-z", "--", "*.ipynb").split("\0")
    return sorted(folder / name for name in names if (folder / name).is_file() and name)


def staged(path: Path) -> dict:
    """A notebook as git has it, staged or committed; it may have been run since."""
    return json.loads(_git(path.parent, "show", f":./{path.name}"))


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def faults(book: dict, folder: Path) -> list[str]:
    """Every fault of a notebook that lies in a folder."""
    return [*source_faults(book, folder), *output_faults(book)]


def source_faults(book: dict, folder: Path) -> list[str]:
    """Every fault of what is written in a notebook, whether it was run or not."""
    rules = (frame_faults, id_faults, schema_faults, cell_faults, syntax_faults)
    found = [fault for rule in rules for fault in rule(book)]
    return found + list(link_faults(book, folder))


def frame_faults(book: dict) -> list[str]:
    cells, code, metadata = book["cells"], code_of(book), book["metadata"]
    prose = len(cells) - len(code)
    kinds = "".join(cell["cell_type"][0] for cell in cells)
    found = {
        "the kernel is not python3": metadata["kernelspec"]["name"] != "python3",
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
    first = text_of(later[0]) if later else ""
    if START not in first and CHECK not in first:
        yield f"after parameters comes `{START}...)` or `{CHECK})`"
    try:
        schema = parse_schema(source)
    except ParameterError as error:
        yield str(error)
        return
    names = [n for cell in later for n in nodes_of(cell) if isinstance(n, ast.Name)]
    read = {name.id for name in names if isinstance(name.ctx, ast.Load)}
    read |= set(READ_AT_START) if START in first else set()
    if any(OPEN in text_of(cell) for cell in later):
        read |= set(READ_AT_OPENING)
    stored = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    again = [name for name in schema if name in stored]
    yield from (f"{name}: set again in a later cell" for name in again)
    yield from (f"{name}: no meaning" for name, p in schema.items() if not p.meaning)
    yield from (f"{name}: no cell reads it" for name in schema if name not in read)


def cell_faults(book: dict) -> Iterator[str]:
    for cell in code_of(book):
        lines = text_of(cell).splitlines()
        count, statements = len(lines) - imports_in(cell), len(statements_of(cell))
        is_schema = "parameters" in tags_of(cell)
        budget = SCHEMA_LINES if is_schema else LINES
        found = {
            f"{count} lines, more than {budget}": count > budget,
            f"{statements} statements, more than {STATEMENTS}": (
                statements > STATEMENTS and not is_schema
            ),
            f"a line over {WIDTH} letters": any(len(line) > WIDTH for line in lines),
            "a ! or % command": COMMAND.search(text_of(cell)),
            "something left to do": re.search(r"\b(TODO|FIXME)\b", text_of(cell)),
        }
        yield from (f"{cell['id']}: {words}" for words, fault in found.items() if fault)


def output_faults(book: dict) -> Iterator[str]:
    """Outputs are stored where they are compared, and there only.

    nbval compares nothing where a cell has no execution count: it counts as unrun.
    """
    if "widgets" in book["metadata"]:
        yield "stored widgets"
    code = code_of(book)
    counts = [cell["execution_count"] for cell in code]
    if any(counts) and counts != list(range(1, len(code) + 1)):
        yield f"execution counts are not 1 to {len(code)}: run it from top to bottom"
    for cell in code:
        tags, outputs = COMPARED & set(tags_of(cell)), cell["outputs"]
        kinds = {kind for output in outputs for kind in output.get("data", ())}
        texts = ["".join(output.get("text", "")) for output in outputs]
        texts += ["".join(o.get("data", {}).get("text/plain", "")) for o in outputs]
        found = {
            "stored output": outputs and not tags,
            f"one tag of {sorted(COMPARED)} without the other": len(tags) == 1,
            "an output to compare, but none is stored": tags and not outputs,
            "an output to compare, but no execution count": (
                tags and cell["execution_count"] is None
            ),
            "an image among what is compared": any("image" in k for k in kinds),
            "a warning or an error is stored": any(
                output.get("name") == "stderr" or output.get("output_type") == "error"
                for output in outputs
            ),
            f"more than {OUTPUT_LINES} lines of output": (
                sum(text.count("\n") for text in texts) > OUTPUT_LINES
            ),
        }
        yield from (f"{cell['id']}: {words}" for words, fault in found.items() if fault)


def is_compared(cell: dict) -> bool:
    return set(tags_of(cell)) >= COMPARED and bool(cell["outputs"])


def statements_of(cell: dict) -> list[ast.stmt]:
    """Every statement of a cell in its order, those in loops too, but no imports."""
    found = [node for node in nodes_of(cell) if isinstance(node, ast.stmt)]
    found = [n for n in found if not isinstance(n, ast.Import | ast.ImportFrom)]
    return sorted(found, key=lambda node: node.lineno)


def names_of_ours(book: dict) -> list[str]:
    """What a notebook imports of reidlib and reidrun, by name."""
    imports = (n for cell in code_of(book) for n in nodes_of(cell))
    return [
        alias.name
        for node in imports
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).startswith(("reid",))
    ]


def statements_to_model(book: dict) -> int:
    """How many statements, imports too, stand after the parameters up to `model = `."""
    count = 0
    for cell in code_of(book):
        if "parameters" in tags_of(cell):
            continue
        nodes = [node for node in nodes_of(cell) if isinstance(node, ast.stmt)]
        for node in sorted(nodes, key=lambda node: node.lineno):
            count += 1
            if isinstance(node, ast.Assign) and "model" in names(node.targets):
                return count
    raise ValueError("no cell makes a `model`")


def shared(books: dict[str, dict], least: int) -> list[str]:
    """Cells of more than two statements, and paragraphs of more than thirty words.

    Those that stand in at least so many notebooks, as "where, where: what".
    """
    places: dict[str, set[str]] = {}
    for name, book in books.items():
        for cell in book["cells"]:
            for piece in pieces_of(cell):
                places.setdefault(piece, set()).add(name)
    return [
        f"{', '.join(sorted(found))}: {piece[:60]}"
        for piece, found in places.items()
        if len(found) >= least
    ]


def pieces_of(cell: dict) -> Iterator[str]:
    """What of a cell should not stand in many notebooks, however it is laid out."""
    if cell["cell_type"] == "code":
        tree = ast.parse(COMMAND.sub("pass", text_of(cell)))
        if len([node for node in ast.walk(tree) if isinstance(node, ast.stmt)]) > 2:
            yield ast.unparse(tree)
        return
    for paragraph in re.split(r"\n\s*\n|\n(?=- )", text_of(cell)):
        words = paragraph.split()
        if len(words) > 30:
            yield " ".join(words)


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


def after_training_faults(book: dict) -> Iterator[str]:
    """For a paper's notebook: nothing after its training can lose the run."""
    is_trained = False
    for cell in code_of(book):
        for node in ast.parse(text_of(cell)).body if is_trained else ():
            source = ast.unparse(node)
            safe = source.startswith("with run.after_training(")
            needed = source.startswith(("run.save(", "show_source("))
            needed = needed or "run.keep_scores(" in source
            calls = any(isinstance(inner, ast.Call) for inner in ast.walk(node))
            if calls and not safe and not needed:
                yield f"{cell['id']}: `{source[:40]}` could lose the run"
        is_trained = is_trained or "training.fit(" in text_of(cell)


def number_faults(book: dict) -> Iterator[str]:
    """For a paper's notebook: its numbers stand among the parameters."""
    for cell in code_of(book):
        if "parameters" in tags_of(cell):
            continue
        for node in nodes_of(cell):
            value = getattr(node, "value", None)
            if isinstance(value, float) or isinstance(value, int) and value > SMALL:
                yield f"{cell['id']}: the number {value}"

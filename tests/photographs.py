"""Refuses notebooks that hold pictures of a benchmark of photographs, for a hook.

A notebook names its benchmarks among its parameters, its own or those put in their
place. Folders called `pictures=drawn` hold drawings in the layout of a real set.
"""

import ast
import json
import sys
from pathlib import Path

from reidlib.benchmarks import BENCHMARKS, pictures_of

REAL = {name for name in BENCHMARKS if pictures_of(name) == "photographs"}
PARAMETERS = {"parameters", "injected-parameters"}


def fault(path: Path) -> str:
    """Say which photographs a notebook may show; "" where it shows none."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    kinds = [kind for output in outputs for kind in output.get("data", ())]
    if "pictures=drawn" in path.as_posix() or not any("image" in k for k in kinds):
        return ""
    sources = [
        "".join(cell["source"])
        for cell in cells
        if PARAMETERS & set(cell["metadata"].get("tags", ()))
    ]
    nodes = (node for source in sources for node in ast.walk(ast.parse(source)))
    words = {node.value for node in nodes if isinstance(node, ast.Constant)}
    own = {word for word in words if str(word).startswith("own:")}
    named = sorted(words & REAL | own)
    return f"{path} may show people: it has pictures and names {named}" if named else ""


if __name__ == "__main__":
    sys.exit("\n".join(filter(None, map(fault, map(Path, sys.argv[1:])))) or 0)

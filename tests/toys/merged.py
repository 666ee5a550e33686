"""The parameters of a run as `reid run` merges them."""

from pathlib import Path
from typing import Any

from reidrun.runs.params import choose_variants, read_layers, resolve
from reidrun.runs.schema import notebook_schema


def merged(
    root: Path, paper: str, benchmark: str, scale: str, variant: str, **given: Any
) -> dict[str, Any]:
    """Read the layers below `root`; `given` is what the command line says."""
    schema = notebook_schema(root / "notebooks" / f"{paper}.ipynb")
    where = {"paper": paper, "benchmark": benchmark, "scale": scale}
    layers = read_layers(schema, root / "params", **where)
    (chosen,) = choose_variants(root / "params", paper, [variant])
    given = {"benchmark": benchmark, "data_root": "", "run_dir": "", "seed": 0} | given
    return resolve(schema, layers, chosen, paper=paper, scale=scale, given=given)

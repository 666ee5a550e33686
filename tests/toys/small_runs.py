"""Records of runs that nobody made, and notebooks that nobody executed."""

import json
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import nbformat
from nbformat import v4
from PIL import Image

from reidrun.runs.folder import SCORES
from reidrun.runs.names import run_folder


def write_record(
    outputs: Path,
    benchmark: str = "plaza",
    paper: str = "toy",
    variant: str = "full",
    seed: int = 0,
    *,
    drawn: bool = True,
    tested_drawn: bool | None = None,
    pictures: str = "",
    measures: dict[str, float] | None = None,
    **mean_aps: float,
) -> Path:
    """Write metrics.json of a run; its rank-1 is halfway from mAP to 1.

    drawn          whether the pictures of training are
    tested_drawn   the same of those tested on, which older records do not say
    pictures       what both are, as newer records say it in place of `drawn`
    measures       besides the scores
    mean_aps       by tested benchmark; 0.5 on its own if not given
    """
    names = {"benchmark": benchmark, "paper": paper, "variant": variant, "seed": seed}
    scores = {
        name: dict.fromkeys(SCORES, 1) | {"mAP": value, "rank1": (1 + value) / 2}
        for name, value in (mean_aps or {benchmark: 0.5}).items()
    }
    if tested_drawn is not None:
        scores = {
            name: {**score, "drawn": tested_drawn} for name, score in scores.items()
        }
    kind = {"pictures": pictures} if pictures else {"drawn": drawn}
    record = names | kind | {"scores": scores, "seconds": 1.0, "commit": ""}
    record |= {"measures": measures} if measures else {}
    folder = run_folder(outputs, **names)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(record))
    return folder


def image(size: tuple[int, int] = (90, 60), color: str = "navy") -> bytes:
    file = BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


def write_notebook(
    path: Path,
    *figures: bytes,
    title: str = "# A toy\n\n*Paper*, Fig. 1. It is small.",
    parameters: str = "",
) -> Path:
    """Write an executed notebook with a cell of prose and a cell per figure."""
    injected = v4.new_code_cell(parameters, metadata={"tags": ["injected-parameters"]})
    cells = [v4.new_markdown_cell(title), injected]
    for place, figure in enumerate(figures):
        data = {"image/png": b64encode(figure).decode()}
        outputs = [v4.new_output("display_data", data)]
        cells.append(v4.new_markdown_cell(f"## Look\n\nFigure {place} is dark. Yes."))
        cells.append(v4.new_code_cell("figure", outputs=outputs))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path

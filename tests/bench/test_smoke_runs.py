"""What a newcomer runs first learns: a notebook, as it is stored, beats its start.

FLaN-Net and FBA begin with a CLIP that tells drawn people apart at 81 mAP, to which
sixteen people and one epoch add hardly anything: they are not asked.
"""

import json
import re

import pytest

from reidrun.runs.environment import ROOT
from reidrun.runs.execute import execute
from reidrun.runs.records import read_record

CLEARLY = 0.02  # of mAP
BEFORE = re.compile(r"^mAP(?:, untrained)? +(0\.\d+)$", re.MULTILINE)


@pytest.mark.bench
@pytest.mark.parametrize("paper", ["baseline", "fanet", "rganet"])
def test_a_smoke_run_ends_above_its_start(tmp_path, paper):
    folder = tmp_path / "smoke" / paper / "full-s0"
    execute(ROOT / "notebooks" / f"{paper}.ipynb", folder, {"run_dir": str(folder)})
    cells = json.loads((folder / "run.ipynb").read_text("utf-8"))["cells"]
    shown = [
        "".join(output["data"].get("text/plain", ""))
        for cell in cells
        for output in cell.get("outputs", ())
        if "data" in output
    ]
    start = float(next(found for text in shown for found in BEFORE.findall(text)))
    end = read_record(folder)["scores"]["smoke"]["mAP"]
    print(f"{paper}: {100 * start:.1f} mAP before training, {100 * end:.1f} after")
    assert end > start + CLEARLY

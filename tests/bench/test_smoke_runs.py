"""What a newcomer runs first learns: a notebook, as it is stored, beats its start.

FLaN-Net and FBA begin with a CLIP that tells drawn people apart at 81 mAP, to which
sixteen people and one epoch add hardly anything: they are not asked.
"""

import pytest

from reidrun.runs.environment import ROOT
from reidrun.runs.execute import execute
from reidrun.runs.records import read_record

CLEARLY = 0.02  # of mAP


@pytest.mark.bench
@pytest.mark.parametrize("paper", ["baseline", "fanet", "rganet"])
def test_a_smoke_run_ends_above_its_start(tmp_path, paper):
    folder = tmp_path / "smoke" / paper / "full-s0"
    execute(ROOT / "notebooks" / f"{paper}.ipynb", folder, {"run_dir": str(folder)})
    record = read_record(folder)
    start = record["measures"]["smoke: mAP, untrained"]
    end = record["scores"]["smoke"]["mAP"]
    print(f"{paper}: {100 * start:.1f} mAP before training, {100 * end:.1f} after")
    assert end > start + CLEARLY

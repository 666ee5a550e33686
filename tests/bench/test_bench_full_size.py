"""The script that measures full-size training, tried on steps of four small images."""

import re
import runpy

import pytest
import torch

from reidrun.runs.environment import ROOT

BENCH = runpy.run_path(str(ROOT / "bench" / "bench_full_size.py"))
FEW = {"num_identities_per_batch": 2, "images_per_identity": 2}


@pytest.mark.parametrize("paper", BENCH["BUILDERS"])
def test_a_step_of_each_paper_is_measured(paper):
    settings = BENCH["parameters_of"](paper, "smoke", "tiny") | FEW
    options = {"precision": "bf16", "device": torch.device("cpu")}
    line = BENCH["measure"](paper, settings, **options)
    assert line.startswith(f"{paper} 4x3x128x64 bf16: loss ")
    numbers = re.search(r"norm (\S+), (\S+) images/s, (\S+) TFLOP/s, (\d+) MiB", line)
    assert all(float(number) > 0 for number in numbers.groups())


def test_full_size_settings_are_the_papers_own():
    sizes = {paper: BENCH["parameters_of"](paper) for paper in BENCH["BUILDERS"]}
    assert {s["image_height"] for s in sizes.values()} == {256, 384}
    assert all(s["precision"] == "bf16" and not s["compile"] for s in sizes.values())


def test_peaks_go_by_the_cards_name():
    peak_of = BENCH["peak_of"]
    assert peak_of("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_of("NVIDIA H100 PCIe") == 756e12
    assert peak_of("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_of("a card of tomorrow") is None

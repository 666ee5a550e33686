"""Runs of an ablation that nobody made: two variants of three, over three seeds."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import pandas as pd
import torch

from reidlib.evaluation.metrics import Scores
from reidrun.reports.study import Study, gather
from reidrun.runs.folder import save_run
from reidrun.runs.names import Tested
from reidrun.runs.params import read_ablation
from reidrun.runs.plans import Plan, Setting

HERE, THERE = Setting("plaza", "plaza"), Setting("plaza", "station")
ROWS = ("plain", "more", "full")
ABLATION = """\
paper: FA-Net
table: Table I
variants:
  - {name: plain, row: Baseline, overrides: {erasing: false}}
  - {name: more, row: B/L+TEM, overrides: {erasing: true}}
  - {name: full, row: FA-Net (B/L+TEM+BG+IA+TAL+HPP)}
claims:
  - {ours: more, other: plain, says: More is better.}
  - {ours: full, other: more, metric: rank1, says: All is best.}
"""


def scored(precisions: list[float], ranks: list[int]) -> Scores:
    """Scores of queries with these average precisions and first ranks, two a person."""
    ap, first = torch.tensor(precisions, dtype=torch.float64), torch.tensor(ranks)
    cmc = torch.tensor([(first[first > 0] <= k).double().mean() for k in range(1, 21)])
    valid = int((first > 0).sum())
    pids = torch.arange(len(ranks)) // 2
    mean_ap = ap.nanmean().item()
    return Scores(mean_ap, cmc, ap, first, pids, valid, len(ranks) - valid)


def save(
    outputs: Path,
    variant: str,
    seed: int,
    scores: Mapping[Tested, Scores],
    measures: Mapping[str, float] | None = None,
    **parameters: object,
) -> None:
    """Write a run that trained on plaza for two epochs, with further parameters."""
    known = {"benchmark": "plaza", "seed": seed, "variant": variant}
    save_run(
        str(outputs / f"plaza/toy/{variant}-s{seed}"),
        paper="toy",
        parameters=known | parameters,
        scores=scores,
        history=pd.DataFrame({"epoch": [1, 2], "camera": [1.5, seed]}),
        seconds=1.0,
        measures=measures,
    )


def write_runs(root: Path) -> Path:
    """Write the ablation and its runs; `more` is 0.1 better on every query."""
    (root / "params/ablations/toy_rows.yaml").write_text(ABLATION)
    for seed, (name, gain) in product(range(3), [("plain", 0.0), ("more", 0.1)]):
        base = 0.5 + 0.01 * seed + gain
        own = scored([base, base + 0.2, float("nan"), base], [1, 3, 0, 1])
        measures = {"plaza: mask IoU": 0.25 + gain + 0.01 * seed * (1 + 10 * gain)}
        scores = {"plaza": own, "station": own}
        save(root / "outputs", name, seed, scores, measures)
    return root / "outputs"


def with_losses(outputs: Path, variant: str, *losses: list[float]) -> None:
    """Write the identity losses of a variant's runs, seed by seed."""
    for seed, loss in enumerate(losses):
        history = pd.DataFrame({"epoch": range(1, len(loss) + 1), "identity": loss})
        history.to_csv(outputs / f"plaza/toy/{variant}-s{seed}/history.csv")


def open_toy(
    root: Path, settings: Sequence[Setting], seeds: Sequence[int], rows: Sequence[str]
) -> Study:
    """The study of those runs that such plans would make."""
    plans = [planned(root / "outputs", name, seed) for name in rows for seed in seeds]
    return gather(read_ablation(root / "params", "toy_rows"), plans, settings)


def planned(outputs: Path, variant: str, seed: int) -> Plan:
    parameters = {"benchmark": "plaza", "seed": seed, "also_on": ["station"]}
    folder = outputs / f"plaza/toy/{variant}-s{seed}"
    return Plan("toy", variant, Path("toy.ipynb"), folder, parameters)

"""A toy paper, `toy`, that trains nothing and scores 0.5; and notebooks of cells."""

import json
from collections.abc import Callable
from pathlib import Path

TOY_CELLS = {
    "parameters": """\
# Schema: every parameter, its meaning and unit; these values are the smoke run.
benchmark: str = "plaza"  # data set to train on
also_on: list[str] = []  # further data sets to test on
data_root: str = "../data"  # folder of the data sets
run_dir: str = ""  # folder of this run, "" keeps nothing
variant: str = "full"  # what this run is called in its record
seed: int = 0  # of everything random, in [0, 4294967296)
epochs: int = 2  # passes over the training images, in [1, inf)
learning_rate: float = 0.1  # at its highest, in (0, inf)
milestones: list[int] = [1]  # epochs at which the learning rate falls, in [1, inf)
erasing: bool = False  # erase a box of the image
""",
    "check": """\
from reidrun.runs.injected import check_parameters

parameters = check_parameters()
""",
    "fit": """\
from pathlib import Path

checkpoint = Path(run_dir) / "checkpoint.pt"
begun = checkpoint.exists()
checkpoint.touch() if run_dir else None
assert epochs < 10 or begun, "the power went out"
""",
    "save": """\
import pandas as pd
import torch
from reidlib.evaluation.metrics import Scores
from reidrun.runs.folder import save_run

ranks, pids = torch.tensor([1, 3, 0]), torch.tensor([7, 7, 8])
precisions = torch.tensor([0.75, 0.25, torch.nan])
scores = Scores(0.5, torch.ones(4), precisions, ranks, pids, num_valid=2, num_skipped=1)
history = pd.DataFrame({"epoch": range(epochs)})
record = save_run(
    run_dir if epochs != 3 else "",
    paper="toy",
    parameters=parameters,
    scores={name: scores for name in [benchmark, *also_on]},
    history=history,
    seconds=1.0,
)
""",
}

TOY_LAYERS = {
    "base": "also_on: []  # none\nlearning_rate: 0.1  # base\nepochs: 1  # base\n",
    "papers/toy": "epochs: 60  # Sec. 4\nmilestones: [40, 80]  # Sec. 4\n"
    "erasing: true  # Sec. 4\n",
    "papers/toy@station": "learning_rate: 0.25  # Sec. 4\n",
    "scales/tiny": "learning_rate: 0.5  # tiny\n",
    "scales/full": "learning_rate: 1.0e-4  # full\n",
    "scales/tiny@toy": "epochs: 2  # tiny\nmilestones: [1]  # tiny\n",
    "ablations/toy_parts": "variants:\n  - {name: full, row: Table I}\n"
    "  - {name: plain, row: 'Table I, row 1', overrides: {erasing: false}}\n",
}


def leaving_a_page(calls: list[tuple]) -> Callable[..., None]:
    """A stand-in for papermill: it notes how it was called, and leaves a page."""

    def papermill(book: Path, output: Path, *others: object) -> None:
        calls.append((book, output, *others))
        output.write_text(json.dumps(notebook({})))

    return papermill


def notebook(cells: dict[str, str]) -> dict:
    """Build a notebook of code cells; the one named `parameters` gets the tag."""
    built = [
        {
            "cell_type": "code",
            "id": name,
            "metadata": {"tags": [name] if name == "parameters" else []},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for name, source in cells.items()
    ]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    kernel["language"] = "python"
    metadata = {"kernelspec": kernel}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": built}

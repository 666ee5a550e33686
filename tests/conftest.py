"""What all tests share: one thread, repeatable examples, a toy paper to run."""

import json
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from toys.toy_paper import TOY_CELLS, TOY_LAYERS, notebook

torch.set_num_threads(1)  # tests run side by side; OMP_NUM_THREADS covers the kernels
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it


@pytest.fixture(autouse=True)
def same_draws_each_time() -> None:
    """A test that draws tensors draws the same ones in every run."""
    torch.manual_seed(0)


@pytest.fixture
def toy_root(tmp_path: Path) -> Path:
    """A house with one paper, `toy`, that trains nothing and scores 0.5."""
    root = tmp_path / "house"
    for name, text in TOY_LAYERS.items():
        path = root / "params" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "notebooks").mkdir()
    text = json.dumps(notebook(TOY_CELLS))
    (root / "notebooks" / "toy.ipynb").write_text(text)
    return root

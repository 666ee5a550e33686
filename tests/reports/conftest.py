"""A small study for all tests of what is said of one."""

from pathlib import Path

import pytest
from toys.small_study import HERE, ROWS, THERE, open_toy, write_runs


@pytest.fixture
def outputs(toy_root) -> Path:
    """Runs of two variants with three seeds; `more` is 0.1 better on every query."""
    return write_runs(toy_root)


@pytest.fixture
def gather(toy_root, outputs):
    def gathered(settings=(HERE, THERE), seeds=(0, 1, 2), variants=ROWS):
        return open_toy(toy_root, settings, seeds, variants)

    return gathered

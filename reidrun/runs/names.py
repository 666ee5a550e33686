"""Names of runs: their folders, and the rows of their scores."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OF_THIS_MACHINE = (  # its folders, and what changes no number of a run
    *("data_root", "image_cache", "outputs", "run_dir", "tensorboard"),
    "checkpoint_minutes",
)
LONGEST_NAME = 120  # bytes: a folder's name may have 255
Tested = str | tuple[str, str]  # a benchmark, or one and how else it was searched


def variant_name(variant: str, overrides: Mapping[str, Any]) -> str:
    """Name a variant with what the command line changed.

    >>> variant_name("full", {"epochs": 1, "milestones": [2, 4]})
    'full+epochs=1+milestones=2,4'
    """
    name = variant
    for key in sorted(overrides.keys() - set(OF_THIS_MACHINE)):
        value = overrides[key]
        parts = value if isinstance(value, list) else [value]
        text = ",".join(_word(part) for part in parts)
        name += f"+{key}=" + re.sub(r"[^\w.,+-]", "_", text)
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{variant}+{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _word(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.rpartition("/")[2]  # of a path the file's name


def run_folder(
    outputs: Path, *, benchmark: str, paper: str, variant: str, seed: int
) -> Path:
    """Return where a run lives under `outputs`.

    >>> run_folder(Path(), benchmark="own:a-b", paper="fba", variant="full", seed=0)
    PosixPath('own-a-b/fba/full-s0')
    """
    return outputs / folder_name(benchmark) / paper / f"{variant}-s{seed}"


def folder_name(benchmark: str) -> str:
    """The folder of a benchmark's runs; that of own data has no colon."""
    return benchmark.replace(":", "-")


def row_name(tested: Tested) -> str:
    """Name a test as records and tables do: the benchmark, then how it was searched.

    >>> row_name("plaza"), row_name(("plaza", "")), row_name(("plaza", "re-ranked"))
    ('plaza', 'plaza', 'plaza re-ranked')
    """
    return tested if isinstance(tested, str) else " ".join(tested).rstrip()


def read_row_name(name: str) -> tuple[str, str]:
    """The benchmark and the search that a row is called by.

    >>> read_row_name("plaza"), read_row_name("plaza wrong captions")
    (('plaza', ''), ('plaza', 'wrong captions'))
    """
    benchmark, _, search = name.partition(" ")
    return benchmark, search

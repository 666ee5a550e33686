"""The shapes of what a model returns."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from torch import Tensor


def shape_table(output: Any) -> pd.Series:
    """List the shapes of a model's output, a row for each tensor.

    output   a tensor, or a (nested) named tuple, tuple or mapping; what is no tensor is
             left out. Fields within fields are named `embedding.regions`.
    """
    return pd.Series(dict(_shapes(output, "")), name="shape", dtype=object)


def _shapes(value: Any, name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    if isinstance(value, Tensor):
        yield name or "output", tuple(value.shape)
        return
    if hasattr(value, "_asdict"):
        value = value._asdict()
    elif isinstance(value, tuple | list):
        value = dict(enumerate(value))
    if isinstance(value, Mapping):
        for inner, part in value.items():
            yield from _shapes(part, f"{name}.{inner}" if name else str(inner))

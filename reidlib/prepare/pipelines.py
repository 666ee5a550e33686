"""Models of transformers, an optional library, by their task."""

import importlib
from collections.abc import Callable
from typing import Any


def load_pipeline(
    task: str, model: str, device: str, *, otherwise: str, **options: Any
) -> Callable[..., Any]:
    """Load a pipeline of transformers for a task, of a model by name or folder.

    otherwise  what to do without it, for the error message
    Raises ModuleNotFoundError where transformers is not installed.
    """
    try:
        pipeline = importlib.import_module("transformers").pipeline
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "transformers is not installed: pip install 'transformers>=5', or"
            f" {otherwise}"
        ) from error
    return pipeline(task, model=model, device=device, **options)

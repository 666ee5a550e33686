"""What rendering people needs beyond the usual: a body model and a path tracer.

`extra.anny`, `extra.mitsuba` and `extra.torch` are imported when they are first used:
nobody who only reads rendered sets needs them.
"""

import importlib
from typing import Any

NAMES = ("anny", "mitsuba", "torch")
REMEDY = "rendering people needs the extra [render]: pip install -e '.[render]'"


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{error}; {REMEDY}") from error
    if name == "mitsuba":
        module.set_variant("scalar_rgb")  # needs neither LLVM nor a GPU
        importlib.import_module("drjit").set_thread_count(1)  # processes do the rest
    globals()[name] = module
    return module


def require() -> None:
    """Raise ImportError, with the remedy, where something is not installed."""
    for name in NAMES:
        __getattr__(name)

"""How a model was built, in plain values, so that it can be built again.

    @recorded
    def __init__(self, stages, *, num_identities, pyramid=True): ...

leaves on the model, as `recipe`, what its constructor was called with:

    {"call": "models.fanet.FANet", "with": {"stages": {...}, "num_identities": 40, ...}}

What it was given has a recipe of its own, or is a plain value. The numbers of tensors
are weights: of those a recipe has the shape.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial, wraps
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

Recipe = dict[str, Any]
PLAIN = (bool, int, float, str, type(None))
MAKERS = ("models.", "backbones.")  # whose recorded callables a recipe may call
MEASURES = ("models.", "evaluation.metrics.")  # whose distances it may name


def recorded(make: Callable) -> Callable:
    """Let what a constructor, or a function, makes keep a recipe of how it was made."""
    signature = inspect.signature(make)
    is_constructor = next(iter(signature.parameters)) == "self"

    @wraps(make)
    def recording(*given: Any, **named: Any) -> Any:
        made = make(*given, **named)
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        if is_constructor:
            owner = arguments.pop("self")
            owner.recipe = called(type(owner), arguments)
        elif not hasattr(made, "recipe"):
            made.recipe = called(make, arguments)
        return made

    recording.is_recorded = True
    return recording


def called(what: Callable, arguments: Mapping[str, Any]) -> Recipe:
    """The recipe of a call; what has no recipe is named, and cannot be built again."""
    name = f"{what.__module__}.{what.__qualname__}".removeprefix("reidlib.")
    return {"call": name, "with": {k: _described(v) for k, v in arguments.items()}}


def _described(value: Any) -> Any:
    if hasattr(value, "recipe"):
        return value.recipe
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, list | tuple):
        return [_described(item) for item in value]
    if isinstance(value, Mapping):
        return {"values": {str(key): _described(item) for key, item in value.items()}}
    if isinstance(value, Tensor):
        if value.is_floating_point():
            return {"shape": list(value.shape)}
        return {"integers": value.tolist()}
    return {"unknown": type(value).__name__}


def check(recipe: Any, what: str = "the model") -> None:
    """Raise ValueError for a recipe that something cannot be built from again."""
    if isinstance(recipe, list):
        for item in recipe:
            check(item, what)
    elif isinstance(recipe, Mapping):
        if "unknown" in recipe:
            raise ValueError(
                f"{what} was given a {recipe['unknown']}, which no recipe describes:"
                " put @recorded over its constructor, or give plain values"
            )
        inner = recipe.get("with", recipe.get("values", {}))
        for name, item in inner.items():
            check(item, f"{name} of {recipe.get('call', what)}")


def build(recipe: Any) -> Any:
    """Make what a recipe describes; weights are those of a new one.

    The state of torch's generator is left as it was. Raises ValueError for a recipe
    that calls anything but what @recorded marks in models/ and backbones/: a file that
    somebody else wrote runs none of our other functions.
    """
    with torch.random.fork_rng(devices=[]):
        return _built(recipe)


def _built(recipe: Any) -> Any:
    if isinstance(recipe, list):
        return [_built(item) for item in recipe]
    if not isinstance(recipe, Mapping):
        return recipe
    if "call" in recipe:
        arguments = {name: _built(item) for name, item in recipe["with"].items()}
        return _maker(recipe["call"])(**arguments)
    if "values" in recipe:
        return {name: _built(item) for name, item in recipe["values"].items()}
    if "shape" in recipe:
        return torch.zeros(recipe["shape"])
    if "integers" in recipe:
        return torch.tensor(recipe["integers"], dtype=torch.long)
    raise ValueError(f"{sorted(recipe)} is no recipe that this version knows")


def _maker(name: str) -> Callable:
    found = _found(name, MAKERS)
    constructor = found.__init__ if inspect.isclass(found) else found
    if not getattr(constructor, "is_recorded", False):
        raise ValueError(f"{name} builds no model: nothing marks it as @recorded")
    return found


def _found(name: str, rooms: tuple[str, ...]) -> Any:
    module, _, attribute = name.rpartition(".")
    if not name.startswith(rooms) or attribute.startswith("_"):
        raise ValueError(f"{name} is not what a recipe may name ({', '.join(rooms)})")
    try:
        return getattr(import_module(f"reidlib.{module}"), attribute)
    except (ImportError, AttributeError):
        raise ValueError(
            f"this version has no {name}: use the one that the model was written by"
        ) from None


def recipe_of_distances(function: Callable) -> Recipe:
    """The recipe of a distance function, which may be partial."""
    if isinstance(function, partial):
        if function.args:
            raise ValueError(f"{function}: give what is fixed by name")
        return called(function.func, function.keywords)
    return called(function, {})


def build_distances(recipe: Recipe) -> Callable[[Any, Any], Tensor]:
    """The distance function of a recipe; ValueError for another function."""
    function = _found(recipe["call"], MEASURES)
    if not recipe["call"].endswith("distances"):
        raise ValueError(f"{recipe['call']} is no distance of embeddings")
    return partial(function, **recipe["with"]) if recipe["with"] else function

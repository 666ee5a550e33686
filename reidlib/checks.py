"""Checks of settings, and what to say of an unknown name."""

import difflib
from collections.abc import Collection, Iterable


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Raise a ValueError unless a setting's value is one of its choices.

    >>> check_choice("pooling", "median", ("avg", "max"))
    Traceback (most recent call last):
    ValueError: pooling is 'median': choose from avg, max
    """
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: choose from {', '.join(choices)}")


def patch_grid(
    image_size: tuple[int, int], patch_size: int, stride: int
) -> tuple[int, int]:
    """Return rows and columns of patches, floor((size - patch) / stride) + 1 each.

    Overlapping patches may leave out up to stride - 1 pixels at the right and bottom
    edges, as in TransReID; patches side by side must cover the image.
    """
    if not 1 <= stride <= patch_size:
        raise ValueError(
            f"stride {stride} does not fit patches of {patch_size} pixels: choose 1 to "
            f"{patch_size}, at which patches lie side by side"
        )
    for side, length in zip(("height", "width"), image_size, strict=True):
        uncovered = length % patch_size if stride == patch_size else 0
        if length < patch_size or uncovered:
            below = max(length // patch_size, 1) * patch_size
            fitting = [below] if length < patch_size else [below, below + patch_size]
            raise ValueError(
                f"image {side} {length} does not fit patches of {patch_size} pixels "
                f"at stride {stride}: take {' or '.join(map(str, fitting))} pixels"
                + (", or a smaller stride" if uncovered and length > patch_size else "")
            )
    height, width = image_size
    return (height - patch_size) // stride + 1, (width - patch_size) // stride + 1


SEEDS = 2**32  # as many as NumPy takes


def check_training(
    *, seed: int, epochs: int, evaluate_every: int, checkpoint_every: int
) -> None:
    """Raise a ValueError naming a whole number out of its range.

    >>> check_training(seed=0, epochs=0, evaluate_every=0, checkpoint_every=1)
    Traceback (most recent call last):
    ValueError: epochs is 0, but must be at least 1
    """
    least = {"seed": (seed, 0), "epochs": (epochs, 1)}
    least |= {"evaluate_every": (evaluate_every, 0)}
    least |= {"checkpoint_every": (checkpoint_every, 1)}
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise ValueError(f"{name} is {value}, but must be at least {smallest}")
    if seed >= SEEDS:
        raise ValueError(f"seed is {seed}, but must be below {SEEDS}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` where a known name is near, else nothing.

    >>> nearest("epohcs", ["epochs", "seed"])
    '; did you mean epochs?'
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, which is nearest, and which there are.

    >>> unknown("paper", "fanett", ["baseline", "fanet"])
    "unknown paper 'fanett'; did you mean fanet? (known: baseline, fanet)"
    """
    known = sorted(known)
    return f"unknown {what} {name!r}{nearest(name, known)} (known: {', '.join(known)})"

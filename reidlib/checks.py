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


LEAST = {  # the least value of a whole number, by its name in the notebooks
    **dict.fromkeys(("seed", "evaluate_every", "workers", "warmup_epochs", "pad"), 0),
    **dict.fromkeys(("epochs", "checkpoint_every", "batch_size_test"), 1),
    **dict.fromkeys(("num_identities_per_batch", "images_per_identity"), 1),
    **dict.fromkeys(("image_height", "image_width"), 1),
}
SEEDS = 2**32  # that many does NumPy take


def check_settings(**settings: int) -> None:
    """Raise a ValueError naming a whole number out of its range: LEAST, SEEDS.

    >>> check_settings(epochs=0)
    Traceback (most recent call last):
    ValueError: epochs is 0, but must be at least 1
    """
    for name, value in settings.items():
        if value < LEAST[name]:
            raise ValueError(f"{name} is {value}, but must be at least {LEAST[name]}")
        if name == "seed" and value >= SEEDS:
            raise ValueError(f"seed is {value}, but must be below {SEEDS}")


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

"""Captions as a captioner makes them: true ones, with errors.

Captions of drawn and rendered people are an oracle: what they say of somebody is right
in every picture. Here colors are taken for their neighbours, things are left out and
others are made up, each by chance, in a draw that follows from the seed, the image's
name and the text.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

from reidlib.checks import check_choice
from reidlib.data.captions import Captions

KINDS = ("given", "noisy")
NEIGHBOURS = {  # what a color is taken for: hues beside it, or as dark or as pale
    "red": ("orange", "pink", "brown"),
    "orange": ("red", "yellow", "brown"),
    "yellow": ("orange", "beige", "white"),
    "green": ("turquoise", "blue", "black"),
    "turquoise": ("green", "blue", "grey"),
    "blue": ("turquoise", "purple", "black"),
    "purple": ("blue", "pink", "black"),
    "pink": ("red", "purple", "beige"),
    "brown": ("red", "orange", "black", "beige"),
    "beige": ("brown", "white", "yellow", "grey"),
    "white": ("beige", "grey"),
    "grey": ("beige", "blue"),
    "black": ("grey", "blue", "brown"),
    "blond": ("brown", "grey"),
    "navy": ("blue", "black"),
    "light blue": ("blue", "turquoise", "grey"),
    "burgundy": ("red", "brown", "purple"),
    "olive": ("green", "brown", "grey"),
}
COMMON = tuple(NEIGHBOURS)[:13]  # that clothes of both worlds have
ANY = f"(?:{'|'.join(sorted(NEIGHBOURS, key=len, reverse=True))})"
COLOR = re.compile(rf"\b{ANY}\b")
WORN = ("cap", "beanie", "sun hat")
CARRIED = ("backpack", "handbag", "shoulder bag")
AROUND = ("bench", "lamp post", "parked car", "bin", "kiosk")
IN_FRONT = ("Another person", "A railing", "A parked car", "A board")
ALSO = ("carrying", "with", "walking", "standing", "looking", "on", "making", "hands")
ALSO += ("seen",)  # words that begin what is said behind the clothes
PERSON = re.compile(
    r"(?P<who>An? [\w-]+)(?P<hair> with [\w -]+? hair(?: in a \w+)?)?"
    r"(?: (?P<verb>wearing|dressed in|in) (?P<worn>.+?))??"
    rf"(?P<also>(?:, (?:{'|'.join(ALSO)})\b[^,]*)*)\."
)
TWO_COLORS = re.compile(  # of one thing: the "and" between them is no list's
    rf"({ANY}) and (?={ANY} (?:striped|checked)\b)|(?<=\bin )({ANY}) and (?={ANY}\b)"
)
TIED = " & "


class Rates(NamedTuple):
    """Chances of an error: of each color, of each thing said, of each caption."""

    confused: float
    omitted: float
    invented: float


# On `arcade`, where recipes are chosen, captions alone find 43.6 mAP by their words
# (`captions_alone`), where FBA's image baseline has 50.2.
RATES = Rates(confused=0.2, omitted=0.2, invented=0.2)


def as_captioned(
    captions: Mapping[Path, Captions], kind: str, seed: int, rates: Rates = RATES
) -> dict[Path, Captions]:
    """Captions as they are given, or with a captioner's errors: given | noisy.

    The errors of an image follow from the seed and its name in its folder: sets of one
    world, which share their training images, share these captions. Raises ValueError
    for a text about a person that is none of drawn or rendered people, as of
    photographs: whoever captioned those has made errors enough.
    """
    check_choice("captions", kind, KINDS)
    if kind == "given":
        return dict(captions)
    return {
        path: Captions(
            noisy_person(texts.person, _draw(seed, path, "person"), rates),
            noisy_background(texts.background, _draw(seed, path, "background"), rates),
        )
        for path, texts in captions.items()
    }


def _draw(seed: int, path: Path, about: str) -> Random:
    return Random(f"{seed}/{path.parent.name}/{path.name}/{about}")


def noisy_person(text: str, rng: Random, rates: Rates) -> str:
    """A person's caption with errors: colors, then what is left out, then made up."""
    found = PERSON.fullmatch(TWO_COLORS.sub(_tied, text))
    if found is None:
        raise ValueError(
            f"the caption {text!r} is none of drawn or rendered people, whose errors"
            " are known: take captions: given"
        )
    who, hair, verb, worn, also = found.groups(default="")
    worn = re.split(", | and ", worn) if worn else []
    worn = [thing for thing in worn if _stays(rng, rates)]
    also = [words for words in also.split(", ")[1:] if _stays(rng, rates)]
    hair = hair if _stays(rng, rates) else ""
    if rng.random() < rates.invented:
        place, start, things = rng.choice(((worn, "", WORN), (also, "with ", CARRIED)))
        things = [thing for thing in things if thing not in text]
        if things:
            place.append(f"{start}a {rng.choice(COMMON)} {rng.choice(things)}")
    said = f"{who}{hair}"
    if worn:
        said += f" {verb or 'wearing'} {_listed(worn)}"
    said = ", ".join([said, *also]).replace(TIED, " and ")
    return _articles(COLOR.sub(lambda color: _seen(color[0], rng, rates), said)) + "."


def noisy_background(text: str, rng: Random, rates: Rates) -> str:
    """A background's caption with errors: what is left out, and what is made up."""
    scene, *others = text.removesuffix(".").split(". ")
    first, *more = scene.split(", ")
    more = [words for words in more if _stays(rng, rates)]
    others = [words for words in others if _stays(rng, rates)]
    if rng.random() < rates.invented:
        things = [thing for thing in AROUND if thing not in text]
        more.append(f"with a {rng.choice(things)}")
    if not others and rng.random() < rates.invented:
        others.append(f"{rng.choice(IN_FRONT)} stands in front of the person")
    return ". ".join([", ".join([first, *more]), *others]) + "."


def _tied(colors: re.Match) -> str:
    return f"{colors[1] or colors[2]}{TIED}"


def _stays(rng: Random, rates: Rates) -> bool:
    return rng.random() >= rates.omitted


def _seen(color: str, rng: Random, rates: Rates) -> str:
    mistaken = rng.random() < rates.confused
    return rng.choice(NEIGHBOURS[color]) if mistaken else color


def _listed(things: list[str]) -> str:
    if len(things) < 2:
        return "".join(things)
    return ", ".join(things[:-1]) + " and " + things[-1]


def _articles(text: str) -> str:
    """Mend `a orange` and `an red` once colors have changed."""
    return re.sub(
        r"\b([Aa])n? (?=(\w))",
        lambda found: f"{found[1]}{'n' * (found[2] in 'aeiou')} ",
        text,
    )

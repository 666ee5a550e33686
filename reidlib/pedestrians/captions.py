"""Two captions per picture, in the manner of FBA's two prompts.

One describes the person's appearance, attire and accessories, the other the
background in fewer than 50 words, with whatever obscures the view. Neither names
what cannot be seen: each detail must show a share of itself to be mentioned.
"""

from collections.abc import Mapping
from random import Random

from reidlib.pedestrians.canvas import Detail
from reidlib.pedestrians.identities import Identity
from reidlib.pedestrians.scenes import WORLDS, Camera

MENTIONED = 0.25  # share of a detail that must show before it is mentioned
KIND_KNOWN = 0.6  # share that must show before the kind of garment is named
OCCLUDER_PHRASES = {
    "car": ("a car", "a parked car", "the side of a car"),
    "railing": ("a railing", "a metal fence", "a row of bars"),
    "tree": ("a tree", "a tree trunk with leaves", "the trunk of a tree"),
    "board": ("a board", "an advertising board", "a large panel"),
    "pedestrian": ("another person", "another pedestrian", "somebody else"),
}


def _hair(person: Identity, rng: Random) -> str:
    words = ["long" if person.long_hair else "short", person.hair]
    rng.shuffle(words)
    return " ".join(words) + " hair"


def _upper(person: Identity, known: bool) -> str:
    color, second = person.upper_color, person.second_color
    kind = person.upper if known else "top"
    styles = {
        "plain": f"a {color} {kind}",
        "striped": f"a {color} and {second} striped {kind}",
        "checked": f"a {color} and {second} checked {kind}",
        "two-tone": f"a {color} {kind} with a {second} lower half",
        "dotted": f"a {color} {kind} with {second} dots",
    }
    return styles[person.pattern] if known else styles["plain"]


def _lower(person: Identity, known: bool) -> str:
    if not known:
        return f"something {person.lower_color} below the waist"
    article = "a " if person.lower == "skirt" else ""
    return f"{article}{person.lower_color} {person.lower}"


def _joined(phrases: list[str]) -> str:
    if len(phrases) < 2:
        return "".join(phrases)
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]


def _article(phrase: str) -> str:
    """Mend `a orange` into `an orange`."""
    for vowel in "aeiou":
        phrase = phrase.replace(f" a {vowel}", f" an {vowel}")
    return phrase


def person_caption(person: Identity, seen: Mapping[Detail, float], rng: Random) -> str:
    """Describe a person by what is seen of them.

    `seen` maps each detail to the share of it (0..1) that the picture shows.
    """
    worn = []
    if seen[Detail.UPPER] >= MENTIONED:
        worn.append(_upper(person, seen[Detail.UPPER] >= KIND_KNOWN))
    if seen[Detail.LOWER] >= MENTIONED:
        worn.append(_lower(person, seen[Detail.LOWER] >= KIND_KNOWN))
    if seen[Detail.SHOES] >= MENTIONED:
        worn.append(f"{person.shoes_color} shoes")
    if person.hat and seen[Detail.HAT] >= MENTIONED:
        worn.append(f"a {person.hat_color} {person.hat}")
    if rng.random() < 0.5:
        rng.shuffle(worn)
    noun = rng.choice(("person", "pedestrian", "walker"))
    hair = f" with {_hair(person, rng)}" if seen[Detail.HAIR] >= MENTIONED else ""
    verb = rng.choice(("wearing", "dressed in", "in"))
    sentence = f"A {noun}{hair} {verb} {_joined(worn)}" if worn else f"A {noun}{hair}"
    if person.bag and seen[Detail.BAG] >= MENTIONED:
        carrying = rng.choice(("carrying", "with"))
        sentence += f", {carrying} a {person.bag_color} {person.bag}"
    return _article(sentence) + "."


def background_caption(
    view: Camera, window: tuple[float, float], occluder: str, rng: Random
) -> str:
    """Describe what surrounds the person, and what stands in front.

    `window` is the range of panorama columns in the picture: a thing is named when
    more than 0.4 of its width is there. `occluder` is a key of OCCLUDER_PHRASES or "".
    """
    left, right = window
    things = [
        thing.name
        for thing in view.things
        if min(right, thing.right) - max(left, thing.left)
        > 0.4 * (thing.right - thing.left)
    ]
    place = WORLDS[view.world].place
    opening = rng.choice(
        (
            f"A {place} with {view.ground} and a {view.backdrop}",
            f"A {view.backdrop} behind {view.ground} in a {place}",
            f"A view of a {place}: {view.ground}, a {view.backdrop}",
        )
    )
    if rng.random() < 0.4:
        opening += f" and a {view.sky}"
    if things:
        named = _joined([f"a {name}" for name in dict.fromkeys(things)])
        opening += rng.choice((f", with {named}", f", {named} in the back"))
    if occluder:
        phrase = rng.choice(OCCLUDER_PHRASES[occluder])
        hides = ("hides part of the person", "stands in front of the person")
        opening += f". {phrase.capitalize()} {rng.choice(hides)}"
    return _article(opening) + "."

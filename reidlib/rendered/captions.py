"""Two captions per picture, in the manner of FBA's two prompts.

One describes the person's appearance, attire and accessories, the other the background
in fewer than 50 words, with whatever obscures the view. Neither names what cannot be
seen: of each detail enough pixels, and enough of all it has, must show.
"""

from collections.abc import Mapping
from random import Random

from reidlib.rendered.cameras import Camera
from reidlib.rendered.identities import Identity
from reidlib.rendered.places import KINDS
from reidlib.rendered.truth import UPPER_GARMENT, Detail

LEAST = 6  # pixels of 64 x 128 that must show of a thing for it to be mentioned
MENTIONED = 0.25  # share of it that must show
KIND_KNOWN = 0.6  # share that must show before the kind of garment is named
THING_SEEN = 0.02  # share of the picture that a thing of the background must cover
VIEWS = ("front", "left", "back", "right")
OCCLUDERS = {
    "person": ("another person", "another pedestrian", "somebody else"),
    "umbrella": ("somebody with an umbrella", "another person under an umbrella"),
    "car": ("a car", "a parked car", "the side of a car"),
    "railing": ("a railing", "a metal fence", "a row of bars"),
    "trunk": ("a tree trunk", "the trunk of a tree"),
    "bush": ("a planter", "a trough with plants", "a shrub in a trough"),
    "board": ("a board", "an advertising board"),
    "bench": ("a bench", "a wooden bench"),
    "pillar": ("a pillar", "a column"),
    "gate": ("a ticket gate", "a barrier"),
    "bollard": ("a bollard", "a post"),
}
HOURS = {
    "sunny": ("in sunlight", "on a sunny day", "in the sun"),
    "overcast": ("under a grey sky", "on an overcast day", "in dull light"),
    "low sun": ("in low sunlight", "with long shadows", "in the late sun"),
    "evening": ("in the evening", "at dusk", "in weak light"),
    "lamps": ("under lamps", "in artificial light", "indoors"),
}
POSES = {
    "walk": ("walking", "walking", ""),
    "stand": ("standing", "standing still"),
    "phone": ("looking at a phone", "with a phone in hand"),
    "call": ("on the phone", "making a call"),
    "pockets": ("with hands in the pockets", "hands in pockets"),
    "carry": ("walking", ""),
}


class Seen:
    """How much of each detail shows."""

    def __init__(
        self,
        seen: Mapping[Detail, int],
        whole: Mapping[Detail, int],
        least: float = LEAST,
    ) -> None:
        """Pixels in the picture, if nothing hid them, and how many must show."""
        self._seen, self._whole, self._least = seen, whole, least

    def share(self, *details: Detail) -> float:
        """Share of these details that shows, 0 where it is a few pixels."""
        shown = sum(self._seen[detail] for detail in details)
        total = sum(self._whole[detail] for detail in details)
        return shown / total if shown >= self._least and total else 0.0


def view_of(angle: float) -> str:
    """The side from which somebody is seen at an angle in degrees, one of VIEWS.

    >>> view_of(350.0), view_of(100.0)
    ('front', 'left')
    """
    return VIEWS[int((angle + 45) % 360 // 90)]


def person_caption(
    person: Identity,
    pose: str,
    angle: float,
    shown: Seen,
    rng: Random,
) -> str:
    """Describe a person by what is seen of them.

    pose, angle   what they do, a key of POSES, and the angle they are seen at
    """
    view = view_of(angle)
    worn = [
        *_garments(person, shown, view),
        *_small_things(person, shown),
    ]
    if rng.random() < 0.4:
        rng.shuffle(worn)
    sentence = f"A {_noun(person, shown, rng)}"
    if shown.share(Detail.HAIR) >= MENTIONED and not person.hat:
        sentence += f" with {_hair(person, rng)}"
    if worn:
        sentence += f" {rng.choice(('wearing', 'dressed in', 'in'))} {_joined(worn)}"
    if person.bag and shown.share(Detail.BAG) >= MENTIONED:
        sentence += f", {rng.choice(('carrying', 'with'))} {_bag(person)}"
    doing = rng.choice(POSES[pose])
    if doing and rng.random() < 0.5:
        sentence += f", {doing}"
    if rng.random() < 0.4:
        sides = {"front": "the front", "back": "behind"}
        sentence += f", seen from {sides.get(view, f'the {view}')}"
    return _article(sentence) + "."


def _noun(person: Identity, shown: Seen, rng: Random) -> str:
    """Man or woman where face or hair show; else a person."""
    neutral = ("person", "pedestrian", "passer-by")
    if shown.share(Detail.FACE, Detail.HAIR) < MENTIONED or rng.random() < 0.4:
        return rng.choice(neutral)
    return "woman" if person.woman else "man"


def _hair(person: Identity, rng: Random) -> str:
    if person.haircut in ("ponytail", "bun"):
        return f"{person.hair} hair in a {person.haircut}"
    length = {"bob": "chin-length"}.get(person.haircut, person.haircut)
    words = [length, person.hair]
    rng.shuffle(words)
    return " ".join(words) + " hair"


def _garments(person: Identity, shown: Seen, view: str) -> list[str]:
    worn = []
    share = shown.share(*UPPER_GARMENT)
    if share >= MENTIONED:
        worn.append(_upper(person, share >= KIND_KNOWN, view))
    share = shown.share(Detail.LOWER)
    if share >= MENTIONED:
        article = "" if person.lower[-1] == "s" else "a "
        known = f"{article}{person.lower_color} {person.lower}"
        hardly = f"something {person.lower_color} below the waist"
        worn.append(known if share >= KIND_KNOWN else hardly)
    if shown.share(Detail.SHOES) >= MENTIONED:
        worn.append(f"{person.shoes_color} {person.shoes}")
    return worn


def _upper(person: Identity, known: bool, view: str) -> str:
    color, second = person.upper_color, person.second_color
    if not known:
        return f"a {color} top"
    kind = person.upper
    if person.inner and view != "back":
        return f"an open {color} {kind} over {person.inner}"
    if person.pattern == "logo" and view == "back":
        return f"a {color} {kind}"
    return {
        "plain": f"a {color} {kind}",
        "striped": f"a {color} and {second} striped {kind}",
        "pinstriped": f"a {color} {kind} with {second} pinstripes",
        "checked": f"a {color} and {second} checked {kind}",
        "dotted": f"a {color} {kind} with {second} dots",
        "two-tone": f"a two-tone {kind} in {color} and {second}",
        "logo": f"a {color} {kind} with a {second} print on the chest",
        "printed": f"a {color} {kind} with a {second} pattern",
    }[person.pattern]


def _small_things(person: Identity, shown: Seen) -> list[str]:
    worn = []
    if person.hat and shown.share(Detail.HAT) >= MENTIONED:
        worn.append(f"a {person.hat_color} {person.hat}")
    if person.scarf_color and shown.share(Detail.UPPER) >= KIND_KNOWN:
        worn.append(f"a {person.scarf_color} scarf")
    return worn


def _bag(person: Identity) -> str:
    return f"a {person.bag_color} {person.bag}"


def _joined(phrases: list[str]) -> str:
    if len(phrases) < 2:
        return "".join(phrases)
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]


def _article(phrase: str) -> str:
    """Mend `a orange` into `an orange`."""
    for vowel in "aeiou":
        phrase = phrase.replace(f" a {vowel}", f" an {vowel}")
        phrase = phrase.replace(f"A {vowel}", f"An {vowel}")
    return phrase


def background_caption(
    eye: Camera, things: Mapping[str, float], occluder: str, rng: Random
) -> str:
    """Describe what surrounds the person, and what stands in front.

    things     share of the picture that each named thing covers
    occluder   a key of OCCLUDERS, or "" for nothing
    """
    place = KINDS[eye.place].words
    listed = [name for name, share in things.items() if share >= THING_SEEN][:4]
    hour = rng.choice(HOURS[eye.hour])
    named = _joined(listed) or "nothing else to be seen"
    sentence = rng.choice(
        (
            f"{place} {hour}: {named}",
            f"{place} with {named}, {hour}",
            f"a view of {place} {hour}, with {named}",
            f"{named} in {place}, {hour}",
        )
    )
    sentence = sentence[0].upper() + sentence[1:]
    if occluder:
        phrase = rng.choice(OCCLUDERS[occluder])
        hides = ("hides part of the person", "stands in front of the person")
        sentence += f". {phrase[0].upper()}{phrase[1:]} {rng.choice(hides)}"
    return _article(sentence) + "."

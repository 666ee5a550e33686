"""Who walks there: body, hair, clothes and what is carried; and those alike.

An identity is a pure function of (world, group, pid). Of every four people in a row,
the second is the first but for one thing, and the third wears the same two colors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from random import Random

from reidlib.rendered.gait import Manner

CLOTHES: dict[str, tuple[int, int, int]] = {  # sRGB
    "black": (30, 30, 33),
    "grey": (118, 120, 124),
    "white": (226, 225, 220),
    "navy": (36, 44, 72),
    "blue": (60, 82, 122),
    "light blue": (142, 166, 192),
    "red": (158, 44, 46),
    "burgundy": (94, 32, 44),
    "green": (54, 96, 66),
    "olive": (92, 92, 58),
    "beige": (190, 170, 136),
    "brown": (98, 68, 48),
    "yellow": (202, 172, 76),
    "orange": (188, 102, 54),
    "pink": (200, 136, 154),
    "purple": (92, 66, 118),
    "turquoise": (62, 130, 134),
}
UPPER_ODDS = {"black": 20, "grey": 13, "white": 13, "navy": 10, "blue": 7, "red": 6}
UPPER_ODDS |= {"light blue": 4, "burgundy": 3, "green": 4, "olive": 4, "beige": 5}
UPPER_ODDS |= {"brown": 3, "yellow": 2, "orange": 2, "pink": 3, "purple": 2}
UPPER_ODDS |= {"turquoise": 2}
LOWER_ODDS = {"black": 34, "navy": 18, "grey": 13, "blue": 14, "beige": 8}
LOWER_ODDS |= {"brown": 4, "olive": 4, "white": 3, "burgundy": 1, "green": 1}
SHOE_ODDS = {"black": 45, "white": 25, "brown": 14, "grey": 8, "red": 3, "blue": 5}
BAG_ODDS = {"black": 40, "brown": 14, "navy": 10, "grey": 10, "red": 7, "beige": 7}
BAG_ODDS |= {"green": 4, "blue": 4, "pink": 2, "yellow": 2}
HAIR: dict[str, tuple[int, int, int]] = {
    "black": (22, 19, 18),
    "brown": (64, 43, 30),
    "blond": (168, 134, 84),
    "red": (116, 58, 34),
    "grey": (142, 140, 137),
}
HAIR_ODDS = {"black": 38, "brown": 34, "blond": 14, "red": 4, "grey": 10}
SKIN = ((232, 190, 164), (216, 168, 138), (188, 136, 104), (140, 94, 68), (88, 58, 44))
SKIN_ODDS = (28, 30, 18, 14, 10)
UPPERS = {"T-shirt": 24, "shirt": 15, "sweater": 14, "hoodie": 12, "jacket": 17}
UPPERS |= {"coat": 10, "puffer jacket": 7, "tank top": 3}
LOWERS = {"trousers": 34, "jeans": 34, "shorts": 14, "leggings": 8}
SKIRTS = {"skirt": 12, "long skirt": 6}
PATTERNS = {"plain": 48, "logo": 13, "striped": 11, "checked": 8, "two-tone": 8}
PATTERNS |= {"printed": 6, "dotted": 3, "pinstriped": 3}
SHOES = {"sneakers": 52, "shoes": 32, "boots": 16}
HAIRCUTS = {"short": 40, "curly": 8, "bob": 14, "long": 18, "ponytail": 14, "bun": 6}
HATS = {"": 76, "cap": 11, "beanie": 8, "sun hat": 5}
BAGS = {"": 38, "backpack": 24, "handbag": 12, "shoulder bag": 16, "shopping bag": 6}
BAGS |= {"suitcase": 4}
WARM = ("coat", "puffer jacket", "jacket", "sweater")
OPEN = ("jacket", "coat", "shirt", "hoodie")  # may be worn open over another color
CHANGES: dict[str, Sequence[str | bool]] = {
    "hat": tuple(HATS),
    "bag": tuple(BAGS),
    "bag_color": tuple(BAG_ODDS),
    "pattern": ("plain", "logo", "striped", "two-tone", "checked"),
    "upper_color": tuple(UPPER_ODDS),
    "lower_color": tuple(LOWER_ODDS),
    "shoes_color": tuple(SHOE_ODDS),
    "hair": tuple(HAIR),
    "haircut": ("short", "bob", "long", "ponytail", "bun"),
}
PERIOD = 4


@dataclass(frozen=True)
class Identity:
    """Everything about a person that stays the same from picture to picture.

    Colors are names in CLOTHES or HAIR, "" where there is no such thing; `inner` is
    the color under an open garment. The body's numbers are in 0..1; `seed` chooses
    print, folds and small differences of shade.
    """

    woman: bool
    age: float
    muscle: float
    weight: float
    height: float
    proportions: float
    skin: int
    hair: str
    haircut: str
    beard: bool
    glasses: bool
    hat: str
    hat_color: str
    scarf_color: str
    upper: str
    upper_color: str
    second_color: str
    pattern: str
    inner: str
    lower: str
    lower_color: str
    shoes: str
    shoes_color: str
    bag: str
    bag_color: str
    manner: Manner
    seed: int

    @property
    def phenotype(self) -> dict[str, float]:
        """The body's numbers, as bodies.shape wants them."""
        names = ("age", "muscle", "weight", "height", "proportions")
        numbers = {name: getattr(self, name) for name in names}
        return numbers | {"gender": 1.0 if self.woman else 0.0}


def _pick(rng: Random, odds: dict[str, int]) -> str:
    return rng.choices(list(odds), list(odds.values()))[0]


def random_identity(rng: Random) -> Identity:
    """Draw a person."""
    woman = rng.random() < 0.48
    upper = _pick(rng, UPPERS)
    upper_color = _pick(rng, UPPER_ODDS)
    others = {name: odds for name, odds in UPPER_ODDS.items() if name != upper_color}
    is_cold = upper in WARM
    is_open = upper in OPEN and rng.random() < 0.35
    hat = _pick(rng, HATS)
    bag = _pick(rng, BAGS)
    lower = _lower(rng, woman, is_cold)
    return Identity(
        woman=woman,
        age=rng.uniform(0.62, 0.95),
        muscle=rng.uniform(0.35, 0.7),
        weight=min(0.95, max(0.25, rng.gauss(0.5, 0.17))),
        height=min(0.8, max(0.2, rng.gauss(0.5, 0.12))),
        proportions=rng.uniform(0.4, 0.8),
        skin=rng.choices(range(len(SKIN)), SKIN_ODDS)[0],
        hair=_pick(rng, HAIR_ODDS),
        haircut=_haircut(rng, woman),
        beard=not woman and rng.random() < 0.25,
        glasses=rng.random() < 0.2,
        hat=hat,
        hat_color=_pick(rng, UPPER_ODDS) if hat else "",
        scarf_color=_pick(rng, UPPER_ODDS) if is_cold and rng.random() < 0.2 else "",
        upper=upper,
        upper_color=upper_color,
        second_color=_pick(rng, others),
        pattern="plain" if is_open else _pick(rng, PATTERNS),
        inner=_pick(rng, others) if is_open else "",
        lower=lower,
        lower_color=_lower_color(rng, lower),
        shoes=_pick(rng, SHOES),
        shoes_color=_pick(rng, SHOE_ODDS),
        bag=bag,
        bag_color=_pick(rng, BAG_ODDS) if bag else "",
        manner=_manner(rng),
        seed=rng.randrange(2**31),
    )


def _haircut(rng: Random, woman: bool) -> str:
    if woman:
        return _pick(rng, HAIRCUTS | {"short": 8})
    return _pick(rng, {"short": 70, "curly": 10, "bald": 12, "bob": 4, "ponytail": 4})


def _manner(rng: Random) -> Manner:
    return Manner(
        stride=rng.uniform(0.72, 1.12),
        swing=rng.uniform(0.5, 1.35),
        lean=rng.uniform(-1, 7),
        spread=rng.uniform(5, 11),
    )


def _lower(rng: Random, woman: bool, is_cold: bool) -> str:
    lower = _pick(rng, LOWERS | (SKIRTS if woman else {}))
    return "trousers" if is_cold and lower == "shorts" else lower


def _lower_color(rng: Random, lower: str) -> str:
    if lower == "jeans":
        return _pick(rng, {"navy": 40, "blue": 34, "black": 20, "grey": 6})
    if lower == "leggings":
        return _pick(rng, {"black": 70, "grey": 15, "navy": 15})
    return _pick(rng, LOWER_ODDS)


def _changed(rng: Random, one: Identity) -> Identity:
    """The same person but for one thing that can be seen."""
    free = [name for name in CHANGES if _is_free(one, name)]
    name = rng.choice(free)
    taken = {getattr(one, name)}
    if name == "upper_color":
        taken |= {one.second_color, one.inner}
    others = [value for value in CHANGES[name] if value not in taken]
    change = {name: rng.choice(others)}
    if name in ("hat", "bag") and not getattr(one, name):
        odds = UPPER_ODDS if name == "hat" else BAG_ODDS
        change[f"{name}_color"] = _pick(rng, odds)
    elif name in ("hat", "bag") and not change[name]:
        change[f"{name}_color"] = ""
    return replace(one, **change)


def _is_free(one: Identity, name: str) -> bool:
    """Whether a change of this attribute would be seen."""
    if name == "bag_color":
        return bool(one.bag)
    if name == "pattern":
        return not one.inner
    if name in ("hair", "haircut"):
        return not one.hat and one.haircut != "bald" and (one.woman or name == "hair")
    return True


@cache
def identity(world: str, group: str, pid: int) -> Identity:
    """The person `pid` (from 1) of a world; `group` is "train" or "test"."""
    rng = Random(f"{world}/{group}/{pid}/identity")
    place = (pid - 1) % PERIOD
    if place == 1:
        return _changed(rng, identity(world, group, pid - 1))
    if place == 2:
        first = identity(world, group, pid - 2)
        return _same_colors(rng, first)
    return random_identity(rng)


def _same_colors(rng: Random, first: Identity) -> Identity:
    """Somebody else in garments of the same two colors."""
    other = random_identity(rng)
    while other.lower == "leggings" or other.second_color == first.upper_color:
        other = random_identity(rng)
    inner = other.inner if other.inner != first.upper_color else ""
    return replace(
        other,
        upper_color=first.upper_color,
        lower_color=first.lower_color,
        inner=inner,
    )


def differences(one: Identity, other: Identity) -> list[str]:
    """Names of the attributes in which two people differ."""
    return [
        field.name
        for field in fields(Identity)
        if getattr(one, field.name) != getattr(other, field.name)
    ]


def attributes(person: Identity) -> dict[str, str | bool]:
    """What is worn and carried, by name: the attributes that files keep."""
    names = ("woman", "hair", "haircut", "beard", "glasses", "hat", "hat_color")
    names += ("scarf_color", "upper", "upper_color", "second_color", "pattern")
    names += ("inner", "lower", "lower_color", "shoes", "shoes_color")
    return {name: getattr(person, name) for name in (*names, "bag", "bag_color")}

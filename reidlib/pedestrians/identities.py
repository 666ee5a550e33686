"""Who walks there: the attributes of a drawn person, and near-twins.

An identity is a pure function of (world, split, pid), so any image can be drawn
alone, in any order, by any number of workers.
"""

from dataclasses import dataclass, fields, replace
from functools import cache
from random import Random

from reidlib.pedestrians.canvas import Color

CLOTHES: dict[str, Color] = {
    "red": (196, 40, 44),
    "orange": (228, 124, 38),
    "yellow": (232, 204, 66),
    "green": (58, 140, 68),
    "turquoise": (52, 168, 172),
    "blue": (44, 84, 180),
    "purple": (122, 62, 154),
    "pink": (228, 140, 174),
    "brown": (122, 82, 52),
    "beige": (206, 184, 146),
    "white": (236, 236, 232),
    "grey": (134, 138, 144),
    "black": (38, 38, 42),
}
HAIR: dict[str, Color] = {
    "black": (30, 26, 26),
    "brown": (94, 62, 38),
    "blond": (214, 178, 104),
    "red": (158, 74, 36),
    "grey": (170, 170, 170),
}
SKIN: tuple[Color, ...] = (
    (244, 208, 178),
    (226, 180, 142),
    (192, 140, 102),
    (142, 96, 66),
    (92, 62, 46),
)
PATTERNS = ("plain", "plain", "plain", "striped", "checked", "two-tone", "dotted")
UPPERS = ("T-shirt", "T-shirt", "shirt", "jacket", "coat")
LOWERS = ("trousers", "trousers", "jeans", "shorts", "skirt")
HATS = ("", "", "", "cap", "beanie", "sun hat")
BAGS = ("", "", "backpack", "backpack", "handbag", "shoulder bag")
TWIN_PERIOD = 6  # of six consecutive test identities, the second copies the first


@dataclass(frozen=True)
class Identity:
    """Everything about a person that stays the same from image to image.

    Lengths are relative to the average; colors are names in CLOTHES or HAIR.
    `tint` moves all clothes colors a little, so that two reds are not one red.
    """

    skin: int
    hair: str
    long_hair: bool
    hat: str
    hat_color: str
    upper: str
    upper_color: str
    second_color: str
    pattern: str
    lower: str
    lower_color: str
    shoes_color: str
    bag: str
    bag_color: str
    tallness: float
    breadth: float
    tint: Color

    def clothes(self, name: str) -> Color:
        """RGB of a named clothes color as this person wears it."""
        red, green, blue = (
            min(255, max(0, c + t))
            for c, t in zip(CLOTHES[name], self.tint, strict=True)
        )
        return red, green, blue


TWIN_CHANGES = {
    "hat": HATS,
    "upper_color": tuple(CLOTHES),
    "pattern": PATTERNS,
    "lower": LOWERS,
    "lower_color": tuple(CLOTHES),
    "shoes_color": tuple(CLOTHES),
    "bag": BAGS,
    "long_hair": (False, True),
}


def random_identity(rng: Random) -> Identity:
    """Draw a person with independent attributes."""
    names = list(CLOTHES)
    upper_color = rng.choice(names)
    return Identity(
        skin=rng.randrange(len(SKIN)),
        hair=rng.choice(list(HAIR)),
        long_hair=rng.random() < 0.4,
        hat=rng.choice(HATS),
        hat_color=rng.choice(names),
        upper=rng.choice(UPPERS),
        upper_color=upper_color,
        second_color=rng.choice([name for name in names if name != upper_color]),
        pattern=rng.choice(PATTERNS),
        lower=rng.choice(LOWERS),
        lower_color=rng.choice(names),
        shoes_color=rng.choice(names),
        bag=rng.choice(BAGS),
        bag_color=rng.choice(names),
        tallness=rng.uniform(0.92, 1.06),
        breadth=rng.uniform(0.86, 1.2),
        tint=(rng.randint(-10, 10), rng.randint(-10, 10), rng.randint(-10, 10)),
    )


@cache
def identity(world: str, split: str, pid: int) -> Identity:
    """The person `pid` of a world's split; test identities come with near-twins.

    Test identities 302, 308, ... repeat their predecessors in all but two attributes,
    so that one of three has somebody who could be mistaken for them.
    """
    rng = Random(f"{world}/{split}/{pid}/identity")
    if split != "test" or pid % TWIN_PERIOD != 2:
        return random_identity(rng)
    twin = identity(world, split, pid - 1)
    changes = {}
    for name in rng.sample(sorted(TWIN_CHANGES), 2):
        values = dict.fromkeys(TWIN_CHANGES[name])
        others = [value for value in values if value != getattr(twin, name)]
        changes[name] = rng.choice(others)
    return replace(twin, **changes)


def differences(one: Identity, other: Identity) -> list[str]:
    """Names of the attributes in which two people differ."""
    return [
        field.name
        for field in fields(Identity)
        if getattr(one, field.name) != getattr(other, field.name)
    ]

"""What a pixel can show: the labels of the two masks, and the regions they make up."""

from collections.abc import Mapping
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Part(IntEnum):
    """Labels of the part mask, those of drawn people; bags count to the upper body."""

    BACKGROUND = 0
    HEAD = 1
    UPPER_BODY = 2
    LOWER_BODY = 3
    FOOT = 4
    OCCLUDER = 5
    BAGS = 6


class Detail(IntEnum):
    """Labels of the detail mask: garments, bare skin, what is carried, and who else.

    TAIL is an upper garment below the hips, as of a coat; SLEEVE is one on the arms.
    OTHER_BEFORE and OTHER_BEHIND are other people, nearer or farther than the person.
    """

    BACKGROUND = 0
    FACE = 1
    HAIR = 2
    HAT = 3
    UPPER = 4
    SLEEVE = 5
    ARM = 6
    TAIL = 7
    LOWER = 8
    LEG = 9
    SHOES = 10
    BAG = 11
    PHONE = 12
    UMBRELLA = 13
    OTHER_BEHIND = 14
    OTHER_BEFORE = 15
    OCCLUDER = 16


PART_OF = {
    Detail.BACKGROUND: Part.BACKGROUND,
    Detail.FACE: Part.HEAD,
    Detail.HAIR: Part.HEAD,
    Detail.HAT: Part.HEAD,
    Detail.UPPER: Part.UPPER_BODY,
    Detail.SLEEVE: Part.UPPER_BODY,
    Detail.ARM: Part.UPPER_BODY,
    Detail.TAIL: Part.LOWER_BODY,
    Detail.LOWER: Part.LOWER_BODY,
    Detail.LEG: Part.LOWER_BODY,
    Detail.SHOES: Part.FOOT,
    Detail.BAG: Part.UPPER_BODY,
    Detail.PHONE: Part.UPPER_BODY,
    Detail.UMBRELLA: Part.OCCLUDER,
    Detail.OTHER_BEHIND: Part.BACKGROUND,
    Detail.OTHER_BEFORE: Part.OCCLUDER,
    Detail.OCCLUDER: Part.OCCLUDER,
}
ARMS = (Detail.SLEEVE, Detail.ARM)
UPPER_GARMENT = (Detail.UPPER, Detail.SLEEVE, Detail.TAIL)
OWN = tuple(detail for detail in Detail if Detail.FACE <= detail <= Detail.PHONE)
_TABLE = np.array([PART_OF[detail] for detail in Detail], np.uint8)


def parts(details: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part mask of a detail mask."""
    return _TABLE[details]


def counts(details: NDArray[np.uint8]) -> dict[Detail, int]:
    """Pixels of each detail."""
    found = np.bincount(details.ravel(), minlength=len(Detail))
    return {detail: int(found[detail]) for detail in Detail}


def visible_share(seen: Mapping[Detail, float], whole: Mapping[Detail, float]) -> float:
    """Share of a person that shows: what is seen of them over what there would be."""
    total = sum(whole[detail] for detail in OWN)
    return sum(seen[detail] for detail in OWN) / total if total else 0.0

"""Who walks there: people by number, those alike, and how they hold themselves."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from reidlib.rendered.gait import HABITS, Manner, Moment, pose
from reidlib.rendered.identities import (
    BAGS,
    CLOTHES,
    HAIR,
    PERIOD,
    Identity,
    attributes,
    differences,
    identity,
)
from reidlib.rendered.worlds import FIRST_TEST_PID, RECIPES

GROUPS = {"train": 1, "test": FIRST_TEST_PID}


def people(world: str, group: str, count: int) -> list[Identity]:
    first = GROUPS[group]
    return [identity(world, group, pid) for pid in range(first, first + count)]


def test_a_person_is_a_function_of_world_group_and_number():
    once = people("concourse", "test", 24)
    identity.cache_clear()
    assert people("concourse", "test", 24)[::-1] == once[::-1]
    identity.cache_clear()
    assert identity("concourse", "test", FIRST_TEST_PID + 9) == once[9], "in any order"
    assert not set(once) & set(people("harbour", "test", 24))
    assert not set(once) & set(people("concourse", "train", 24))


@pytest.mark.parametrize("group", GROUPS)
def test_of_four_people_the_second_is_the_first_but_for_one_thing(group):
    everyone = people("concourse", group, 120)
    changed = Counter()
    for first, second in zip(everyone[::PERIOD], everyone[1::PERIOD], strict=True):
        names = {name.removesuffix("_color") for name in differences(first, second)}
        assert len(names) == 1, names
        changed.update(names)
        assert first.manner == second.manner and first.phenotype == second.phenotype
    assert len(changed) >= 5, "many things make a difference"


@pytest.mark.parametrize("group", GROUPS)
def test_of_four_people_the_third_wears_the_colors_of_the_first(group):
    everyone = people("concourse", group, 120)
    for first, third in zip(everyone[::PERIOD], everyone[2::PERIOD], strict=True):
        assert third.upper_color == first.upper_color
        assert third.lower_color == first.lower_color
        assert len(differences(first, third)) > 5, "but is somebody else"


def test_no_two_people_are_the_same_and_many_share_both_colors():
    recipe = RECIPES["concourse"]
    everyone = people("concourse", "test", recipe.test_identities)
    assert len(set(everyone)) == len(everyone)
    pairs = list(combinations(everyone, 2))
    colors = [(one.upper_color, one.lower_color) for one in everyone]
    shared = sum(a == b for a, b in combinations(colors, 2))
    assert shared / len(pairs) > 0.015
    has_rival = Counter(colors)
    assert np.mean([has_rival[color] > 1 for color in colors]) > 0.7


def test_what_people_wear_goes_together():
    for one in people("boulevard", "train", 400):
        assert one.upper_color in CLOTHES and one.hair in HAIR and one.bag in BAGS
        assert bool(one.bag) == bool(one.bag_color)
        assert bool(one.hat) == bool(one.hat_color)
        assert one.inner == "" or one.pattern == "plain"
        assert one.woman or not one.lower.endswith("skirt")
        assert not (one.woman and one.beard)
        assert all(0 <= value <= 1 for value in one.phenotype.values())
        known = attributes(one)
        assert known["upper_color"] == one.upper_color and "seed" not in known


def test_legs_and_arms_swing_against_each_other():
    manner = Manner()
    contact = pose(manner, Moment(phase=0.0)).aims  # the left heel strikes
    forward = {name: -aim[1] for name, aim in contact.items()}
    assert forward["upperleg01.L"] > 0.4 > -0.05 > forward["upperleg01.R"]
    assert forward["upperarm01.R"] > forward["upperarm01.L"]
    later = pose(manner, Moment(phase=0.5)).aims
    for name, aim in contact.items():
        other = name[:-1] + {"L": "R", "R": "L"}[name[-1]]
        assert np.allclose(later[other], aim * [-1, 1, 1]), (
            "half a cycle later: mirrored"
        )


@pytest.mark.parametrize("habit", HABITS)
def test_directions_of_a_pose_have_unit_length(habit):
    for phase in np.linspace(0, 1, 7):
        aims = pose(Manner(), Moment(phase, habit, raised="L")).aims
        assert np.allclose([np.linalg.norm(aim) for aim in aims.values()], 1)
        assert aims["lowerarm01.L"][2] > 0.5, "an umbrella is held up"


def test_who_stands_hardly_moves_their_legs():
    aims = pose(Manner(), Moment(0.0, "stand")).aims
    assert abs(aims["upperleg01.L"][1]) < 0.1

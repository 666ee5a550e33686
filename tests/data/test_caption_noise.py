"""Captions with a captioner's errors: what they change, how often, and by what draw."""

from pathlib import Path
from random import Random

import pytest

from reidlib.data.caption_noise import (
    NEIGHBOURS,
    RATES,
    Rates,
    as_captioned,
    noisy_background,
    noisy_person,
)
from reidlib.data.captions import Captions, read_captions
from reidlib.pedestrians.identities import CLOTHES, HAIR
from reidlib.rendered import identities as rendered
from reidrun.runs.environment import ROOT

NEVER = Rates(0.0, 0.0, 0.0)
SCENE = "A square with grass, with a bench. A railing hides part of the person."
RENDERED = [  # what only the rendered say
    "A person, seen from the right.",
    "A man with grey short hair in olive trousers, a two-tone T-shirt in blue and grey"
    " and black boots, walking, seen from behind.",
    "A woman with black hair in a ponytail wearing white trousers, an open light blue"
    " hoodie over black and brown sneakers, with hands in the pockets.",
    "A passer-by dressed in a navy and white checked coat, with a phone in hand.",
]


@pytest.fixture(scope="module")
def drawn() -> dict[Path, Captions]:
    return read_captions(ROOT / "data" / "smoke")


def test_without_errors_every_caption_stays_as_it_is(drawn):
    assert as_captioned(drawn, "noisy", 0, NEVER) == drawn
    for text in RENDERED:
        assert noisy_person(text, Random(0), NEVER) == text


def test_given_captions_are_given(drawn):
    assert as_captioned(drawn, "given", 0) == drawn
    with pytest.raises(ValueError, match="captions is 'noisi': choose from"):
        as_captioned(drawn, "noisi", 0)


def test_errors_follow_from_seed_name_and_text_alone(drawn):
    first = as_captioned(drawn, "noisy", 1)
    some = dict(reversed(list(drawn.items())[::7]))
    assert as_captioned(some, "noisy", 1) == {path: first[path] for path in some}
    moved = {Path("/elsewhere") / "/".join(p.parts[-2:]): x for p, x in drawn.items()}
    assert list(as_captioned(moved, "noisy", 1).values()) == list(first.values())
    other = as_captioned(drawn, "noisy", 2)
    assert sum(first[path] != other[path] for path in drawn) > len(drawn) / 2


def test_every_color_is_confused_as_often_as_is_said():
    text, rng = "A person in a red cap.", Random(3)
    found = [noisy_person(text, rng, Rates(0.25, 0, 0)) for _ in range(2000)]
    wrong = [x for x in found if x != text]
    assert len(wrong) / 2000 == pytest.approx(0.25, abs=0.04)
    said = {x.split()[-2] for x in wrong}
    assert said == set(NEIGHBOURS["red"])
    assert "A person in an orange cap." in wrong, "and articles are mended"
    assert noisy_person("A person in an orange cap.", Random(1), Rates(1, 0, 0)) in {
        f"A person in a {color} cap." for color in NEIGHBOURS["orange"]
    }


def test_things_are_left_out_each_on_its_own():
    text, rng = "A walker in a red cap and blue jeans, with a black handbag.", Random(5)
    rates, trials = Rates(0, 0.3, 0), 2000
    found = [noisy_person(text, rng, rates) for _ in range(trials)]
    for thing in ("red cap", "blue jeans", "black handbag"):
        share = sum(thing in x for x in found) / trials
        assert share == pytest.approx(0.7, abs=0.04)
    assert noisy_person(text, rng, Rates(0, 1, 0)) == "A walker."
    assert noisy_background(SCENE, rng, Rates(0, 1, 0)) == "A square with grass."


def test_what_is_made_up_was_not_there():
    rng, text = Random(2), "A walker in a red cap, with a handbag."
    found = [noisy_person(text, rng, Rates(0, 0, 1)) for _ in range(300)]
    assert all(x.startswith("A walker in a red cap") and "handbag" in x for x in found)
    assert all(x.count("cap") == x.count("handbag") == 1 for x in found)
    assert any("beanie" in x for x in found) and any("backpack" in x for x in found)
    found = [noisy_background(SCENE, rng, Rates(0, 0, 1)) for _ in range(300)]
    assert all(x.count("bench") == 1 and x.endswith("the person.") for x in found)
    assert noisy_person("A walker.", Random(0), Rates(0, 0, 1)) != "A walker."


def test_no_caption_of_any_error_rate_is_empty_or_ill_formed(drawn):
    for rates in (RATES, Rates(0.5, 0.5, 0.5), Rates(1, 1, 1)):
        for texts in as_captioned(drawn, "noisy", 0, rates).values():
            for text in texts:
                assert text.endswith(".") and len(text) > 5
                assert " ," not in text and "  " not in text and "&" not in text
                again = noisy_person(texts.person, Random(0), NEVER)
                assert again == texts.person, "it is in the grammar still"


def test_a_caption_of_a_photograph_is_refused(drawn):
    photograph = {Path("a.jpg"): Captions("The image shows a man. He waits.", "a wall")}
    with pytest.raises(ValueError, match="shows a man.*none of drawn or rendered peop"):
        as_captioned(photograph, "noisy", 0)


def test_every_color_has_neighbours_and_clothes_have_near_ones():
    named = {*CLOTHES, *HAIR, *rendered.CLOTHES, *rendered.HAIR}
    assert named == NEIGHBOURS.keys()
    for color, neighbours in NEIGHBOURS.items():
        assert color not in neighbours and set(neighbours) <= set(CLOTHES)
    for color in CLOTHES:
        far = {other: _distance(color, other) for other in CLOTHES if other != color}
        mean = sum(far.values()) / len(far)
        near = [far[neighbour] for neighbour in NEIGHBOURS[color]]
        assert sum(near) / len(near) < mean


def _distance(first: str, second: str) -> float:
    pairs = zip(CLOTHES[first], CLOTHES[second], strict=True)
    return sum((a - b) ** 2 for a, b in pairs) ** 0.5

"""Captions name what shows, in many wordings; nothing is rendered for it."""

import re
from dataclasses import replace
from random import Random

import open_clip
import pytest

from reidlib.rendered.cameras import camera
from reidlib.rendered.captions import (
    HOURS,
    LEAST,
    OCCLUDERS,
    POSES,
    Seen,
    background_caption,
    person_caption,
    view_of,
)
from reidlib.rendered.gait import HABITS
from reidlib.rendered.identities import Identity, random_identity
from reidlib.rendered.places import KINDS
from reidlib.rendered.truth import OWN, Detail

WHOLE = dict.fromkeys(Detail, 0) | dict.fromkeys(OWN, 100)
WORDS = {
    Detail.HAIR: r"\bhair\b",
    Detail.HAT: r"\b(cap|beanie|sun hat)\b",
    Detail.LOWER: r"\b(trousers|jeans|shorts|leggings|skirt|waist)\b",
    Detail.SHOES: r"\b(shoes|sneakers|boots)\b",
    Detail.BAG: r"\b(backpack|handbag|bag|suitcase)\b",
}


def described(person: Identity, hidden: set[Detail], seed: int = 0) -> str:
    seen = WHOLE | dict.fromkeys(hidden, 0)
    return person_caption(person, "walk", 0.0, Seen(seen, WHOLE), Random(seed))


def crowd(count: int) -> list[Identity]:
    return [random_identity(Random(number)) for number in range(count)]


def test_what_shows_is_named_with_its_color():
    for person in crowd(60):
        said = described(person, set())
        assert f"{person.shoes_color} {person.shoes}" in said
        assert f"{person.lower_color} {person.lower}" in said
        assert person.upper_color in said and person.upper in said
        assert not person.bag or f"{person.bag_color} {person.bag}" in said
        assert not person.hat or f"{person.hat_color} {person.hat}" in said


@pytest.mark.parametrize("detail", WORDS)
def test_what_is_hidden_is_not_named(detail):
    for number, person in enumerate(crowd(60)):
        assert not re.search(WORDS[detail], described(person, {detail}, number))


def test_of_a_garment_that_hardly_shows_only_the_color_is_named():
    person = replace(random_identity(Random(1)), upper="coat", pattern="striped")
    seen = WHOLE | {Detail.UPPER: 40, Detail.SLEEVE: 40, Detail.TAIL: 40}
    said = person_caption(person, "walk", 0, Seen(seen, WHOLE), Random(0))
    assert f"a {person.upper_color} top" in said and "coat" not in said


def test_a_few_pixels_are_not_enough():
    shown = Seen({Detail.BAG: LEAST - 1}, {Detail.BAG: LEAST - 1})
    assert shown.share(Detail.BAG) == 0.0
    assert Seen({Detail.BAG: LEAST}, {Detail.BAG: 2 * LEAST}).share(Detail.BAG) == 0.5
    assert Seen({Detail.BAG: 9}, {Detail.BAG: 9}, least=10).share(Detail.BAG) == 0.0


def test_the_back_shows_no_chest():
    person = replace(random_identity(Random(2)), inner="", pattern="logo")
    shown = Seen(WHOLE, WHOLE)
    front = person_caption(person, "stand", 10, shown, Random(3))
    back = person_caption(person, "stand", 170, shown, Random(3))
    assert "print on the chest" in front and "chest" not in back


def test_nobody_is_called_man_or_woman_whose_head_is_hidden():
    head = {Detail.FACE, Detail.HAIR}
    said = {described(person, head, n) for n, person in enumerate(crowd(60))}
    assert not any(re.search(r"\b(wo)?man\b", one) for one in said)


def test_views_go_round():
    turned = [view_of(angle) for angle in (0, 46, 134, 136, 224, 226, 314, 316, 360)]
    assert turned == [
        *("front", "left", "left", "back", "back", "right", "right", "front", "front")
    ]


def test_captions_are_sentences_of_a_length_that_a_text_tower_reads():
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    texts = []
    for number, person in enumerate(crowd(150)):
        rng, habit = Random(number), HABITS[number % len(HABITS)]
        shown = Seen(WHOLE, WHOLE)
        texts.append(person_caption(person, habit, 7 * number, shown, rng))
        eye = camera("concourse", number % 6)
        things = {"a pavement": 0.4, "a road": 0.2, "an oak": 0.1, "a speck": 0.001}
        kinds = ("", *OCCLUDERS)
        kind = kinds[number % len(kinds)]
        texts.append(background_caption(eye, things, kind, rng))
        assert "speck" not in texts[-1] and len(texts[-1].split()) < 50
        assert (". " in texts[-1]) == bool(kind)
    for text in texts:
        assert len(tokenizer.encode(text)) + 2 <= 77
        assert re.fullmatch(r"[A-Z][\w :,.-]*\w\.", text), text
        assert not re.search(r"\b[aA] [aeiou]|\b[aA]n [^aeiou]|  |,,|\bin\.", text), (
            text
        )
    assert len(set(texts[::2])) == 150, "no two people are described alike"
    assert len(set(texts[1::2])) > 120, "nor most of what is behind them"


def test_there_are_words_for_everything_that_happens():
    assert set(POSES) == set(HABITS)
    assert set(OCCLUDERS) == {kind for k in KINDS.values() for kind in k.occluders}
    hours = {
        camera(world, c).hour for world in ("concourse", "harbour") for c in range(6)
    }
    assert hours <= set(HOURS)

"""The drawings: who is drawn, what a mask says, what a caption may say."""

import hashlib
import re
from random import Random

import numpy as np
import open_clip
import pytest
from PIL import Image

from reidlib.pedestrians import RECIPES, Drawing, Part, Shot, draw
from reidlib.pedestrians.benchmark import FIRST_TEST_PID, VERSION, shots_of
from reidlib.pedestrians.canvas import Canvas, Detail, Frame, parts
from reidlib.pedestrians.captions import OCCLUDER_PHRASES
from reidlib.pedestrians.figures import FACINGS, Figure, Pose
from reidlib.pedestrians.identities import TWIN_PERIOD, Identity, differences, identity
from reidlib.pedestrians.scenes import WORLDS, camera

SHOTS = (
    Shot("plaza", "train", 1, 0, 0),
    Shot("plaza", "query", 301, 3, 0),
    Shot("plaza", "occluded", 302, 5, 0, "whole", 1.0),
    Shot("plaza", "partial", 303, 1, 0, "partial", 0.0),
    Shot("plaza", "gallery", -1, 2, 2, "junk", 0.1),
    Shot("station", "gallery", 0, 4, 4),
    Shot("station", "query", 304, 0, 0, "whole", 1.0),
    Shot("street", "pairs", 0, 47, 95, "whole", 0.5),
)
DRAWN = {1: "7ca8bf745614e527f8345dd48f378589"}  # by version
WORDS_OF = {
    Part.HEAD: r"hair|cap|beanie|hat",
    Part.UPPER_BODY: r"T-shirt|shirt|jacket|coat|top|backpack|handbag|shoulder bag",
    Part.LOWER_BODY: r"trousers|jeans|shorts|skirt|below the waist",
    Part.FOOT: r"shoes",
}


def shares(drawing: Drawing) -> np.ndarray:
    """Share of each Part among the pixels of a mask."""
    counts = np.bincount(np.asarray(drawing.mask).ravel(), minlength=len(Part))
    return counts / counts.sum()


def queries(name: str, step: int = 1) -> list[Drawing]:
    return [draw(shot) for shot in shots_of(RECIPES[name], "query")[::step]]


@pytest.fixture(scope="module")
def clean() -> list[Drawing]:
    return queries("plaza")


@pytest.fixture(scope="module")
def occluded() -> list[Drawing]:
    return queries("plaza_occluded")


@pytest.fixture(scope="module")
def cut() -> list[Drawing]:
    return queries("plaza_partial", step=2)


def content(shots: tuple[Shot, ...]) -> str:
    digest = hashlib.sha256()
    for drawing in map(draw, shots):
        digest.update(np.asarray(drawing.image).tobytes())
        digest.update(np.asarray(drawing.mask).tobytes())
        digest.update("\n".join(drawing[2:]).encode())
    return digest.hexdigest()[:32]


def test_what_is_drawn_has_not_changed():
    found = content(SHOTS)
    assert found == DRAWN.get(VERSION), (
        f"pixels, masks or captions are not those of version {VERSION}. If that was"
        " meant, raise VERSION in reidlib/pedestrians/benchmark.py, so that sets on"
        f" disk are drawn anew, and put {found!r} here for it"
    )


def test_the_order_of_drawing_does_not_matter():
    once = {shot: draw(shot) for shot in SHOTS}
    for shot in reversed(SHOTS):
        again = draw(shot)
        assert again.image.tobytes() == once[shot].image.tobytes()
        assert again.mask.tobytes() == once[shot].mask.tobytes()
        assert again[2:] == once[shot][2:]
    pictures = {drawing.image.tobytes() for drawing in once.values()}
    assert len(pictures) == len(SHOTS)


@pytest.mark.parametrize("field", ["world", "split", "pid", "camid", "index"])
def test_every_part_of_the_seed_changes_the_picture(field):
    shot = Shot("plaza", "query", 301, 0, 0)
    value = {"world": "station", "split": "gallery"}.get(field)
    other = shot._replace(**{field: value or getattr(shot, field) + 1})
    assert draw(shot).image.tobytes() != draw(other).image.tobytes()


def people(world: str, split: str) -> dict[int, Identity]:
    recipe, first = RECIPES[world], {"train": 1, "test": FIRST_TEST_PID}[split]
    count = getattr(recipe, f"{split}_identities")
    return {pid: identity(world, split, pid) for pid in range(first, first + count)}


def test_no_identity_is_in_two_worlds_or_in_train_and_test():
    worlds = ("plaza", "station", "avenue")
    groups = [people(world, split) for world in worlds for split in ("train", "test")]
    everybody = [set(group.values()) for group in groups]
    assert [len(group) for group in everybody] == [300, 150, 300, 150, 300, 50]
    assert len(set.union(*everybody)) == sum(map(len, everybody))
    assert not set(groups[0]) & set(groups[1]), "nor do their numbers meet"


def test_no_camera_is_in_two_worlds():
    views = [camera(name, i) for name in WORLDS for i in range(WORLDS[name].cameras)]
    assert (WORLDS["plaza"].cameras, WORLDS["station"].cameras) == (6, 6)
    assert len({view.panorama.tobytes() for view in views}) == len(views)
    assert len({view.grain.tobytes() for view in views}) == len(views)
    assert len({view.matrix for view in views}) == len(views)


def test_the_world_of_pretraining_is_in_no_benchmark():
    assert {recipe.world for recipe in RECIPES.values()} == set(WORLDS) - {"street"}


@pytest.mark.parametrize("world", ["plaza", "station"])
def test_a_third_of_the_test_identities_have_a_near_twin(world):
    tested = list(people(world, "test").values())
    with_twin = [
        any(len(differences(one, other)) <= 2 for other in tested if other is not one)
        for one in tested
    ]
    assert sum(with_twin) >= len(tested) / 3


@pytest.mark.parametrize("world", ["plaza", "station"])
def test_no_two_identities_look_the_same(world):
    tested = people(world, "test")
    assert len(set(tested.values())) == 150
    for pid in tested:
        if pid % TWIN_PERIOD == 2:
            found = differences(tested[pid], tested[pid - 1])
            assert len(found) == 2, "the twins that are made differ in two attributes"


def figure_on_plain_ground(person: Identity, facing: str) -> Canvas:
    canvas = Canvas(Image.new("RGB", (128, 256), (255, 0, 255)))
    pose = Pose(facing, phase=1.0, swing=0.8)
    Figure(person, pose).paint(canvas, Frame(64.0, 245.0, 215.0))
    return canvas


@pytest.mark.parametrize("facing", FACINGS)
def test_the_mask_covers_exactly_the_painted_person(facing):
    person = next(p for p in people("plaza", "train").values() if not p.bag)
    canvas = figure_on_plain_ground(person, facing)
    painted = (np.asarray(canvas.image) != (255, 0, 255)).any(axis=-1)
    assert (painted == (np.asarray(canvas.mask) > 0)).all()
    assert painted.any() and not painted.all()


@pytest.mark.parametrize("facing", FACINGS)
def test_a_backpack_never_shows_from_the_front(facing):
    carriers = [p for p in people("plaza", "test").values() if p.bag == "backpack"]
    assert len(carriers) > 20
    seen = [figure_on_plain_ground(p, facing).counts()[Detail.BAG] for p in carriers]
    assert max(seen) == 0 if facing == "front" else min(seen) > 0


def test_masks_are_made_of_parts():
    details = Image.fromarray(np.arange(len(Detail), dtype=np.uint8)[None])
    assert list(np.asarray(parts(details))[0]) == [0, 1, 1, 1, 2, 2, 3, 4, 5]
    for drawing in map(draw, SHOTS):
        assert drawing.image.size == drawing.mask.size == (64, 128)
        assert (drawing.image.mode, drawing.mask.mode) == ("RGB", "L")
        assert set(np.unique(drawing.mask)) <= set(Part)


def test_clean_queries_show_all_parts_in_sensible_shares(clean):
    found = np.array([shares(drawing) for drawing in clean])
    low = [0.5, 0.012, 0.04, 0.02, 0.004, 0.0, 0.0]
    high = [0.9, 0.05, 0.35, 0.2, 0.025, 0.0, 0.0]  # bags are of the upper body
    assert len(found) == 900
    assert (found >= low).all() and (found <= high).all()


def test_heads_are_above_bodies_and_feet_below(clean):
    rows = np.arange(128)[:, None]
    for drawing in clean[::9]:
        mask = np.asarray(drawing.mask)
        height = [
            np.mean(np.broadcast_to(rows, mask.shape)[mask == p])
            for p in Part
            if Part.BACKGROUND < p < Part.OCCLUDER
        ]
        assert height == sorted(height)


def test_every_occluded_query_has_an_occluder_in_front_of_the_person(occluded):
    found = np.array([shares(drawing) for drawing in occluded])
    assert {drawing.occluder for drawing in occluded} == set(OCCLUDER_PHRASES)
    assert found[:, Part.OCCLUDER].min() > 0.1
    people = found[:, Part.HEAD : Part.OCCLUDER].sum(axis=1)
    assert people.min() > 0, "somebody is still to be seen"
    hidden = (found[:, Part.HEAD : Part.OCCLUDER] == 0).any(axis=1)
    assert hidden.mean() > 0.2, "and often a whole part is not"


def test_without_occlusion_nothing_stands_in_front(clean, cut):
    for drawing in [*clean, *cut]:
        assert drawing.occluder == ""
        assert Part.OCCLUDER not in np.unique(drawing.mask)


def test_partial_queries_lack_parts_and_show_the_rest_larger(clean, cut):
    whole, part = (np.array(list(map(shares, d))) for d in (clean, cut))
    assert (part[:, Part.HEAD : Part.OCCLUDER] == 0).any(axis=1).mean() > 0.4
    assert part[:, Part.HEAD].max() > 1.5 * whole[:, Part.HEAD].max()


def test_a_caption_never_names_a_part_that_is_hidden(occluded, cut):
    junk = [draw(Shot("plaza", "gallery", -1, i % 6, i, "junk")) for i in range(60)]
    checked = 0
    for drawing in [*occluded, *cut, *junk]:
        for part in np.flatnonzero(shares(drawing) == 0):
            words = WORDS_OF.get(Part(part))
            assert not words or not re.search(rf"\b({words})\b", drawing.person)
            checked += bool(words)
    assert checked > 500


def test_a_caption_names_clothes_in_their_colors_where_they_show(clean):
    pids = [shot.pid for shot in shots_of(RECIPES["plaza"], "query")]
    for pid, drawing in zip(pids, clean, strict=True):
        person = identity("plaza", "test", pid)
        for words in (
            f"{person.shoes_color} shoes",
            f"{person.lower_color} {person.lower}",
            person.upper,
            person.upper_color,
        ):
            assert words in drawing.person


def test_background_captions_name_the_occluder_and_the_scene(occluded):
    shots = shots_of(RECIPES["plaza_occluded"], "query")
    for shot, drawing in zip(shots, occluded, strict=True):
        said = drawing.background.lower()
        assert any(phrase in said for phrase in OCCLUDER_PHRASES[drawing.occluder])
        view = camera("plaza", shot.camid)
        assert view.ground in said and view.backdrop in said and "square" in said


def test_captions_are_short_enough_and_well_formed(clean, occluded, cut):
    tokenizer = open_clip.tokenizer.SimpleTokenizer()
    for drawing in [*clean, *occluded, *cut]:
        assert len(drawing.background.split()) < 50
        for caption in (drawing.person, drawing.background):
            assert len(tokenizer.encode(caption)) + 2 <= 77
            assert re.fullmatch(r"[A-Z][\w :,.-]*\w\.", caption), caption
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  |,,|\bin\.", caption)


def test_captions_vary_in_their_wording(clean):
    starts = {drawing.person.split(" with ")[0].split(" in ")[0] for drawing in clean}
    assert len(starts) >= 3
    assert len({drawing.background.split()[1] for drawing in clean}) >= 5
    for one in range(0, len(clean), 6):  # six cameras, one identity
        said = {drawing.person for drawing in clean[one : one + 6]}
        assert len(said) >= 2
    everything = {drawing.person for drawing in clean}
    assert len(everything) > 0.95 * len(clean)


def test_distractors_are_strangers():
    rng = Random(0)
    pictures = rng.sample(range(300), 40)
    said = {draw(Shot("plaza", "gallery", 0, i % 6, i)).person for i in pictures}
    assert len(said) > 36


def test_an_unknown_world_is_refused():
    with pytest.raises(KeyError, match="piazza"):
        draw(Shot("piazza", "query", 1, 0, 0))

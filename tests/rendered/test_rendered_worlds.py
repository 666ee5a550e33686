"""What the rendered sets hold; no renderer is needed for it."""

import subprocess
import sys
from collections import Counter
from dataclasses import asdict, astuple

import numpy as np
import pytest

from reidlib.pedestrians import Part as DrawnPart
from reidlib.rendered import RECIPES, Detail, Part, about, entries, shots_of
from reidlib.rendered.cameras import NETWORKS, NUM_CAMERAS, camera
from reidlib.rendered.places import KINDS
from reidlib.rendered.truth import OWN, PART_OF, counts, parts, visible_share
from reidlib.rendered.worlds import siblings

SIZES = {
    # train, query, gallery with distractors and junk
    "concourse": (3600, 900, 2250),
    "concourse_occluded": (3600, 900, 2250),
    "concourse_partial": (3600, 900, 2250),
    "harbour": (1200, 900, 2250),
    "arcade": (480, 450, 1110),
    "boulevard": (8040, 300, 372),
    "atrium_smoke": (96, 72, 90),
}


@pytest.mark.parametrize("name", RECIPES)
def test_sizes_of_a_set(name):
    recipe, listed = RECIPES[name], list(entries(RECIPES[name]))
    folders = Counter(entry.name.partition("/")[0] for entry in listed)
    sizes = [folders[f] for f in ("bounding_box_train", "query", "bounding_box_test")]
    assert tuple(sizes) == SIZES[name]
    assert len({entry.name for entry in listed}) == len(listed)
    assert len({entry.shot.seed for entry in listed}) == len(listed), "no seed twice"
    pids = Counter(entry.shot.pid for entry in listed)
    assert (pids.pop(0), pids.pop(-1)) == (recipe.distractors, recipe.junk)
    times = recipe.images_per_camera * NUM_CAMERAS
    train = [count for pid, count in pids.items() if pid <= recipe.train_identities]
    assert set(train) == {times} and len(train) == recipe.train_identities
    assert len(pids) == recipe.train_identities + recipe.test_identities
    framings = {(e.shot.framing, e.shot.pid) for e in listed if e.shot.pid < 1}
    assert framings == {("junk", -1), ("whole", 0), ("partial", 0)}


def test_shots_of_a_folder():
    shots = shots_of(RECIPES["concourse_partial"], "query")
    assert len(shots) == 900 and {shot.framing for shot in shots} == {"partial"}
    assert {shot.occlusion for shot in shots} == {0.0}
    shots = shots_of(RECIPES["concourse_occluded"], "query")
    assert {(shot.framing, shot.occlusion) for shot in shots} == {("whole", 1.0)}


def test_sets_of_one_world_differ_in_their_queries_only():
    names = ["concourse", *siblings("concourse")]
    assert len(names) == 3 and siblings("harbour") == []
    listed = [set(entries(RECIPES[name])) for name in names]
    shared = set.intersection(*listed)
    assert len(shared) == 5850 and {e.name[:5] for e in shared} == {"bound"}
    for one in listed:
        assert {entry.name[:5] for entry in one - shared} == {"query"}


def test_people_to_choose_by_and_to_pretrain_on_are_in_no_other_set():
    worlds = {recipe.world for recipe in RECIPES.values()}
    assert worlds == set(NETWORKS) and len(worlds) == 5
    assert len(shots_of(RECIPES["boulevard"], "bounding_box_train")) >= 8000


def test_an_unknown_set_is_refused():
    with pytest.raises(
        ValueError, match="unknown rendered set 'concurse'; did you mean concourse"
    ):
        about("concurse")


def test_what_is_said_of_a_set():
    said = about("harbour", 256)
    assert said["kind"] == "rendered" and said["drawn"] is True
    assert said["height"] == 256 and said["world"] == "harbour"
    assert [one["camid"] for one in said["cameras"]] == list(range(NUM_CAMERAS))
    assert about("harbour") != said


@pytest.mark.parametrize("world", NETWORKS)
def test_the_cameras_of_a_world_differ(world):
    cameras = [camera(world, camid) for camid in range(NUM_CAMERAS)]
    camera.cache_clear()
    assert cameras == [camera(world, camid) for camid in range(NUM_CAMERAS)]
    for name in ("place", "height", "walkway", "exposure", "balance", "focal"):
        assert len({getattr(one, name) for one in cameras}) == NUM_CAMERAS, name
    for one in cameras:
        assert one.near < one.far and 2 < one.height < 5
        assert 0 <= one.haze < 0.05 and 30 <= one.quality <= 95
        assert one.sunlight[2] < 0, "light comes from above"
        assert KINDS[one.place].indoors == (one.hour == "lamps")
        assert asdict(one).keys() == {f for f in one.__dataclass_fields__}
        assert len(astuple(one)) > 15


def test_no_two_worlds_share_a_camera():
    everything = [camera(world, camid) for world in NETWORKS for camid in range(6)]
    assert len({(c.height, c.walkway, c.exposure) for c in everything}) == 30


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_has_ground_under_everybody_and_words_for_what_is_there(kind):
    pieces = list(KINDS[kind].build(np.random.default_rng(3)))
    again = list(KINDS[kind].build(np.random.default_rng(3)))
    for one, other in zip(pieces, again, strict=True):
        assert (one.vertices == other.vertices).all() and one.name == other.name
        assert np.isfinite(one.vertices).all() and one.faces.max() < len(one.vertices)
    assert all(piece.name for piece in pieces)
    noun = KINDS[kind].words.split()[-1]
    assert not any(noun in piece.name for piece in pieces), "no square in a square"
    ground = pieces[0].vertices
    assert (
        np.ptp(ground[:, 2]) == 0 and ground[:, 0].min() < -5 < 5 < ground[:, 0].max()
    )
    for piece in pieces:
        x, y, z = piece.vertices.mean(axis=0)
        stands_in_the_way = abs(x) < 2 and 5 < y < 11 and z > 0.3
        assert not stands_in_the_way, f"{piece.name} is on the walkway"


def test_the_part_labels_are_those_of_the_drawn_sets():
    assert {part.name: int(part) for part in Part} == {
        part.name: int(part) for part in DrawnPart
    }
    assert set(PART_OF) == set(Detail)


def test_parts_of_a_detail_mask():
    details = np.array(
        [[Detail.SLEEVE, Detail.TAIL], [Detail.OTHER_BEHIND, Detail.HAT]]
    )
    found = parts(details.astype(np.uint8))
    assert found.dtype == np.uint8
    assert found.tolist() == [
        [Part.UPPER_BODY, Part.LOWER_BODY],
        [Part.BACKGROUND, Part.HEAD],
    ]


def test_visible_share_counts_the_person_only():
    whole = counts(np.full((4, 8), Detail.UPPER, np.uint8))
    assert whole[Detail.UPPER] == 32 and sum(whole.values()) == 32
    seen = dict.fromkeys(Detail, 0) | {Detail.UPPER: 8, Detail.OCCLUDER: 24}
    assert visible_share(seen, whole) == 0.25
    assert visible_share(seen, dict.fromkeys(Detail, 0)) == 0.0
    assert Detail.UMBRELLA not in OWN and Detail.BAG in OWN


def test_only_rendering_needs_a_renderer_and_says_so(tmp_path):
    code = (
        "import sys; sys.modules |= dict.fromkeys(('anny', 'mitsuba', 'torch'));"
        "from reidlib.rendered import write_world; from pathlib import Path;"
        f"write_world('atrium_smoke', Path({str(tmp_path / 'atrium_smoke')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "rendering people needs the extra [render]: pip install" in done.stderr

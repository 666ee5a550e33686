"""What is rendered: the same bits every time, and masks that agree with the picture."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random

import numpy as np
import pytest

from reidlib.data.captions import read_captions
from reidlib.data.masks import read_mask
from reidlib.rendered import (
    RECIPES,
    Detail,
    Part,
    Shot,
    about_in,
    entries,
    extra,
    tracer,
    worlds,
    write_world,
)
from reidlib.rendered.bodies import anatomy, posed, shape
from reidlib.rendered.cloth import cut, skin, whole
from reidlib.rendered.gait import Manner, Moment, pose
from reidlib.rendered.identities import (
    HAIRCUTS,
    LOWERS,
    SKIRTS,
    UPPERS,
    identity,
    random_identity,
)
from reidlib.rendered.meshes import Piece, Surface, blob
from reidlib.rendered.people import moment, pieces
from reidlib.rendered.rendering import Rendering, arrange, render
from reidlib.rendered.shot import HEIGHT, WIDTH
from reidlib.rendered.tailor import marks
from reidlib.rendered.truth import OWN, UPPER_GARMENT, parts
from reidlib.rendered.worlds import Recipe

pytestmark = pytest.mark.skipif(
    not (find_spec("anny") and find_spec("mitsuba")),
    reason="rendering people needs the extra [render]",
)
SIZE = (WIDTH, HEIGHT)
WHOLE = Shot("atrium", "train", 1, 0, 0)
HIDDEN = Shot("atrium", "query", 5002, 2, 0, "whole", 1.0)
PART = Shot("atrium", "query", 5001, 1, 0, "partial", 0.0)
FEW = Recipe(
    "atrium",
    images_per_camera=0,
    train_identities=0,
    test_identities=1,
    distractors=4,
    junk=2,
)


@cache
def rendered(shot: Shot) -> Rendering:
    return render(shot)


def test_the_same_shot_is_the_same_bits_in_any_order():
    first, second = rendered(WHOLE), rendered(HIDDEN)
    for shot, once in ((HIDDEN, second), (WHOLE, first)):
        again = render(shot)
        assert again.image.tobytes() == once.image.tobytes()
        assert again.mask.tobytes() == once.mask.tobytes()
        assert again.details.tobytes() == once.details.tobytes()
        assert again[3:] == once[3:]
    assert first.image.tobytes() != second.image.tobytes()


@pytest.mark.parametrize("shot", [WHOLE, HIDDEN, PART])
def test_masks_have_the_size_of_the_picture_and_labels_that_mean_something(shot):
    made = rendered(shot)
    assert made.image.mode == "RGB" and made.mask.mode == made.details.mode == "L"
    assert made.image.size == made.mask.size == made.details.size == SIZE
    details = np.asarray(made.details)
    assert set(np.unique(details)) <= set(Detail)
    assert (np.asarray(made.mask) == parts(details)).all()
    assert np.isin(details, OWN).mean() > 0.08


def test_the_person_stands_upright_in_the_middle():
    mask = np.asarray(rendered(WHOLE).mask)
    rows = {part: np.argwhere(mask == part)[:, 0] for part in Part}
    heights = [rows[part].mean() for part in list(Part)[1:5]]
    assert heights == sorted(heights), "head, upper body, lower body, feet"
    columns = np.argwhere((mask > 0) & (mask < Part.OCCLUDER))[:, 1]
    assert abs(columns.mean() - 32) < 12
    assert rendered(WHOLE).facts["visible"] == 1.0


def test_what_is_in_front_hides_a_part_and_is_said():
    made = rendered(HIDDEN)
    assert 0.25 < made.facts["visible"] < 0.95 and made.facts["occluder"]
    assert (np.asarray(made.mask) == Part.OCCLUDER).mean() > 0.02
    assert "." in made.background[:-1], "a second sentence"


def test_of_a_partial_picture_a_share_is_visible():
    assert 0.1 < rendered(PART).facts["visible"] < 0.98


def glowing(chosen: list[Piece], origin: np.ndarray) -> object:
    """Pieces as one lamp that shines towards a point."""
    properties = extra.mitsuba.Properties()
    radiance = {"type": "rgb", "value": [1.0, 1.0, 1.0]}
    properties["light"] = extra.mitsuba.load_dict(
        {"type": "area", "radiance": radiance}
    )
    offsets = np.cumsum([0, *(len(piece.vertices) for piece in chosen)])
    vertices = np.concatenate([piece.vertices for piece in chosen])
    faces = np.concatenate(
        [piece.faces + start for piece, start in zip(chosen, offsets, strict=False)]
    )
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    is_back = np.einsum("ij,ij->i", np.cross(b - a, c - a), a - origin) > 0
    faces = np.where(is_back[:, None], faces[:, ::-1], faces)  # one side shines
    mesh = extra.mitsuba.Mesh("lamp", len(vertices), len(faces), props=properties)
    parameters = extra.mitsuba.traverse(mesh)
    parameters["vertex_positions"] = vertices.astype(np.float32).ravel()
    parameters["faces"] = faces.astype(np.uint32).ravel()
    parameters.update()
    return mesh


@pytest.mark.parametrize("shot", [WHOLE, HIDDEN, WHOLE._replace(camid=4, pid=3)])
def test_a_person_painted_in_one_light_is_found_where_the_mask_says(shot):
    scene = arrange(shot, SIZE, Random(shot.seed))
    known = tracer.truth(scene.place, scene.moving, scene.frame.view, SIZE)
    own = [piece for piece in scene.moving if np.isin(piece.labels, OWN).all()]
    rest = [piece for piece in scene.moving if not np.isin(piece.labels, OWN).any()]
    assert len(own) + len(rest) == len(scene.moving)
    shapes = [
        *scene.place.shapes,
        *map(tracer.shape, rest),
        glowing(own, scene.frame.view.origin),
    ]
    lamps = {f"shape{number}": each for number, each in enumerate(shapes)}
    picture = extra.mitsuba.render(
        extra.mitsuba.load_dict({"type": "scene", **lamps}),
        sensor=tracer._sensor(scene.frame.view, SIZE, "multijitter", 16),
        integrator=extra.mitsuba.load_dict({"type": "path", "max_depth": 1}),
        spp=16,
        seed=1,
    )
    shines = np.array(picture)[..., 0] > 0.5
    mask = np.isin(known.labels, OWN)
    overlap = (shines & mask).sum() / (shines | mask).sum()
    print(f"\n{shot.seed}: IoU {overlap:.3f}")
    assert overlap >= 0.95


def test_a_larger_picture_shows_the_same():
    large, small = render(WHOLE, 256), rendered(WHOLE)
    assert large.image.size == (128, 256)
    fewer = np.asarray(large.details)[1::2, 1::2]
    assert (fewer == np.asarray(small.details)).mean() > 0.93
    assert large.facts["attributes"] == small.facts["attributes"]


def test_the_sky_is_no_piece():
    ball = blob((0, 0, 1), (0.8, 0.8, 0.8), Surface()).labelled(Detail.HAT)
    view = tracer.View(np.array([0, -5.0, 1]), np.array([0, 0, 1.0]), 40.0)
    known = tracer.truth(None, [ball], view, (32, 32))
    assert (known.labels == 0).any() and (known.labels == Detail.HAT).any()
    assert ((known.pieces == -1) == (known.depth == 0)).all()
    assert known.depth.max() < 5.1


def test_the_body_rests_on_the_ground_and_is_as_tall_as_people():
    for number in range(8):
        person = random_identity(Random(number))
        body = posed(shape(person.phenotype), pose(Manner(), Moment(0.3)))
        skin_points = body.vertices[anatomy().used("body")]
        assert skin_points[:, 2].min() == pytest.approx(0, abs=1e-4)
        assert 1.4 < skin_points[:, 2].max() < 2.2
        assert (body.vertices * 2**14 % 1 == 0).all(), "rounded"


def test_aimed_bones_point_where_they_are_told():
    known, manner = anatomy(), Manner()
    told = pose(manner, Moment(0.2)).aims
    body = posed(shape({"age": 0.7}), pose(manner, Moment(0.2)))
    for bone, end in (("upperarm01.L", "lowerarm01.L"), ("lowerleg01.R", "foot.R")):
        start, stop = (body.joints[known.bones.index(name)] for name in (bone, end))
        line = (stop - start) / np.linalg.norm(stop - start)
        assert np.allclose(line, told[bone], atol=1e-6)


def test_parts_of_the_body_are_where_they_belong():
    m = marks()
    assert m.level[anatomy().used("body")].max() == pytest.approx(1)
    assert m.along_arm[m.hand > 0.9].min() > 0.85
    assert m.level[m.foot > 0.9].max() < 0.12 and m.level[m.head > 0.9].min() > 0.8


def test_cloth_ends_where_it_is_cut():
    level = marks().level
    cloth = cut(whole(anatomy().faces["helper-tights"]), 0.5 - level)
    assert cloth.of(level).max() == pytest.approx(0.5, abs=0.01)
    again = cut(cloth, level - 0.2)
    assert again.of(level).min() == pytest.approx(0.2, abs=0.02)
    assert again.faces.max() < len(again.first)
    assert len(skin(0.03).faces) < len(skin(0.01).faces) / 2


def test_everybody_can_be_dressed():
    kinds = {"upper": UPPERS, "lower": LOWERS | SKIRTS, "haircut": HAIRCUTS}
    first = random_identity(Random(4))
    first = replace(first, woman=True, hat="", bag="", scarf_color="")
    for name, values in kinds.items():
        for value in values:
            person = replace(first, **{name: value})
            made = pieces(person, moment(person, Random(2)), 1)
            labels = np.concatenate([np.ravel(piece.labels) for piece in made])
            assert {Detail.FACE, Detail.HAIR, Detail.LOWER, Detail.SHOES} <= {*labels}
            assert {*UPPER_GARMENT} & {*labels}
            for piece in made:
                assert np.isfinite(piece.vertices).all()
                assert len(piece.faces) and piece.faces.max() < len(piece.vertices)


def test_what_is_carried_is_there():
    for number, bag in enumerate(("backpack", "shoulder bag", "handbag", "suitcase")):
        person = replace(random_identity(Random(number)), bag=bag, bag_color="red")
        caught = moment(person, Random(0), rain=True)
        made = pieces(person, caught._replace(habit="phone", raised="L"), 1)
        labels = {int(label) for piece in made for label in np.ravel(piece.labels)}
        assert {Detail.BAG, Detail.PHONE, Detail.UMBRELLA} <= labels


@pytest.fixture
def few(monkeypatch) -> str:
    """The name of a set of twelve images."""
    monkeypatch.setitem(RECIPES, "few", FEW)
    return "few"


def files(root: Path) -> dict[str, bytes]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


KILLED = """
from pathlib import Path
from reidlib.rendered import RECIPES, write_world, writing
from reidlib.rendered.worlds import Recipe
if __name__ == "__main__":
    RECIPES["few"] = Recipe("atrium", **{options!r})
    writing.BATCH = 1
    write_world("few", Path({root!r}), workers=1)
"""


def test_after_a_kill_the_rest_is_rendered_to_the_same_bytes(few, tmp_path):
    undisturbed = write_world(few, tmp_path / "undisturbed" / few, workers=1)
    root, names = tmp_path / few, [entry.name for entry in entries(FEW)]
    options = {key: value for key, value in vars(FEW).items() if key != "world"}
    code = KILLED.format(options=options, root=str(root))
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    lines = root.with_name("few.part") / "lines"
    while len(list(lines.rglob("*.json"))) < 4:
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not root.exists()
    done = [name for name in names if (lines / name).with_suffix(".json").exists()]
    assert 4 <= len(done) < len(names) == 12
    part = root.with_name("few.part")
    before = {name: (part / name).stat().st_mtime_ns for name in done}
    assert files(write_world(few, root, workers=1)) == files(undisturbed)
    after = {name: (root / name).stat().st_mtime_ns for name in done}
    assert after == before, "what was there is not rendered again"
    assert sorted(path.name for path in tmp_path.iterdir()) == [few, "undisturbed"]


def test_what_is_written_is_what_is_rendered(few, tmp_path):
    root = write_world(few, tmp_path / few, workers=1)
    captions = read_captions(root)
    rows = [json.loads(s) for s in (root / "captions.jsonl").read_text().splitlines()]
    assert [row["image"] for row in rows] == [entry.name for entry in entries(FEW)]
    entry = list(entries(FEW))[1]
    made, path = render(entry.shot), root / entry.name
    assert (read_mask(path).numpy() == np.asarray(made.mask)).all()
    assert captions[path] == (made.person, made.background)
    row = rows[1]
    assert row["attributes"]["upper"] == made.facts["attributes"]["upper"]
    assert about_in(root) == worlds.about(few)
    scenes = [path.name for path in sorted((root / "scenes").iterdir())]
    assert scenes == [f"c{number}.jpg" for number in range(1, 7)]
    assert not list(root.rglob(".*")), "nothing temporary is left"
    before = files(root)
    assert write_world(few, root) == root and files(root) == before, "it is there"
    with pytest.raises(FileExistsError, match="is there, but is not few of this"):
        write_world(few, root, height=256)


def test_garments_are_seen_in_their_colors():
    seen = {}
    for shot in (WHOLE, WHOLE._replace(pid=5), WHOLE._replace(pid=9)):
        made = rendered(shot)
        pixels, details = np.asarray(made.image, float), np.asarray(made.details)
        color = identity("atrium", "train", shot.pid).upper_color
        seen[color] = pixels[details == Detail.UPPER].mean(axis=0)
    assert seen.keys() == {"yellow", "black", "blue"}
    assert seen["yellow"][0] > seen["yellow"][2] + 50
    assert seen["blue"][2] > seen["blue"][0] + 10
    assert seen["black"].mean() < seen["blue"].mean() < seen["yellow"].mean()


def test_heights_and_names_that_are_refused(tmp_path):
    with pytest.raises(ValueError, match="height is 100: give an even number"):
        write_world("arcade", tmp_path / "arcade", height=100)
    with pytest.raises(ValueError, match="unknown rendered set 'arcada'"):
        write_world("arcada", tmp_path / "arcada")
    assert not list(tmp_path.iterdir())

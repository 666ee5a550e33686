"""Triangles, textures, windows and sensors; nothing is rendered for it."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidlib.rendered.cameras import camera
from reidlib.rendered.framing import part_of, window
from reidlib.rendered.furniture import FURNITURE
from reidlib.rendered.materials import MATERIALS, SIZE
from reidlib.rendered.meshes import (
    Piece,
    Surface,
    blob,
    box,
    chain,
    frame_along,
    joined,
    lathe,
    merged,
    normals,
    quad,
    tube,
    turned,
)
from reidlib.rendered.prints import PRINTS, linear, print_texture
from reidlib.rendered.sensor import develop

GREY, RED = Surface((0.5, 0.5, 0.5)), Surface((0.6, 0.1, 0.1))
BODIES = {
    "box": box((0, 0, 0), (1, 2, 3), GREY),
    "blob": blob((1, 2, 3), (0.5, 0.6, 0.7), GREY),
    "cushion": blob((0, 0, 0), (1, 1, 1), GREY, squareness=0.4),
    "lathe": lathe([(0.0, 0), (0.5, 0), (0.5, 2), (0.0, 2)], GREY),
}


def volume(piece: Piece) -> float:
    """By the divergence theorem: positive where triangles face outwards."""
    a, b, c = (piece.vertices[piece.faces[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("name", BODIES)
def test_bodies_are_closed_and_face_outwards(name):
    assert volume(BODIES[name]) > 0.1
    shifted = replace(BODIES[name], vertices=BODIES[name].vertices + [5, -3, 2])
    assert volume(shifted) == pytest.approx(volume(BODIES[name])), "closed"


def test_volumes_are_those_of_geometry():
    assert volume(BODIES["box"]) == pytest.approx(6)
    fine = blob((0, 0, 0), (0.5, 0.6, 0.7), GREY, rows=40)
    assert volume(fine) == pytest.approx(4 / 3 * np.pi * 0.5 * 0.6 * 0.7, rel=0.01)
    cylinder = lathe([(0.0, 0), (0.5, 0), (0.5, 2), (0.0, 2)], GREY, sides=60)
    assert volume(cylinder) == pytest.approx(np.pi * 0.5, rel=0.01)


def test_a_texture_repeats_every_tile():
    wall = quad([(0, 0, 0), (6, 0, 0), (6, 0, 3), (0, 0, 3)], GREY, tile=1.5)
    assert wall.uv.max(axis=0).tolist() == [4, 2]


def test_normals_point_outwards_with_unit_length():
    ball = blob((0, 0, 0), (1, 1, 1), GREY, rows=12)
    found = normals(ball.vertices, ball.faces)
    used = np.unique(ball.faces)
    apart = np.einsum("ij,ij->i", found, ball.vertices)[used]
    assert np.quantile(apart, 0.1) > 0.95
    length = np.linalg.norm(found[used], axis=1)
    assert np.allclose(length[length > 0.01], 1), "some at the poles have no triangle"


def test_joined_pieces_keep_their_triangles_and_labels():
    one, other = BODIES["box"].labelled(3), BODIES["blob"].labelled(5)
    both = joined([one, other])
    assert volume(both) == pytest.approx(volume(one) + volume(other))
    assert both.labels.tolist() == [3] * len(one.faces) + [5] * len(other.faces)


def test_pieces_of_one_surface_and_name_are_merged():
    a, b = box((0, 0, 0), (1, 1, 1), GREY), box((3, 0, 0), (4, 1, 1), GREY)
    c, d = box((6, 0, 0), (7, 1, 1), RED), a.moved((0, 5, 0)).labelled(0, "a box")
    found = merged([a, c, b, d])
    assert [len(piece.faces) for piece in found] == [24, 12, 12]
    assert sum(map(volume, found)) == pytest.approx(4)


@given(st.floats(-6, 6), st.floats(-3, 3), st.floats(-3, 3))
def test_turning_keeps_lengths_and_heights(angle, x, z):
    point = np.array([[x, 1.0, z]])
    moved = turned(point, angle)
    assert np.linalg.norm(moved) == pytest.approx(np.linalg.norm(point))
    assert moved[0, 2] == z
    assert np.allclose(turned(moved, -angle), point)


def test_a_quarter_turn_is_counterclockwise():
    assert np.allclose(turned(np.array([[1.0, 0, 0]]), np.pi / 2), [[0, 1, 0]])


def test_bars_and_ropes_go_from_point_to_point():
    bar = tube((0, 0, 0), (0, 3, 0), 0.1, GREY)
    assert bar.vertices[:, 1].min() == pytest.approx(0, abs=1e-9)
    assert bar.vertices[:, 1].max() == pytest.approx(3)
    rope = chain([(0, 0, 0), (1, 0, 0), (1, 1, 0)], 0.05, GREY)
    assert len(rope.faces) == 2 * len(bar.faces)
    for direction in ([0.0, 0, 1], [1.0, 0, 0], [-1.0, 2, -3]):
        frame = frame_along(np.array(direction))
        assert np.allclose(frame @ frame.T, np.eye(3))
        unit = np.array(direction) / np.linalg.norm(direction)
        assert np.allclose(frame @ [0, 0, 1], unit) and np.linalg.det(frame) > 0


@pytest.mark.parametrize("name", FURNITURE)
def test_furniture_stands_on_the_ground(name):
    pieces = FURNITURE[name](np.random.default_rng(5))
    heights = np.concatenate([piece.vertices[:, 2] for piece in pieces])
    assert -0.05 <= heights.min() <= 0.12 and 0.4 < heights.max() < 7
    assert all(piece.faces.max() < len(piece.vertices) for piece in pieces)


@pytest.mark.parametrize("name", MATERIALS)
def test_a_material_is_a_reflectance_and_its_own_every_time(name):
    made = MATERIALS[name](np.random.default_rng(2))
    assert made.shape == (SIZE, SIZE, 3)
    assert made.min() >= 0 and made.max() <= 1.1
    assert made.std() > 0.002, "not one color"
    assert (made == MATERIALS[name](np.random.default_rng(2))).all()
    assert (made != MATERIALS[name](np.random.default_rng(3))).any()


@pytest.mark.parametrize("pattern", PRINTS)
def test_prints_have_both_colors_but_where_they_are_plain(pattern):
    dark, light = linear((20, 20, 60)), linear((230, 220, 80))
    cloth = print_texture(pattern, dark, light, np.random.default_rng(1))
    share = (np.abs(cloth - light).sum(axis=2) < 0.4).mean()
    assert share == 0 if pattern == "plain" else 0 < share < 0.8
    assert cloth.min() > 0 and cloth.max() < 1


def test_an_open_front_shows_what_is_under_it_in_front_only():
    colors = [linear(color) for color in ((30, 30, 30), (30, 30, 30), (230, 230, 230))]
    cloth = print_texture("plain", *colors[:2], np.random.default_rng(1), colors[2])
    bright = cloth.mean(axis=2) > 0.4
    front, back = np.split(bright, 2, axis=1)
    assert 0.05 < front.mean() < 0.4 and not back.any()


def person_at(x: float, y: float) -> np.ndarray:
    corners = [(a, b, c) for a in (-0.25, 0.25) for b in (-0.2, 0.2) for c in (0, 1.8)]
    return np.array(corners) + [x, y, 0]


def projected(points: np.ndarray, view) -> np.ndarray:
    """Where points are in a window: (N, 2), -1..1 from edge to edge of its height."""
    forward = view.target - view.origin
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    up, rays = np.cross(right, forward), points - view.origin
    flat = np.stack([rays @ right, rays @ up], axis=1) / (rays @ forward)[:, None]
    return flat / np.tan(np.radians(view.field / 2))


@pytest.mark.parametrize("spot", [(0, 6), (-1.5, 9), (1.6, 11)])
def test_a_window_is_about_the_person(spot):
    origin, points, heights = np.array([0, 0, 3.5]), person_at(*spot), []
    for seed in range(60):
        view, angle, distance = window(origin, points, Random(seed), framing="whole")
        seen = projected(points, view)
        assert abs(seen.mean(axis=0)).max() < 0.35
        heights.append(np.ptp(seen[:, 1]) / 2)
        assert distance == pytest.approx(np.hypot(*spot), abs=1.2)
        assert angle == pytest.approx(2 * np.tan(np.radians(view.field / 2)))
    assert 0.8 < np.mean(heights) < 0.98 and np.std(heights) > 0.02, "never quite right"


def test_junk_misses_the_person_or_most_of_them():
    origin, points = np.array([0, 0, 3.0]), person_at(0.5, 8)
    for seed in range(60):
        view = window(origin, points, Random(seed), framing="junk").view
        seen = projected(points, view)
        tall = np.ptp(seen[:, 1]) / 2
        off = np.abs(seen.mean(axis=0)).max()
        assert tall < 0.7 or tall > 1.5 or off > 0.3


def test_a_part_is_a_part():
    for seed in range(40):
        left, top, right, bottom = part_of(Random(seed))
        area = (right - left) * (bottom - top)
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1 and 0.4 < area < 0.75


def light_of(level: float) -> np.ndarray:
    return np.full((128, 64, 3), level)


def test_a_sensor_is_as_bright_as_its_light():
    depth, eye = np.full((128, 64), 8.0), camera("concourse", 0)
    means = []
    for level in (0.02, 0.1, 0.3, 1.0, 6.0):
        picture = develop(light_of(level), depth, eye, 100.0, Random(1))
        assert picture.size == (64, 128) and picture.mode == "RGB"
        means.append(np.asarray(picture).mean())
    assert means == sorted(means) and means[0] < 70 and means[-1] > 225


def test_the_same_light_is_developed_to_the_same_bits():
    depth, eye = np.full((128, 64), 8.0), camera("harbour", 3)
    light = np.random.default_rng(0).random((128, 64, 3))
    one, other, third = (
        develop(light, depth, eye, 90.0, Random(seed)).tobytes() for seed in (1, 1, 2)
    )
    assert one == other != third


def test_far_away_a_camera_has_fewer_pixels():
    eye = replace(camera("concourse", 4), noise=0.0, motion=0.0, quality=80)
    light = light_of(0.1)
    light[:, ::2] = 0.5
    depth = np.full((128, 64), 8.0)
    near, far = (
        np.asarray(develop(light, depth, eye, native, Random(0))).std()
        for native in (200.0, 40.0)
    )
    assert near > 3 * far


def test_haze_lies_over_what_is_far():
    eye = replace(camera("concourse", 1), haze=0.05, noise=0.0)
    depth = np.full((128, 64), 5.0)
    depth[:64] = 40.0
    seen = np.asarray(develop(light_of(0.05), depth, eye, 100.0, Random(0))).astype(int)
    assert seen[:60].mean() > seen[68:].mean() + 40

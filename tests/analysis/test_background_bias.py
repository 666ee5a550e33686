"""Matching by plain colors, against slow loops; and that the background tempts."""

import numpy as np
import pytest
import torch

from reidlib.analysis.background_bias import (
    REGIONS,
    nearest,
    region_colors,
    relative_to_camera,
)
from reidlib.evaluation.metrics import evaluate
from reidlib.pedestrians import RECIPES, Part, draw
from reidlib.pedestrians.benchmark import entries


@pytest.mark.parametrize("parts", [*REGIONS.values(), (Part.FOOT,)])
def test_colors_are_means_over_the_pixels_of_a_region(parts):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (3, 12, 4, 3), dtype=np.uint8)
    masks = rng.integers(0, 6, (3, 12, 4))
    masks[0, :4], masks[1] = Part.OCCLUDER, Part.OCCLUDER  # a stripe, and a picture
    found = region_colors(pictures, masks, parts, stripes=3)
    assert found.shape == (3, 9) and found.dtype == np.float32
    for image in range(3):
        every = [
            pictures[image, y, x]
            for y in range(12)
            for x in range(4)
            if masks[image, y, x] in parts
        ]
        whole = np.mean(every, axis=0) if every else np.zeros(3)
        for stripe in range(3):
            here = [
                pictures[image, y, x]
                for y in range(4 * stripe, 4 * stripe + 4)
                for x in range(4)
                if masks[image, y, x] in parts
            ]
            expected = np.mean(here, axis=0) if here else whole
            assert np.allclose(found[image, 3 * stripe : 3 * stripe + 3], expected)


def test_stripes_have_to_divide_the_height():
    with pytest.raises(
        ValueError, match="stripes is 5, which does not divide height 12"
    ):
        region_colors(np.zeros((1, 12, 4, 3)), np.zeros((1, 12, 4)), (0,), stripes=5)


def test_the_mean_of_each_camera_is_taken_away():
    colors = np.array([[1.0, 2], [3, 4], [10, 0], [20, 8], [5, 5]], dtype=np.float32)
    camids = np.array([0, 0, 4, 4, 2])
    relative = relative_to_camera(colors, camids)
    assert relative.tolist() == [[-1, -1], [1, 1], [-5, -4], [5, 4], [0, 0]]
    assert colors[0, 0] == 1.0, "the input is unchanged"


def test_the_nearest_image_by_hand():
    labels = {
        "query_pids": np.array([1, 2, 3]),
        "query_camids": np.array([0, 0, 1]),
        "gallery_pids": np.array([1, 2, 1, -1, 3]),
        "gallery_camids": np.array([0, 0, 1, 0, 1]),
    }
    distances = np.array(
        [
            [2.0, 4, 3, 1, 5],  # right within; then camera 1 is nearer than its own
            [3.0, 4, 5, 1, 9],  # a stranger of its own camera, in both
            [1.0, 2, 4, 0, 3],  # right within; and camera 0 is nearer
        ]
    )
    found = nearest(distances, **labels)
    assert found == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    tensors = {name: torch.from_numpy(values) for name, values in labels.items()}
    assert nearest(torch.from_numpy(distances), **tensors) == found


def test_scenes_tempt_and_people_are_found():
    """Who matches scenes finds the camera; who matches people finds the person."""
    listed = [e.shot for e in entries(RECIPES["smoke"]) if "train" not in e.name]
    drawn = [draw(shot) for shot in listed]
    pictures = np.stack([np.asarray(drawing.image) for drawing in drawn])
    masks = np.stack([np.asarray(drawing.mask) for drawing in drawn])
    pids = torch.tensor([shot.pid for shot in listed])
    camids = torch.tensor([shot.camid for shot in listed])
    labels = {"query_pids": pids[:72], "gallery_pids": pids[72:]}
    labels |= {"query_camids": camids[:72], "gallery_camids": camids[72:]}
    scores, found = {}, {}
    for region, parts in REGIONS.items():
        colors = torch.from_numpy(region_colors(pictures, masks, parts, stripes=8))
        query, gallery = colors[:72], colors[72:]
        scores[region] = evaluate(query, gallery, distances=torch.cdist, **labels)
        found[region] = nearest(torch.cdist(query, gallery), **labels)
    background, person, whole = (found[region] for region in REGIONS)
    mean_ap = {region: score.mean_ap for region, score in scores.items()}
    assert mean_ap["person"] > 3 * mean_ap["whole picture"]
    assert mean_ap["whole picture"] > mean_ap["background"]
    assert background.own_camera > 0.9
    assert background.own_camera > whole.own_camera > 0.5
    assert person.own_camera < 0.3
    assert person.right > whole.right > background.right

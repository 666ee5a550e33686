"""What measures floors, images, distances and starts, tried small."""

import pytest

from bench import distances, floors, images, start
from reidrun.runs.environment import ROOT


def test_floors_are_rates_of_this_machine():
    found = [floors.product(64), floors.bandwidth(1)]
    found.append(floors.decoding(images=4, data=ROOT / "data"))
    assert [floor.unit for floor in found] == ["GFLOP", "GB", "images"]
    assert all(floor.per_second > 0 for floor in found)


def test_rganets_distances_stand_beside_a_cosine():
    record = distances.region_distances((20, 50))
    assert record.what == "RGANet's distances, 20 x 50, 4 regions"
    assert record.floor == "one cosine over the same features"
    flat = distances.laid_out(distances.embedding(3))
    assert flat.shape == (3, (1 + distances.REGIONS) * distances.WIDTH)


def test_images_are_drawn_and_loaded_beside_writing_and_decoding():
    drawn = images.writing(images=3, rounds=1)
    assert drawn.what == "drawing 3 pedestrians and writing them" and drawn.ratio > 1
    loaded = images.loading("tiny", data=ROOT / "data", rounds=1)
    assert loaded.what == "192 images to batches at 128x64" and loaded.ratio > 1


@pytest.mark.parametrize("what", start.COMMANDS)
def test_a_start_stands_beside_pythons(what):
    record = start.starting(what, rounds=1)
    assert record.floor == "starting Python" and record.processor > 0

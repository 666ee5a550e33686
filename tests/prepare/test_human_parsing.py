"""From a parser's names to part masks, by hand and through the stand-in."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from toys.small_drawn import drawn

from reidlib.data.masks import read_mask
from reidlib.data.samples import mask_path
from reidlib.pedestrians import Part
from reidlib.prepare import human_parsing as parsing


def segment(label: str, rows: slice, size=(4, 8)) -> dict:
    mask = np.zeros(size[::-1], dtype=np.uint8)
    mask[rows] = 255
    return {"label": label, "mask": Image.fromarray(mask)}


def test_names_become_parts_and_the_rest_is_background():
    answer = [
        segment("Hair", slice(0, 1)),
        segment("Upper-clothes", slice(1, 3)),
        segment("Left-leg", slice(3, 5)),
        segment("Right shoe", slice(5, 6)),
        segment("Bag", slice(6, 7)),
    ]
    rows = np.asarray(parsing.part_mask(answer, (4, 8)))[:, 0].tolist()
    assert rows == [1, 2, 2, 3, 3, 4, Part.BAGS, 0]


def test_an_answer_of_another_size_is_fitted_and_later_segments_win():
    answer = [segment("face", slice(0, 8)), segment("pants", slice(4, 8))]
    mask = np.asarray(parsing.part_mask(answer, (8, 16)))
    assert mask.shape == (16, 8)
    assert mask[:, 0].tolist() == [Part.HEAD] * 8 + [Part.LOWER_BODY] * 8


def test_a_name_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="the parser names 'wheel': not one of .*bag"):
        parsing.part_mask([segment("wheel", slice(0, 1))], (4, 8))


def test_every_name_belongs_to_one_part():
    names = [name for names in parsing.NAMES.values() for name in names]
    assert len(names) == len(set(names)) == len(parsing.PART_OF_NAME)


def test_the_stand_in_says_what_the_true_masks_say(tmp_path):
    samples = [drawn(tmp_path / "data", camid) for camid in range(3)]
    parser = parsing.load_parser("stand-in", "cpu")
    out = tmp_path / "out"
    assert parsing.write_masks(samples, parser, out) == 3
    for sample in samples:
        true = read_mask(sample.path)
        path = out / "masks" / "query" / f"{sample.path.stem}.png"
        found = np.asarray(Image.open(path))
        known = (true != Part.OCCLUDER).numpy()
        assert (found == true.numpy())[known].all()
        assert (found[~known] == Part.BACKGROUND).all(), "a parser sees no occluders"


def test_a_picture_is_parsed_whatever_mask_is_there(tmp_path):
    sample = drawn(tmp_path, occlusion=1.0)
    found, true = parsing.parse(sample.path, parsing.stand_in), read_mask(sample.path)
    assert (true == Part.OCCLUDER).any()
    assert found.equal(true.where(true != Part.OCCLUDER, int(Part.BACKGROUND)))


def test_masks_that_are_there_are_not_made_again(tmp_path):
    samples = [drawn(tmp_path / "data", camid) for camid in range(2)]
    asked = []

    def parser(picture):
        asked.append(picture.filename)
        if len(asked) == 2:
            raise RuntimeError("the power went out")
        return parsing.stand_in(picture)

    with pytest.raises(RuntimeError, match="power"):
        parsing.write_masks(samples, parser, tmp_path / "out")
    assert parsing.write_masks(samples, parsing.stand_in, tmp_path / "out") == 1
    assert not list(tmp_path.rglob("*.tmp"))


def test_masks_go_beside_images_of_every_folder(tmp_path):
    sample = drawn(tmp_path / "train" / "whole")
    other = drawn(tmp_path / "train" / "occluded")
    true = {s.path: mask_path(s.path) for s in (sample, other)}
    for path in true.values():
        path.unlink()

    def parser(picture):
        return [segment("pants", slice(0, 8))]

    assert parsing.write_masks([sample, other], parser) == 2
    for path in true:
        assert read_mask(path).unique().tolist() == [Part.LOWER_BODY]


def test_labels_of_pictures_of_many_sizes_are_stacked_at_the_first_ones():
    halves = torch.tensor([[1, 1], [4, 4]])
    large = halves.repeat_interleave(6, 0).repeat_interleave(5, 1)  # (12, 10)
    found = parsing.stacked([halves, large, large[:, :3]])
    assert found.dtype == torch.int64
    assert found.tolist() == [halves.tolist()] * 3


def test_without_transformers_one_is_told_what_else_there_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match="hand-written prompts of rganet"):
        parsing.load_parser("some/parser", "cpu")

"""Part masks as people save them: labels, or a refusal that names the file."""

import numpy as np
import pytest
import torch
from PIL import Image

from reidlib.analysis.truth import check_masks, person_shares, true_parts
from reidlib.data.masks import read_labels
from reidlib.data.samples import Benchmark, Sample, mask_path
from reidlib.pedestrians import Part
from reidlib.pedestrians.canvas import PERSON

SIZES = [(128, 64), (200, 77), (150, 50), (16, 8)]
COUNT = len(Part)


def labels_of(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, COUNT, (height, width), dtype=np.uint8)


@pytest.fixture
def masked(tmp_path):
    """Samples of four sizes, each with a mask."""
    samples = []
    for i, (height, width) in enumerate(SIZES):
        path = tmp_path / "query" / f"000{i + 1}_c1s1_00000{i}_00.jpg"
        mask_path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels_of(height, width, i)).save(mask_path(path))
        samples.append(Sample(path, i + 1, 0))
    return samples


def test_masks_of_several_sizes_give_the_shares_of_each_cell(masked):
    paths = [sample.path for sample in masked]
    shares = person_shares(paths, (16, 8))
    assert shares.shape == (4, 16, 8)
    small = labels_of(*SIZES[3], 3)  # a pixel a cell
    assert torch.equal(shares[3], torch.from_numpy(np.isin(small, PERSON)).float())
    tall = labels_of(*SIZES[0]).reshape(16, 8, 8, 8).swapaxes(1, 2)  # 8 x 8 a cell
    expected = np.isin(tall, PERSON).mean((2, 3))
    np.testing.assert_allclose(shares[0], expected, atol=1e-6)
    whole = true_parts(paths, (1, 1))[..., 0, 0]  # (n, Part)
    for row, (height, width) in enumerate(SIZES):
        counts = np.bincount(labels_of(height, width, row).ravel(), minlength=COUNT)
        np.testing.assert_allclose(whole[row], counts / (height * width), atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "RGB", "RGBA"])
def test_labels_are_read_in_whatever_mode_they_were_saved(tmp_path, mode):
    labels = labels_of(6, 4)
    image = Image.fromarray(labels)
    if mode == "P":
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    elif mode == "I;16":
        image = Image.fromarray(labels.astype(np.uint16))
    else:
        image = image.convert(mode)
    image.save(path := tmp_path / "a.png")
    assert read_labels(path, COUNT).tolist() == labels.tolist()


def in_colour(labels):
    return np.stack([labels, labels, labels * 40], -1)  # (H, W, 3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda labels: Image.fromarray(np.uint8(labels > 0) * 255), "the label 255"),
        (lambda labels: Image.fromarray(labels + 1), f"the label {COUNT}, but parts"),
        (lambda labels: Image.fromarray(in_colour(labels)), "is in colour: save the n"),
        (lambda labels: Image.fromarray(labels).convert("F"), "pixels of 32 bits"),
        (lambda labels: Image.new("1", (10_000, 9_000)), "has too many pixels"),
    ],
    ids=["black and white", "from 1", "in colour", "floats", "huge"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_mask_that_numbers_no_parts_is_named(masked, make, said):
    path = masked[1].path
    image = make(labels_of(*SIZES[1]))
    image.save(mask_path(path), "TIFF" if image.mode == "F" else "PNG")
    for look in (
        lambda: check_masks({"toy": queries_of(masked)}),
        lambda: person_shares([sample.path for sample in masked], (2, 2)),
    ):
        with pytest.raises(ValueError, match=rf"masks/query/0002_c1s1\S+ .*{said}"):
            look()


def queries_of(samples):
    return Benchmark("toy", (), tuple(samples), ())


def test_masks_are_checked_beforehand(masked):
    sets = {"other": queries_of([]), "toy": queries_of(masked)}
    check_masks(sets)
    mask_path(masked[2].path).unlink()
    message = r"1 of 4 queries of toy have no part mask, .*0003\S+: .*masks\.ipynb"
    with pytest.raises(ValueError, match=message):
        check_masks(sets)
    for sample in masked:
        mask_path(sample.path).unlink(missing_ok=True)
    check_masks(sets)
    assert person_shares([sample.path for sample in masked], (2, 2)) is None

"""Heat maps and their overlap with the true person, on maps made by hand."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from toys.small_drawn import drawn, shot
from toys.small_fanet import tiny

from reidlib import evaluation
from reidlib.analysis.fanet import (
    Looks,
    heat_maps,
    keep,
    look,
    quality,
    some,
)
from reidlib.analysis.snapshots import kept_maps
from reidlib.data.masks import read_mask
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.pedestrians import Part, draw

PERSON = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])  # the right half


def looks(**maps: torch.Tensor) -> Looks:
    return Looks((Path("a.jpg"),), {"|F|": torch.ones(1, 2, 2), **maps}, PERSON)


def test_a_perfect_mask_scores_one_and_a_reversed_one_zero():
    perfect = quality(looks(Z=PERSON))
    assert perfect[["mask IoU", "mask AUC", "|F| Z on person"]].tolist() == [1, 1, 1]
    reverse = quality(looks(Z=1 - PERSON))
    assert reverse[["mask IoU", "mask AUC", "|F| Z on person"]].tolist() == [0, 0, 0]


def test_a_map_that_looks_everywhere_scores_the_persons_area():
    found = quality(looks(Z=torch.full((1, 2, 2), 0.5), **{"|B|": torch.ones(1, 2, 2)}))
    assert found["person's area"] == found["|F| on person"] == 0.5
    assert found["|B| off person"] == 0.5
    assert found["IoU of ones"] == 0.5
    assert found["mask AUC"] == found["Z off person"] == 0.5


def test_parts_that_a_variant_leaves_out_are_not_scored():
    assert set(quality(looks()).index) == {"person's area", "|F| on person"}


def test_heat_maps_are_means_of_absolute_responses_over_channels():
    foreground = torch.tensor([[[[1.0]], [[-3.0]]]])  # (1, 2, 1, 1)
    output = SimpleNamespace(
        foreground_map=foreground,
        background_map=None,
        mask=torch.full((1, 1, 1, 1), 0.2),
    )
    maps = heat_maps(output)
    assert maps["|F|"].item() == 2
    assert maps["1 - Z"].item() == pytest.approx(0.8)
    assert "|B|" not in maps


def test_looking_at_drawn_people_finds_their_true_cells(tmp_path):
    samples = [drawn(tmp_path, camid) for camid in range(3)]
    model = tiny().train()
    transform = plain_transform(128, 64, normalisation="imagenet")
    found = look(model, samples, evaluation.Tester(transform, "cpu", batch_size=2))
    rows, columns = found.person.shape[1:]
    assert {values.shape for values in found.maps.values()} == {(3, rows, columns)}
    mask = read_mask(samples[2].path)
    parts = [Part.HEAD, Part.UPPER_BODY, Part.LOWER_BODY, Part.FOOT]
    share = sum((mask == part).float().mean() for part in parts)
    assert found.person[2].mean().item() == pytest.approx(share.item(), abs=1e-5)
    assert model.training


def test_photographs_without_masks_are_looked_at_and_not_scored(tmp_path):
    sample = drawn(tmp_path)
    (tmp_path / "masks" / "query" / f"{sample.path.stem}.png").unlink()
    transform = plain_transform(64, 32, normalisation="imagenet")
    found = look(tiny(), [sample], evaluation.Tester(transform, "cpu", batch_size=2))
    assert found.person is None
    assert quality(found).empty
    assert "true person" not in some(found, 6)[1]


def test_maps_of_drawn_people_are_kept_and_their_pictures_drawn_again(tmp_path):
    name = Path("data/smoke/query/0301_c3s1_000000_00.jpg")
    maps = {"Z": torch.rand(1, 4, 2)}
    found = {"smoke": Looks((name,), maps, torch.rand(1, 4, 2))}
    keep(found, str(tmp_path), 3)
    (picture,), again = kept_maps(tmp_path, "smoke")
    assert picture.tobytes() == draw(shot(camid=2)).image.tobytes()
    assert list(again) == ["Z", "true person"]
    torch.testing.assert_close(again["Z"], maps["Z"], atol=1e-3, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["looks.npz"], "no more"


def test_maps_of_photographs_and_of_runs_without_a_folder_are_not_kept(tmp_path):
    found = Looks((Path("query/0301_c3s1_000000_00.jpg"),), {}, None)
    keep({"market1501": found}, str(tmp_path), 3)
    keep({"smoke": found}, "", 3)
    assert not list(tmp_path.iterdir())
    assert kept_maps(tmp_path, "smoke") == ([], {})


def test_some_images_are_spread_over_all_and_end_with_the_true_person():
    maps = {"|F|": torch.arange(9.0).view(9, 1, 1)}
    found = Looks(tuple(map(Path, "abcdefghi")), maps, torch.zeros(9, 1, 1))
    paths, chosen = some(found, 3)
    assert list(map(str, paths)) == ["a", "e", "i"]
    assert chosen["|F|"].flatten().tolist() == [0, 4, 8]
    assert list(chosen) == ["|F|", "true person"]

"""FBA's branches, looked at: maps, silhouettes and words made by hand, drawn people."""

from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.tokenizer import tokenize
from PIL import Image
from sklearn.metrics import silhouette_samples
from toys.small_fba import TABLE_3, tiny

from reidlib import evaluation
from reidlib.analysis import fba as branches
from reidlib.analysis import snapshots as kept
from reidlib.analysis.fba import Looks, quality, tsne, word_weights
from reidlib.benchmarks import load_benchmark
from reidlib.data.captions import CaptionIds, captions_of
from reidlib.data.transforms import test_transform as plain_transform
from reidrun.runs.environment import ROOT

PERSON = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])  # the right half
LEFT = 1 - PERSON


def looks(n: int = 1, **parts) -> Looks:
    empty = {"maps": {}, "features": None, "ids": None, "mask": None}
    fields = empty | {"person": PERSON.expand(n, -1, -1), "occluder": None} | parts
    return Looks(tuple(Path(f"query/{i}.jpg") for i in range(n)), **fields)


def test_branches_that_look_where_they_should_score_one():
    found = quality(looks(maps={"foreground": PERSON, "background": LEFT}), 9)
    assert found["foreground on person"] == found["background off person"] == 1
    assert found["person's area"] == 0.5
    swapped = quality(looks(maps={"foreground": LEFT, "background": PERSON}), 9)
    assert swapped["foreground on person"] == swapped["background off person"] == 0
    even = quality(looks(maps={"foreground": torch.ones(1, 2, 2)}), 9)
    assert even.to_dict() == {"person's area": 0.5, "foreground on person": 0.5}


def test_attention_on_what_hides_is_a_mean_over_images_that_have_it():
    corner, nothing = torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.zeros(2, 2)
    maps = torch.tensor([[[1.0, 1.0], [2.0, 0.0]], [[9.0, 0.0], [0.0, 0.0]]])
    occluder = torch.stack([corner, nothing])
    both = {"foreground": maps, "background": occluder}
    found = quality(looks(2, maps=both, occluder=occluder), 9)
    assert found["occluder's area"] == found["foreground on occluder"] == 0.25
    assert found["background on occluder"] == 1
    clean = quality(looks(2, maps=both, occluder=torch.zeros(2, 2, 2)), 9)
    assert not clean.index.str.contains("occluder").any()


def test_nothing_is_scored_where_nothing_is_known():
    unknown = looks(maps={"foreground": LEFT}, person=None)
    assert quality(unknown, 9).empty
    assert quality(looks(), 9).index.tolist() == ["person's area"]


def directions(n: int, degrees: list[float], noise: float = 0.0) -> torch.Tensor:
    """Features (n, 4, 2) at angles, some degrees apart and of any length."""
    generator = torch.Generator().manual_seed(0)
    angles = torch.tensor(degrees) + noise * torch.randn(n, 4, generator=generator)
    angles = angles.deg2rad()
    lengths = 1 + torch.rand(n, 4, 1, generator=generator)
    return lengths * torch.stack([angles.cos(), angles.sin()], -1)


def test_regions_that_are_apart_have_a_silhouette_of_one():
    apart = quality(looks(5, features=directions(5, [0, 0, 90, 90])), 9)
    assert apart["silhouette of regions"] == pytest.approx(1, abs=1e-4)
    assert apart["silhouette of modalities"] < 0.1
    assert apart["cosine within"] == pytest.approx(1)
    assert apart["cosine across"] == pytest.approx(0, abs=1e-6)
    crossed = quality(looks(5, features=directions(5, [0, 90, 0, 90])), 9)
    assert crossed["silhouette of modalities"] == pytest.approx(1, abs=1e-4)
    assert crossed["cosine across"] == pytest.approx(0.5, abs=1e-6)


def test_silhouettes_are_the_librarys_over_the_images_asked_for():
    features = directions(9, [0, 20, 50, 70], noise=15.0)
    found = quality(looks(9, features=features), 3)
    points = features[[0, 4, 8]].flatten(0, 1).numpy()
    each = silhouette_samples(points, [0, 0, 1, 1] * 3, metric="cosine")
    assert found["silhouette of regions"] == pytest.approx(each.mean(), abs=1e-5)


def test_points_are_named_by_kind_and_come_again_with_the_seed():
    features = torch.cat([directions(20, [0, 5, 90, 95], noise=2.0)] * 2, -1)
    found, again = (tsne(looks(20, features=features), 12, seed=3) for _ in range(2))
    assert list(found) == list(branches.FEATURES)
    for kind, points in found.items():
        assert points.shape == (12, 2) and np.isfinite(points).all()
        np.testing.assert_array_equal(points, again[kind])
    fore = np.concatenate([found["f", "image"], found["f", "text"]])
    back = np.concatenate([found["b", "image"], found["b", "text"]])
    gap = np.linalg.norm(fore.mean(0) - back.mean(0))
    assert gap > max(fore.std(0).max(), back.std(0).max())
    assert tsne(looks(), 12, seed=0) == {}


def test_words_are_weighed_by_their_mean_m():
    ids = tokenize(["a red shirt", "a blue shirt"], 6)
    mask = torch.tensor([[0, 0.0, 1.0, 0.5, 0, 0], [0, 0.2, 0.9, 1.0, 0, 0]])
    found = word_weights(looks(2, ids=ids, mask=mask))
    assert found.index.tolist() == ["red", "blue", "shirt", "a (first)"]
    assert found["m"].tolist() == pytest.approx([1.0, 0.9, 0.75, 0.1])
    assert found["captions"].tolist() == [1, 1, 2, 2]
    assert word_weights(looks(2, ids=ids, mask=mask), least=2).shape == (2, 2)
    assert word_weights(looks()).empty


def test_the_first_word_of_captions_stands_apart():
    ids = tokenize(["a red a", "red"], 5)
    mask = torch.tensor([[0, 1.0, 0.5, 0.0, 0], [0, 0.25, 0, 0, 0]])
    found = word_weights(looks(2, ids=ids, mask=mask))
    expected = {"a (first)": 1.0, "red": 0.5, "red (first)": 0.25, "a": 0.0}
    assert found["m"].to_dict() == expected


@pytest.fixture(scope="module")
def queries():
    return load_benchmark("smoke", ROOT / "data").query[:6]


@pytest.mark.parametrize("row", TABLE_3)
def test_looking_at_drawn_people(queries, row, tmp_path):
    model = tiny(**TABLE_3[row]).train()
    ids = CaptionIds(captions_of(queries), 77)
    transform = plain_transform(80, 32, normalisation="half")
    tester = evaluation.Tester(transform, "cpu", batch_size=4, inputs=ids)
    found = branches.look(model, queries, tester)
    assert model.training
    branched = row in ("diversity", "full")
    names = {"baseline": [], "crossed": ["foreground"]}
    assert list(found.maps) == names.get(row, ["foreground", "background"])
    assert (found.features is not None) == branched
    assert (found.mask is not None) == (row == "full")
    assert found.person.shape == found.occluder.shape == (6, *model.grid)
    for attention in found.maps.values():
        assert attention.shape == (6, *model.grid)
        mass = attention.flatten(1).sum(1)
        assert (mass > 0).all() and (mass < 1).all(), "the class token has the rest"
    measures = quality(found, 4)
    assert measures.between(-1, 1).all()
    points = {"smoke": tsne(found, 4, seed=0)}
    branches.keep({"smoke": found, "market1501": found}, points, str(tmp_path), 3)
    pictures, maps = kept.kept_maps(tmp_path, "smoke")
    assert len(pictures) == 3 and list(maps) == [*found.maps, "true person"]
    again = branches.kept_points(tmp_path, "smoke")
    assert list(again) == (list(branches.FEATURES) if branched else [])
    words = branches.kept_words(tmp_path, "smoke")
    assert words.index.tolist() == word_weights(found).index.tolist()
    assert branches.kept_words(tmp_path, "smoke", least=10**6).empty
    assert kept.read(tmp_path, "looks", "market1501") == {}


def test_the_map_of_a_branch_is_the_mean_over_its_words(queries):
    ids = CaptionIds(captions_of(queries), 77)
    model = tiny().eval()
    transform = plain_transform(80, 32, normalisation="half")
    tester = evaluation.Tester(transform, "cpu", batch_size=2, inputs=ids)
    found = branches.look(model, queries[:2], tester)
    image = transform(Image.open(queries[1].path).convert("RGB"))[None]
    captions = ids.of([queries[1].path])
    with torch.no_grad():
        attention = model(image, captions).attention[0]
    for side, name in enumerate(branches.REGIONS):
        end = int(captions[0, side].argmax())
        expected = attention[side, 1:end].mean(0).unflatten(0, model.grid)
        torch.testing.assert_close(found.maps[name][1], expected, atol=1e-6, rtol=1e-4)


def test_maps_are_noted_with_their_share_on_what_they_should_find():
    maps = {"foreground": PERSON + LEFT / 3, "background": PERSON}
    notes = branches.on_target(maps | {"true person": PERSON})
    assert notes == {
        "foreground": ["0.75 on person"],
        "background": ["0.00 off person"],
    }
    one = branches.on_target({"foreground": PERSON, "true person": PERSON})
    assert one == {"foreground": ["1.00 on person"]}
    assert branches.on_target(maps) == {}, "nobody knows where the person is"


def test_two_maps_are_as_alike_as_they_correlate():
    mixed = torch.tensor([[[0.0, 1.0], [2.0, 4.0]]])
    values = mixed.flatten().tolist(), PERSON.flatten().tolist()
    expected = np.corrcoef(*values)[0, 1]
    both = {"foreground": mixed, "background": PERSON}
    assert branches.alike(both) == pytest.approx(expected)
    flat = {"foreground": torch.cat([mixed, torch.ones(1, 2, 2)])}
    flat |= {"background": torch.cat([PERSON, PERSON])}
    assert branches.alike(flat) == pytest.approx(expected), "a flat map has none"
    opposite = {"foreground": LEFT, "background": PERSON}
    assert branches.alike(opposite) == pytest.approx(-1)
    assert np.isnan(branches.alike({"foreground": mixed}))


def test_runs_that_kept_nothing_give_nothing(tmp_path):
    assert kept.kept_maps(tmp_path, "smoke") == ([], {})
    assert branches.kept_points(tmp_path, "smoke") == {}
    assert branches.kept_words(tmp_path, "smoke").empty

"""A search from files to scores, with a model whose answers are known."""

from dataclasses import FrozenInstanceError, replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from reidlib import data, evaluation
from reidlib.data import transforms
from reidlib.data.image_cache import ImageCache
from reidlib.data.samples import Benchmark, Sample
from reidlib.evaluation.rerank import evaluate_reranked
from reidlib.evaluation.search import (
    Search,
    compared,
    examples,
    ranking,
    reranked_scores,
)

TRANSFORM = transforms.test_transform(8, 4, normalisation="half")


def made(**options) -> evaluation.Tester:
    return evaluation.Tester(TRANSFORM, device="cpu", batch_size=3, **options)


def search(model: nn.Module, benchmark: Benchmark, **options) -> Search:
    return made(**options).search(model, benchmark)


class Grey(nn.Module):
    """Embeds an image of one grey as a direction: equal greys, equal directions."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def embed(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        angle = (images.mean(dim=(1, 2, 3)) + 1) * torch.pi / 4
        return torch.stack([angle.cos(), angle.sin()], dim=1)


@pytest.fixture(scope="module")
def greys(tmp_path_factory) -> Benchmark:
    """Each person has a grey; the second gallery image of person 2 is that of 1."""
    folder = tmp_path_factory.mktemp("greys")

    def samples(split: str, *images: tuple[int, int, int]) -> tuple[Sample, ...]:
        found = []
        for number, (pid, camid, grey) in enumerate(images):
            path = folder / f"{split}{number}.png"
            Image.fromarray(np.full((8, 4, 3), grey, dtype=np.uint8)).save(path)
            found.append(Sample(path, pid, camid))
        return tuple(found)

    query = samples("query", (1, 0, 40), (2, 0, 120), (3, 0, 200), (4, 0, 250))
    gallery = samples(
        "gallery",
        *((1, 1, 44), (2, 1, 124), (3, 1, 204), (2, 2, 42), (0, 1, 90), (3, 0, 200)),
        (4, 0, 250),
    )
    return Benchmark("greys", (), query, gallery)


def test_a_search_through_the_image_cache_finds_the_same(greys, tmp_path):
    cache = ImageCache.at(str(tmp_path), str(greys.query[0].path.parent))
    with_it = search(Grey(), greys, cache=cache)
    without = search(Grey(), greys)
    assert len(list(tmp_path.glob("*.npy"))) == 2, "query and gallery"
    assert torch.equal(with_it.query.embeddings, without.query.embeddings)
    assert torch.equal(with_it.gallery.embeddings, without.gallery.embeddings)


def test_what_is_observed_comes_through_the_image_cache_too(greys, tmp_path):
    cache = ImageCache.at(str(tmp_path), str(greys.query[0].path.parent))
    pixels = made(cache=cache).observed(nn.Identity(), greys.query, lambda x: {"x": x})
    assert len(list(tmp_path.glob("*.npy"))) == 1
    plain = [TRANSFORM(data.read_picture(sample.path)) for sample in greys.query]
    assert torch.equal(pixels["x"], torch.stack(plain))


def test_a_search_scores_the_ranking_by_hand(greys):
    found = search(Grey(), greys)
    # person 2 (grey 120): 124, 90, 204 | 42 | 44 ...: hits at ranks 1 and 4 or 5
    distances = {g: abs(g - 120) for g in (44, 124, 204, 42, 90, 200, 250)}
    order = sorted(distances, key=distances.get)
    ranks = [order.index(grey) + 1 for grey in (124, 42)]
    second = (1 / ranks[0] + 2 / ranks[1]) / 2
    expected = [1 / 2, second, 1.0]  # person 1: grey 42 of person 2 is nearer than 44
    precisions = found.scores.average_precisions
    assert precisions[:3].tolist() == pytest.approx(expected)
    assert precisions[3].isnan(), "4 is in the gallery by its own camera only"
    assert (found.scores.num_valid, found.scores.num_skipped) == (3, 1)
    assert found.scores.mean_ap == pytest.approx(np.mean(expected))
    assert found.scores.cmc[0] == pytest.approx(2 / 3)


def test_embeddings_keep_the_order_of_the_files(greys):
    found = search(Grey(), greys)
    for embedded, samples in (
        (found.query, greys.query),
        (found.gallery, greys.gallery),
    ):
        assert embedded.paths == tuple(sample.path for sample in samples)
        assert embedded.pids.tolist() == [sample.pid for sample in samples]
        assert embedded.camids.tolist() == [sample.camid for sample in samples]
        assert embedded.embeddings.shape == (len(samples), 2)


def test_batches_have_the_size_asked_for_and_mirror_images_are_added(greys):
    model = Grey()
    search(model, greys)
    assert model.batches == [3, 1, 3, 3, 1]
    search(model, greys, flip_average=True)
    assert sum(model.batches) == 3 * 11, "once and then twice"


class Two(NamedTuple):
    far: Tensor
    near: Tensor


class Pair(Grey):
    def embed(self, images: Tensor, camids: Tensor) -> Two:
        return Two(super().embed(images), camids[:, None].float())


def test_a_paper_brings_its_own_inputs_and_distances(greys):
    def inputs(batch: data.TestBatch) -> tuple[Tensor, Tensor]:
        return batch.images, batch.camids

    def distances(query: Two, gallery: Two) -> Tensor:
        assert isinstance(query, Two) and isinstance(gallery, Two)
        assert (query.near == 0).all() and gallery.near.max() == 2
        return -(query.far @ gallery.far.T)

    own = {"inputs": inputs, "distances": distances}
    found = search(Pair(), greys, **own)
    usual = search(Grey(), greys)
    assert found.scores.mean_ap == pytest.approx(usual.scores.mean_ap)
    assert isinstance(found.query.embeddings, Two)


def test_the_same_embeddings_may_be_compared_by_another_distance(greys):
    model = Grey()
    found = search(model, greys)
    count = len(model.batches)
    farthest = compared(found, lambda query, gallery: query @ gallery.T)
    assert len(model.batches) == count, "nothing is embedded again"
    assert farthest.scores.mean_ap < found.scores.mean_ap
    assert ranking(farthest, torch.tensor([0])).order[0, 0] == 6
    again = compared(farthest, found.distances)
    assert again.scores.mean_ap == found.scores.mean_ap


def test_a_tester_cannot_be_changed_and_a_copy_can_differ():
    usual = made()
    with pytest.raises(FrozenInstanceError):
        usual.batch_size = 5
    assert replace(usual, flip_average=True) == made(flip_average=True) != usual


def test_scores_for_a_history(greys):
    found = search(Grey(), greys).scores
    row = made().scores(Grey(), greys)
    assert row == {"mAP": found.mean_ap, "rank1": found.cmc[0].item()}
    assert all(isinstance(value, float) for value in row.values())


def test_labels_go_by_the_names_of_the_protocol(greys):
    found = search(Grey(), greys)
    assert {name: values.tolist() for name, values in found.labels.items()} == {
        "query_pids": [1, 2, 3, 4],
        "gallery_pids": [1, 2, 3, 2, 0, 3, 4],
        "query_camids": [0, 0, 0, 0],
        "gallery_camids": [1, 1, 1, 2, 1, 0, 0],
    }


def test_the_ranking_of_some_queries_is_theirs(greys):
    found = search(Grey(), greys)
    some = ranking(found, torch.tensor([2, 0]))
    assert some.num_ranked.tolist() == [6, 7]
    assert some.order[0, 0] == 2 and some.hits[0, :6].tolist() == [True] + [False] * 5
    assert some.order[1, :2].tolist() == [3, 0]
    assert some.hits[1].tolist() == [False, True] + [False] * 5


def test_examples_are_hits_spread_over_the_set_and_then_the_worst_misses(greys):
    found = search(Grey(), greys)
    assert examples(found, successes=2, failures=1).tolist() == [1, 2, 0]
    assert examples(found, successes=1, failures=0).tolist() == [1]
    assert examples(found, successes=9, failures=9).tolist() == [1, 2, 0]


def test_the_worst_misses_come_first(greys):
    pids = (1, 9, 3, 2, 0)  # of greys 44, 124, 204, 42, 90
    gallery = [s._replace(pid=p) for s, p in zip(greys.gallery, pids, strict=False)]
    benchmark = greys._replace(gallery=tuple(gallery))
    found = search(Grey(), benchmark)
    hits = ranking(found, torch.tensor([0, 1, 2])).hits
    assert hits.int().argmax(dim=1).tolist() == [1, 3, 0]
    assert examples(found, successes=0, failures=3).tolist() == [1, 0]


def test_reranked_scores_are_those_of_the_embeddings(greys):
    found = search(Grey(), greys)
    expected = evaluate_reranked(
        found.query.embeddings, found.gallery.embeddings, **found.labels
    )
    assert reranked_scores(found).mean_ap == expected.mean_ap


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_queries_are_given_as_any_sequence_of_indices(greys, kind):
    found = search(Grey(), greys)
    for part, same in zip(
        ranking(found, kind([2, 0])), ranking(found, torch.tensor([2, 0])), strict=True
    ):
        assert part.equal(same)
    assert ranking(found, []).order.shape == (0, 7)


@pytest.mark.parametrize("pid", [0, -1])
def test_pictures_without_labels_are_ranked_but_not_scored(greys, pid):
    parts = [
        tuple(sample._replace(pid=pid, camid=0) for sample in part)
        for part in (greys.query, greys.gallery)
    ]
    found = search(Grey(), Benchmark("mine", (), *parts))
    order, hits, num_ranked = ranking(found, [1])  # grey 120
    assert order.tolist() == [[1, 4, 0, 3, 5, 2, 6]], "the nearest grey comes first"
    assert num_ranked.tolist() == [7] and not hits.any()
    with pytest.raises(ValueError, match="none of the 4 queries has a match"):
        _ = found.scores


def test_a_picture_without_a_label_ignores_junk_among_what_is_labelled(greys):
    query = [greys.query[0]._replace(pid=-1, camid=1)]
    junk = greys.gallery[0]._replace(pid=-1)
    gallery = (junk, *greys.gallery[1:])
    found = search(Grey(), Benchmark("mixed", (), tuple(query), gallery))
    order, hits, num_ranked = ranking(found, [0])  # grey 40
    assert order[0, :2].tolist() == [3, 4] and order[0, -1] == 0
    assert num_ranked.tolist() == [6] and not hits.any()

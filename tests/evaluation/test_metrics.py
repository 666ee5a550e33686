"""The protocol against a slow loop, scikit-learn, the golden files and itself."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch import Tensor
from toys.retrieval import golden, labels, loop, problems

from reidlib.evaluation.metrics import (
    average_precision,
    cosine_distances,
    evaluate,
    evaluate_distances,
    rank_gallery,
)

examples = settings(deadline=None, max_examples=100)


@pytest.mark.parametrize("name", ["retrieval_a", "retrieval_b"])
def test_golden(name):
    expected, given_labels = golden(name)
    scores = evaluate(
        expected["query_embeddings"], expected["gallery_embeddings"], **given_labels
    )
    assert scores.mean_ap == pytest.approx(expected["mean_ap"].item(), abs=1e-6)
    torch.testing.assert_close(scores.cmc, expected["cmc"].double(), atol=1e-6, rtol=0)
    assert scores.num_valid == expected["num_valid"].item()
    assert scores.num_valid + scores.num_skipped == len(expected["query_pids"])
    assert scores.average_precisions.isnan().sum() == scores.num_skipped


@examples
@given(problems(), st.integers(1, 12))
def test_equals_the_loop(problem, max_rank):
    distances, given_labels = problem
    scores = evaluate_distances(distances, **given_labels, max_rank=max_rank)
    precisions, cmc = loop(distances, **given_labels, max_rank=max_rank)
    np.testing.assert_allclose(scores.average_precisions, precisions, rtol=1e-12)
    np.testing.assert_allclose(scores.cmc, cmc, rtol=1e-12)
    assert scores.mean_ap == pytest.approx(np.nanmean(precisions), rel=1e-12)
    assert scores.num_skipped == np.isnan(precisions).sum()


@examples
@given(problems(), st.integers(1, 6))
def test_chunk_size_changes_nothing(problem, chunk_size):
    distances, given_labels = problem
    whole = evaluate_distances(distances, **given_labels)
    parts = evaluate_distances(distances, **given_labels, chunk_size=chunk_size)
    torch.testing.assert_close(parts, whole, atol=0, rtol=0, equal_nan=True)


@examples
@given(problems(ties=False), st.randoms(use_true_random=False))
def test_order_of_the_gallery_changes_nothing_without_ties(problem, random):
    distances, given_labels = problem
    order = torch.tensor(random.sample(range(distances.shape[1]), distances.shape[1]))
    moved = {k: v[order] if "gallery" in k else v for k, v in given_labels.items()}
    torch.testing.assert_close(
        evaluate_distances(distances[:, order], **moved),
        evaluate_distances(distances, **given_labels),
        atol=0,
        rtol=0,
        equal_nan=True,
    )


@examples
@given(problems())
def test_scores_are_shares_and_cmc_rises(problem):
    distances, given_labels = problem
    scores = evaluate_distances(distances, **given_labels)
    assert 0 < scores.mean_ap <= 1
    assert (scores.cmc.diff() >= 0).all()
    assert scores.cmc[-1] == 1  # fifty ranks hold this whole gallery


@examples
@given(problems())
def test_a_perfect_ranking_scores_one(problem):
    distances, given_labels = problem
    same = given_labels["query_pids"][:, None] == given_labels["gallery_pids"]
    scores = evaluate_distances(distances - 10 * same, **given_labels)
    assert scores.mean_ap == 1
    assert scores.cmc.eq(1).all()


def test_average_precision_is_that_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    hits = torch.rand(20, 30, generator=generator) < 0.2
    hits[:, 7] = True
    ranks = torch.where(hits, torch.arange(1.0, 31), math.inf).sort().values
    expected = [average_precision_score(row, -np.arange(30)) for row in hits.numpy()]
    np.testing.assert_allclose(average_precision(ranks), expected, rtol=1e-12)
    assert average_precision(torch.full((3,), math.inf)).isnan()


def test_same_camera_is_ignored_and_takes_no_rank():
    given_labels = labels([(7, 0)], [(7, 0), (5, 0), (7, 1)])
    scores = evaluate_distances(torch.tensor([[0.0, 1.0, 2.0]]), **given_labels)
    assert scores.mean_ap == 0.5
    assert scores.cmc[:3].tolist() == [0, 1, 1]


def test_junk_is_ignored_and_distractors_are_wrong():
    distances = torch.tensor([[0.0, 1.0]])
    junk = evaluate_distances(distances, **labels([(7, 0)], [(-1, 1), (7, 1)]))
    distractor = evaluate_distances(distances, **labels([(7, 0)], [(0, 1), (7, 1)]))
    assert (junk.mean_ap, junk.cmc[0]) == (1, 1)
    assert (distractor.mean_ap, distractor.cmc[0]) == (0.5, 0)


def test_junk_does_not_match_junk():
    given_labels = labels([(-1, 0), (7, 0)], [(-1, 1), (7, 1)])
    scores = evaluate_distances(torch.zeros(2, 2), **given_labels)
    assert (scores.num_valid, scores.num_skipped) == (1, 1)
    assert scores.average_precisions[0].isnan()


def test_equal_distances_are_ranked_by_gallery_index():
    distances = torch.zeros(1, 300)
    for place in (0, 130, 299):
        gallery = [(5, 1)] * 300
        gallery[place] = (7, 1)
        scores = evaluate_distances(distances, **labels([(7, 0)], gallery))
        assert scores.mean_ap == pytest.approx(1 / (place + 1))


def test_cmc_is_padded_with_its_last_value():
    given_labels = labels([(7, 0), (8, 0)], [(7, 0), (5, 1), (7, 1), (8, 1)])
    distances = torch.tensor([[0.0, 1, 2, 3], [0.0, 1, 2, 3]])
    scores = evaluate_distances(distances, **given_labels, max_rank=6)
    assert scores.cmc.tolist() == [0, 0.5, 0.5, 1, 1, 1]
    assert scores.summary(ranks=(1, 2, 6)) == {
        "mean_ap": (1 / 2 + 1 / 4) / 2,
        "rank1": 0,
        "rank2": 0.5,
        "rank6": 1,
    }
    short = evaluate_distances(distances, **given_labels, max_rank=1)
    assert short.cmc.tolist() == [0]


def test_a_query_without_a_match_is_skipped_and_counted():
    given_labels = labels([(7, 0), (9, 0), (8, 0)], [(7, 1), (8, 0), (5, 1)])
    scores = evaluate_distances(torch.rand(3, 3), **given_labels)
    assert (scores.num_valid, scores.num_skipped) == (1, 2)
    assert scores.average_precisions.isnan().tolist() == [False, True, True]


def test_distances_see_one_chunk_of_queries_at_a_time():
    seen = []

    def measure(query, gallery):
        seen.append((len(query), len(gallery)))
        return cosine_distances(query, gallery)

    query, gallery = torch.randn(10, 4), torch.randn(7, 4)
    given_labels = labels([(7, 0)] * 10, [(7, 1)] * 7)
    evaluate(query, gallery, **given_labels, distances=measure, chunk_size=4)
    assert seen == [(4, 7), (4, 7), (2, 7)]


class Parts(NamedTuple):
    regions: Tensor  # (N, parts, D)
    confidence: Tensor  # (N, parts)


def test_a_papers_own_distance_gets_its_own_embeddings():
    def measure(query: Parts, gallery: Parts) -> Tensor:
        assert isinstance(query, Parts)
        differences = query.regions[:, None] - gallery.regions  # (q, G, parts, D)
        weights = query.confidence[:, None] * gallery.confidence  # (q, G, parts)
        return (differences.square().sum(-1) * weights).sum(-1)

    query = Parts(torch.randn(5, 3, 2), torch.rand(5, 3))
    gallery = Parts(torch.randn(6, 3, 2), torch.rand(6, 3))
    pids = torch.arange(6) % 3
    given_labels = labels([(int(p), 0) for p in pids[:5]], [(int(p), 1) for p in pids])
    scores = evaluate(query, gallery, **given_labels, distances=measure, chunk_size=2)
    expected, cmc = loop(measure(query, gallery), **given_labels, max_rank=50)
    np.testing.assert_allclose(scores.average_precisions, expected)
    np.testing.assert_allclose(scores.cmc, cmc)


def test_cosine_distances_are_squared_euclidean_in_float32():
    query, gallery = torch.randn(5, 16), 100 * torch.randn(7, 16)
    copy = query.clone()
    directions = [x / x.norm(dim=1, keepdim=True) for x in (query, gallery)]
    expected = torch.cdist(*directions).square()
    torch.testing.assert_close(cosine_distances(query, gallery), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = cosine_distances(query, gallery)
    torch.testing.assert_close(under_autocast, expected)
    assert cosine_distances(query.half(), gallery.half()).dtype == torch.float32
    assert torch.equal(query, copy)


def test_no_graph_is_kept():
    query, gallery = torch.randn(2, 3, requires_grad=True), torch.randn(4, 3)
    scores = evaluate(query, gallery, **labels([(7, 0)] * 2, [(7, 1)] * 4))
    assert not scores.average_precisions.requires_grad


def test_ranking_lists_the_ignored_last():
    given_labels = labels([(7, 0)], [(7, 0), (-1, 1), (5, 1), (7, 1)])
    ranking = rank_gallery(torch.tensor([[0.0, 1, 3, 2]]), **given_labels)
    assert ranking.order.tolist() == [[3, 2, 0, 1]]
    assert ranking.hits.tolist() == [[True, False, False, False]]
    assert ranking.num_ranked.tolist() == [2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_distance_that_is_not_finite_is_named(value):
    distances = torch.zeros(5, 3)
    distances[4, 2] = value
    given_labels = labels([(7, 0)] * 5, [(7, 1)] * 3)
    with pytest.raises(ValueError, match="query 4 to gallery image 2 is -?(nan|inf)"):
        evaluate_distances(distances, **given_labels, chunk_size=2)
    with pytest.raises(ValueError, match="nan or inf in the embeddings"):
        evaluate(distances, torch.ones(3, 3), **given_labels)


good = labels([(7, 0)] * 2, [(7, 1)] * 3)
bad_calls = {
    "2 integers, one per image of the query": {"query_pids": torch.tensor([7])},
    "3 integers, one per image of the gallery": {"gallery_camids": torch.zeros(3)},
    "query is empty": {"query": torch.zeros(0, 4)},
    "gallery is empty": {"gallery": torch.zeros(0, 4)},
    "one width, got query .2, 4. and gallery .3, 5.": {"gallery": torch.zeros(3, 5)},
    "shape .2, 3. .*got torch.float32 .3, 2.": {"distances": lambda a, b: (a @ b.T).T},
    "floating point": {"distances": lambda a, b: (a @ b.T).long()},
    "axis 0 must be the images": {"query": (torch.zeros(2, 4), torch.zeros(3, 4))},
    "max_rank=0": {"max_rank": 0},
    "chunk_size=0": {"chunk_size": 0},
    "none of the 2 queries has a match": {"query_pids": torch.tensor([5, 6])},
    "are camids cameras": {"query_camids": torch.tensor([1, 1])},
}


@pytest.mark.parametrize("message", bad_calls)
def test_bad_calls_are_explained(message):
    call = {"query": torch.ones(2, 4), "gallery": torch.ones(3, 4), **good}
    assert evaluate(**call).mean_ap == 1
    with pytest.raises(ValueError, match=message):
        evaluate(**call | bad_calls[message])


def test_a_matrix_of_distances_has_two_axes():
    with pytest.raises(ValueError, match=r"\(Q, G\), got \(3,\)"):
        evaluate_distances(torch.zeros(3), **good)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_scores_on_a_gpu_are_those_of_the_cpu():
    expected, given_labels = golden("retrieval_a")
    features = [expected["query_embeddings"], expected["gallery_embeddings"]]
    on_gpu = evaluate(*(x.cuda() for x in features), **given_labels)
    torch.testing.assert_close(on_gpu, evaluate(*features, **given_labels))

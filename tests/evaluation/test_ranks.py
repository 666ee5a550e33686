"""Ranks that are counted, against a gallery that is sorted and against a slow loop."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys.retrieval import by_sorting, golden, labels, problems

from reidlib.evaluation.metrics import (
    average_precision,
    cosine_distances,
    evaluate,
    evaluate_distances,
    rank_gallery,
)
from reidlib.evaluation.ranks import match_ranks, relations

examples = settings(deadline=None, max_examples=200)


def equal_those_of_sorting(scores, distances, given_labels):
    precisions, first = by_sorting(distances, **given_labels)
    assert torch.equal(scores.first_ranks, first)
    found = torch.bincount(first[first > 0] - 1, minlength=50)[:50]
    assert torch.equal(scores.cmc, found.cumsum(0).double() / (first > 0).sum())
    torch.testing.assert_close(
        scores.average_precisions, precisions, atol=1e-12, rtol=0, equal_nan=True
    )


@pytest.mark.parametrize("name", ["retrieval_a", "retrieval_b"])
def test_golden_equals_sorting(name):
    expected, given_labels = golden(name)
    features = expected["query_embeddings"], expected["gallery_embeddings"]
    distances = cosine_distances(*features)
    scores = evaluate(*features, **given_labels, chunk_size=len(distances))
    equal_those_of_sorting(scores, distances, given_labels)
    for digits in (2, 1):  # many equal distances
        rounded = distances.round(decimals=digits)
        scores = evaluate_distances(rounded, **given_labels)
        equal_those_of_sorting(scores, rounded, given_labels)


@examples
@given(problems())
def test_equals_sorting_with_ties_junk_and_skipped_queries(problem):
    distances, given_labels = problem
    scores = evaluate_distances(distances, **given_labels)
    equal_those_of_sorting(scores, distances, given_labels)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    persons=st.integers(1, 12),
    cameras=st.integers(1, 4),
    values=st.sampled_from([1, 3, 20, 10**4]),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.double]),
)
def test_equals_sorting_in_galleries_of_hundreds(seed, persons, cameras, values, dtype):
    generator = torch.Generator().manual_seed(seed)

    def draw(low, high, *size):
        return torch.randint(low, high, size, generator=generator)

    distances = draw(-values, values, 40, 300).to(dtype) / 7
    given_labels = {
        "query_pids": draw(-1, persons, 40),
        "gallery_pids": draw(-1, persons + 3, 300),
        "query_camids": draw(0, cameras, 40),
        "gallery_camids": draw(0, cameras + 1, 300),
    }
    given_labels["query_pids"][0] = given_labels["gallery_pids"][0] = 1
    given_labels["query_camids"][0], given_labels["gallery_camids"][0] = 0, cameras
    scores = evaluate_distances(distances, **given_labels, chunk_size=17)
    equal_those_of_sorting(scores, distances, given_labels)


@examples
@given(problems())
def test_ranks_are_the_places_of_the_hits(problem):
    distances, given_labels = problem
    hits = rank_gallery(distances, **given_labels).hits
    ranks = match_ranks(distances, relations(**given_labels), slice(None))
    for row, found in zip(ranks, hits, strict=True):
        places = found.nonzero()[:, 0] + 1.0
        assert torch.equal(row[: len(places)], places.double())
        assert (row[len(places) :] == math.inf).all()


@examples
@given(problems(), st.integers(0, 4), st.integers(1, 5))
def test_some_queries_are_ranked_as_all_are(problem, start, size):
    distances, given_labels = problem
    known, rows = relations(**given_labels), slice(start, start + size)
    some = match_ranks(distances[rows], known, rows) if len(distances[rows]) else None
    if some is not None:
        whole = match_ranks(distances, known, slice(None))[rows]
        width = some.shape[1]
        assert torch.equal(some, whole[:, :width])
        assert (whole[:, width:] == math.inf).all()


def test_distances_are_left_as_they_are():
    given_labels = labels([(7, 0)] * 3, [(7, 0), (-1, 1), (7, 1), (5, 1)])
    distances = torch.rand(3, 4)
    copy = distances.clone()
    evaluate_distances(distances, **given_labels)
    assert torch.equal(distances, copy)


def test_a_transposed_matrix_is_ranked_without_a_warning():
    given_labels = labels([(7, 0)] * 3, [(7, 0), (-1, 1), (7, 1), (5, 1)])
    distances = torch.rand(4, 3).T
    scores = evaluate_distances(distances, **given_labels)
    equal_those_of_sorting(scores, distances, given_labels)


def test_labels_of_another_integer_type_are_the_same_labels():
    wide = labels([(7, 0)] * 2, [(7, 1), (5, 1), (-1, 0)])
    narrow = {name: values.to(torch.int16) for name, values in wide.items()}
    mixed = {k: wide[k] if "query" in k else narrow[k] for k in wide}
    distances = torch.tensor([[3.0, 2, 1], [1, 2, 3]])
    expected = match_ranks(distances, relations(**wide), slice(None))
    assert expected.tolist() == [[2.0], [1.0]]
    for other in (narrow, mixed):
        assert torch.equal(
            match_ranks(distances, relations(**other), slice(None)), expected
        )


def test_matches_that_tie_with_many_are_counted_in_parts():
    """More ties than queries: they are looked up a chunk at a time."""
    gallery = [(7, 1), (5, 1)] * 100
    known = relations(**labels([(7, 0)] * 2, gallery))
    ranks = match_ranks(torch.zeros(2, 200), known, slice(None))
    assert torch.equal(ranks, torch.arange(1.0, 200, 2).double().expand(2, -1))
    half = average_precision(ranks)
    assert half == pytest.approx(
        [sum(m / (2 * m - 1) for m in range(1, 101)) / 100] * 2
    )

"""Re-ranking against the golden files, and against sets and loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from toys.retrieval import LABELS, golden

from reidlib.evaluation.metrics import cosine_distances, evaluate_distances
from reidlib.evaluation.rerank import evaluate_reranked, find_neighbourhoods, rerank

NAMES = ["retrieval_a", "retrieval_b"]


def clouds(seed: int, size: int, width: int = 8, persons: int = 4) -> Tensor:
    """Embeddings (size, width) around a few centres, in float64."""
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    centres = torch.randn(persons, width, **options)
    return centres[torch.arange(size) % persons] + torch.randn(size, width, **options)


def sets_and_loops(query, gallery, k1, k2, lambda_value):
    """The paper with sets for neighbours and a dictionary for each V."""
    images = F.normalize(torch.cat([query, gallery]).double(), dim=1)
    squared = torch.cdist(images, images).square()
    d = (squared / squared.amax(1, keepdim=True)).tolist()
    everyone = range(len(images))
    by_distance = [sorted(everyone, key=lambda g, p=p: d[p][g]) for p in everyone]

    def reciprocal(p, k):
        return {g for g in by_distance[p][: k + 1] if p in by_distance[g][: k + 1]}

    vectors = []
    for p in everyone:
        expanded = reciprocal(p, k1)
        for candidate in reciprocal(p, k1):
            offered = reciprocal(candidate, round(k1 / 2))
            if len(offered & reciprocal(p, k1)) > 2 / 3 * len(offered):
                expanded |= offered
        total = sum(math.exp(-d[p][g]) for g in expanded)
        vectors.append({g: math.exp(-d[p][g]) / total for g in expanded})

    def mean_vector(p):
        near = by_distance[p][:k2]
        return [sum(vectors[n].get(g, 0) for n in near) / len(near) for g in everyone]

    means = [mean_vector(p) for p in everyone]
    result = torch.zeros(len(query), len(gallery))
    for q in range(len(query)):
        for g in range(len(gallery)):
            other = len(query) + g
            pairs = list(zip(means[q], means[other], strict=True))
            jaccard = 1 - sum(map(min, pairs)) / sum(map(max, pairs))
            result[q, g] = (1 - lambda_value) * jaccard + lambda_value * d[q][other]
    return result


@pytest.mark.parametrize("name", NAMES)
def test_golden_distances(name):
    expected, labels = golden(name)
    gallery = expected["gallery_embeddings"][labels["gallery_pids"] != -1]
    distances = rerank(expected["query_embeddings"], gallery)
    assert distances.dtype == torch.float32
    wanted = expected["rerank_distances"]
    torch.testing.assert_close(distances, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_golden_scores(name):
    expected, labels = golden(name)
    scores = evaluate_reranked(
        expected["query_embeddings"], expected["gallery_embeddings"], **labels
    )
    assert scores.mean_ap == pytest.approx(expected["rerank_mean_ap"].item(), abs=1e-6)
    wanted = expected["rerank_cmc"].double()
    torch.testing.assert_close(scores.cmc, wanted, atol=1e-6, rtol=0)
    assert scores.num_valid == expected["num_valid"].item()


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_the_matrix(name):
    expected, labels = golden(name)
    kept = labels["gallery_pids"] != -1
    query, gallery = expected["query_embeddings"], expected["gallery_embeddings"]
    options = {"k1": 6, "k2": 3, "lambda_value": 0.1}
    matrix = rerank(query, gallery[kept], **options)
    without_junk = {k: v[kept] if "gallery" in k else v for k, v in labels.items()}
    torch.testing.assert_close(
        evaluate_reranked(query, gallery, **labels, **options),
        evaluate_distances(matrix, **without_junk),
        equal_nan=True,
    )


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 15)),
    k1=st.integers(1, 24),
    k2=st.integers(1, 24),
    lambda_value=st.sampled_from([0.0, 0.3, 1.0]),
    chunk_size=st.integers(1, 30),
)
def test_equals_sets_and_loops(seed, sizes, k1, k2, lambda_value, chunk_size):
    query, gallery = clouds(seed, sum(sizes)).split(sizes)
    options = {"k1": k1, "k2": k2, "lambda_value": lambda_value}
    distances = rerank(query, gallery, **options, chunk_size=chunk_size)
    expected = sets_and_loops(query, gallery, **options)
    torch.testing.assert_close(distances, expected, atol=2e-6, rtol=0)


def test_lambda_one_is_the_distance_divided_by_its_largest():
    query, gallery = clouds(0, 30).split([10, 20])
    squared = cosine_distances(query, torch.cat([query, gallery]))
    expected = squared[:, 10:] / squared.amax(1, keepdim=True)
    distances = rerank(query, gallery, lambda_value=1.0)
    torch.testing.assert_close(distances, expected, atol=2e-6, rtol=0)


def test_shared_neighbours_bring_images_closer():
    """A chain of images leads from the query to a; b is a little nearer, and alone."""
    degrees = torch.tensor([0, 40, 10, 20, 30, -39, -120, 110, 150, 180, 210.0])
    images = torch.stack([degrees.deg2rad().cos(), degrees.deg2rad().sin()], dim=1)
    query, gallery = images[:1], images[1:]
    before = cosine_distances(query, gallery)[0]
    after = rerank(query, gallery, k1=4, k2=1)[0]
    assert before[0] > before[4]
    assert after[0] < after[4]


def test_duplicates_are_harmless():
    """As on Occluded-Duke, where most query files stand in the gallery as well."""
    found = find_neighbourhoods(torch.ones(3, 4), torch.ones(40, 4), k1=5, k2=2)
    assert (found.nearest[:, 0] == torch.arange(43)).all()
    assert found.vectors.values.isfinite().all()
    query, gallery = clouds(3, 12).split([4, 8])
    distances = rerank(query, torch.cat([gallery, query]), k1=3, k2=2)
    assert (distances.argmin(1) == torch.arange(8, 12)).all()


def test_half_precision_around_it_changes_nothing():
    query, gallery = clouds(4, 60).float().split([20, 40])
    expected = rerank(query, gallery, k1=6, k2=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(rerank(query, gallery, k1=6, k2=3), expected)


def test_order_of_the_gallery_only_moves_columns():
    query, gallery = clouds(1, 40).split([10, 30])
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    moved = rerank(query, gallery[order], k1=6, k2=3)
    expected = rerank(query, gallery, k1=6, k2=3)[:, order]
    torch.testing.assert_close(moved, expected, atol=2e-6, rtol=0)


def test_vectors_sum_to_one_and_hold_few_entries():
    query, gallery = clouds(2, 200, persons=20).split([50, 150])
    vectors = find_neighbourhoods(query, gallery, k1=6, k2=3).vectors
    sums = [part.sum() for part in vectors.values.split(vectors.counts.tolist())]
    torch.testing.assert_close(torch.stack(sums), torch.ones(200), atol=1e-6, rtol=0)
    assert vectors.counts.min() >= 1
    assert vectors.counts.max() <= 7 + 7 * 4


def test_a_large_result_is_refused_with_its_size_and_a_remedy():
    query, gallery = torch.zeros(1000, 2), torch.zeros(2000, 2)
    with pytest.raises(
        ValueError, match=r"0\.008 GB.*memory_limit_gb=0\.001.*evaluate"
    ):
        rerank(query, gallery, memory_limit_gb=0.001)


bad_calls = {
    "k1=0": {"k1": 0},
    "k2=0": {"k2": 0},
    "chunk_size=0": {"chunk_size": 0},
    "lambda_value=1.5": {"lambda_value": 1.5},
    "query must be embeddings of at least one": {"query": torch.zeros(0, 4)},
    "gallery must be .* got .4,.": {"gallery": torch.zeros(4)},
    "query embeddings have width 4, gallery 5": {"gallery": torch.zeros(3, 5)},
    "gallery image 1 has nan": {"gallery": torch.tensor([[0.0] * 4, [math.nan] * 4])},
}


@pytest.mark.parametrize("message", bad_calls)
def test_bad_calls_are_explained(message):
    call = {"query": torch.ones(2, 4), "gallery": torch.ones(3, 4)} | bad_calls[message]
    with pytest.raises(ValueError, match=message):
        rerank(**call)


def test_scoring_needs_a_label_per_gallery_image():
    labels = {name: torch.zeros(2, dtype=torch.long) for name in LABELS}
    with pytest.raises(ValueError, match="2 gallery_pids for 3 gallery images"):
        evaluate_reranked(torch.ones(2, 4), torch.ones(3, 4), **labels)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_golden_distances_on_a_gpu():
    expected, labels = golden("retrieval_a")
    gallery = expected["gallery_embeddings"][labels["gallery_pids"] != -1]
    distances = rerank(expected["query_embeddings"].cuda(), gallery.cuda())
    wanted = expected["rerank_distances"]
    torch.testing.assert_close(distances.cpu(), wanted, atol=1e-4, rtol=0)

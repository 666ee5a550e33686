"""What captions tell without an image, and what a wrong one does."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from open_clip.tokenizer import tokenize
from toys.small_fba import tiny

from reidlib import evaluation
from reidlib.analysis.fba_captions import captions_alone, with_unfit_captions
from reidlib.benchmarks import load_benchmark
from reidlib.data.captions import CaptionIds, Captions, captions_of
from reidlib.data.samples import Benchmark, Sample
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.models.fba import distances
from reidrun.runs.environment import ROOT


def test_captions_that_do_not_fit_are_tried_on_the_same_gallery():
    smoke = load_benchmark("smoke", ROOT / "data")
    few = [sample for sample in smoke.gallery if sample.pid in (301, 302, 303)]
    query = [sample for sample in smoke.query if sample.pid in (301, 302, 303)]
    benchmark = smoke._replace(query=query, gallery=few)
    ids = CaptionIds(captions_of((*query, *few)), 77)
    transform = plain_transform(80, 32, normalisation="half")
    options = {"device": "cpu", "batch_size": 16, "distances": distances}
    tester = evaluation.Tester(transform, inputs=ids, **options)
    model = tiny()
    found = tester.search(model, benchmark)
    trials = with_unfit_captions(model, benchmark, found, ids, tester)
    assert list(trials) == ["wrong captions", "one caption"]

    def precisions(query_ids: CaptionIds, gallery_ids: CaptionIds) -> torch.Tensor:
        parts = [
            evaluation.Tester(transform, inputs=inputs, **options).embedded(model, part)
            for inputs, part in ((query_ids, query), (gallery_ids, few))
        ]
        return evaluation.Search(*parts, distances).scores.average_precisions

    wrong, one = ids.of_others(query), ids.of_one([*query, *few])
    by_hand = {"wrong captions": (wrong, ids), "one caption": (one, one)}
    for trial, given in by_hand.items():
        assert torch.equal(trials[trial].average_precisions, precisions(*given))
    assert not torch.equal(*(trials[trial].average_precisions for trial in by_hand))


def benchmark_of(query: list[str], gallery: list[str]):
    """People by number, each with one text in the query and one in the gallery."""
    sides = [
        [Sample(Path(f"{side}/{pid}.jpg"), pid, camid) for pid in range(len(texts))]
        for camid, (side, texts) in enumerate([("q", query), ("g", gallery)])
    ]
    paths = [sample.path for side in sides for sample in side]
    texts = [Captions(text, "a wall") for text in (*query, *gallery)]
    ids = CaptionIds(dict(zip(paths, texts, strict=True)), 77)
    return Benchmark("toy", [], *sides), ids


def test_captions_alone_are_compared_as_sentences_and_as_sets_of_words():
    query = ["a person in a red shirt and blue jeans", "a person in white", "a person"]
    gallery = ["blue jeans and a red shirt", "a walker in white", "a person"]
    benchmark, ids = benchmark_of(query, gallery)
    tower = tiny().text_tower
    found = captions_alone(tower, benchmark, ids)
    assert list(found) == ["captions alone", "caption words"]

    def words(text: str) -> set:
        ids = [int(i) for i in tokenize([text], 77)[0] if i][1:]
        return {*ids, *pairwise(ids)}

    precisions = []
    for pid, text in enumerate(query):
        ours, others = words(text), [words(other) for other in gallery]
        alike = [len(ours & x) / (len(ours) * len(x)) ** 0.5 for x in others]
        rank = 1 + sum(a > alike[pid] for a in alike)
        rank += sum(a == alike[pid] for a in alike[:pid])
        precisions.append(1 / rank)
    assert found["caption words"].average_precisions.tolist() == precisions
    sentences = [tower(tokenize(texts, 77)).sentence for texts in (query, gallery)]
    cosines = evaluation.cosine_distances(*sentences)
    rank = (cosines <= cosines.diagonal()[:, None]).sum(1)
    expected = pytest.approx((1 / rank).tolist())
    assert found["captions alone"].average_precisions.tolist() == expected


def test_longer_captions_elsewhere_change_nothing():
    query, gallery = ["a red cap", "a blue cap"], ["a red hat", "a blue hat"]
    benchmark, ids = benchmark_of(query, gallery)
    first = captions_alone(tiny().text_tower, benchmark, ids)["caption words"]
    longer = gallery[0] + " and a very long tail of words that nobody shares"
    benchmark, ids = benchmark_of(query, [longer, gallery[1]])
    second = captions_alone(tiny().text_tower, benchmark, ids)["caption words"]
    assert torch.equal(first.first_ranks[1:], second.first_ranks[1:])

"""What a trained run scores on a benchmark that it need not have been trained on."""

from collections.abc import Sequence

import torch

from reidlib.data.captions import captions_of
from reidlib.data.samples import Benchmark, Sample
from reidlib.embedder import Embedder
from reidlib.evaluation.metrics import Features, Scores, evaluate


def score(embedder: Embedder, benchmark: Benchmark) -> Scores:
    """Search the gallery of a benchmark for its queries, as the run was tested.

    On a set that the run was tested on, the same bits come out on a CPU with as many
    threads. Raises FileNotFoundError for images without captions where the model reads
    them, ValueError where no query has a match.
    """
    query, gallery = benchmark.query, benchmark.gallery
    return evaluate(
        _embedded(embedder, query),
        _embedded(embedder, gallery),
        query_pids=torch.tensor([sample.pid for sample in query]),
        gallery_pids=torch.tensor([sample.pid for sample in gallery]),
        query_camids=torch.tensor([sample.camid for sample in query]),
        gallery_camids=torch.tensor([sample.camid for sample in gallery]),
        distances=embedder.distances,
    )


def _embedded(embedder: Embedder, samples: Sequence[Sample]) -> Features:
    paths = [sample.path for sample in samples]
    if not embedder.reads_captions:
        return embedder.embed(paths)
    texts = captions_of(samples)
    return embedder.embed(paths, [texts[path] for path in paths])

"""What FBA's captions tell: alone, where they do not fit, and where they are all one.

n images, J joint width
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from reidlib.data.captions import CaptionIds
from reidlib.data.samples import Benchmark, Sample
from reidlib.evaluation.extraction import Embedded, evaluating
from reidlib.evaluation.metrics import Scores, cosine_distances
from reidlib.evaluation.search import Search, Tester

ALONE = "captions alone"  # how the searches are called
WORDS = "caption words"
BATCH = 256  # captions that the text tower reads at once


def with_unfit_captions(
    model: nn.Module,
    benchmark: Benchmark,
    found: Search,
    ids: CaptionIds,
    tester: Tester,
) -> dict[str, Scores]:
    """How far a text is trusted that does not fit its image, by two trials.

    wrong captions   every query has the person's caption of another person; the
                     gallery, embedded in `found`, keeps its own
    one caption      all queries and the whole gallery have the same pair of captions
    """
    others = replace(tester, inputs=ids.of_others(benchmark.query))
    asked = others.embedded(model, benchmark.query)
    wrong = Search(asked, found.gallery, tester.distances)
    one = ids.of_one([*benchmark.query, *benchmark.gallery])
    equal = replace(tester, inputs=one).search(model, benchmark)
    return {"wrong captions": wrong.scores, "one caption": equal.scores}


def captions_alone(
    text_tower: nn.Module, benchmark: Benchmark, ids: CaptionIds
) -> dict[str, Scores]:
    """What the person's captions of queries and gallery score without any image.

    captions alone   the frozen text tower's sentences, by cosine
    caption words    which words a caption has, and which of them stand side by side, by
                     the cosine of both sets: no tower at all

    A method that reads these captions at test time has this to beat.
    """
    sides = benchmark.query, benchmark.gallery
    sentences = [_embedded(x, _sentences(text_tower, ids, x)) for x in sides]
    words = _words(ids, [*benchmark.query, *benchmark.gallery])
    pairs = zip(sides, words.split([len(side) for side in sides]), strict=True)
    return {
        ALONE: Search(*sentences, cosine_distances).scores,
        WORDS: Search(*(_embedded(*p) for p in pairs), cosine_distances).scores,
    }


def _embedded(samples: Sequence[Sample], values: Tensor) -> Embedded:
    labels = (torch.tensor([getattr(s, n) for s in samples]) for n in ("pid", "camid"))
    return Embedded(values, *labels, tuple(sample.path for sample in samples))


def _sentences(
    text_tower: nn.Module, ids: CaptionIds, samples: Sequence[Sample]
) -> Tensor:
    """Sentences (n, J) of the person's captions, on the CPU."""
    device = next(text_tower.parameters()).device
    paths = [sample.path for sample in samples]
    parts = [ids.of(paths[i : i + BATCH])[:, 0] for i in range(0, len(paths), BATCH)]
    with evaluating(text_tower):
        found = [text_tower(part.to(device)).sentence.float().cpu() for part in parts]
    return torch.cat(found)


def _words(ids: CaptionIds, samples: Sequence[Sample]) -> Tensor:
    """Which words and pairs of neighbours the person's captions have: (n, found)."""
    rows = ids.of([sample.path for sample in samples])[:, 0, 1:]  # (n, L), no start
    following = rows[:, 1:]
    pairs = (rows[:, :-1] * (int(rows.max()) + 1) + following).where(following > 0, 0)
    return torch.cat([_members(rows), _members(pairs)], 1)


def _members(values: Tensor) -> Tensor:
    """Which of all values each row (n, L) has, 0 aside, which is padding: 0 and 1."""
    known, index = values.unique(return_inverse=True)
    has = torch.zeros(len(values), len(known)).scatter_(1, index, 1.0)
    return has[:, known > 0]

"""Counting what a benchmark holds, and comparing it with what was published."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from reidlib.data import Benchmark, Sample
from reidlib.pedestrians import RECIPES
from reidlib.pedestrians.benchmark import FOLDERS, entries
from reidlib.readers.published import PUBLISHED, Counts, Tally

DISTRACTOR, JUNK = 0, -1
WITH_DISTRACTORS = {"market1501", *RECIPES}  # elsewhere 0 is nobody special
SPLITS = ("train", "query", "gallery")


class Row(NamedTuple):
    """One number of a data set: which, how much was found, how much is wanted.

    `wanted` is None where nothing is published.
    """

    split: str
    what: str
    found: int
    wanted: int | None

    @property
    def differs(self) -> bool:
        """Whether another number was wanted."""
        return self.wanted not in (None, self.found)


def count(benchmark: Benchmark) -> Tally:
    """Count identities, images, cameras, distractors and junk."""
    special = benchmark.name in WITH_DISTRACTORS
    kept = [[s for s in split if s.pid != JUNK] for split in benchmark[1:]]
    junk = sum(map(len, benchmark[1:])) - sum(map(len, kept))
    distractors = sum(s.pid == DISTRACTOR for s in kept[2]) if special else 0
    return Tally(*(_counts(split, special) for split in kept), distractors, junk)


def _counts(samples: Iterable[Sample], special: bool) -> Counts:
    samples = list(samples)
    pids = {sample.pid for sample in samples} - ({DISTRACTOR} if special else set())
    return Counts(len(pids), len(samples), len({sample.camid for sample in samples}))


def expected(name: str, about: Mapping[str, Any]) -> Tally:
    """What a benchmark should hold: as published, or as a small drawn folder says."""
    if name in RECIPES:
        return _of_recipe(name)
    counts = drawn_counts(name, about)
    if counts is None:
        return PUBLISHED[name]
    splits = [Counts(*counts[split]) for split in SPLITS]
    return Tally(*splits, *(counts[more] for more in Tally._fields[3:]))


def drawn_counts(name: str, about: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the marker of a small drawn folder says of a benchmark."""
    return about.get("counts", {}).get(name)


def sizes(name: str) -> dict[str, Counts]:
    """The published counts of each split that a benchmark has."""
    splits = dict(zip(SPLITS, PUBLISHED[name], strict=False))
    return {split: counts for split, counts in splits.items() if counts.images}


def _of_recipe(name: str) -> Tally:
    shots = {folder: [] for folder in FOLDERS}
    for entry in entries(RECIPES[name]):
        shots[entry.name.partition("/")[0]].append(Sample(None, *entry.shot[2:4]))
    return count(Benchmark(name, *(tuple(shots[folder]) for folder in FOLDERS)))


def rows(found: Tally, wanted: Tally) -> Iterator[Row]:
    """Compare number by number; what is nowhere is left out."""
    for split in SPLITS:
        here, there = getattr(found, split), getattr(wanted, split)
        if here.images or there.images:
            for what in Counts._fields:
                yield Row(split, what, getattr(here, what), getattr(there, what))
    names = {"distractors": "distractor images", "junk": "junk images (left out)"}
    for field, what in names.items():
        here, there = getattr(found, field), getattr(wanted, field)
        if here or there:
            yield Row("gallery", what, here, there)


def differences(found: Tally, wanted: Tally) -> list[str]:
    """A line with both numbers for each that differs."""
    return [describe(row) for row in rows(found, wanted) if row.differs]


def namesakes(found: Tally, wanted: Tally) -> list[str]:
    """Say which other benchmark has the counts that were found, where one has."""
    if found[:3] == wanted[:3]:
        return []
    names = [name for name in sorted(PUBLISHED) if PUBLISHED[name][:3] == found[:3]]
    said = f"these are the counts of another: is it {' or '.join(names)}?"
    return [said] if names else []


def describe(row: Row) -> str:
    """A row in words.

    >>> describe(Row("train", "images", 12935, 12936))
    'train: 12,935 images, but 12,936 are expected'
    """
    return f"{row.split}: {row.found:,} {row.what}, but {row.wanted:,} are expected"

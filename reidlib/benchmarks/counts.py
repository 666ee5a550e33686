"""How many identities, images and cameras a data set has, found and as published.

Sources of the published numbers: the papers of the sets and their official lists.
Those of Occluded-Duke and CUHK03-NP are counted from the lists, which a test does
again; P-DukeMTMC-reID's add up to the 24,143 images of 1,299 identities that its
authors state.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from reidlib.data.samples import Benchmark, Sample
from reidlib.pedestrians import benchmark as drawn
from reidlib.rendered import worlds as rendered

SPLITS = ("train", "query", "gallery")
DISTRACTOR, JUNK = 0, -1  # pids
MADE_HERE = {name: made for made in (drawn, rendered) for name in made.RECIPES}
WITH_DISTRACTORS = {"market1501", *MADE_HERE}  # elsewhere pid 0 is a person like others


class Counts(NamedTuple):
    """What one split holds; identities without distractors, images without junk."""

    identities: int = 0
    images: int = 0
    cameras: int = 0


class Tally(NamedTuple):
    """What a data set holds.

    distractors   gallery images with pid 0, which `gallery.images` includes
    junk          gallery images with pid -1, which it does not
    shared        query images that are in the gallery too, by name and content
    """

    train: Counts
    query: Counts
    gallery: Counts
    distractors: int = 0
    junk: int = 0
    shared: int = 0


def _test_only(identities: int, images: int) -> Tally:
    """Queries of camera 0 and as many gallery images of camera 1."""
    half = Counts(identities, images, 1)
    return Tally(Counts(), half, half)


_MSMT17 = Tally(
    Counts(1041, 30248, 15), Counts(3060, 11659, 15), Counts(3060, 82161, 15)
)
_MSMT17_TRAINVAL = _MSMT17._replace(train=Counts(1041, 32621, 15))
PUBLISHED = {
    "cuhk03np_detected": Tally(
        Counts(767, 7365, 2), Counts(700, 1400, 2), Counts(700, 5332, 2)
    ),
    "cuhk03np_labeled": Tally(
        Counts(767, 7368, 2), Counts(700, 1400, 2), Counts(700, 5328, 2)
    ),
    "dukemtmcreid": Tally(
        Counts(702, 16522, 8), Counts(702, 2228, 8), Counts(1110, 17661, 8)
    ),
    "market1501": Tally(
        Counts(751, 12936, 6),
        Counts(750, 3368, 6),
        Counts(750, 15913, 6),
        distractors=2798,
        junk=3819,
    ),
    "msmt17": _MSMT17,
    "msmt17_trainval": _MSMT17_TRAINVAL,
    "msmt17_v2": _MSMT17,
    "msmt17_v2_trainval": _MSMT17_TRAINVAL,
    "occluded_duke": Tally(
        Counts(702, 15618, 8),
        Counts(519, 2210, 8),
        Counts(1110, 17661, 8),
        shared=1870,
    ),
    "occluded_reid": _test_only(200, 1000),
    "p_dukemtmcreid": Tally(
        Counts(665, 12927, 2), Counts(634, 2163, 1), Counts(634, 9053, 1)
    ),
    "partial_ilids": _test_only(119, 119),
    "partial_reid": _test_only(60, 300),
}


def sizes(name: str) -> dict[str, Counts]:
    """The published counts of each split that a benchmark has."""
    tally = PUBLISHED[name]
    splits = {split: getattr(tally, split) for split in SPLITS}
    return {split: counts for split, counts in splits.items() if counts.images}


def expected(name: str, about: Mapping[str, Any]) -> Tally:
    """What a benchmark should hold: as published, or as a small drawn folder says."""
    if name in MADE_HERE:
        return _of_recipe(name)
    return drawn_counts(name, about) or PUBLISHED[name]


def drawn_counts(name: str, about: Mapping[str, Any]) -> Tally | None:
    """What the marker of a small drawn folder says of a benchmark."""
    return about.get("counts", {}).get(name)


def tallies(counts: object) -> dict[str, Tally]:
    """The counts of a marker by benchmark. Raises ValueError for anything else."""
    try:
        return TypeAdapter(dict[str, Tally]).validate_python(counts)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, ("counts", *fault["loc"])))
        raise ValueError(f"{place}: {fault['msg']}") from None


@cache  # thousands of images, counted for every run that is planned
def _of_recipe(name: str) -> Tally:
    made = MADE_HERE[name]
    shots = {folder: [] for folder in made.FOLDERS}
    for entry in made.entries(made.RECIPES[name]):
        shots[entry.name.partition("/")[0]].append(Sample(None, *entry.shot[2:4]))
    return count(Benchmark(name, *(tuple(shots[folder]) for folder in made.FOLDERS)))


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


def rows(found: Tally, wanted: Tally | None) -> Iterator[Row]:
    """Compare number by number; what is nowhere is left out.

    Where nothing is wanted, as of somebody's own data, there is nothing to compare.
    """
    for split in SPLITS:
        here, there = getattr(found, split), getattr(wanted, split, Counts())
        if here.images or there.images:
            for what in Counts._fields:
                number = getattr(there, what) if wanted else None
                yield Row(split, what, getattr(here, what), number)
    names = {"distractors": "distractor images", "junk": "junk images (left out)"}
    for field, what in names.items():
        here, there = getattr(found, field), getattr(wanted, field, None)
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

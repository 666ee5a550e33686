"""How many identities, images and cameras each data set is published with.

Sources: the papers of the sets and their official lists. Those of Occluded-Duke and
CUHK03-NP are counted from the lists, which a test does again; P-DukeMTMC-reID's add up
to the 24,143 images of 1,299 identities that its authors state.
"""

from typing import NamedTuple


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

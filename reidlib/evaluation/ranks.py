"""The rank of every match, by counting the gallery images that lie before it.

    r_m = 1 + |{j: d_j < d_m}| + |{j < m: d_j = d_m}|     over all j not ignored

d_j is the distance to gallery image j, r_m the rank of match m. To count, one needs the
distances in order but not whose they are: only values are sorted, and the second set is
looked for where it is not empty. What is a match and what is ignored, `metrics` says.

Shapes     Q queries, q of them in a chunk, G gallery images,
           M matches of the query that has the most
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

JUNK_PID = -1


class Relations(NamedTuple):
    """Who is whom: the gallery laid out by person once, for every query to look up."""

    by_person: Tensor  # (G,) gallery indices, rising within a person
    first: Tensor  # (Q,) where in it the person of a query begins
    count: Tensor  # (Q,) how many images of this person there are
    junk: Tensor  # gallery indices
    query_camids: Tensor  # (Q,)
    gallery_camids: Tensor  # (G,)


def relations(
    *,
    query_pids: Tensor,
    gallery_pids: Tensor,
    query_camids: Tensor,
    gallery_camids: Tensor,
) -> Relations:
    """Compare the labels of all queries (Q,) and of the gallery (G,)."""
    pids, by_person = gallery_pids.long().sort(stable=True)
    query_pids = query_pids.long().contiguous()
    first = torch.searchsorted(pids, query_pids)
    count = torch.searchsorted(pids, query_pids, right=True) - first
    count = count.masked_fill(query_pids == JUNK_PID, 0)
    junk = (gallery_pids == JUNK_PID).nonzero()[:, 0]
    return Relations(by_person, first, count, junk, query_camids, gallery_camids)


def match_ranks(distances: Tensor, known: Relations, queries: slice) -> Tensor:
    """Where some queries find their matches: ranks from 1, in rising order.

    distances (q, G), finite, of the given queries; returns (q, M) float64, M at least
    1, inf behind a query's last match.

    One query of person 7 by camera 0; the gallery holds junk, the same camera, another
    person, a match:

    >>> known = relations(
    ...     query_pids=torch.tensor([7]),
    ...     gallery_pids=torch.tensor([-1, 7, 5, 7]),
    ...     query_camids=torch.tensor([0]),
    ...     gallery_camids=torch.tensor([1, 0, 1, 1]),
    ... )
    >>> match_ranks(torch.tensor([[0.1, 0.2, 0.3, 0.4]]), known, slice(0, 1))
    tensor([[2.]], dtype=torch.float64)
    """
    row, image = _images_of_the_same_person(known, queries)
    same_camid = known.query_camids[queries][row] == known.gallery_camids[image]
    ranked = distances.to(
        torch.promote_types(distances.dtype, torch.float32), copy=True
    )
    ranked.index_fill_(1, known.junk, math.inf)
    ranked[row[same_camid], image[same_camid]] = math.inf
    matches = _table(row[~same_camid], image[~same_camid], len(distances))  # (q, M)
    before = _images_before(ranked, matches)
    return (before + 1).double().masked_fill(matches < 0, math.inf).sort().values


def _images_of_the_same_person(
    known: Relations, queries: slice
) -> tuple[Tensor, Tensor]:
    """All pairs of a query, numbered from 0, and a gallery image of its person."""
    count = known.count[queries]
    start = known.first[queries] - (count.cumsum(0) - count)
    row = torch.arange(len(count), device=count.device).repeat_interleave(count)
    place = start[row] + torch.arange(len(row), device=count.device)
    return row, known.by_person[place]


def _table(row: Tensor, image: Tensor, num_rows: int) -> Tensor:
    """Images by row, rows in rising order: (rows, M), -1 behind a row's last image."""
    count = torch.bincount(row, minlength=num_rows)
    place = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    table = row.new_full((num_rows, max(1, int(count.max()))), -1)
    table[row, place] = image
    return table


def _images_before(distances: Tensor, images: Tensor) -> Tensor:
    """How many images lie before images (q, M), equal distances by index: (q, M)."""
    wanted = distances.gather(1, images.clamp_min(0))  # (q, M)
    in_order = _in_order(distances)
    before = torch.searchsorted(in_order, wanted)
    others = torch.searchsorted(in_order, wanted, right=True) - before - 1
    columns = torch.arange(distances.shape[1], device=distances.device)
    tied = ((others > 0) & (images >= 0)).nonzero()
    for row, place in (some.T for some in tied.split(len(distances))):
        equal = distances[row] == wanted[row, place, None]  # (tied, G)
        lower = columns < images[row, place, None]
        before[row, place] += (equal & lower).sum(1)
    return before


def _in_order(distances: Tensor) -> Tensor:
    """Every row from its smallest value to its largest."""
    if distances.device.type != "cpu":
        return distances.sort(1).values
    rows = distances.clone(memory_format=torch.contiguous_format)
    rows.numpy().sort()  # values alone: a twentieth of the time of torch's sort
    return rows

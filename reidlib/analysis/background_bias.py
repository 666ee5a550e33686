"""Matching pictures by the plain colors of a region: what a scene alone would find.

Nothing is learned here, so it measures the benchmark: how far do the colors of the
background lead, and how far those of the person?
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from reidlib.pedestrians.canvas import PERSON, Part

REGIONS = {
    "background": (Part.BACKGROUND,),
    "person": tuple(PERSON),
    "whole picture": tuple(Part),
}


def region_colors(
    pictures: np.ndarray, masks: np.ndarray, parts: Collection[int], stripes: int
) -> np.ndarray:
    """Mean color of a region in each of several horizontal stripes.

    pictures (N, H, W, 3); masks (N, H, W) labels of Part, of which `parts` make up the
    region. Returns (N, 3 * stripes) float32 in the units of the pictures; a stripe
    without the region has the color of the whole region, which is 0 where there is
    none. Raises ValueError unless `stripes` divides the height.
    """
    count, height, width = masks.shape
    if height % stripes:
        raise ValueError(f"stripes is {stripes}, which does not divide height {height}")
    inside = np.isin(masks, list(parts)).astype(np.float32)[..., None]  # (N, H, W, 1)
    stripe = (count, stripes, height // stripes * width, -1)
    sums = (pictures * inside).reshape(stripe).sum(axis=2)  # (N, stripes, 3)
    sizes = inside.reshape(stripe).sum(axis=2)  # (N, stripes, 1)
    total, size = (x.sum(axis=1, keepdims=True) for x in (sums, sizes))  # (N, 1, ...)
    whole = total / np.maximum(size, 1)
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1), whole)
    return means.reshape(count, -1)  # (N, 3 * stripes)


def relative_to_camera(colors: np.ndarray, camids: np.ndarray) -> np.ndarray:
    """Colors (N, D) less the mean of all images (N,) of the same camera."""
    relative = np.empty_like(colors)
    for camid in np.unique(camids):
        mine = camids == camid
        relative[mine] = colors[mine] - colors[mine].mean(axis=0)
    return relative


class Nearest(NamedTuple):
    """What the nearest gallery image of a query is; shares of the queries.

    own_camera   of the query's camera, though pictures of the same person by it are
                 ignored: a scene was matched, and the answer is wrong
    right        of the query's identity, when only the query's camera may answer
    """

    own_camera: float
    right: float


def nearest(
    distances: np.ndarray,
    *,
    query_pids: np.ndarray,
    gallery_pids: np.ndarray,
    query_camids: np.ndarray,
    gallery_camids: np.ndarray,
) -> Nearest:
    """Tell whether the nearest images share the camera, or the person.

    distances (Q, G) finite; pids and camids (Q,) and (G,). Junk (pid -1) is ignored.
    """
    junk = np.asarray(gallery_pids) == -1  # (G,)
    same_camera = np.asarray(query_camids)[:, None] == np.asarray(gallery_camids)
    same_person = np.asarray(query_pids)[:, None] == np.asarray(gallery_pids)
    others = np.where(junk | (same_camera & same_person), np.inf, distances)
    inside = np.where(junk | ~same_camera, np.inf, distances)  # (Q, G)
    rows = np.arange(len(distances))
    return Nearest(
        own_camera=float(same_camera[rows, others.argmin(axis=1)].mean()),
        right=float(same_person[rows, inside.argmin(axis=1)].mean()),
    )

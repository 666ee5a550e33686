"""Cloth: parts of a mesh, cut along the level of a field, that follow the body.

Cutting splits triangles where they cross the level, so that hems are straight. It is
done once, on the average body at rest; every new vertex is a mixture of two old ones
and so moves with any body in any pose.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import sparse

from reidlib.rendered.bodies import anatomy
from reidlib.rendered.meshes import Array, Faces


class Cloth(NamedTuple):
    """Triangles over mixtures of a body's vertices.

    first, second (N,) vertices of the body, and share (N,) of the second in the mixture
    faces (F, 3)   indices into the N mixtures
    """

    first: Faces
    second: Faces
    share: Array
    faces: Faces

    def of(self, values: Array) -> Array:
        """Values (V,) or (V, k) of the body's vertices, mixed for the cloth's."""
        share = self.share if values.ndim == 1 else self.share[:, None]
        return values[self.first] * (1 - share) + values[self.second] * share


def whole(faces: Faces) -> Cloth:
    """All of a mesh, uncut."""
    used, renumbered = np.unique(faces, return_inverse=True)
    return Cloth(used, used, np.zeros(len(used)), renumbered.reshape(faces.shape))


@cache
def skin(cell: float) -> Cloth:
    """The body with one vertex a cell, of those in it, `cell` metres wide.

    What is seen at 64 pixels needs no finger nails; cloth is coarse as it is.
    """
    known = anatomy()
    faces, points = known.faces["body"], known.average.vertices
    cells = np.floor(points / cell).astype(int)
    cells -= cells.min(axis=0)
    wide = cells.max(axis=0) + 1
    key = (cells[:, 0] * wide[1] + cells[:, 1]) * wide[2] + cells[:, 2]
    used = np.unique(faces)
    _, first, member = np.unique(key[used], return_index=True, return_inverse=True)
    kept = np.zeros(len(points), int)
    kept[used] = used[first][member]
    fewer = kept[faces]
    a, b, c = fewer.T
    return whole(fewer[(a != b) & (b != c) & (c != a)])


def cut(cloth: Cloth, field: Array) -> Cloth:
    """What lies where a field (V,) over the body's vertices is positive."""
    values = cloth.of(field)
    inside = values > 0
    kept = inside[cloth.faces]
    faces = [cloth.faces[kept.all(axis=1)]]
    corners: dict[tuple[int, int], int] = {}
    mixtures: list[tuple[int, int, float]] = []

    def crossing(one: int, other: int) -> int:
        key = (min(one, other), max(one, other))
        if key not in corners:
            corners[key] = len(values) + len(mixtures)
            mixtures.append((*key, values[key[0]] / (values[key[0]] - values[key[1]])))
        return corners[key]

    torn = []
    for face, in_ in zip(cloth.faces, kept, strict=True):
        if in_.sum() not in (1, 2):
            continue
        lonely = int(np.flatnonzero(in_ == (in_.sum() == 1))[0])
        a, b, c = (int(face[(lonely + step) % 3]) for step in range(3))
        ab, ac = crossing(a, b), crossing(a, c)
        torn += [(a, ab, ac)] if in_.sum() == 1 else [(ab, b, c), (ab, c, ac)]
    if torn:
        faces.append(np.array(torn))
    return _renumbered(cloth, mixtures, np.concatenate(faces))


def _renumbered(
    cloth: Cloth, mixtures: list[tuple[int, int, float]], faces: Faces
) -> Cloth:
    """Only what the faces use. A mixture of mixtures keeps the body's nearest two."""
    first, second, share = cloth.first, cloth.second, cloth.share
    if mixtures:
        one, other = np.array([m[:2] for m in mixtures]).T
        first = np.concatenate(
            [first, np.where(share[one] < 0.5, first[one], second[one])]
        )
        second = np.concatenate(
            [second, np.where(share[other] < 0.5, cloth.first[other], second[other])]
        )
        share = np.concatenate([share, [m[2] for m in mixtures]])
    used, renumbered = np.unique(faces, return_inverse=True)
    return Cloth(
        first[used], second[used], share[used], renumbered.reshape(faces.shape)
    )


@cache
def smoother(group: str) -> sparse.csr_matrix:
    """One step of smoothing (V, V) within a group of the body's vertices.

    Every vertex moves halfway to the mean of its neighbours; others stay.
    """
    known = anatomy()
    faces, count = known.faces[group], len(known.average.vertices)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    neighbours = sparse.csr_matrix((np.ones(len(edges)), edges.T), (count, count))
    degree = np.asarray(neighbours.sum(axis=1)).ravel()
    mean = sparse.diags(0.5 / np.maximum(degree, 1)) @ neighbours
    return (mean + sparse.diags(np.where(degree > 0, 0.5, 1.0))).tocsr()

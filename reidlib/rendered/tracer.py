"""Light and truth: pieces traced to a picture, and to what every pixel shows.

Both come from the same triangles and the same camera; only the integrator differs.
"""

from collections.abc import Sequence
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reidlib.rendered import extra
from reidlib.rendered.meshes import Array, Piece, Surface, normals

VARNISH = 0.12  # share of light that the glossiest surface mirrors
FLAT = 64  # pieces of so few triangles are always kept


class View(NamedTuple):
    """A window of a camera: where it stands, what it looks at, the window's height.

    field    vertical angle of the window in degrees
    """

    origin: Array
    target: Array
    field: float


class Light(NamedTuple):
    """Sky and sun in linear RGB: radiance, irradiance, and where the sun's rays go."""

    sky: tuple[float, float, float]
    sun: tuple[float, float, float]
    direction: tuple[float, float, float]


DARK = Light((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, -1.0))


class Truth(NamedTuple):
    """What the middle of each pixel shows.

    labels (H, W) of the faces; pieces (H, W) by their number, -1 for the sky;
    depth (H, W) in metres, 0 for the sky
    """

    labels: NDArray[np.uint8]
    pieces: NDArray[np.int64]
    depth: NDArray[np.float64]


def _load(described: dict[str, Any]) -> Any:
    """An object of mitsuba; threads would take longer to wake than to load."""
    return extra.mitsuba.load_dict(described, parallel=False)


def _bsdf(surface: Surface) -> dict[str, Any]:
    if surface.texture is None:
        reflectance: dict[str, Any] = {"type": "rgb", "value": list(surface.color)}
    else:
        reflectance = {
            "type": "bitmap",
            "bitmap": extra.mitsuba.Bitmap(
                np.ascontiguousarray(surface.texture, np.float32)
            ),
            "raw": True,
        }
    inner: dict[str, Any] = {"type": "diffuse", "reflectance": reflectance}
    if surface.gloss:
        shine = {"type": "roughconductor", "alpha": 0.25}
        weight = surface.gloss * VARNISH
        inner = {"type": "blendbsdf", "weight": weight, "0": inner, "1": shine}
    return {"type": "twosided", "inner": inner}


def shape(piece: Piece) -> Any:
    """The piece as mitsuba holds it; what does not move is made once."""
    properties = extra.mitsuba.Properties()
    properties["bsdf"] = _load(_bsdf(piece.surface))
    mesh = extra.mitsuba.Mesh(
        "piece",
        len(piece.vertices),
        len(piece.faces),
        props=properties,
        has_vertex_normals=piece.smooth,
        has_vertex_texcoords=piece.uv is not None,
    )
    parameters = extra.mitsuba.traverse(mesh)
    parameters["vertex_positions"] = piece.vertices.astype(np.float32).ravel()
    parameters["faces"] = piece.faces.astype(np.uint32).ravel()
    if piece.smooth:
        found = normals(piece.vertices, piece.faces)
        parameters["vertex_normals"] = found.astype(np.float32).ravel()
    if piece.uv is not None:
        parameters["vertex_texcoords"] = piece.uv.astype(np.float32).ravel()
    parameters.update()
    return mesh


class Place:
    """Pieces that stay, held as mitsuba holds them: made once, looked at often."""

    def __init__(
        self, pieces: Sequence[Piece], shapes: Sequence[Any] | None = None
    ) -> None:
        """`shapes` are those of the pieces, where they were made before."""
        self.pieces = list(pieces)
        self.shapes = list(shapes or map(shape, self.pieces))
        self.solid = solid(self.pieces)

    def facing(self, view: View) -> "Place":
        """What may be in a view: large flat pieces, and what is near its cone.

        The more triangles are left out, the sooner the rest is sorted for tracing.
        """
        ahead = view.target - view.origin
        ahead = ahead / np.linalg.norm(ahead)
        kept = [
            len(piece.faces) <= FLAT or _touches(piece, view.origin, ahead, view.field)
            for piece in self.pieces
        ]
        return Place(
            list(compress(self.pieces, kept)), list(compress(self.shapes, kept))
        )


def _touches(piece: Piece, origin: Array, ahead: Array, field: float) -> bool:
    """Whether a ball about a piece reaches into a cone twice as wide as a view."""
    low, high = piece.vertices.min(axis=0), piece.vertices.max(axis=0)
    middle, radius = (low + high) / 2 - origin, np.linalg.norm(high - low) / 2
    along = middle @ ahead
    aside = np.sqrt(max(middle @ middle - along**2, 0.0))
    return bool(aside - radius < max(along, 0.0) * np.tan(np.radians(field)))


def picture(
    place: Place,
    moving: Sequence[Piece],
    light: Light,
    view: View,
    size: tuple[int, int],
    samples: int,
    seed: int,
) -> NDArray[np.float32]:
    """Linear light (H, W, 3) that reaches a window of (width, height) pixels.

    Light comes from sun and sky, or from one surface more. A pixel is the mean over
    `samples` rays; the same seed gives the same bits.
    """
    sensor = _sensor(view, size, "multijitter", samples)
    scene = _scene([*place.shapes, *(shape(piece) for piece in moving)], light)
    path = _load({"type": "path", "max_depth": 3, "rr_depth": 9})
    image = extra.mitsuba.render(
        scene, sensor=sensor, integrator=path, spp=samples, seed=seed
    )
    return np.array(image)[..., :3]


def truth(
    place: Place | None, moving: Sequence[Piece], view: View, size: tuple[int, int]
) -> Truth:
    """What is seen in the middle of every pixel; pieces count from the place's on.

    The pieces are traced as two meshes without surfaces, since mitsuba searches its
    list of shapes for every pixel.
    """
    fixed = place.pieces if place else []
    shapes = [place.solid] if place else []
    shapes += [solid(moving)] if moving else []
    sensor = _sensor(view, size, "stratified", 1)
    values = {"type": "aov", "aovs": "s:shape_index,p:prim_index,d:depth"}
    found = np.array(
        extra.mitsuba.render(
            _scene(shapes, DARK),
            sensor=sensor,
            integrator=_load(values),
            spp=1,
            seed=0,
        )
    )
    everything = [*fixed, *moving]
    first_moving = sum(len(piece.faces) for piece in fixed)
    depth = found[..., 2].astype(float)
    face = found[..., 1].astype(np.int64)
    face += np.where(found[..., 0] > bool(place), first_moving, 0)  # it counts from 1
    counted = [len(piece.faces) for piece in everything]
    numbers = np.repeat(np.arange(len(everything)), counted)[face]
    labels = np.concatenate([_labels(piece) for piece in everything])[face]
    hit = depth > 0
    return Truth(
        np.where(hit, labels, 0).astype(np.uint8), np.where(hit, numbers, -1), depth
    )


def _labels(piece: Piece) -> NDArray[np.uint8]:
    return np.broadcast_to(np.asarray(piece.labels, np.uint8), len(piece.faces))


def solid(pieces: Sequence[Piece]) -> Any:
    """All triangles of pieces, in order, as one mesh."""
    offsets = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    vertices = np.concatenate([piece.vertices for piece in pieces])
    faces = [p.faces + start for p, start in zip(pieces, offsets, strict=False)]
    return shape(Piece(vertices, np.concatenate(faces)))


def _scene(shapes: Sequence[Any], light: Light) -> Any:
    """A scene. Rays to the sun are always tried, and find the sky by themselves."""
    sky = {"type": "rgb", "value": list(light.sky)}
    sun = {"type": "rgb", "value": list(light.sun)}
    return _load(
        {
            "type": "scene",
            **{f"shape{number:03d}": shape for number, shape in enumerate(shapes)},
            "sky": {"type": "constant", "radiance": sky, "sampling_weight": 0.0},
            "sun": {
                "type": "directional",
                "direction": list(light.direction),
                "irradiance": sun,
            },
        }
    )


def _sensor(view: View, size: tuple[int, int], sampler: str, samples: int) -> Any:
    to_world = extra.mitsuba.ScalarTransform4f().look_at(
        origin=view.origin.tolist(), target=view.target.tolist(), up=[0, 0, 1]
    )
    return _load(
        {
            "type": "perspective",
            "fov": view.field,
            "fov_axis": "y",
            "to_world": to_world,
            "near_clip": 0.05,
            "far_clip": 500.0,
            "film": {
                "type": "hdrfilm",
                "width": size[0],
                "height": size[1],
                "rfilter": {"type": "box"},
                "component_format": "float32",
            },
            "sampler": {
                "type": sampler,
                "sample_count": samples,
                "jitter": samples > 1,  # a single ray goes through the middle
            },
        }
    )

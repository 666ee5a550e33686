"""Light and truth: pieces traced to a picture, and to what every pixel shows.

Both come from the same triangles and the same camera; only the integrator differs.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reidlib.rendered.extra import mitsuba as mi
from reidlib.rendered.meshes import Array, Piece, Surface, normals


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
    return mi.load_dict(described, parallel=False)


def _bsdf(surface: Surface) -> dict[str, Any]:
    if surface.texture is None:
        reflectance: dict[str, Any] = {"type": "rgb", "value": list(surface.color)}
    else:
        reflectance = {
            "type": "bitmap",
            "bitmap": mi.Bitmap(np.ascontiguousarray(surface.texture, np.float32)),
            "raw": True,
        }
    if surface.gloss:
        inner = {
            "type": "principled",
            "base_color": reflectance,
            "roughness": 0.35,
            "specular": surface.gloss,
        }
    else:
        inner = {"type": "diffuse", "reflectance": reflectance}
    return {"type": "twosided", "inner": inner}


def shape(piece: Piece) -> Any:
    """The piece as mitsuba holds it; what does not move is made once."""
    properties = mi.Properties()
    properties["bsdf"] = _load(_bsdf(piece.surface))
    mesh = mi.Mesh(
        "piece",
        len(piece.vertices),
        len(piece.faces),
        props=properties,
        has_vertex_normals=piece.smooth,
        has_vertex_texcoords=piece.uv is not None,
    )
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = piece.vertices.astype(np.float32).ravel()
    parameters["faces"] = piece.faces.astype(np.uint32).ravel()
    if piece.smooth:
        found = normals(piece.vertices, piece.faces)
        parameters["vertex_normals"] = found.astype(np.float32).ravel()
    if piece.uv is not None:
        parameters["vertex_texcoords"] = piece.uv.astype(np.float32).ravel()
    parameters.update()
    return mesh


class Stage:
    """Pieces in a light, ready to be looked at."""

    def __init__(self, pieces: Sequence[Piece], shapes: Sequence[Any], light: Light):
        """`shapes` are those of `pieces`, in order."""
        self.pieces = pieces
        self.scene = _load(
            {
                "type": "scene",
                **{f"shape{i:03d}": shape for i, shape in enumerate(shapes)},
                "sky": {
                    "type": "constant",
                    "radiance": {"type": "rgb", "value": list(light.sky)},
                },
                "sun": {
                    "type": "directional",
                    "direction": list(light.direction),
                    "irradiance": {"type": "rgb", "value": list(light.sun)},
                },
            }
        )

    def picture(
        self, view: View, size: tuple[int, int], samples: int, seed: int
    ) -> NDArray[np.float32]:
        """Linear light (H, W, 3) that reaches a window of (width, height) pixels."""
        sensor = _sensor(view, size, "multijitter", samples)
        integrator = _load({"type": "direct"})
        image = mi.render(
            self.scene, sensor=sensor, integrator=integrator, spp=samples, seed=seed
        )
        return np.array(image)[..., :3]

    def truth(self, view: View, size: tuple[int, int]) -> Truth:
        """What is seen in the middle of every pixel."""
        sensor = _sensor(view, size, "stratified", 1)
        integrator = _load(
            {"type": "aov", "aovs": "s:shape_index,p:prim_index,d:depth"}
        )
        found = np.array(
            mi.render(self.scene, sensor=sensor, integrator=integrator, spp=1, seed=0)
        ).astype(float)
        depth = found[..., 2]
        number = found[..., 0].astype(np.int64) - 1  # mitsuba counts from 1
        face = found[..., 1].astype(np.int64)
        labels = np.zeros(depth.shape, np.uint8)
        for index in np.unique(number[number >= 0]):
            piece, here = self.pieces[index], number == index
            each = np.broadcast_to(np.asarray(piece.labels), len(piece.faces))
            labels[here] = each[face[here]]
        return Truth(labels, number, depth)


def _sensor(view: View, size: tuple[int, int], sampler: str, samples: int) -> Any:
    to_world = mi.ScalarTransform4f().look_at(
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
            "sampler": {"type": sampler, "sample_count": samples},
        }
    )

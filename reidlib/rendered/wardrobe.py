"""Getting dressed: pieces of skin and cloth of a person in a pose."""

from functools import cache
from random import Random

import numpy as np

from reidlib.rendered import tailor
from reidlib.rendered.bodies import Posed, Shape, anatomy
from reidlib.rendered.cloth import Cloth, smoother
from reidlib.rendered.cloth import skin as skin_cloth
from reidlib.rendered.identities import CLOTHES, SKIN, Identity
from reidlib.rendered.meshes import Array, Faces, Piece, Surface, normals
from reidlib.rendered.prints import coordinates, jeans_texture, linear, print_texture
from reidlib.rendered.truth import Detail

# metres from the body: at the shoulders or the waist, and how much more at the hem
UPPER_EASE = {
    "T-shirt": (0.012, 0.016),
    "tank top": (0.008, 0.014),
    "shirt": (0.014, 0.02),
    "sweater": (0.02, 0.016),
    "hoodie": (0.024, 0.02),
    "jacket": (0.026, 0.02),
    "coat": (0.03, 0.018),
    "puffer jacket": (0.042, 0.01),
}
LOWER_EASE = {
    "trousers": (0.01, 0.03),
    "jeans": (0.008, 0.014),
    "leggings": (0.004, 0.001),
    "shorts": (0.012, 0.045),
    "skirt": (0.012, 0.03),
    "long skirt": (0.012, 0.04),
}
SMOOTHING = {"leggings": 0, "jeans": 2, "T-shirt": 3, "tank top": 2}


def shade(name: str, person: Identity) -> Array:
    """Linear color of a person's garment: the named one, a little off."""
    rng = Random(f"{person.seed}/{name}")
    gain = np.array([rng.uniform(0.8, 1.25)] * 3)
    gain *= [rng.uniform(0.94, 1.06) for _ in range(3)]
    return linear(CLOTHES[name], gain)


def skin_color(person: Identity) -> Array:
    """Linear color of a person's skin."""
    rng = Random(f"{person.seed}/skin")
    return linear(SKIN[person.skin], rng.uniform(0.88, 1.1))


class Fitting:
    """A person's body in a pose, on which cloth is hung.

    rest    the same body at rest
    folds   seed of the folds, which change from picture to picture
    """

    def __init__(self, person: Identity, rest: Shape, body: Posed, folds: int) -> None:
        self.person, self.rest, self.body = person, rest, body
        self.rng = np.random.default_rng(folds)
        self.outward = {
            group: normals(body.vertices, faces) for group, faces in _sheets().items()
        }
        self.waves = self._folds()

    def _folds(self) -> Array:
        """Folds of cloth (V,), about -1..1: waves along the average body."""
        rest, found = anatomy().average.vertices, 0.0
        for length in (0.07, 0.1, 0.14, 0.2, 0.28):
            direction = self.rng.standard_normal(3)
            direction /= np.linalg.norm(direction)
            phase = self.rng.uniform(0, 2 * np.pi)
            found = found + np.sin(2 * np.pi / length * (rest @ direction) + phase)
        return found / 2.5

    def hung(self, group: str, ease: Array | float, smoothing: int = 0) -> Array:
        """The body's vertices (V, 3), smoothed within a group and let out by `ease`."""
        hung = self.body.vertices
        for _ in range(smoothing):
            hung = smoother(group) @ hung
        return hung + self.outward[group] * np.reshape(ease, (-1, 1))


@cache
def _sheets() -> dict[str, Faces]:
    """Triangles of the layers that cloth is hung on; the skin's are coarse."""
    known = anatomy().faces
    skins = [skin_cloth(cell) for cell in (tailor.FINE, tailor.COARSE)]
    return {
        "body": np.concatenate([made.first[made.faces] for made in skins]),
        "helper-tights": known["helper-tights"],
        "helper-skirt": known["helper-skirt"],
    }


def piece(
    cloth: Cloth, hung: Array, surface: Surface, labels: Array | int = 0
) -> Piece:
    """Cloth where it hangs, in one color; `labels` are of the body's vertices."""
    if not isinstance(labels, int):
        labels = labels[cloth.first][cloth.faces[:, 0]].astype(np.uint8)
    return Piece(cloth.of(hung), cloth.faces, surface, None, labels, smooth=True)


def printed(cloth: Cloth, hung: Array, texture: Array, labels: Array | int) -> Piece:
    """Cloth with a texture: front and back are sewn together at the sides."""
    m = tailor.marks()
    front, back = (cloth.of(uv) for uv in coordinates(m))
    is_front = cloth.of(m.front)[cloth.faces].mean(axis=1) > 0
    faces = np.where(is_front[:, None], cloth.faces, cloth.faces + len(front))
    plain = piece(cloth, hung, Surface(texture=texture), labels)
    return Piece(
        np.concatenate([plain.vertices] * 2),
        faces,
        plain.surface,
        np.concatenate([front, back]),
        plain.labels,
        smooth=True,
    )


def upper(fit: Fitting) -> list[Piece]:
    """The upper garment, with the tail of a coat."""
    person, kind, m = fit.person, fit.person.upper, tailor.marks()
    snug, loose = UPPER_EASE[kind]
    below = np.clip((0.74 - m.level) / 0.24, 0, 1)
    sleeve = np.clip(m.along_arm, 0, 1) * 0.6
    ease = snug + loose * np.where(m.arm > 0.35, sleeve, below)
    ease = ease + min(0.2 * (snug + loose), 0.006) * fit.waves
    if kind == "puffer jacket":
        ease = ease + 0.008 * np.sin(2 * np.pi * m.level / 0.045)
    rng = np.random.default_rng(person.seed)
    texture = print_texture(
        person.pattern,
        shade(person.upper_color, person),
        shade(person.second_color, person),
        rng,
        shade(person.inner, person) if person.inner else None,
    )
    labels = np.where(m.arm > 0.35, Detail.SLEEVE, Detail.UPPER)
    hung = fit.hung("helper-tights", ease, SMOOTHING.get(kind, 5))
    pieces = [printed(tailor.upper(kind), hung, texture, labels)]
    if kind in tailor.TAILS:
        flare = snug + loose + 0.05 * np.clip(0.55 - m.level, 0, 1)
        hung = fit.hung("helper-skirt", flare + 0.006 * fit.waves, 6)
        pieces.append(
            printed(tailor.tail(kind), hung, texture, np.full(len(hung), Detail.TAIL))
        )
    return pieces


def lower(fit: Fitting) -> list[Piece]:
    """Trousers or a skirt, and the legs that they leave bare."""
    person, kind, m = fit.person, fit.person.lower, tailor.marks()
    rng = np.random.default_rng(person.seed + 1)
    color = shade(person.lower_color, person)
    snug, loose = LOWER_EASE[kind]
    if kind in tailor.SKIRT_HEMS:
        hem = tailor.SKIRT_HEMS[kind]
        down = np.clip((0.6 - m.level) / (0.6 - hem), 0, 1)
        hung = fit.hung("helper-skirt", snug + loose * down * (1 + 0.4 * fit.waves), 6)
        legs = tailor.legs(hem)
    else:
        hem = tailor.LEGS.get(kind, tailor.LEG)
        down = np.clip((0.45 - m.level) / (0.45 - hem), 0, 1)
        ease = (snug + loose * down) * (1 + 0.25 * fit.waves)
        hung = fit.hung("helper-tights", ease, SMOOTHING.get(kind, 4))
        legs = tailor.legs(hem) if kind == "shorts" else None
    labels = np.full(len(hung), Detail.LOWER)
    cloth = tailor.lower(kind)
    if kind == "jeans":
        pieces = [printed(cloth, hung, jeans_texture(color, rng), labels)]
    else:
        pieces = [piece(cloth, hung, Surface(tuple(color)), labels)]
    if legs is not None:
        bare = Surface(tuple(skin_color(person)))
        if kind in tailor.SKIRT_HEMS and rng.random() < 0.4:
            bare = Surface((0.015, 0.015, 0.018))  # stockings
        pieces.append(piece(legs, fit.body.vertices, bare, Detail.LEG))
    return pieces


def shoes(fit: Fitting) -> list[Piece]:
    """Shoes; sneakers have white soles more often than not."""
    person, m = fit.person, tailor.marks()
    color = shade(person.shoes_color, person)
    sole = np.clip((0.016 - m.level) / 0.01, 0, 1)
    hung = fit.hung("body", 0.008 + 0.006 * sole, 4)
    cloth = tailor.shoes(person.shoes)
    uppers = piece(cloth, hung, Surface(tuple(color)), Detail.SHOES)
    if person.shoes != "sneakers" or person.seed % 3 == 0:
        return [uppers]
    is_sole = cloth.of(m.level)[cloth.faces].mean(axis=1) < 0.014
    return [
        Piece(uppers.vertices, uppers.faces[chosen], surface, None, Detail.SHOES, True)
        for chosen, surface in (
            (~is_sole, uppers.surface),
            (is_sole, Surface((0.7,) * 3)),
        )
    ]


def skin(fit: Fitting) -> list[Piece]:
    """Head, neck, hands and bare arms."""
    person = fit.person
    color = Surface(tuple(skin_color(person)))
    sleeve = tailor.SLEEVES.get(person.upper, tailor.SLEEVE)
    hung = fit.body.vertices
    return [
        piece(tailor.arms(sleeve), hung, color, Detail.ARM),
        piece(tailor.head(), hung, color, Detail.FACE),
    ]

"""A person as triangles: body, pose, clothes, head and luggage put together."""

from functools import lru_cache
from random import Random

from reidlib.rendered import bodies, wardrobe
from reidlib.rendered.gait import Moment, pose
from reidlib.rendered.heads import dressed_head
from reidlib.rendered.identities import CLOTHES, Identity
from reidlib.rendered.luggage import IN_HAND, carried, phone, umbrella
from reidlib.rendered.meshes import Piece, merged
from reidlib.rendered.prints import linear


@lru_cache(maxsize=64)
def _rest(person: Identity) -> bodies.Shape:
    return bodies.shape(person.phenotype)


def moment(person: Identity, rng: Random, *, rain: bool = False) -> Moment:
    """What a picture happens to catch of a person."""
    habits = {"walk": 62, "stand": 10, "phone": 8, "call": 4, "pockets": 6}
    habit = rng.choices(list(habits), list(habits.values()))[0]
    if person.bag in IN_HAND:
        habit = "carry"
    return Moment(
        phase=rng.random(),
        habit=habit,
        glance=(rng.gauss(0, 14), rng.gauss(3, 6)),
        raised="R" if rain and habit in ("walk", "stand", "carry") else "",
    )


def pieces(person: Identity, caught: Moment, folds: int) -> list[Piece]:
    """The pieces of a person who stands at the origin and looks along -y."""
    rest = _rest(person)
    manner = person.manner
    if person.lower.endswith("skirt") or person.upper == "coat":
        manner = manner._replace(stride=0.75 * manner.stride)
    body = bodies.posed(rest, pose(manner, caught))
    fit = wardrobe.Fitting(person, rest, body, folds)
    found = [
        *wardrobe.skin(fit),
        *wardrobe.upper(fit),
        *wardrobe.lower(fit),
        *wardrobe.shoes(fit),
        *dressed_head(fit),
        *carried(fit),
    ]
    if caught.habit in ("phone", "call"):
        found.append(phone(fit))
    if caught.raised:
        color = Random(f"{person.seed}/umbrella").choice(list(CLOTHES.values()))
        found += umbrella(fit, caught.raised, linear(color))
    return merged(found)

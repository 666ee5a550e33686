"""What an image is made from."""

from typing import NamedTuple

WIDTH, HEIGHT = 64, 128  # pixels, unless asked for more


class Shot(NamedTuple):
    """What an image is made from; the same shot always gives the same bytes.

    world, split, pid, camid (from 0), index   the seed of everything random
    framing     "whole", "partial" (cropped person) or "junk" (a failed detection)
    occlusion   probability that something stands in front of the person
    """

    world: str
    split: str
    pid: int
    camid: int
    index: int
    framing: str = "whole"
    occlusion: float = 0.0

    @property
    def seed(self) -> str:
        """The seed of everything random in it."""
        return "/".join(map(str, self[:5]))

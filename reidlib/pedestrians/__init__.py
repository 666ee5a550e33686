"""The embedded benchmark: drawn pedestrians with ground-truth masks and captions."""

from reidlib.pedestrians.benchmark import (
    RECIPES,
    draw_again,
    ensure_benchmark,
    place_of,
    write_benchmark,
)
from reidlib.pedestrians.canvas import Part
from reidlib.pedestrians.drawing import Drawing, Shot, draw

__all__ = [
    "RECIPES",
    "Drawing",
    "Part",
    "Shot",
    "draw",
    "draw_again",
    "ensure_benchmark",
    "place_of",
    "write_benchmark",
]

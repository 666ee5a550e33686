"""The rendered benchmark: people, places and cameras, with the truth of every pixel.

What is imported here needs no renderer; `rendering.render` and `writing.write_world`
need the extra [render].
"""

from reidlib.rendered.shot import Shot
from reidlib.rendered.truth import Detail, Part
from reidlib.rendered.worlds import RECIPES, about, entries, shots_of
from reidlib.rendered.writing import about_in, write_world

__all__ = [
    "RECIPES",
    "Detail",
    "Part",
    "Shot",
    "about",
    "about_in",
    "entries",
    "shots_of",
    "write_world",
]

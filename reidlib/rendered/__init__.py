"""The rendered benchmark: people, places and cameras, with the truth of every pixel.

Sets are shipped as archives; `rendering.render` and `write_world` need the extra
[render]. Names are imported when first used: to read a set needs none of what makes it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "archives": ["ensure_world", "is_shipped", "pack", "shipped_picture"],
        "shot": ["Shot"],
        "truth": ["Detail", "Part"],
        "worlds": ["RECIPES", "about", "about_in", "entries", "shots_of"],
        "writing": ["write_world"],
    },
)

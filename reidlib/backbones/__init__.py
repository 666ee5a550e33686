"""Loaded towers: images to tokens or maps, texts to features.

Names are imported when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "clip": ["Clip", "ImageTower", "TextTower", "tokenize"],
        "clip_weights": ["TINY_WEIGHTS", "load_clip", "save_tiny_clip"],
        "resnet": ["ResNetStages", "load_resnet", "save_resnet"],
    },
)

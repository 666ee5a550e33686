"""What is made once, before training: towers, prompts, captions, part masks.

Modules are imported when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "captioning",
        "clip_pretraining",
        "human_parsing",
        "pipelines",
        "region_prompts",
    ],
)

"""One file per paper. Modules are imported when they are first used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "baseline",
        "fanet",
        "fba",
        "fba_attention",
        "flannet",
        "flannet_prompts",
        "layers",
        "rganet",
        "rganet_prompts",
    ],
)

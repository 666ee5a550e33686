"""What a paper claims to learn, measured against the truth of drawn images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "background_bias",
        "fanet",
        "fba",
        "flannet",
        "localization",
        "rganet",
        "snapshots",
        "truth",
    ],
)

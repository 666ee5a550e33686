"""The one training loop of all papers. Names are imported when they are first used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "loop": ["fit"],
        "state": ["Checkpoint"],
        "step": ["Step"],
        "optim": [
            "parameter_groups",
            "parameter_table",
            "warmup_cosine",
            "warmup_multistep",
        ],
        "shapes": ["shape_table"],
        "seeding": ["initialise", "pick_device", "seed_everything"],
    },
)

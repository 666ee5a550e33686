"""What a paper claims to learn, measured against the truth of drawn images.

Modules are imported when they are first used.
"""

from pathlib import Path

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")),
)

"""Four papers on person re-identification; the notebooks put the parts together.

`reidlib.load(folder)` is the model of a finished run, as an embedder of pictures.
"""

import warnings

import lazy_loader

__version__ = "0.2.0"

# tqdm asks notebooks for a widget package; plain bars are what is wanted here.
warnings.filterwarnings("ignore", message="IProgress not found")

# imported when it is first asked for: `reid --help` waits for no torch
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"embedder": ["Embedder", "load", "pretrained"]}
)

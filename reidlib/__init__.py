"""Four papers on person re-identification; the notebooks put the parts together."""

import warnings

__version__ = "0.1.0"

# tqdm asks notebooks for a widget package; plain bars are what is wanted here.
warnings.filterwarnings("ignore", message="IProgress not found")

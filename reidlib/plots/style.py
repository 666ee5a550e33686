"""What all figures share: size, colours, and a style that does not leak."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from torch import Tensor

DPI = 80
WIDTH = 9.0  # inches: a notebook's
MATCH, WRONG, BLACK = "#009E73", "#D55E00", "#333333"  # Okabe & Ito
COLORS = sns.color_palette("colorblind").as_hex()
STYLE = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("notebook", font_scale=0.85),
    "axes.prop_cycle": mpl.cycler(color=COLORS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "legend.frameon": False,
    "lines.markersize": 5,
    "text.parse_math": False,  # a $ in a caption or a name is a $
}


@contextmanager
def _style() -> Iterator[None]:
    """Like mpl.rc_context, but gives back only what it changed.

    The latter also resets `interactive`, which a notebook sets when it meets its first
    figure: were that one of ours, figures of its own would never be shown.
    """
    before = {key: mpl.rcParams[key] for key in STYLE}
    mpl.rcParams.update(STYLE)
    try:
        yield
    finally:
        mpl.rcParams.update(before)


styled = _style()  # a decorator


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """An empty figure of a size in inches, which a notebook shows once: as a result.

    Made through pyplot, for only then does a notebook know how to show it; and closed
    there, or it would be shown a second time.
    """
    figure = plt.figure(figsize=(width, height), dpi=DPI, **options)
    plt.close(figure)
    return figure


def compact_output() -> None:
    """Store a notebook's figures as JPEG: pictures take a fifth of their room as PNG.

    An executed notebook with ranked lists stays under 1 MB this way, and tables show
    whole sentences. Without IPython, nothing happens.
    """
    if get_ipython() is not None:
        pd.set_option("display.max_colwidth", None)
        set_matplotlib_formats("jpeg", pil_kwargs={"quality": 88})


def to_array(values: Any) -> np.ndarray:
    """An array, also of a tensor on any device and of any precision."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values
    return np.asarray(values)

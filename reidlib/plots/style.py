"""What all figures share: size, colours, and a style that does not leak."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from torch import Tensor

DPI = 80
WIDTH = 9.0  # inches: a notebook's
CHART = 4.8  # inches: what a narrow screen makes three quarters of
LETTER, LINE = 0.078, 0.17  # inches: a title's letter, a line
WHOLE_WORDS = {"break_long_words": False, "break_on_hyphens": False}
MATCH, WRONG, BLACK = "#009E73", "#D55E00", "#333333"  # Okabe & Ito
GRAY = "#8C8C8C"
COLORS = sns.color_palette("colorblind").as_hex()
ROLES = {"whole method": COLORS[0], "baseline": COLORS[1]}  # the same on every page
MARKERS = ["s", "^", "v", "D", "o"]
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
    "svg.hashsalt": "reidlib",  # the same chart, the same bytes
    "text.parse_math": False,  # a $ in a caption or a name is a $
}


Interval = Callable[[pd.Series], tuple[float, float]]  # of a mean: its two ends


class Chart(Figure):
    """A figure of lines and words: a notebook stores it as SVG, not as pixels."""


@contextmanager
def style() -> Iterator[None]:
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


styled = style()  # a decorator


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """An empty figure of a size in inches, which a notebook shows once: as a result.

    Made through pyplot, for only then does a notebook know how to show it; and closed
    there, or it would be shown a second time.
    """
    figure = plt.figure(figsize=(width, height), dpi=DPI, **options)
    plt.close(figure)
    return figure


def new_chart(width: float, height: float, **options: Any) -> Figure:
    """The same for lines and words, which are stored as vectors."""
    return new_figure(width, height, FigureClass=Chart, **options)


def compact_output() -> None:
    """Store a notebook's pictures as JPEG, its charts as SVG, and whole sentences.

    Pictures take a fifth of their room as PNG: an executed notebook with ranked lists
    stays under 1 MB this way. Without IPython, nothing happens.
    """
    shell = get_ipython()
    if shell is not None:
        pd.set_option("display.max_colwidth", None)
        set_matplotlib_formats("jpeg", pil_kwargs={"quality": 88})
        formatters = shell.display_formatter.formatters
        formatters["image/jpeg"].for_type(Chart, lambda _: None)
        formatters["image/svg+xml"].for_type(Chart, as_svg)


@styled
def as_svg(figure: Figure) -> str:
    """A figure as SVG; no date is in it."""
    file = StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def in_lines(title: str, inches: float) -> str:
    """A title in lines of a panel's width, what is in brackets on one of its own.

    Words are not broken, not even one that is wider.
    """
    parts = title.replace(" (", "\n(").splitlines()
    wrapped = (wrap(p, max(int(inches / LETTER), 1), **WHOLE_WORDS) for p in parts)
    return "\n".join(line for lines in wrapped for line in lines)


def levels(column: pd.Series) -> list[str]:
    """The categories of a column in their order, or else its values as they come."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    return list(column.unique())


def label_of(scores: pd.DataFrame) -> str:
    """What an axis with tidy scores is called."""
    return " and ".join(f"{metric} (%)" for metric in scores["metric"].unique())


def say_nothing(ax: Axes) -> None:
    """Write over an empty panel that nothing was run."""
    ax.text(0.5, 0.5, "no run yet", ha="center", transform=ax.transAxes, color="0.5")


def to_array(values: Any) -> np.ndarray:
    """An array, also of a tensor on any device and of any precision."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values
    return np.asarray(values)

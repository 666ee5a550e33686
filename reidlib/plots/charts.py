"""Curves and dots: histories, CMC, the staircase of AP, variants over seeds.

What runs scored comes as a tidy frame: a row for each number, with columns benchmark
(a panel's title), variant, seed, metric and value. Where a mean has an interval, it is
handed in as a function of its values.
"""

from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from reidlib.plots.style import (
    BLACK,
    COLORS,
    MATCH,
    WIDTH,
    WRONG,
    new_figure,
    styled,
    to_array,
)

Interval = Callable[[pd.Series], tuple[float, float]]  # of a mean: its two ends
WHOLE_WORDS = {"break_long_words": False, "break_on_hyphens": False}
LETTER, SMALL, LINE = 0.078, 0.065, 0.17  # inches: a title's letter, a tick's, a line
MARGIN = 0.7  # inches beside a panel, for its numbers and a label
LABEL = 30  # letters of a variant's name in a line
MARKERS = ["s", "^", "v", "D", "o"]
RUN = {"color": COLORS[0], "alpha": 0.5, "s": 25, "linewidth": 0}  # a dot
RING = {"markersize": 8, "markerfacecolor": "none", "linewidth": 1.2, "color": BLACK}


@styled
def history_curves(
    history: pd.DataFrame, *panels: str | Sequence[str], ylabels: Sequence[str] = ()
) -> Figure:
    """Columns of a history over its epochs; a panel draws one column or several.

    Several are named above their panel, where they hide no curve. Epochs are the column
    `epoch`, or else the index. Where a value is nan nothing is drawn: a score measured
    now and then is a dot for each time, joined by a line.
    """
    groups = [[panel] if isinstance(panel, str) else list(panel) for panel in panels]
    unknown = {name for group in groups for name in group} - set(history.columns)
    if unknown or not groups:
        raise ValueError(f"no columns {sorted(unknown)} among {list(history.columns)}")
    epochs = history.get("epoch", history.index.to_series())
    figure, axes = _axes(len(groups), sharex=True)
    for place, (ax, group) in enumerate(zip(axes, groups, strict=True)):
        for name in group:
            known = history[name].notna()
            marker = "o" if known.sum() < max(len(history), 2) else None
            look = {"marker": marker, "label": name, "legend": False}
            sns.lineplot(x=epochs[known], y=history[name][known], ax=ax, **look)
        alone = group[0] if len(group) == 1 else ""
        ax.set(xlabel="epoch", ylabel=ylabels[place] if ylabels else alone)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(group) > 1:
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


@styled
def cmc_curves(curves: Mapping[str, Tensor], max_rank: int = 20) -> Figure:
    """Share of queries with a match among the first k; curves {method: (ranks,)}."""
    figure, (ax,) = _axes(1)
    for name, cmc in curves.items():
        shares = 100 * to_array(cmc)[:max_rank]
        ranks = np.arange(1, len(shares) + 1)
        sns.lineplot(x=ranks, y=shares, marker="o", label=name, ax=ax)
    ax.set(xlabel="rank k", ylabel="queries with a match (%)", ylim=(None, 102))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="lower right")
    return figure


@styled
def precision_staircase(hits: Tensor) -> Figure:
    """AP as an area: a step for each match, as high as the precision at its rank.

    hits (G,) bool, nearest first, with at least one match. A cross is the precision at
    the rank of a wrong image, which no step reads.
    """
    hits = to_array(hits).astype(bool)
    found, ranks = np.cumsum(hits), np.arange(1, len(hits) + 1)
    recall, precision = found / hits.sum(), found / ranks
    width = 1 / hits.sum()
    figure, (ax,) = _axes(1)
    look = {"color": MATCH, "alpha": 0.25, "edgecolor": "white", "linewidth": 2}
    ax.bar(recall[hits] - width / 2, precision[hits], width, **look)
    ax.plot(recall[hits], precision[hits], "o", color=MATCH, clip_on=False)
    ax.plot(recall[~hits], precision[~hits], "x", color=WRONG, clip_on=False)
    for match in np.flatnonzero(hits):
        place = (recall[match] - width / 2, precision[match] / 2)
        ax.text(*place, f"{found[match]} / {ranks[match]}", ha="center", va="center")
    ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.03))
    ax.set_title(f"AP = {precision[hits].mean():.4f}")
    return figure


@styled
def variant_dots(
    ours: pd.DataFrame, interval: Interval, paper: pd.DataFrame | None = None
) -> Figure:
    """Variants from top to bottom: a dot for each run, a ring for their mean.

    ours       tidy scores of one metric in percent; a panel for each benchmark, with a
               scale of its own. Categories that nobody ran have an empty panel or line
    interval   of the mean over seeds, drawn as a bar
    paper      the same as printed, without seeds; its benchmarks share a panel
    """
    benchmarks, variants = _levels(ours["benchmark"]), _levels(ours["variant"])
    count = len(benchmarks) + (paper is not None)
    labels = {name: "\n".join(wrap(name, LABEL, **WHOLE_WORDS)) for name in variants}
    lines = [label.splitlines() for label in labels.values()]
    longest = max((len(line) for label in lines for line in label), default=0)
    inches = (WIDTH - SMALL * longest) / max(count, 1)
    titles = [_lines(title, inches) for title in benchmarks]
    above = LINE * max((title.count("\n") for title in titles), default=0)
    each = 0.13 + LINE * max(map(len, lines), default=1)
    figure = new_figure(WIDTH, 1.0 + each * len(variants) + above, layout="constrained")
    axes = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    for ax, title, name in zip(axes, titles, benchmarks, strict=False):
        _dots(ax, ours[ours["benchmark"] == name], variants, interval)
        ax.set(title=title, xlabel=_label(ours))
    if paper is not None:
        sets = _levels(paper["benchmark"])
        look = {"palette": COLORS[1 : 1 + len(sets)], "markers": MARKERS[: len(sets)]}
        look |= {"linewidth": 0.8, "markersize": 5, "errorbar": None}
        axis = {"x": "value", "y": "variant", "hue": "benchmark", "ax": axes[-1]}
        sns.pointplot(paper, **axis, order=variants, hue_order=sets, **look)
        axes[-1].set(title="paper, photographs", xlabel=_label(paper))
        handles = axes[-1].get_legend_handles_labels()
        axes[-1].get_legend().remove()
        figure.legend(*handles, loc="outside lower right", ncols=len(sets))
    axes[0].set_yticks(range(len(variants)), labels.values())
    for ax in axes:
        ax.set(ylabel="", ylim=(len(variants) - 0.4, -0.6))  # no ring is cut
        ax.grid(axis="y", color="0.9")
        ax.set_axisbelow(True)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.margins(x=0.12)
    return figure


@styled
def run_curves(histories: pd.DataFrame, panels: str, ylabel: str) -> Figure:
    """Histories of several runs, a line for each.

    histories   tidy, with the `epoch` beside each value
    panels      a column of it: a panel for each of its values
    """
    names, runs = _levels(histories[panels]), histories.astype({"seed": str})
    look = {"hue": "seed", "hue_order": _levels(runs["seed"])}
    if len(trained_on := _levels(runs["benchmark"])) > 1:
        look |= {"style": "benchmark", "style_order": trained_on}
    figure, axes = _axes(max(len(names), 1))
    for ax, name in zip(axes, names, strict=False):
        own = runs[runs[panels] == name]
        sns.lineplot(own, x="epoch", y="value", **look, legend=ax is axes[-1], ax=ax)
        ax.set(ylabel=ylabel if ax is axes[0] else "")
        ax.set_title(_lines(name, WIDTH / max(len(names), 2) - MARGIN))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if names:
        sns.move_legend(axes[-1], "upper left", bbox_to_anchor=(1, 1))
    else:
        _say_nothing(axes[0])
    return figure


@styled
def value_curve(
    ours: pd.DataFrame, interval: Interval, xlabel: str, *, logarithmic: bool = False
) -> Figure:
    """Scores over the values of one parameter: a dot per run, a line through the means.

    ours       tidy scores of one metric in percent, with the `number` of each row; a
               panel for each benchmark
    interval   of the mean over the seeds of a value, drawn as a bar
    The line is of the seeds that every value has, or it would follow the seeds.
    """
    benchmarks = _levels(ours["benchmark"])
    figure, axes = _axes(max(len(benchmarks), 1))
    for ax, name in zip(axes, benchmarks, strict=False):
        own = ours[ours["benchmark"] == name]
        numbers = sorted(own["number"].unique())
        axis = {"x": "number", "y": "value", "ax": ax}
        bars = {"err_style": "bars", "errorbar": interval, "linestyle": "none"}
        sns.lineplot(own, **axis, **bars, color="0.7", err_kws={"linewidth": 1})
        sns.lineplot(_shared(own), **axis, errorbar=None, color=BLACK, linewidth=1)
        sns.scatterplot(own, **axis, **RUN, zorder=3)
        if logarithmic:
            ax.set_xscale("log", base=2)
        ax.set_xticks(numbers, [f"{value:g}" for value in numbers])
        ax.set(xlabel=xlabel, ylabel=_label(ours) if ax is axes[0] else "")
        ax.set_title(_lines(name, WIDTH / max(len(benchmarks), 2) - MARGIN))
    if not benchmarks:
        _say_nothing(axes[0])
    return figure


@styled
def feature_points(
    planes: Mapping[str, Mapping[tuple[str, str], Any]],
) -> Figure:
    """Points in the plane, a panel for each plane; the axes have no unit.

    planes {title: {(group, kind): (n, 2)}}; colours tell groups apart, markers kinds.
    """
    names = dict.fromkeys(name for plane in planes.values() for name in plane)
    colors = dict(zip(dict.fromkeys(group for group, _ in names), COLORS, strict=False))
    markers = dict(zip(dict.fromkeys(kind for _, kind in names), "o^sD", strict=False))
    figure, axes = _axes(max(len(planes), 1))
    for ax, (title, plane) in zip(axes, planes.items(), strict=False):
        for (group, kind), points in plane.items():
            look = {"color": colors[group], "marker": markers[kind], "markersize": 4}
            look |= {"linestyle": "none", "alpha": 0.6}
            ax.plot(*to_array(points).T, label=f"{group}, {kind}", **look)
        ax.set(title=title, xticks=[], yticks=[])
    if names:
        entries = axes[0].get_legend_handles_labels()
        axes[-1].legend(*entries, loc="upper left", bbox_to_anchor=(1, 1))
    else:
        _say_nothing(axes[0])
    return figure


def _dots(
    ax: Axes, own: pd.DataFrame, variants: Sequence[str], interval: Interval
) -> None:
    if own.empty:
        return _say_nothing(ax)
    axis = {"x": "value", "y": "variant", "order": variants, "ax": ax}
    dot = {"color": RUN["color"], "alpha": RUN["alpha"], "size": 5}
    sns.stripplot(own, **axis, **dot, jitter=False)
    mean = {"errorbar": interval, "linestyle": "none", "err_kws": {"linewidth": 1}}
    sns.pointplot(own, **axis, **mean, marker="o", **RING)
    return None


def _shared(own: pd.DataFrame) -> pd.DataFrame:
    """The runs of those seeds that every number has; all runs where none has."""
    numbers = own.groupby("seed")["number"].transform("nunique")
    everywhere = own[numbers == own["number"].nunique()]
    return own if everywhere.empty else everywhere


def _levels(column: pd.Series) -> list[str]:
    """The categories of a column in their order, or else its values as they come."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    return list(column.unique())


def _label(scores: pd.DataFrame) -> str:
    return " and ".join(f"{metric} (%)" for metric in scores["metric"].unique())


def _axes(columns: int, **options: Any) -> tuple[Figure, list[Axes]]:
    """One row of axes: half a notebook wide, or the whole when there are several."""
    width = WIDTH / 2 if columns == 1 else WIDTH
    figure = new_figure(width, 3.1, layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False, **options)[0])


def _lines(title: str, inches: float) -> str:
    """A title in lines of a panel's width, what is in brackets on one of its own.

    Words are not broken, not even one that is wider.
    """
    parts = title.replace(" (", "\n(").splitlines()
    wrapped = (wrap(p, int(inches / LETTER), **WHOLE_WORDS) for p in parts)
    return "\n".join(line for lines in wrapped for line in lines)


def _say_nothing(ax: Axes) -> None:
    ax.text(0.5, 0.5, "no run yet", ha="center", transform=ax.transAxes, color="0.5")

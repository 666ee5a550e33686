"""Curves: histories, CMC, the staircase of AP, scores over a parameter.

What runs scored comes as a tidy frame: a row for each number, with columns benchmark
(a panel's title), variant, seed, metric and value. Where a mean has an interval, it is
handed in as a function of its values.
"""

from collections.abc import Callable, Mapping, Sequence
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
    CHART,
    COLORS,
    MATCH,
    WRONG,
    Interval,
    in_lines,
    label_of,
    levels,
    new_chart,
    new_figure,
    say_nothing,
    styled,
    to_array,
)

PANELS, HEIGHT = 2, 2.6  # side by side; inches of a row of them
TICK = 8  # points, where many values are named
TITLE = CHART / PANELS - 0.6  # inches of a panel's title
ABOVE = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}  # of all points
RUN = {"color": COLORS[0], "alpha": 0.5, "s": 25, "linewidth": 0}  # a dot


@styled
def history_curves(
    history: pd.DataFrame, *panels: str | Sequence[str], ylabel: str = ""
) -> Figure:
    """Columns of a history over its epochs; a panel draws one column or several.

    Several are named above their panel, where they hide no curve. Epochs are the column
    `epoch`, or else the index. Where a value is nan nothing is drawn: a score measured
    now and then is a dot for each time, joined by a line.

    ylabel   what all of them are, such as "loss"; a column that stands alone is then a
             panel's title, else it is what its axis is called
    """
    groups = [[panel] if isinstance(panel, str) else list(panel) for panel in panels]
    unknown = {name for group in groups for name in group} - set(history.columns)
    if unknown or not groups:
        raise ValueError(f"no columns {sorted(unknown)} among {list(history.columns)}")
    epochs = history.get("epoch", history.index.to_series())
    figure, axes = _axes(len(groups), sharex=True)
    for ax, group in zip(axes, groups, strict=True):
        for name in group:
            known = history[name].notna()
            marker = "o" if known.sum() < max(len(history), 2) else None
            look = {"marker": marker, "label": name, "legend": False}
            sns.lineplot(x=epochs[known], y=history[name][known], ax=ax, **look)
        alone = group[0] if len(group) == 1 else ""
        ax.set(xlabel="epoch", ylabel=ylabel or alone, title=alone if ylabel else "")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(group) > 1:
            ax.legend(**ABOVE)
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
    ax.legend(**ABOVE)
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
def run_curves(histories: pd.DataFrame, panels: str, ylabel: str) -> Figure:
    """Histories of several runs, a line for each, colored by the seed.

    histories   tidy, with the `epoch` beside each value; several benchmarks are lines
                of several styles, and of several colors where there is one seed
    panels      a column of it: a panel for each of its values
    """
    names, runs = levels(histories[panels]), histories.astype({"seed": str})
    seeds, trained_on = levels(runs["seed"]), levels(runs["benchmark"])
    look = {"hue": "seed", "hue_order": seeds}
    if len(trained_on) > 1 and len(seeds) < 2:
        look = {"hue": "benchmark", "hue_order": trained_on}
    elif len(trained_on) > 1:
        look |= {"style": "benchmark", "style_order": trained_on}
    figure, axes = _axes(max(len(names), 1))
    for ax, name in zip(axes, names, strict=False):
        own = runs[runs[panels] == name]
        sns.lineplot(own, x="epoch", y="value", **look, legend=ax is axes[-1], ax=ax)
        ax.set(ylabel=ylabel, title=in_lines(name, TITLE))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))  # 180 is wide
    if names:
        handles = axes[-1].get_legend_handles_labels()
        axes[-1].get_legend().remove()
        many = {"ncols": len(handles[0])}
        many |= {} if len(trained_on) > 1 else {"title": "seed"}
        figure.legend(*handles, loc="outside lower center", **many)
    else:
        say_nothing(axes[0])
    return figure


@styled
def value_curve(
    ours: pd.DataFrame, interval: Interval, xlabel: str, *, logarithmic: bool = False
) -> Figure:
    """Scores over the values of one parameter: a dot per run, a line through the means.

    ours       tidy scores of one metric in percent, with the `number` of each row; a
               panel for each benchmark
    interval   of the mean over the seeds of a value, drawn as a bar
    """
    benchmarks = levels(ours["benchmark"])
    figure, axes = _axes(max(len(benchmarks), 1))
    for ax, name in zip(axes, benchmarks, strict=False):
        own = ours[ours["benchmark"] == name]
        numbers = sorted(own["number"].unique())
        axis = {"x": "number", "y": "value", "ax": ax}
        bars = {"err_style": "bars", "errorbar": interval, "linestyle": "none"}
        sns.lineplot(own, **axis, **bars, color="0.7", err_kws={"linewidth": 1})
        sns.lineplot(own, **axis, errorbar=None, color=BLACK, linewidth=1)
        sns.scatterplot(own, **axis, **RUN, zorder=3)
        if logarithmic:
            ax.set_xscale("log", base=2)
        ax.set_xticks(numbers, [f"{value:g}" for value in numbers], fontsize=TICK)
        ax.set(xlabel=xlabel, ylabel=label_of(ours), title=in_lines(name, TITLE))
    if not benchmarks:
        say_nothing(axes[0])
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
    figure, axes = _axes(max(len(planes), 1), make=new_figure)  # as pixels: many points
    for ax, (title, plane) in zip(axes, planes.items(), strict=False):
        for (group, kind), points in plane.items():
            look = {"color": colors[group], "marker": markers[kind], "markersize": 4}
            look |= {"linestyle": "none", "alpha": 0.6}
            ax.plot(*to_array(points).T, label=f"{group}, {kind}", **look)
        ax.set(title=title, xticks=[], yticks=[])
    if names:
        entries = axes[0].get_legend_handles_labels()
        figure.legend(*entries, loc="outside lower center", ncols=2)
    else:
        say_nothing(axes[0])
    return figure


def _axes(
    count: int, make: Callable[..., Figure] = new_chart, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Panels in rows, as many side by side as a narrow screen can show."""
    columns, rows = min(count, PANELS), -(-count // PANELS)
    figure = make(CHART, HEIGHT * rows, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for ax in axes[count:]:
        ax.set_visible(False)
    return figure, axes[:count]

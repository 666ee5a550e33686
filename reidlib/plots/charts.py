"""Curves and dots: histories, CMC, the staircase of AP, variants over seeds."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
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

LEGEND = 8  # points
WHOLE_WORDS = {"break_long_words": False, "break_on_hyphens": False}
LETTER, SMALL, LINE = 0.078, 0.065, 0.17  # inches: a title's letter, a tick's, a line


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
            ax.plot(epochs[known], history[name][known], label=name, marker=marker)
        alone = group[0] if len(group) == 1 else None
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
        ax.plot(np.arange(1, len(shares) + 1), shares, marker=".", label=name)
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
    ours: Mapping[str, pd.DataFrame], paper: pd.DataFrame | None = None
) -> Figure:
    """Variants from top to bottom, a dot per run, each panel with a scale of its own.

    ours   {title: shares, a row per seed and a column per variant}; a ring is the mean.
           Titles say what was tested and what it shows, as ablations.panels gives them
    paper  percent as printed, a row per data set and a column per variant
    A variant that nobody ran has an empty line.
    """
    columns = [name for frame in ours.values() for name in frame]
    names = list(dict.fromkeys([*(paper if paper is not None else ()), *columns]))
    count = len(ours) + (paper is not None)
    inches = (WIDTH - SMALL * max(map(len, names), default=0)) / count
    heads = [_lines(title, inches) for title in ours]
    above = LINE * max((head.count("\n") for head in heads), default=0)
    height = 1.0 + 0.3 * len(names) + above
    figure = new_figure(WIDTH, height, layout="constrained")
    axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    places = {name: len(names) - place for place, name in enumerate(names)}
    for ax, head, frame in zip(axes, heads, ours.values(), strict=False):
        for name, runs in (100 * frame).items():
            ax.plot(runs, [places[name]] * len(runs), "o", color=COLORS[0], alpha=0.5)
            ring = {"markersize": 9, "markerfacecolor": "none", "color": BLACK}
            ax.plot(runs.mean(), places[name], "o", **ring)
        ax.set(title=head, xlabel="mAP (%)")
        if frame.empty:
            _say_nothing(ax)
    if paper is not None:
        for marker, (dataset, values) in zip("s^vD", paper.iterrows(), strict=False):
            at = [places[name] for name in values.index]
            look = {"color": COLORS[1], "markersize": 5, "linewidth": 0.8}
            axes[-1].plot(values, at, marker=marker, label=dataset, **look)
        axes[-1].set(title="paper, photographs", xlabel="mAP (%)")
        figure.legend(fontsize=LEGEND, loc="outside lower right", ncols=len(paper))
    axes[0].set_yticks(list(places.values()), list(places))
    axes[0].set_ylim(0.4, len(names) + 0.6)  # no ring is cut
    for ax in axes:
        ax.grid(axis="y", color="0.9")
        ax.margins(x=0.12)
    return figure


@styled
def run_curves(runs: pd.DataFrame, ylabel: str, title: str = "") -> Figure:
    """One column of several histories, a line per run; rows are epochs."""
    figure, (ax,) = _axes(1)
    for name, values in runs.items():
        ax.plot(runs.index, values, label=name)
    ax.set(xlabel="epoch", ylabel=ylabel, title=_lines(title, WIDTH / 2))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if runs.empty:
        _say_nothing(ax)
    else:
        ax.legend(fontsize=LEGEND)
    return figure


@styled
def value_curve(
    ours: Mapping[str, pd.DataFrame],
    xlabel: str,
    ylabel: str = "mAP (%)",
    *,
    logarithmic: bool = False,
) -> Figure:
    """Scores over the values of one parameter: a dot per run, a line through the means.

    ours {title: shares, a row per seed and a column per value (numbers)}
    Means are over the seeds that every value has, or the line would follow the seeds.
    """
    figure, axes = _axes(max(len(ours), 1))
    if not ours:
        _say_nothing(axes[0])
    for ax, (title, frame) in zip(axes, ours.items(), strict=False):
        runs = 100 * frame.sort_index(axis=1)
        for _, row in runs.iterrows():
            ax.plot(runs.columns, row, "o", color=COLORS[0], alpha=0.5)
        everywhere = runs.dropna()
        means = runs.mean() if everywhere.empty else everywhere.mean()
        ax.plot(runs.columns, means, color=BLACK, linewidth=1)
        if logarithmic:
            ax.set_xscale("log", base=2)
        ax.set_xticks(list(runs.columns), [f"{value:g}" for value in runs.columns])
        width = WIDTH / max(len(ours), 2)
        ax.set(xlabel=xlabel, ylabel=ylabel, title=_lines(title, width))
    return figure


@styled
def feature_points(planes: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Points in the plane, a panel for each plane; the axes have no unit.

    planes {title: {"group, kind": (n, 2)}}; colours tell groups apart, markers kinds.
    """
    names = dict.fromkeys(name for plane in planes.values() for name in plane)
    groups, kinds = (
        list(dict.fromkeys(name.split(", ")[part] for name in names)) for part in (0, 1)
    )
    figure, axes = _axes(max(len(planes), 1))
    for ax, (title, plane) in zip(axes, planes.items(), strict=False):
        for name, points in plane.items():
            group, kind = name.split(", ")
            look = {"color": COLORS[groups.index(group)], "markersize": 4}
            marker = "o^sD"[kinds.index(kind)]
            ax.plot(*to_array(points).T, marker, label=name, alpha=0.6, **look)
        ax.set(title=title, xticks=[], yticks=[])
        if plane:
            ax.legend(fontsize=LEGEND)
    if not names:
        _say_nothing(axes[0])
    return figure


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

"""Curves and dots: histories, CMC, the staircase of AP, paired seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from reidlib.plots.style import (
    COLORS,
    MATCH,
    WIDTH,
    WRONG,
    new_figure,
    styled,
    to_array,
)


@styled
def history_curves(
    history: pd.DataFrame, *panels: str | Sequence[str], ylabels: Sequence[str] = ()
) -> Figure:
    """Columns of a history over its epochs; a panel draws one column or several.

    Epochs are the column `epoch`, or else the index. Where a value is nan nothing is
    drawn: a score measured now and then is a dot for each time, joined by a line.
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
        ax.set(xlabel="epoch", ylabel=ylabels[place] if ylabels else ", ".join(group))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(group) > 1:
            ax.legend()
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
def paired_dots(
    scores: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    methods: tuple[str, str],
    ylabel: str = "mAP",
) -> Figure:
    """Two methods, seed by seed: their scores, and the differences within a seed.

    scores {group: (shares of the first, of the second, in one order of seeds)}. Left,
    a thin line joins the two runs of a seed; right, second minus first. A dot is a
    run; beside it their mean and one standard deviation over seeds.
    """
    figure, (left, right) = _axes(2, width_ratios=(3, 2))
    for place, (group, pair) in enumerate(scores.items()):
        if len(pair[0]) != len(pair[1]):
            raise ValueError(f"{group}: the runs are not paired by seed: {pair}")
        first, second = (100 * np.asarray(runs, dtype=float) for runs in pair)
        ends, gains = (place - 0.18, place + 0.18), second - first
        left.plot(ends, [first, second], color="0.8", linewidth=1, zorder=1)
        _runs(left, ends[0], first, COLORS[0], "o")
        _runs(left, ends[1], second, COLORS[1], "s")
        _runs(right, place, gains, COLORS[2], "D")
        right.text(place + 0.22, gains.mean(), f"{gains.mean():+.1f}", va="center")
    for method, color, marker in zip(methods, COLORS, "os", strict=False):
        left.plot([], [], marker, color=color, label=method)
    left.legend()
    left.set_ylabel(f"{ylabel} (%)")
    right.axhline(0, color="0.6", linewidth=1, zorder=0)
    right.set(ylabel="difference (points)", title=f"{methods[1]} minus {methods[0]}")
    for ax in (left, right):
        ax.set_xticks(range(len(scores)), list(scores))
        ax.set_xlim(-0.6, len(scores) - 0.4)
    return figure


def _axes(columns: int, **options: Any) -> tuple[Figure, list[Axes]]:
    """One row of axes: half a notebook wide, or the whole when there are several."""
    width = WIDTH / 2 if columns == 1 else WIDTH
    figure = new_figure(width, 3.1, layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False, **options)[0])


def _runs(ax: Axes, place: float, runs: np.ndarray, color: str, marker: str) -> None:
    spread = runs.std(ddof=1) if len(runs) > 1 else 0
    ax.plot([place] * len(runs), runs, marker, color=color, alpha=0.7)
    bar = {"color": color, "marker": "_", "markersize": 10, "capsize": 3}
    ax.errorbar(place + 0.1, runs.mean(), spread, **bar, markeredgewidth=2)

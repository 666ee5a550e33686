"""Charts whose lines have words: variants with their runs, claims with their effects.

The words stand above a line and run across all panels, so that they take no panel's
room and stay readable on a narrow screen.
"""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from types import MappingProxyType

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reidlib.plots.style import (
    BLACK,
    CHART,
    COLORS,
    GRAY,
    LINE,
    MARKERS,
    MATCH,
    ROLES,
    WRONG,
    Interval,
    in_lines,
    label_of,
    levels,
    new_chart,
    say_nothing,
    styled,
)

LETTER, SMALL = 0.073, 9  # of a line's words: inches of a letter, points
BELOW, ABOVE = 0.19, 0.13  # inches under a line, and from it to its words
ZERO = 0.09  # inches: half the mark of zero
RING = {"markersize": 8, "markerfacecolor": "none", "linewidth": 1.2, "color": BLACK}
NO_ROLES: Mapping[str, str] = MappingProxyType({})
MARKS = {  # what a verdict looks like; other words stand in the place of a line
    "replicated": {"marker": "o", "color": MATCH, "markerfacecolor": MATCH},
    "contradicted": {"marker": "s", "color": WRONG, "markerfacecolor": WRONG},
    "inconclusive": {"marker": "D", "color": BLACK, "markerfacecolor": "white"},
}


@styled
def variant_dots(
    ours: pd.DataFrame,
    interval: Interval,
    paper: pd.DataFrame | None = None,
    roles: Mapping[str, str] = NO_ROLES,
) -> Figure:
    """Variants from top to bottom: a dot for each run, a ring for their mean.

    ours       tidy scores of one metric in percent; a panel for each benchmark, with a
               scale of its own. Categories that nobody ran have an empty panel or line
    interval   of the mean over seeds, drawn as a bar
    paper      the same as printed, without seeds; its benchmarks share a panel
    roles      of variants that every page has, a key of ROLES: each has its colour
    """
    benchmarks, variants = levels(ours["benchmark"]), levels(ours["variant"])
    titles = benchmarks + (["paper, photographs"] if paper is not None else [])
    figure, axes = _panels(variants, titles, foot=0.55 if paper is None else 0.85)
    limits = axes[0].get_ylim()
    colors = {name: ROLES.get(roles.get(name, ""), BLACK) for name in variants}
    for ax, name in zip(axes, benchmarks, strict=False):
        _dots(ax, ours[ours["benchmark"] == name], colors, interval)
    if paper is not None:
        sets = levels(paper["benchmark"])
        look = {"palette": COLORS[2 : 2 + len(sets)], "markers": MARKERS[: len(sets)]}
        look |= {"linewidth": 0.8, "markersize": 5, "errorbar": None}
        axis = {"x": "value", "y": "variant", "hue": "benchmark", "ax": axes[-1]}
        sns.pointplot(paper, **axis, order=variants, hue_order=sets, **look)
        handles = axes[-1].get_legend_handles_labels()
        axes[-1].get_legend().remove()
        figure.legend(*handles, loc="lower right", ncols=min(len(sets), 3))
    _finish(axes, len(variants), limits)
    for ax in axes:
        ax.set(xlabel=label_of(ours), ylabel="")
        ax.margins(x=0.12)
    return figure


@styled
def claim_forest(claims: pd.DataFrame) -> Figure:
    """A line for each claim: its effect, the interval, zero, and the verdict.

    claims   a row for each claim and setting: `says`, `of` (what is compared),
             `where` (a panel's title), `verdict` (a key of MARKS, or else why nothing
             is drawn), `difference`, and both ends of its interval, `low` and `high`,
             in points; an infinite one is not drawn
    All panels have one scale.
    """
    claims = claims.assign(words=claims["says"] + "\n" + claims["of"])
    words, places = levels(claims["words"]), levels(claims["where"])
    figure, axes = _panels(words, places, foot=1.05, sharex=True)
    line = BELOW / (axes[0].get_ylim()[0] - max(len(words), 1) + 1)  # inches
    for ax, place in zip(axes, places, strict=False):
        for _, claim in claims[claims["where"] == place].iterrows():
            _effect(ax, words.index(claim["words"]), claim, ZERO / line)
    if not claims["verdict"].isin(MARKS).any():  # zero in the middle of nothing
        axes[0].set_xlim(-1, 1)
    _finish(axes, len(words), axes[0].get_ylim())
    label = "points; right of zero: as the paper says"
    figure.supxlabel(label, y=0.6 / figure.get_figheight(), fontsize=SMALL + 1)
    look = {"loc": "lower center", "ncols": 3, "columnspacing": 1, "fontsize": SMALL}
    figure.legend(handles=_legend(), **look)
    return figure


def _panels(
    words: Sequence[str], titles: Sequence[str], foot: float, *, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    """A row of panels over the same lines; the words of each line stand above it.

    foot   inches below the panels, for ticks, a label and a legend
    """
    columns = max(len(titles), 1)
    letters = int((CHART - 0.1) / LETTER)
    parts = [text.split("\n") for text in words]
    said = ["\n".join("\n".join(wrap(p, letters)) for p in part) for part in parts]
    titles = [in_lines(title, CHART / columns - 0.15) for title in titles]
    each = BELOW + ABOVE + LINE * max((s.count("\n") + 1 for s in said), default=1)
    head = 0.1 + LINE * max((t.count("\n") + 1 for t in titles), default=1)
    height = head + each * max(len(words), 1) + foot
    figure = new_chart(CHART, height)
    share = {"squeeze": False, "sharey": True, "sharex": sharex}
    axes = list(figure.subplots(1, columns, **share)[0])
    place = {"bottom": foot / height, "top": 1 - head / height}
    figure.subplots_adjust(left=0.02, right=0.98, wspace=0.1, **place)
    for ax, title in zip(axes, titles, strict=False):
        ax.set_title(title, fontsize=SMALL)
        ax.patch.set_visible(False)  # or it would hide the words
    look = {"transform": axes[0].get_yaxis_transform(), "fontsize": SMALL}
    for row, text in enumerate(said):
        axes[0].text(0, row - ABOVE / each, text, va="bottom", clip_on=False, **look)
    axes[0].set_ylim(max(len(words), 1) - 1 + BELOW / each, BELOW / each - 1)
    return figure, axes


def _finish(axes: Sequence[Axes], lines: int, limits: tuple[float, float]) -> None:
    """Undo what seaborn does to the lines; `limits` of them are as they were made."""
    for ax in axes:
        ax.set_yticks(range(lines), [""] * lines)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", color="0.9")
        ax.set_axisbelow(True)
        ax.spines["left"].set_visible(False)
        ends = "both" if len(axes) > 1 else None  # the next panel's are as near
        ax.xaxis.set_major_locator(MaxNLocator(4 if len(axes) < 3 else 3, prune=ends))
    axes[0].set_ylim(limits)


def _dots(
    ax: Axes, own: pd.DataFrame, colors: Mapping[str, str], interval: Interval
) -> None:
    if own.empty:
        return say_nothing(ax)
    axis = {"x": "value", "y": "variant", "order": list(colors), "ax": ax}
    dot = {"hue": "variant", "hue_order": list(colors), "palette": colors}
    dot |= {"alpha": 0.55, "size": 5, "jitter": False, "legend": False}
    sns.stripplot(own, **axis, **dot)
    mean = {"errorbar": interval, "linestyle": "none", "err_kws": {"linewidth": 1}}
    sns.pointplot(own, **axis, **mean, marker="o", **RING)
    return None


def _effect(ax: Axes, row: int, claim: pd.Series, zero: float) -> None:
    if claim["verdict"] not in MARKS:
        place = {"ha": "center", "va": "center", "color": GRAY, "fontsize": SMALL}
        place |= {"transform": ax.get_yaxis_transform(), "backgroundcolor": "white"}
        ax.text(0.5, row, claim["verdict"], **place)
        return
    ax.plot([0, 0], [row - zero, row + zero], color=BLACK, linewidth=1.2, zorder=1)
    mark = MARKS[claim["verdict"]]
    ends = [claim["low"], claim["high"]]
    if max(map(abs, ends)) < float("inf"):
        look = {"color": mark["color"], "linewidth": 2, "solid_capstyle": "butt"}
        ax.plot(ends, [row, row], **look)
    ax.plot(claim["difference"], row, linestyle="none", markersize=7, **mark)


def _legend() -> list[Line2D]:
    verdicts = [
        Line2D([], [], linestyle="none", markersize=7, label=word, **look)
        for word, look in MARKS.items()
    ]
    line = Line2D([], [], color=BLACK, linewidth=2)
    line.set_label("95 % over seeds and people")
    return [*verdicts, line]

"""Variants and claims line by line: what is drawn where, and in which colour."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from toys.tidy_scores import ends, tidy

from reidlib import plots
from reidlib.plots.rows import MARKS
from reidlib.plots.style import BLACK, ROLES, Chart, as_svg

NAMES = ["base", "more", "all"]


def titles(figure: Figure) -> list[str]:
    return [ax.get_title(loc="left") for ax in figure.axes]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def rings(ax) -> list:
    """Where the marks of means are."""
    lines = [line for line in ax.lines if line.get_marker() not in ("", "None", None)]
    return [list(place) for line in lines for place in line.get_xydata()]


def bars(ax) -> list:
    """Intervals: level lines of two points."""
    lines = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 2]
    level = [at for at in lines if np.isfinite(at).all() and np.ptp(at[:, 1]) == 0]
    return [bar.tolist() for bar in level]


def test_variants_have_a_dot_per_run_and_panels_of_their_own():
    values = {"plaza": {"base": [50, 70], "more": [80, 90]}, "station": {"base": [25]}}
    paper = tidy({"Market": {"base": [72.7], "more": [73.5], "all": [84.6]}})
    figure = plots.variant_dots(tidy(values, NAMES), ends, paper)
    left, middle, right = figure.axes
    assert words(figure) == NAMES
    places = np.concatenate([dots.get_offsets() for dots in left.collections])
    np.testing.assert_allclose(places, [[50, 0], [70, 0], [80, 1], [90, 1]])
    assert left.get_ylim()[0] > left.get_ylim()[1], "from top to bottom"
    np.testing.assert_allclose(rings(left), [[60, 0], [85, 1]])
    assert bars(left) == [[[49, 0], [71, 0]], [[79, 1], [91, 1]]]
    assert sum(len(dots.get_offsets()) for dots in middle.collections) == 1
    assert bars(middle) == [], "one run has no interval"
    np.testing.assert_allclose(rings(right), [[72.7, 0], [73.5, 1], [84.6, 2]])
    assert titles(figure) == ["plaza", "station", "paper, photographs"]
    assert [ax.get_xlabel() for ax in figure.axes] == ["mAP (%)"] * 3


def test_a_role_has_its_colour_and_all_others_have_one():
    ours = tidy({"plaza": {name: [50, 60] for name in NAMES}}, NAMES)
    roles = {"all": "whole method", "base": "baseline"}
    (ax,) = plots.variant_dots(ours, ends, roles=roles).axes
    found = {}
    for dots in ax.collections:
        for (_, row), color in zip(
            dots.get_offsets(), dots.get_facecolors(), strict=False
        ):
            found[NAMES[round(row)]] = to_hex(color)
    wanted = [ROLES["baseline"], BLACK, ROLES["whole method"]]
    assert [found[name] for name in NAMES] == [color.lower() for color in wanted]


def test_what_nobody_ran_is_an_empty_panel_or_line():
    paper = tidy({"Market": {"base": [72.7]}})
    figure = plots.variant_dots(tidy({"plaza": {}}, ["base"]), ends, paper)
    assert words(figure) == ["base", "no run yet"]
    assert len(plots.variant_dots(tidy({"plaza": {"base": [50]}}), ends).axes) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_words_and_titles_do_not_meet_and_no_name_is_broken(count):
    names = ["a photo of a [CLASS] part of a person, " * 3, "[Learnable] + [CLASS]"]
    values = {names[0]: [50], names[1]: [70]}
    tested = ("plaza_occluded", "plaza_occluded → plaza", "plaza_occluded → plaza_part")
    ours = {f"ours, {name} (drawn pedestrians)": values for name in tested[:count]}
    paper = tidy({"Occluded-Duke": {names[0]: [58.0], names[1]: [60.0]}})
    figure = plots.variant_dots(tidy(ours, names), ends, paper)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [ax._left_title.get_window_extent(renderer) for ax in figure.axes]
    for left, right in zip(boxes, boxes[1:], strict=False):
        assert left.x1 < right.x0
    assert all("plaza_occluded" in title for title in titles(figure)[:count])
    said = figure.axes[0].texts
    first, second = (text.get_window_extent(renderer) for text in said)
    assert first.y0 > second.y1, "a name of several lines has room"
    assert max(box.y1 for box in boxes) <= figure.bbox.height
    assert boxes[0].y0 > first.y1 - 2, "a title stands above all words"
    assert max(first.x1, second.x1) < figure.bbox.width
    assert said[0].get_text().replace("\n", " ").split() == names[0].split()


CLAIM = {"says": "More is better.", "of": "more against base, mAP", "where": "plaza"}
CLAIM |= {"difference": 3.0, "low": 1.0, "high": 5.0, "verdict": "replicated"}


def test_a_claim_is_a_line_with_its_effect_an_interval_and_zero():
    worse = {"says": "Less is more.", "difference": -1.0, "verdict": "contradicted"}
    worse |= {"low": -2.0, "high": -0.5}
    single = {"says": "One seed.", "verdict": "inconclusive"}
    single |= {"low": -np.inf, "high": np.inf}
    missing = {"where": "station", "verdict": "not judged"}
    claims = pd.DataFrame([CLAIM, CLAIM | worse, CLAIM | single, CLAIM | missing])
    figure = plots.claim_forest(claims)
    plaza, station = figure.axes
    assert titles(figure) == ["plaza", "station"]
    assert words(figure) == [
        "More is better.\nmore against base, mAP",
        "Less is more.\nmore against base, mAP",
        "One seed.\nmore against base, mAP",
    ]
    assert rings(plaza) == [[3, 0], [-1, 1], [3, 2]] and rings(station) == []
    assert bars(plaza) == [[[1, 0], [5, 0]], [[-2, 1], [-0.5, 1]]]
    shown = [line for line in plaza.lines if line.get_marker() in "osD"]
    looks = [(line.get_marker(), line.get_color()) for line in shown]
    wanted = [MARKS[word] for word in ("replicated", "contradicted", "inconclusive")]
    assert looks == [(mark["marker"], mark["color"]) for mark in wanted]
    zeros = [line for line in plaza.lines if set(line.get_xdata()) == {0}]
    assert len(zeros) == 3, "zero is marked on every line"
    assert [text.get_text() for text in station.texts] == ["not judged"]
    assert plaza.get_xlim() == station.get_xlim(), "effects can be compared"
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} >= set(MARKS)


def test_verdicts_differ_in_shape_not_in_colour_alone():
    assert len({mark["marker"] for mark in MARKS.values()}) == len(MARKS)


def test_no_claim_at_all_is_drawn():
    assert plots.claim_forest(pd.DataFrame(columns=list(CLAIM))).axes


def test_a_chart_is_stored_as_vectors_always_the_same():
    chart, again = (plots.claim_forest(pd.DataFrame([CLAIM])) for _ in range(2))
    assert isinstance(chart, Chart)
    assert as_svg(chart) == as_svg(again) and "<svg" in as_svg(chart)
    chart.savefig(io.BytesIO())

"""Each figure shows what it was given: frames, order, data."""

import io
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from toys.tidy_scores import ends, tidy

from reidlib import plots
from reidlib.data.loaders import Batch
from reidlib.plots.style import BLACK, MATCH, WRONG, style


class Sample(NamedTuple):
    path: object
    pid: int
    camid: int


@pytest.fixture
def samples(tmp_path):
    """Six pictures of one colour each, 16 x 8, as files with a pid and a camera."""
    chosen = []
    for place in range(6):
        path = tmp_path / f"{place}.png"
        Image.new("RGB", (8, 16), (40 * place, 0, 0)).save(path)
        chosen.append(Sample(path, pid=place % 3, camid=place))
    return chosen


@pytest.fixture(autouse=True)
def no_state_is_left():
    before = dict(mpl.rcParams)
    yield
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


def shown(figure: Figure):
    return [ax for ax in figure.axes if ax.get_visible()]


def titles(figure: Figure):
    return [ax.get_title(loc="left") for ax in shown(figure)]


def shade(ax):
    """The red of a one-coloured picture, 0 to 255."""
    return round(255 * float(np.asarray(ax.images[0].get_array())[0, 0, 0]))


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer)
    return buffer.getvalue()


def curve_of(values: dict) -> pd.DataFrame:
    """Scores on plaza by number, a list over seeds for each; nan is a missing run."""
    frame = tidy({"plaza": values}).dropna()
    return frame.assign(number=frame["variant"].astype(float))


def test_history_curves_draw_each_column_where_it_has_values():
    history = pd.DataFrame(
        {
            "epoch": [1, 2, 3, 4],
            "camera": [1.8, 0.9, 0.3, 0.1],
            "identity": [5.0, 3.0, 2.0, 1.0],
            "mean_ap": [np.nan, 0.4, np.nan, 0.6],
        }
    )
    figure = plots.history_curves(history, ["camera", "identity"], "mean_ap")
    losses, scores = figure.axes
    assert [line.get_label() for line in losses.lines] == ["camera", "identity"]
    np.testing.assert_allclose(losses.lines[0].get_ydata(), history["camera"])
    np.testing.assert_array_equal(scores.lines[0].get_xdata(), [2, 4])
    np.testing.assert_allclose(scores.lines[0].get_ydata(), [0.4, 0.6])
    assert scores.lines[0].get_marker() == "o"
    assert losses.get_legend() is not None and losses.get_ylabel() == ""
    assert scores.get_ylabel() == "mean_ap"
    assert png(figure)
    terms = plots.history_curves(history, "camera", "identity", ylabel="loss")
    assert titles(terms) == ["camera", "identity"]
    assert [ax.get_ylabel() for ax in terms.axes] == ["loss", "loss"]


def test_history_curves_take_the_index_and_a_label():
    history = pd.DataFrame({"camera": [2.0, 1.0]}, index=[10, 20])
    figure = plots.history_curves(history, "camera", ylabel="camera loss")
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [10, 20])
    assert figure.axes[0].get_ylabel() == "camera loss"


def test_history_curves_name_a_missing_column():
    history = pd.DataFrame({"camera": [1.0]})
    with pytest.raises(ValueError, match=r"no columns \['loss'\] among \['camera'\]"):
        plots.history_curves(history, ["camera", "loss"])
    with pytest.raises(ValueError, match="among"):
        plots.history_curves(history)


def test_cmc_curves_rises_in_percent_up_to_max_rank():
    curves = {"ours": torch.linspace(0.5, 1, 50), "theirs": torch.linspace(0.2, 1, 50)}
    (ax,) = plots.cmc_curves(curves, max_rank=10).axes
    assert [line.get_label() for line in ax.lines] == ["ours", "theirs"]
    ranks, shares = ax.lines[0].get_data()
    assert list(ranks) == list(range(1, 11))
    np.testing.assert_allclose(shares, 100 * curves["ours"][:10], rtol=1e-6)


def test_area_of_the_staircase_is_the_average_precision():
    (ax,) = plots.precision_staircase(torch.tensor([0, 1, 1, 0, 1])).axes
    steps = ax.patches
    area = sum(step.get_width() * step.get_height() for step in steps)
    assert area == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)
    assert [text.get_text() for text in ax.texts] == ["1 / 2", "2 / 3", "3 / 5"]
    assert steps[0].get_x() == pytest.approx(0)
    assert steps[-1].get_x() + steps[-1].get_width() == pytest.approx(1)
    assert f"{area:.4f}" in ax.get_title(loc="left")


def test_maps_may_carry_notes(samples):
    maps, notes = {"head": torch.rand(2, 3, 2)}, {"head": ["w 0.3", "w 0.7"]}
    figure = plots.mask_overlays(samples[:2], maps, notes=notes)
    assert titles(figure)[:4] == ["image", "head\nw 0.3", "", "w 0.7"]
    assert png(figure)


def test_the_interval_that_is_handed_in_is_drawn_about_each_mean():
    curve = tidy({"plaza": {"1": [50, 70], "2": [80, 90]}}).assign(
        number=[1, 1, 2, 2], variant=""
    )
    (ax,) = plots.value_curve(curve, ends, "k").axes
    (bars,) = [part for part in ax.collections if hasattr(part, "get_segments")]
    found = [segment.tolist() for segment in bars.get_segments()]
    assert found == [[[1, 49], [1, 71]], [[2, 79], [2, 91]]]


def test_a_caption_of_two_lines_does_not_overprint_itself(samples):
    figure = plots.image_grid(samples[:1], ["head\nα 0.46"])
    (ax,) = figure.axes
    renderer = FigureCanvasAgg(figure).get_renderer()
    both = ax._left_title.get_window_extent(renderer).height
    ax._left_title.set_text("yα")
    assert both > 2 * ax._left_title.get_window_extent(renderer).height


def test_histories_of_several_runs_share_a_panel():
    values = {"FA-Net (the whole)": {"seed 0": [3, 1], "seed 1": [2, 1.5]}}
    runs = tidy(values, seeds="variant").assign(epoch=[1, 2, 1, 2], benchmark="plaza")
    runs["variant"] = "FA-Net (the whole)"
    (ax,) = plots.run_curves(runs, "variant", "camera loss").axes
    assert ax.get_title(loc="left") == "FA-Net\n(the whole)"
    lines = [line.get_ydata().tolist() for line in ax.lines if len(line.get_xdata())]
    assert lines == [[3, 1], [2, 1.5]]
    assert ax.get_ylabel() == "camera loss"
    terms = pd.concat([runs, runs.assign(metric="identity", benchmark="station")])
    figure = plots.run_curves(terms, "metric", "loss")
    assert titles(figure) == ["mAP", "identity"]
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["seed", "0", "1", "benchmark", "plaza", "station"]
    figure = plots.run_curves(terms[terms["seed"] == 0], "metric", "loss")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["plaza", "station"]
    assert legend.get_title().get_text() == ""


def test_feature_points_show_groups_by_colour_and_kinds_by_marker():
    names = ("f, image", "f, text", "b, image", "b, text")
    pairs = [(group, kind) for group in "fb" for kind in ("image", "text")]
    plane = {pair: np.full((3, 2), i) for i, pair in enumerate(pairs)}
    figure = plots.feature_points({"with": plane, "without": plane})
    assert titles(figure) == ["with", "without"]
    for ax in shown(figure):
        lines = {line.get_label(): line for line in ax.lines}
        assert list(lines) == list(names)
        colors = {name: line.get_color() for name, line in lines.items()}
        assert colors["f, image"] == colors["f, text"] != colors["b, text"]
        markers = {name: line.get_marker() for name, line in lines.items()}
        assert markers["f, image"] == markers["b, image"] != markers["b, text"]
        assert lines["b, text"].get_xydata().tolist() == [[3, 3]] * 3
    for nothing in ({}, {"plaza": {}}):
        assert "no run yet" in plots.feature_points(nothing).axes[0].texts[0].get_text()


def test_where_nothing_was_run_figures_say_so():
    nothing = tidy({"plaza": {}}, ["base"]).assign(number=0.0, epoch=0)
    none = nothing.assign(benchmark=nothing["benchmark"].cat.remove_unused_categories())
    figures = [plots.run_curves(nothing, "metric", "loss")]
    figures.append(plots.value_curve(none, ends, "k"))
    for figure in figures:
        assert [text.get_text() for text in figure.axes[0].texts] == ["no run yet"]
        assert png(figure)


def test_a_curve_over_values_has_a_dot_per_run_and_a_line_through_means():
    runs = curve_of({256: [50, 70], 1: [25, 35]})
    figure = plots.value_curve(runs, ends, "k", logarithmic=True)
    (ax,) = figure.axes
    line = ax.lines[-1]
    np.testing.assert_allclose(line.get_xdata(), [1, 256])
    np.testing.assert_allclose(line.get_ydata(), [30, 60])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "256"]
    assert len(ax.collections[-1].get_offsets()) == 4 and ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("k", "mAP (%)")
    assert png(figure)


def test_the_line_of_a_curve_never_misses_the_mean_of_its_dots():
    runs = curve_of({1: [20, 40], 2: [30, np.nan]})
    lines = plots.value_curve(runs, ends, "k").axes[0].lines
    np.testing.assert_allclose(lines[-1].get_ydata(), [30, 30])
    none = curve_of({1: [20, np.nan], 2: [np.nan, 30]})
    lines = plots.value_curve(none, ends, "k").axes[0].lines
    np.testing.assert_allclose(lines[-1].get_ydata(), [20, 30])


def test_mathematics_in_a_caption_is_drawn_as_text():
    captions = ["a shirt that says $\\bad$", "5$ and 7$", "x_1^{"]
    pictures = [np.zeros((8, 4, 3), np.uint8)] * 3
    figure = plots.image_grid(pictures, captions)
    figure.savefig(io.BytesIO())  # drawn as it is saved
    titles = [text for text in figure.findobj(Text) if text.get_text() in captions]
    assert len(titles) == 3 and not any(text.get_parse_math() for text in titles)


def test_image_grid_shows_every_picture_once_in_order(samples):
    figure = plots.image_grid(samples, columns=4)
    assert len(figure.axes) == 8
    assert [shade(ax) for ax in shown(figure)] == [0, 40, 80, 120, 160, 200]
    assert titles(figure)[4] == "1 · cam 4"
    assert titles(plots.image_grid(samples[:2], ["a", "b"])) == ["a", "b"]
    assert png(figure)


def test_image_grid_takes_tensors_arrays_and_undoes_a_normalisation():
    tensor = torch.stack([torch.full((4, 2), red) for red in (-1.0, 0.0, 1.0)])
    picture = plots.image_grid([tensor], normalisation=(0.5, [0.5, 0.5, 0.5])).axes[0]
    np.testing.assert_allclose(picture.images[0].get_array()[0, 0], [0, 0.5, 1])
    gray = plots.image_grid([np.full((4, 2), 51, np.uint8)]).axes[0]
    np.testing.assert_allclose(gray.images[0].get_array()[3, 1], [0.2, 0.2, 0.2])
    half = plots.image_grid([torch.full((3, 4, 2), 0.5, dtype=torch.bfloat16)])
    assert shade(half.axes[0]) == 128
    with pytest.raises(ValueError, match="spans -1 to 1, not 0 to 1"):
        plots.image_grid([tensor])
    with pytest.raises(ValueError, match="no pictures"):
        plots.image_grid([])


def test_a_batch_is_shown_an_identity_a_row():
    labels, camids = torch.tensor([4, 4, 0, 0, 2, 2]), torch.tensor([0, 1, 0, 2, 1, 3])
    images = torch.full((6, 3, 4, 2), -1.0)  # black, normalised by half
    images[2] = 1.0
    batch = Batch(images, labels, camids, ())
    figure = plots.batch_grid(batch, columns=2, normalisation="half", rows=2)
    assert titles(figure) == [
        *("label 4 · cam 0", "label 4 · cam 1"),
        *("label 0 · cam 0", "label 0 · cam 2"),
    ]
    assert [shade(ax) for ax in figure.axes] == [0, 0, 255, 0]


def test_ranked_lists_frames_matches_and_leaves_out_the_ignored(samples):
    order = torch.tensor([[3, 1, 0, 2], [2, 3, 1, 0]])
    hits = torch.tensor([[False, True, False, False], [True, False, False, False]])
    ranking = (order, hits, torch.tensor([3, 1]))
    figure = plots.ranked_lists(samples[4:], samples[:4], ranking, count=6)
    axes = shown(figure)
    assert [shade(ax) for ax in axes] == [160, 120, 40, 0, 200, 80]
    frames = [to_hex(ax.spines["left"].get_edgecolor()).upper() for ax in axes]
    expected = [BLACK, WRONG, MATCH, WRONG]
    assert frames == expected + [BLACK, MATCH]
    assert titles(figure)[:3] == [
        "query\n1 · cam 4",
        "1 ✗\n0 · cam 3",
        "2 ✓\n1 · cam 1",
    ]
    assert png(figure)


def test_ranked_lists_takes_captions(samples):
    ranking = (torch.tensor([[0, 1]]), torch.tensor([[True, False]]), torch.tensor([2]))
    captions = {"query_captions": ["east"], "gallery_captions": ["north", "west"]}
    figure = plots.ranked_lists(samples[:1], samples[1:3], ranking, count=1, **captions)
    assert titles(figure) == ["query\neast", "1 ✓\nnorth"]


def test_mask_overlays_lay_each_map_over_its_picture(samples):
    strength = torch.rand(2, 4, 2, requires_grad=True) * 7
    maps = {"|F|": strength, "Z": torch.rand(2, 16, 8).bfloat16()}
    figure = plots.mask_overlays(samples[:2], maps, in_unit_range=("Z",))
    assert titles(figure)[:6] == ["image", "|F|", "Z", "", "", ""]
    plain, first, soft, colors = figure.axes[3:]
    named = [label.get_text() for label in colors.get_yticklabels()]
    assert named == ["0", "largest"]
    unit = plots.mask_overlays(samples[:2], maps, in_unit_range=maps).axes[-1]
    assert [label.get_text() for label in unit.get_yticklabels()] == ["0", "1"]
    assert [len(ax.images) for ax in (plain, first, soft)] == [1, 2, 2]
    np.testing.assert_allclose(first.images[1].get_array(), strength[1].detach())
    assert first.images[1].get_clim() == (0, pytest.approx(strength[1].max().item()))
    assert soft.images[1].get_clim() == (0, 1)
    assert first.images[1].get_extent() == first.images[0].get_extent()
    assert png(figure)


def test_mask_overlays_need_one_map_per_picture(samples):
    with pytest.raises(ValueError, match=r"Z: \(2, h, w\) is wanted, got \(3, 4, 2\)"):
        plots.mask_overlays(samples[:2], {"Z": torch.rand(3, 4, 2)})


def test_a_map_of_zeros_is_drawn(samples):
    assert png(plots.mask_overlays(samples[:1], {"Z": torch.zeros(1, 4, 2)}))


def test_label_overlays_colour_each_label_and_leave_the_unnamed_bare(samples):
    labels = torch.tensor([[[0, 1], [2, -1]]])
    figure = plots.label_overlays(samples[:1], {"true": labels}, ["sky", "head"])
    assert titles(figure) == ["image", "true"]
    layer = figure.axes[1].images[1]
    shown = np.ma.masked_array([[0, 1], [2, -1]], [[False, False], [True, True]])
    assert np.ma.allequal(layer.get_array(), shown)
    assert (layer.get_array().mask == shown.mask).all()
    colors = [to_hex(layer.cmap(layer.norm(label))) for label in (0, 1)]
    patches = figure.legends[0].get_patches()
    assert [to_hex(patch.get_facecolor()) for patch in patches] == colors
    assert colors[0] != colors[1]
    assert png(figure)


def test_tiles_make_room_for_long_captions(samples):
    short = plots.image_grid(samples, ["a"] * 6)
    long = plots.image_grid(samples, ["a long caption\nof two lines"] * 6)
    assert long.get_figwidth() > short.get_figwidth()
    assert long.get_figheight() > short.get_figheight()
    renderer = FigureCanvasAgg(long).get_renderer()
    boxes = [ax.get_tightbbox(renderer) for ax in long.axes]
    for left, right in zip(boxes, boxes[1:], strict=False):
        assert left.x1 <= right.x0
    assert boxes[0].y1 <= long.bbox.y1


def test_our_style_keeps_what_a_notebook_sets_while_we_draw():
    with mpl.rc_context():
        mpl.rcParams["interactive"] = False
        with style():
            mpl.rcParams["interactive"] = True  # as its backend does at a first figure
        assert mpl.rcParams["interactive"]

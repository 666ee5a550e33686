"""Pictures in rows: grids, ranked lists, maps and labels laid over images.

A picture is a path, a PIL image, an array (H, W, 3) or (H, W), a tensor (3, H, W), or
has a `path` (a Sample, whose pid and camid make its caption). Floats are shown as
`picture * std + mean` for a normalisation (mean, std), clipped to [0, 1].
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from reidlib.data.loaders import Batch
from reidlib.data.pictures import read_picture
from reidlib.data.transforms import NORMALISATIONS
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

Captions = Sequence[str] | None
NO_NOTES: Mapping[str, Sequence[str]] = MappingProxyType({})
Normalisation = tuple[float | Sequence[float], float | Sequence[float]]

PLAIN: Normalisation = (0.0, 1.0)
FONT_SIZE = 8  # of captions, in points
LETTER, LINE = 0.07, 0.16  # inches that a letter and a line of a caption take
LABELS = [COLORS[place] for place in (7, 8, 0, 3, 2, 4, 9, 1, 6, 5)]  # gray comes first
TWENTY = sns.color_palette("tab20").as_hex()
MANY_LABELS = [*TWENTY[14:16], *TWENTY[:14], *TWENTY[16:]]  # the same
BAR = 0.75  # inches of a bar of colours with its words
TILE, MARGIN = 0.8, 0.12  # inches: a picture's width, 64 pixels, and what is between


@styled
def image_grid(
    pictures: Sequence[Any],
    captions: Captions = None,
    *,
    columns: int = 8,
    normalisation: Normalisation = PLAIN,
) -> Figure:
    """Pictures row by row, each under its caption."""
    pixels = [_pixels(picture, normalisation) for picture in pictures]
    captions = _captions(pictures, captions)
    columns = max(1, min(columns, len(pixels)))
    figure, axes = _tiles(-(-len(pixels) // columns), columns, pixels, captions)
    for ax, picture, caption in zip(axes.flat, pixels, captions, strict=False):
        _show(ax, picture, caption)
    return figure


def batch_grid(
    batch: Batch, *, columns: int, normalisation: str, rows: int = 4
) -> Figure:
    """The first images of a training batch, a row for each identity in it.

    columns         images of each identity, K of a P×K batch
    normalisation   of the images, by the name that transforms knows it by
    """
    shown = slice(rows * columns)
    labels, camids = batch.labels[shown].tolist(), batch.camids[shown].tolist()
    pairs = zip(labels, camids, strict=True)
    return image_grid(
        batch.images[shown],
        [f"label {label} · cam {camid}" for label, camid in pairs],
        columns=columns,
        normalisation=NORMALISATIONS[normalisation],
    )


@styled
def ranked_lists(
    query: Sequence[Any],
    gallery: Sequence[Any],
    ranking: tuple[Tensor, Tensor, Tensor],
    *,
    count: int = 10,
    query_captions: Captions = None,
    gallery_captions: Captions = None,
) -> Figure:
    """A row for each query: the query, then the gallery images nearest to it.

    query (q), gallery (G); ranking: order (q, G), hits (q, G) bool, nearest first, and
    num_ranked (q,): what comes behind that number is ignored for this query and not
    drawn. A match has a green frame and ✓, a wrong image an orange frame and ✗.
    """
    order, hits, num_ranked = (to_array(part) for part in ranking)
    count = min(count, order.shape[1])
    near = sorted(set(order[:, :count].flat))
    found = {image: _pixels(gallery[image]) for image in near}
    notes = dict(zip(near, _captions(gallery, gallery_captions, near), strict=True))
    pixels = [_pixels(picture) for picture in query]
    titles = [f"query\n{note}" for note in _captions(query, query_captions)]
    captions = titles + [f"0 ✓\n{note}" for note in notes.values()]
    figure, axes = _tiles(len(query), count + 1, pixels, captions, gap=0.2)
    for row, title in enumerate(titles):
        _show(axes[row, 0], pixels[row], title, frame=BLACK)
        for place in range(min(count, num_ranked[row])):
            image, hit = order[row, place], hits[row, place]
            mark, frame = ("✓", MATCH) if hit else ("✗", WRONG)
            title = f"{place + 1} {mark}\n{notes[image]}"
            _show(axes[row, place + 1], found[image], title, frame=frame)
    return figure


@styled
def mask_overlays(
    pictures: Sequence[Any],
    maps: Mapping[str, Tensor],
    *,
    in_unit_range: Collection[str] = (),
    notes: Mapping[str, Sequence[str]] = NO_NOTES,
    normalisation: Normalisation = PLAIN,
) -> Figure:
    """A row for each picture: the picture, then each map laid over it.

    maps            {title: (n, h, w) of any resolution}, 0 or more; dark is 0
    in_unit_range   titles whose brightest colour is 1; elsewhere it is the largest
                    value of that one map
    notes           {title: n words}, written over the maps one by one
    """
    figure, columns = _under(pictures, maps, normalisation, notes=notes, right=BAR)
    for title, (axes, values) in columns.items():
        for ax, value in zip(axes, values.astype(float), strict=True):
            top = 1 if title in in_unit_range else value.max() or 1
            look = {"alpha": 0.6, "interpolation": "bilinear", "vmin": 0, "vmax": top}
            ax.imshow(value, "inferno", extent=ax.images[0].get_extent(), **look)
    _color_bar(figure, "1" if columns.keys() <= {*in_unit_range} else "largest")
    return figure


@styled
def label_overlays(
    pictures: Sequence[Any],
    labels: Mapping[str, Tensor],
    names: Sequence[str],
    *,
    normalisation: Normalisation = PLAIN,
) -> Figure:
    """A row for each picture: the picture, then each map of labels laid over it.

    labels {title: (n, h, w) integers of any resolution}, which number `names`; where a
    label is negative or has no name, the picture stays bare.
    """
    figure, columns = _under(pictures, labels, normalisation, right=1.4)
    palette = LABELS if len(names) <= len(LABELS) else MANY_LABELS
    colors = [palette[place % len(palette)] for place in range(len(names))]
    look = {"cmap": ListedColormap(colors), "vmin": -0.5, "vmax": len(names) - 0.5}
    for axes, values in columns.values():
        unnamed = (values < 0) | (values >= len(names))
        values = np.ma.masked_array(values, unnamed)
        for ax, value in zip(axes, values, strict=True):
            extent = ax.images[0].get_extent()
            ax.imshow(value, alpha=0.6, interpolation="nearest", extent=extent, **look)
    patches = [Patch(color=color, alpha=0.6) for color in colors]
    figure.legend(patches, names, loc="upper right", fontsize=FONT_SIZE)
    return figure


def _under(
    pictures: Sequence[Any],
    maps: Mapping[str, Tensor],
    normalisation: Normalisation,
    right: float = 0.0,
    notes: Mapping[str, Sequence[str]] = NO_NOTES,
) -> tuple[Figure, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Pictures at the left, gray copies for the maps; {title: (axes (n,), map)}."""
    arrays = {title: to_array(values) for title, values in maps.items()}
    for title, values in arrays.items():
        if values.ndim != 3 or len(values) != len(pictures):
            wanted = f"({len(pictures)}, h, w)"
            raise ValueError(f"{title}: {wanted} is wanted, got {values.shape}")
    pixels = [_pixels(picture, normalisation) for picture in pictures]
    titles = ["image", *maps]
    captions = {
        (row, title): "\n".join(
            [title] * (row == 0) + [*notes.get(title, ())][row : row + 1]
        )
        for row in range(len(pixels))
        for title in titles
    }
    words = list(captions.values())
    figure, axes = _tiles(len(pixels), len(titles), pixels, words, right=right)
    for row, picture in enumerate(pixels):
        gray = picture.mean(-1, keepdims=True).repeat(3, -1)
        for column, title in enumerate(titles):
            shown = gray if column else picture
            _show(axes[row, column], shown, captions[row, title])
    columns = zip(axes.T[1:], arrays.values(), strict=True)
    return figure, dict(zip(maps, columns, strict=True))


def _color_bar(figure: Figure, top: str) -> None:
    """What the colours of maps mean, at the right: from 0 to what is called `top`."""
    width, height = figure.get_size_inches()
    place = [1 - (BAR - 0.1) / width, 0.1 / height, 0.09 / width, min(0.9, 1 / height)]
    colors = figure.colorbar(ScalarMappable(cmap="inferno"), figure.add_axes(place))
    colors.set_ticks([0, 1], labels=["0", top])
    colors.ax.tick_params(labelsize=FONT_SIZE, length=2)
    colors.outline.set_visible(False)


def _tiles(
    rows: int,
    columns: int,
    pixels: list[np.ndarray],
    captions: Sequence[str],
    *,
    gap: float = 0.0,
    right: float = 0.0,
) -> tuple[Figure, np.ndarray]:
    """Axes (rows, columns), hidden until a picture is shown, with room for captions.

    All have the shape of the first picture; one that is broader than a person's crop
    is as high as that. In inches: gap sets the first column apart, right is left free.
    """
    if not pixels:
        raise ValueError("there are no pictures to show")
    lines = [line for caption in captions for line in caption.split("\n")]
    depth = max(caption.count("\n") + 1 for caption in captions) if any(lines) else 0
    slimness = pixels[0].shape[0] / pixels[0].shape[1]
    tile = min(TILE * max(1, 2 / slimness), WIDTH / columns - MARGIN)
    height = tile * slimness
    across = max(tile + MARGIN, LETTER * max(map(len, lines)))
    down = height + MARGIN + LINE * depth
    width, top = columns * across + gap, rows * down
    figure = new_figure(width + right, top)
    axes = np.empty((rows, columns), dtype=object)
    for row, column in np.ndindex(rows, columns):
        left = column * across + gap * (column > 0) + MARGIN / 2
        bottom = (rows - 1 - row) * down + MARGIN / 2
        inches = np.array([left, bottom, tile, height])
        shares = inches / [width + right, top, width + right, top]
        axes[row, column] = figure.add_axes(shares, visible=False)
    return figure, axes


def _show(ax: Axes, pixels: np.ndarray, caption: str, *, frame: str = "") -> None:
    ax.set(visible=True, xticks=[], yticks=[])
    ax.imshow(pixels)
    look = {"color": frame or BLACK, "fontsize": FONT_SIZE, "linespacing": 1.3}
    ax.set_title(caption, **look)
    ax.spines[:].set(visible=bool(frame), color=frame or BLACK, linewidth=3)


def _captions(
    pictures: Sequence[Any], captions: Captions, places: Sequence[int] | None = None
) -> list[str]:
    """Captions given, or made of pid and camera, for the pictures in some places."""
    chosen = []
    for place in range(len(pictures)) if places is None else places:
        picture = pictures[place]
        known = (
            f"{picture.pid} · cam {picture.camid}" if hasattr(picture, "pid") else ""
        )
        chosen.append(known if captions is None else captions[place])
    return chosen


def _pixels(picture: Any, normalisation: Normalisation = PLAIN) -> np.ndarray:
    """(H, W, 3) float in [0, 1]."""
    picture = getattr(picture, "path", picture)
    if isinstance(picture, str | Path):
        picture = read_picture(Path(picture))
    values = to_array(picture)
    if values.ndim == 2:
        values = np.stack([values] * 3, axis=-1)
    elif isinstance(picture, Tensor):
        values = np.moveaxis(values, 0, -1)
    if values.dtype == np.uint8:
        return values / 255
    mean, std = map(np.asarray, normalisation)
    values = values * std + mean
    outside = values.min() < -1e-4 or values.max() > 1 + 1e-4
    if outside and normalisation is PLAIN:  # else: noise that erased a box
        span = f"{values.min():.3g} to {values.max():.3g}"
        raise ValueError(f"a picture spans {span}, not 0 to 1: pass its normalisation")
    return values.clip(0, 1)

"""A picture and its mask, painted together by the same strokes.

Everything is painted at twice the final size and reduced once, so that edges are
smooth in the picture while the mask keeps whole labels.
"""

from enum import IntEnum
from typing import NamedTuple

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 64, 128
SCALE = 2

Color = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]


class Part(IntEnum):
    """Labels of the part mask; those of drawn people count bags to the upper body."""

    BACKGROUND = 0
    HEAD = 1
    UPPER_BODY = 2
    LOWER_BODY = 3
    FOOT = 4
    OCCLUDER = 5
    BAGS = 6


class Detail(IntEnum):
    """What a stroke shows, finer than parts, so that captions know what is hidden."""

    BACKGROUND = 0
    FACE = 1
    HAIR = 2
    HAT = 3
    UPPER = 4
    BAG = 5
    LOWER = 6
    SHOES = 7
    OCCLUDER = 8


PART_OF = {
    Detail.BACKGROUND: Part.BACKGROUND,
    Detail.FACE: Part.HEAD,
    Detail.HAIR: Part.HEAD,
    Detail.HAT: Part.HEAD,
    Detail.UPPER: Part.UPPER_BODY,
    Detail.BAG: Part.UPPER_BODY,
    Detail.LOWER: Part.LOWER_BODY,
    Detail.SHOES: Part.FOOT,
    Detail.OCCLUDER: Part.OCCLUDER,
}
_PART_TABLE = [int(PART_OF.get(i, 0)) for i in range(256)]


class Frame(NamedTuple):
    """Where a figure stands: its foot point and height in canvas pixels."""

    foot_x: float
    foot_y: float
    height: float

    def at(self, x: float, y: float) -> Point:
        """Canvas point of a figure point: x right of the foot, y up, in heights."""
        return self.foot_x + x * self.height, self.foot_y - y * self.height


class Canvas:
    """A background picture on which shapes are painted together with what they show."""

    def __init__(self, background: Image.Image) -> None:
        """`background` (RGB, any size) is painted on, not copied."""
        self.image = background
        self.mask = Image.new("L", background.size, int(Detail.BACKGROUND))
        self._image_pen = ImageDraw.Draw(self.image)
        self._mask_pen = ImageDraw.Draw(self.mask)

    def polygon(self, points: list[Point], color: Color, detail: Detail) -> None:
        """Fill a polygon; its corners are canvas points."""
        self._image_pen.polygon(points, fill=color)
        self._mask_pen.polygon(points, fill=int(detail))

    def ellipse(
        self, center: Point, radii: Point, color: Color, detail: Detail
    ) -> None:
        """Fill an upright ellipse; radii in pixels."""
        (x, y), (rx, ry) = center, radii
        box = (x - rx, y - ry, x + rx, y + ry)
        self._image_pen.ellipse(box, fill=color)
        self._mask_pen.ellipse(box, fill=int(detail))

    def rectangle(
        self, corner: Point, opposite: Point, color: Color, detail: Detail
    ) -> None:
        """Fill a rectangle between any two opposite corners."""
        (x0, y0), (x1, y1) = corner, opposite
        box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        self._image_pen.rectangle(box, fill=color)
        self._mask_pen.rectangle(box, fill=int(detail))

    def limb(
        self, start: Point, end: Point, widths: Point, color: Color, detail: Detail
    ) -> None:
        """Paint a tapered limb with round ends; widths are full widths in pixels."""
        (x0, y0), (x1, y1) = start, end
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        nx, ny = (y1 - y0) / length / 2, (x0 - x1) / length / 2
        w0, w1 = widths
        corners = [
            (x0 + nx * w0, y0 + ny * w0),
            (x1 + nx * w1, y1 + ny * w1),
            (x1 - nx * w1, y1 - ny * w1),
            (x0 - nx * w0, y0 - ny * w0),
        ]
        self.polygon(corners, color, detail)
        self.ellipse(end, (w1 / 2, w1 / 2), color, detail)

    def line(self, start: Point, end: Point, color: Color, width: int) -> None:
        """Paint a thin detail that changes the picture but not the mask."""
        self._image_pen.line([start, end], fill=color, width=width)

    def counts(self) -> list[int]:
        """Number of canvas pixels that show each Detail, by its value."""
        return self.mask.histogram()[: len(Detail)]

    def finished(self, box: Box | None = None) -> tuple[Image.Image, Image.Image]:
        """Picture and detail mask at final size, cut to `box` (canvas pixels) first."""
        size = (WIDTH, HEIGHT)
        if box is None:
            picture = self.image.reduce(SCALE)
        else:
            picture = self.image.resize(size, Image.Resampling.BILINEAR, box=box)
        return picture, self.mask.resize(size, Image.Resampling.NEAREST, box=box)


def parts(details: Image.Image) -> Image.Image:
    """The part mask (labels of Part) of a detail mask (labels of Detail)."""
    return details.point(_PART_TABLE)


def shade(color: Color, factor: float) -> Color:
    """The color made darker (factor < 1) or lighter (factor > 1), within 0..255."""
    red, green, blue = (min(255, max(0, round(c * factor))) for c in color)
    return red, green, blue


def blend(one: Color, other: Color, share: float) -> Color:
    """`share` of `other` mixed into `one`."""
    red, green, blue = (
        round(a + (b - a) * share) for a, b in zip(one, other, strict=True)
    )
    return red, green, blue


PERSON = [Part.HEAD, Part.UPPER_BODY, Part.LOWER_BODY, Part.FOOT, Part.BAGS]

REGION_PARTS = {part.name.lower().replace("_", " "): part for part in Part}

"""How a person is drawn: proportions, clothes, pose and facing.

Figure coordinates: the origin is the foot point, x to the right, y up, and the
person is one unit tall. Every shape carries the detail that it shows.
"""

from dataclasses import dataclass
from math import cos, pi, sin
from random import Random

from reidlib.pedestrians.canvas import Canvas, Color, Detail, Frame, Point, shade
from reidlib.pedestrians.identities import HAIR, SKIN, Identity

FACINGS = ("front", "back", "left", "right")
SHOULDER, WAIST, HIP, KNEE, ANKLE = 0.81, 0.53, 0.47, 0.255, 0.045


@dataclass(frozen=True)
class Pose:
    """How somebody stands or walks.

    facing   one of FACINGS        phase   of the walk, radians
    swing    how far limbs go, 0..1
    """

    facing: str
    phase: float
    swing: float

    @property
    def sideways(self) -> bool:
        """Whether the person is seen from the side."""
        return self.facing in ("left", "right")

    @property
    def ahead(self) -> int:
        """Direction of the walk on the picture: -1 left, 1 right, 0 towards or away."""
        return {"left": -1, "right": 1}.get(self.facing, 0)


def random_pose(rng: Random) -> Pose:
    """Any facing and any moment of a stroll or a brisk walk."""
    return Pose(rng.choice(FACINGS), rng.uniform(0, 2 * pi), rng.uniform(0.5, 1.0))


class Figure:
    """One person in one pose, ready to be painted on a canvas."""

    def __init__(self, person: Identity, pose: Pose, *, detail: Detail | None = None):
        """`detail` replaces all others, for people who only occlude or pass by."""
        self.person, self.pose, self._only_detail = person, pose, detail
        self.torso_width = person.breadth * (0.155 if pose.sideways else 0.235)
        self.skin = SKIN[person.skin]
        self.upper = person.clothes(person.upper_color)
        self.lower = person.clothes(person.lower_color)

    def paint(self, canvas: Canvas, frame: Frame) -> None:
        """Paint the figure at its place, from the far limbs to the near ones."""
        self._canvas, self._frame = canvas, frame
        stride = sin(self.pose.phase) * self.pose.swing
        far, near = (0.72, 1.0) if self.pose.sideways else (0.92, 0.92)
        carried = self.person.bag if self.bag_visible else ""
        if carried == "backpack" and self.pose.sideways:
            self._backpack()
        self._arm(-1, -stride, far)
        self._leg(-1, stride, far)
        self._leg(1, -stride, near)
        self._hips()
        if self.person.long_hair and self.pose.facing != "back":
            self._hair_behind()
        self._torso()
        if carried == "backpack" and not self.pose.sideways:
            self._backpack()
        self._head()
        self._arm(1, stride, near)
        if carried in ("handbag", "shoulder bag"):
            self._bag(stride)

    @property
    def bag_visible(self) -> bool:
        """A backpack cannot be seen from the front."""
        return self.person.bag != "backpack" or self.pose.facing != "front"

    def _at(self, x: float, y: float) -> Point:
        return self._frame.at(x, y)

    def _shown(self, detail: Detail) -> Detail:
        return detail if self._only_detail is None else self._only_detail

    def _polygon(self, points: list[Point], color: Color, detail: Detail) -> None:
        corners = [self._at(*point) for point in points]
        self._canvas.polygon(corners, color, self._shown(detail))

    def _ellipse(
        self, center: Point, radii: Point, color: Color, detail: Detail
    ) -> None:
        size = self._frame.height
        radii = (radii[0] * size, radii[1] * size)
        self._canvas.ellipse(self._at(*center), radii, color, self._shown(detail))

    def _limb(
        self, start: Point, end: Point, widths: Point, color: Color, detail: Detail
    ) -> None:
        ends = self._at(*start), self._at(*end)
        widths = (widths[0] * self._frame.height, widths[1] * self._frame.height)
        self._canvas.limb(*ends, widths, color, self._shown(detail))

    def _leg(self, side: int, stride: float, light: float) -> None:
        ahead, lower = self.pose.ahead, self.person.lower
        apart = 0.0 if ahead else side * self.torso_width * 0.27
        lift = 0.0 if ahead else max(0.0, stride) * 0.035
        hip = (apart * 0.85, HIP)
        knee = (apart + ahead * stride * 0.09, KNEE + lift)
        ankle = (apart + ahead * stride * 0.17, ANKLE + lift)
        cloth, skin = shade(self.lower, light), shade(self.skin, light)
        thick = 0.088 * (0.5 + 0.5 * self.person.breadth)
        covered = lower in ("trousers", "jeans")
        shin = cloth if covered else skin
        self._limb(knee, ankle, (thick * 0.8, thick * 0.6), shin, Detail.LOWER)
        thigh = skin if lower == "skirt" else cloth
        self._limb(hip, knee, (thick * 1.15, thick * 0.85), thigh, Detail.LOWER)
        shoe = shade(self.person.clothes(self.person.shoes_color), light)
        toe = (ankle[0] + ahead * 0.028, ankle[1] - 0.022)
        self._ellipse(toe, (0.056 if ahead else 0.036, 0.026), shoe, Detail.SHOES)

    def _hips(self) -> None:
        half = self.torso_width * 0.43
        hem = KNEE + 0.02 if self.person.lower == "skirt" else HIP - 0.05
        flare = 1.55 if self.person.lower == "skirt" else 1.02
        waist = [(-half, WAIST), (half, WAIST)]
        hem_line = [(half * flare, hem), (-half * flare, hem)]
        self._polygon(waist + hem_line, shade(self.lower, 0.96), Detail.LOWER)

    def _torso_point(self, across: float, down: float) -> Point:
        """A point on the upper garment: across -1..1, down 0 (shoulder)..1 (hem)."""
        top, bottom = self.torso_width / 2, self.torso_width * 0.43
        hems = {"coat": HIP - 0.15, "jacket": HIP - 0.01}
        hem = hems.get(self.person.upper, WAIST - 0.02)
        if self.person.upper == "coat":
            bottom *= 1.25
        half = top + (bottom - top) * down
        return across * half, SHOULDER + (hem - SHOULDER) * down

    def _band(self, across: Point, down: Point, color: Color) -> None:
        (left, right), (high, low) = across, down
        corners = [(left, high), (right, high), (right, low), (left, low)]
        points = [self._torso_point(*corner) for corner in corners]
        self._polygon(points, color, Detail.UPPER)

    def _torso(self) -> None:
        neck = [(-0.028, SHOULDER - 0.01), (0.028, SHOULDER - 0.01)]
        self._polygon(neck + [(0.026, 0.87), (-0.026, 0.87)], self.skin, Detail.FACE)
        slope = self._torso_point(0.45, 0.0)[0]
        self._polygon(
            [(-slope, SHOULDER + 0.022), (slope, SHOULDER + 0.022)]
            + [self._torso_point(1, 0.02), self._torso_point(-1, 0.02)],
            self.upper,
            Detail.UPPER,
        )
        self._band((-1, 1), (0, 1), self.upper)
        self._pattern(self.person.clothes(self.person.second_color))
        self._band((0.62, 1), (0, 1), shade(self.upper, 0.84))
        if self.person.upper in ("jacket", "coat") and self.pose.facing == "front":
            self._band((-0.07, 0.07), (0, 1), shade(self.upper, 0.55))

    def _pattern(self, second: Color) -> None:
        pattern = self.person.pattern
        if pattern == "two-tone":
            self._band((-1, 1), (0.5, 1), second)
        if pattern in ("striped", "checked"):
            for i in range(4):
                self._band((-1, 1), (0.08 + 0.25 * i, 0.19 + 0.25 * i), second)
        if pattern == "checked":
            for left in (-0.75, -0.1, 0.45):
                self._band((left, left + 0.24), (0, 1), second)
        if pattern == "dotted":
            for i in range(12):
                spot = self._torso_point(-0.6 + 0.6 * (i % 3), 0.12 + 0.25 * (i // 3))
                self._ellipse(spot, (0.016, 0.016), second, Detail.UPPER)

    def _arm(self, side: int, stride: float, light: float) -> None:
        ahead = self.pose.ahead
        swing = stride * 0.55 * ahead if ahead else side * 0.16
        x = 0.0 if ahead else side * self.torso_width * 0.47
        elbow = (x + sin(swing) * 0.17, SHOULDER - 0.015 - cos(swing) * 0.17)
        reach = swing + 0.25 * ahead if ahead else swing * 0.4
        hand = (elbow[0] + sin(reach) * 0.16, elbow[1] - cos(reach) * 0.16)
        cloth, skin = shade(self.upper, light * 0.9), shade(self.skin, light)
        forearm = skin if self.person.upper == "T-shirt" else cloth
        thick = 0.062 * (0.5 + 0.5 * self.person.breadth)
        start = (x, SHOULDER - 0.015)
        self._limb(elbow, hand, (thick * 0.8, thick * 0.6), forearm, Detail.UPPER)
        self._ellipse(hand, (0.02, 0.022), skin, Detail.UPPER)
        self._limb(start, elbow, (thick, thick * 0.85), cloth, Detail.UPPER)
        if side == 1:
            self._hand = hand

    def _hair_behind(self) -> None:
        color = shade(HAIR[self.person.hair], 0.85)
        behind = (-self.pose.ahead * 0.03, 0.875)
        self._ellipse(behind, (0.062, 0.085), color, Detail.HAIR)

    def _head(self) -> None:
        ahead, hair = self.pose.ahead, HAIR[self.person.hair]
        self._ellipse((0, 0.912), (0.05, 0.066), self.skin, Detail.FACE)
        if self.pose.facing == "back":
            low = 0.075 if self.person.long_hair else 0.045
            self._ellipse((0, 0.925), (0.054, 0.066), hair, Detail.HAIR)
            self._ellipse((0, 0.885), (0.052, low), hair, Detail.HAIR)
        elif ahead:
            self._ellipse((-ahead * 0.022, 0.93), (0.047, 0.056), hair, Detail.HAIR)
        else:
            self._ellipse((0, 0.956), (0.052, 0.036), hair, Detail.HAIR)
            self._ellipse((-0.018, 0.912), (0.006, 0.007), (40, 34, 34), Detail.FACE)
            self._ellipse((0.018, 0.912), (0.006, 0.007), (40, 34, 34), Detail.FACE)
        if self.person.hat:
            self._hat(ahead)

    def _hat(self, ahead: int) -> None:
        hat, color = self.person.hat, self.person.clothes(self.person.hat_color)
        self._ellipse((0, 0.963), (0.056, 0.04), color, Detail.HAT)
        band = [(-0.056, 0.962), (0.056, 0.962), (0.056, 0.94), (-0.056, 0.94)]
        self._polygon(band, shade(color, 0.85), Detail.HAT)
        if hat == "sun hat":
            self._ellipse((0, 0.944), (0.095, 0.015), shade(color, 0.92), Detail.HAT)
        elif hat == "cap" and self.pose.facing != "back":
            peak = (ahead * 0.06, 0.942)
            self._ellipse(peak, (0.045, 0.013), shade(color, 0.75), Detail.HAT)

    def _backpack(self) -> None:
        color = self.person.clothes(self.person.bag_color)
        half, middle = 0.085 * self.person.breadth, 0.0
        if self.pose.sideways:
            half, middle = 0.06, -self.pose.ahead * (self.torso_width / 2 + 0.03)
        for grow, tone in ((1.0, 0.7), (0.82, 1.0)):
            w, high, low = half * grow, 0.79 - 0.01 / grow, 0.585 + 0.012 / grow
            sack = [(-w, high), (w, high), (w, low), (-w, low)]
            sack = [(middle + x, y) for x, y in sack]
            self._polygon(sack, shade(color, tone), Detail.BAG)
        pocket = [(-half * 0.5, 0.67), (half * 0.5, 0.67), (half * 0.5, 0.61)]
        pocket = [(middle + x, y) for x, y in [*pocket, (-half * 0.5, 0.61)]]
        self._polygon(pocket, shade(color, 0.82), Detail.BAG)

    def _bag(self, stride: float) -> None:
        color = self.person.clothes(self.person.bag_color)
        if self.person.bag == "shoulder bag":
            x, y = self.torso_width * 0.5, HIP + 0.03
            strap = [(-self.torso_width * 0.34, SHOULDER), (x - 0.02, y + 0.02)]
            ends = [self._at(*point) for point in strap]
            width = max(1, round(self._frame.height * 0.018))
            self._canvas.line(*ends, shade(color, 0.7), width)
        else:
            x, y = self._hand[0], self._hand[1] - 0.06
            handle = [self._at(x, y + 0.04), self._at(*self._hand)]
            width = max(1, round(self._frame.height * 0.02))
            self._canvas.line(*handle, shade(color, 0.6), width)
        half, tall = 0.058, 0.045
        sack = [(x - half, y - tall), (x + half, y - tall)]
        sack += [(x + half * 0.85, y + tall), (x - half * 0.85, y + tall)]
        self._polygon(sack, color, Detail.BAG)
        flap = [(x - half * 0.9, y + 0.01), (x + half * 0.9, y + 0.01)]
        flap += [(x + half * 0.85, y + tall), (x - half * 0.85, y + tall)]
        self._polygon(flap, shade(color, 0.75), Detail.BAG)

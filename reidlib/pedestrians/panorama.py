"""How a camera's place is painted: sky, backdrop, ground, and things that stand there.

One method per kind of backdrop and per kind of thing; a name such as "shop front"
is painted by `_shop_front`, a thing such as "lamp post" by `_put_lamp_post`.
"""

from random import Random
from typing import NamedTuple

from PIL import Image, ImageDraw

from reidlib.pedestrians.canvas import HEIGHT, SCALE, WIDTH, Color, blend, shade

PANORAMA = (WIDTH * SCALE * 5, HEIGHT * SCALE + 64)


class Thing(NamedTuple):
    """Something that stands in a scene, and the panorama columns it covers."""

    name: str
    left: float
    right: float


class Painter:
    """Paints one panorama, from the sky to the things that stand in front."""

    def __init__(self, rng: Random, horizon: float) -> None:
        """`horizon` (0 top .. 1 bottom) is where the ground begins."""
        self.rng = rng
        self.width, self.height = PANORAMA
        self.image = Image.new("RGB", PANORAMA)
        self.pen = ImageDraw.Draw(self.image)
        self.floor = round(horizon * self.height)  # where the backdrop meets the ground

    def _box(self, x0: float, y0: float, x1: float, y1: float, color: Color) -> None:
        self.pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), fill=color)

    def _any_color(self, low: int = 60, high: int = 215) -> Color:
        red, green, blue = (self.rng.randint(low, high) for _ in range(3))
        return red, green, blue

    def sky(self, color: Color) -> None:
        """Fill what is above the horizon, lighter towards it."""
        for y in range(0, self.floor, 4):
            tone = shade(color, 0.86 + 0.2 * y / self.floor)
            self._box(0, y, self.width, y + 4, tone)

    def ground(self, color: Color) -> None:
        """Fill what is below the horizon, mostly with joints, sometimes with a line."""
        depth = self.height - self.floor
        for y in range(self.floor, self.height, 4):
            tone = shade(color, 0.86 + 0.24 * (y - self.floor) / depth)
            self._box(0, y, self.width, y + 4, tone)
        joint, spacing = shade(color, 0.84), self.rng.randint(50, 110)
        if self.rng.random() < 0.75:
            for i in range(1, 6):  # joints crowd towards the horizon
                y = self.floor + depth * (i / 6) ** 2
                self.pen.line((0, y, self.width, y), fill=joint, width=2)
            for x in range(-self.width, 2 * self.width, spacing):
                far = self.width / 2 + (x - self.width / 2) * 0.5
                self.pen.line((far, self.floor, x, self.height), fill=joint, width=2)
        if self.rng.random() < 0.4:
            y = self.floor + depth * self.rng.uniform(0.25, 0.7)
            self._box(0, y, self.width, y + 8, blend(color, (250, 246, 220), 0.7))

    def backdrop(self, kind: str) -> None:
        """Stand blocks of one kind, such as "shop front", along the horizon."""
        x = 0
        while x < self.width:
            wide = self.rng.randint(110, 220)
            rise = self.rng.uniform(0.55, 1.0)
            top = round(self.floor * (1 - rise))
            getattr(self, "_" + kind.replace(" ", "_"))(x, top, x + wide)
            x += wide + self.rng.choice((0, 0, 14))

    def _windows(
        self, x0: int, top: int, x1: int, color: Color, size: tuple[int, int]
    ) -> None:
        wide, tall = size
        for y in range(top + 12, self.floor - tall, tall + 14):
            for x in range(x0 + 10, x1 - wide, wide + 12):
                self._box(x, y, x + wide, y + tall, color)

    def _brick_building(self, x0: int, top: int, x1: int) -> None:
        wall = self.rng.choice(((158, 98, 78), (184, 150, 118), (138, 128, 122)))
        self._box(x0, top, x1, self.floor, shade(wall, self.rng.uniform(0.8, 1.1)))
        self._windows(x0, top, x1, (72, 84, 100), (18, 26))

    def _glass_building(self, x0: int, top: int, x1: int) -> None:
        glass = blend((96, 132, 156), self._any_color(), 0.25)
        self._box(x0, top, x1, self.floor, shade(glass, 0.7))
        self._windows(x0 - 6, top - 8, x1, glass, (30, 40))

    def _row_of_trees(self, x0: int, top: int, x1: int) -> None:
        green = (self.rng.randint(50, 100), self.rng.randint(96, 140), 60)
        self._box(x0, self.floor - 40, x1, self.floor, shade(green, 0.7))
        for x in range(x0, x1, 42):
            rise = self.rng.randint(60, 120)
            box = (x - 18, self.floor - rise, x + 54, self.floor - 4)
            self.pen.ellipse(box, fill=shade(green, self.rng.uniform(0.8, 1.2)))

    def _shop_front(self, x0: int, top: int, x1: int) -> None:
        wall, awning = self._any_color(120, 220), self._any_color()
        self._box(x0, top, x1, self.floor, wall)
        self._windows(x0, top, x1, shade(wall, 0.55), (20, 24))
        self._box(x0 + 8, self.floor - 64, x1 - 8, self.floor, (58, 66, 74))
        for x in range(x0 + 4, x1 - 12, 16):
            stripe = awning if (x // 16) % 2 else (236, 232, 224)
            self._box(x, self.floor - 82, x + 16, self.floor - 64, stripe)

    def _train(self, x0: int, top: int, x1: int) -> None:
        body = (198, 202, 204)
        self._box(x0, self.floor - 110, x1, self.floor, body)
        self._box(x0, self.floor - 40, x1, self.floor - 26, (178, 48, 44))
        for x in range(x0 + 8, x1 - 30, 46):
            self._box(x, self.floor - 96, x + 34, self.floor - 54, (44, 54, 66))
        self._box(x1 - 3, self.floor - 110, x1, self.floor, shade(body, 0.6))

    def _row_of_doors(self, x0: int, top: int, x1: int) -> None:
        door = self.rng.choice(((74, 98, 92), (110, 78, 58), (82, 88, 118)))
        for x in range(x0 + 8, x1 - 40, 58):
            self._box(x, self.floor - 104, x + 40, self.floor, shade(door, 0.7))
            self._box(x + 4, self.floor - 100, x + 36, self.floor, door)
            self._box(x + 10, self.floor - 92, x + 30, self.floor - 58, (190, 206, 210))

    def _poster_wall(self, x0: int, top: int, x1: int) -> None:
        for x in range(x0 + 10, x1 - 44, 64):
            self._box(x, self.floor - 110, x + 46, self.floor - 34, (240, 238, 230))
            poster = self._any_color()
            self._box(x + 4, self.floor - 106, x + 42, self.floor - 38, poster)
            spot = (x + 10, self.floor - 96, x + 34, self.floor - 70)
            self.pen.ellipse(spot, fill=shade(poster, 1.5))

    def _staircase(self, x0: int, top: int, x1: int) -> None:
        for i in range(8):
            y, tone = self.floor - 14 * (i + 1), 118 + 12 * (i % 2)
            self._box(x0 + i * 8, y, x1 - i * 2, y + 14, (tone, tone, tone - 6))
        self._box(x1 - 8, self.floor - 140, x1 - 2, self.floor, (92, 94, 98))

    def place(self, names: tuple[str, ...]) -> list[Thing]:
        """Stand six to nine things along the panorama and say where they are."""
        things, x = [], self.rng.randint(0, 50)
        while x < self.width - 30:
            name = self.rng.choice(names)
            foot = self.floor + self.rng.randint(4, 30)
            wide = getattr(self, "_put_" + name.replace(" ", "_"))(x, foot)
            things.append(Thing(name, x, x + wide))
            x += wide + self.rng.randint(18, 80)
        return things

    def _put_lamp_post(self, x: int, y: int) -> int:
        self._box(x + 6, y - 190, x + 11, y, (66, 70, 72))
        self.pen.ellipse((x, y - 206, x + 18, y - 186), fill=(252, 240, 200))
        return 18

    def _put_bench(self, x: int, y: int) -> int:
        wood = (140, 96, 58)
        self._box(x, y - 34, x + 76, y - 28, wood)
        self._box(x, y - 18, x + 76, y - 12, wood)
        for leg in (6, 66):
            self._box(x + leg, y - 34, x + leg + 4, y, (60, 60, 62))
        return 76

    def _put_kiosk(self, x: int, y: int) -> int:
        wall = self._any_color()
        self._box(x, y - 112, x + 80, y, wall)
        self._box(x - 6, y - 124, x + 86, y - 108, shade(wall, 0.6))
        self._box(x + 10, y - 92, x + 70, y - 52, (246, 232, 184))
        return 80

    def _put_bin(self, x: int, y: int) -> int:
        color = self.rng.choice(((56, 96, 72), (92, 94, 100), (170, 92, 44)))
        self._box(x, y - 44, x + 28, y, color)
        self._box(x - 2, y - 50, x + 30, y - 42, shade(color, 0.6))
        return 30

    def _put_tree(self, x: int, y: int) -> int:
        green = (self.rng.randint(58, 100), self.rng.randint(112, 152), 62)
        self._box(x + 32, y - 110, x + 44, y, (104, 78, 56))
        for dx, dy, r in ((38, 150, 40), (18, 120, 28), (60, 124, 30)):
            box = (x + dx - r, y - dy - r, x + dx + r, y - dy + r)
            self.pen.ellipse(box, fill=green)
        return 80

    def _put_parked_car(self, x: int, y: int) -> int:
        body = self._any_color()
        self.pen.rounded_rectangle((x, y - 46, x + 130, y - 10), 10, fill=body)
        roof = ((24, 44), (44, 72), (92, 72), (112, 44))
        window = ((36, 46), (50, 66), (88, 66), (98, 46))
        for outline, color in ((roof, shade(body, 0.8)), (window, (62, 76, 90))):
            self.pen.polygon([(x + dx, y - dy) for dx, dy in outline], fill=color)
        for wheel in (18, 92):
            box = (x + wheel, y - 22, x + wheel + 22, y)
            self.pen.ellipse(box, fill=(32, 32, 34))
        return 130

    def _put_sign(self, x: int, y: int) -> int:
        self._box(x + 15, y - 120, x + 19, y, (110, 112, 114))
        board = self.rng.choice(((40, 82, 160), (178, 44, 40), (236, 190, 50)))
        self._box(x, y - 150, x + 34, y - 116, board)
        self._box(x + 7, y - 138, x + 27, y - 128, (244, 244, 240))
        return 34

    def _put_pillar(self, x: int, y: int) -> int:
        stone = self.rng.choice(((190, 186, 176), (120, 124, 132), (168, 146, 120)))
        self._box(x, 0, x + 38, y, stone)
        self._box(x + 28, 0, x + 38, y, shade(stone, 0.78))
        return 38

    def _put_ticket_machine(self, x: int, y: int) -> int:
        body = self.rng.choice(((206, 62, 50), (44, 96, 150), (236, 188, 60)))
        self._box(x, y - 108, x + 46, y, body)
        self._box(x + 8, y - 98, x + 38, y - 66, (150, 206, 220))
        self._box(x + 10, y - 48, x + 36, y - 42, (40, 40, 44))
        return 46

    def _put_clock(self, x: int, y: int) -> int:
        self._box(x + 16, y - 170, x + 20, y, (70, 72, 76))
        self.pen.ellipse((x, y - 204, x + 36, y - 168), fill=(244, 244, 238))
        self.pen.line((x + 18, y - 186, x + 18, y - 200), fill=(30, 30, 30), width=3)
        self.pen.line((x + 18, y - 186, x + 28, y - 182), fill=(30, 30, 30), width=3)
        return 36

    def _put_plant(self, x: int, y: int) -> int:
        self._box(x + 8, y - 30, x + 36, y, (150, 92, 62))
        for dx in (4, 16, 28):
            self.pen.ellipse((x + dx, y - 84, x + dx + 16, y - 26), fill=(64, 124, 70))
        return 44

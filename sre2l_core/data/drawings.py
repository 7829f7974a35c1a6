"""`drawings`: ten everyday things in colour, drawn by the code below at 32 pixels; needs no download and no licence.

Place, size, colours and background vary; clutter behind and before the thing, and noise, make it less than trivial. A
picture is a function of its class and number alone, so that everyone has the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import cos, pi, sin

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from sre2l_core.data.request import Request
from sre2l_core.data.resident import ResidentSplit, resized
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.data.split import Dataset

RESOLUTION = 32
TRAIN, VAL = 100, 50
"""Pictures of each class."""
_FINER = 4
"""Pictures are drawn so many times larger and averaged down: smooth edges, by whole numbers alone."""
_NOISE = 10
"""Greatest deviation of a pixel's value."""
_MEAN, _STD = (0.7103, 0.7284, 0.6850), (0.2025, 0.2139, 0.2537)
"""Of the training part."""

Color = tuple[int, ...]
Point = tuple[float, float]
RED, ORANGE, YELLOW, GREEN, BLUE = (214, 40, 40), (243, 124, 32), (250, 205, 40), (58, 145, 62), (40, 96, 190)
PURPLE, PINK, WHITE, BLACK, BROWN = (130, 62, 160), (238, 112, 160), (245, 245, 240), (30, 30, 34), (120, 76, 44)
GREY, CREAM, TURQUOISE, DARK = (128, 130, 134), (240, 224, 190), (44, 170, 168), (30, 92, 46)
SKIES = (
    ((130, 190, 240), (205, 228, 245)), ((240, 240, 236), (214, 220, 222)), ((176, 212, 140), (214, 230, 186)),
)  # fmt: skip
"""Backgrounds: colours of their upper and lower edge."""


class Pen:
    """Draws one thing in coordinates of its own: [-1, 1] to the right and downwards, put somewhere on the canvas."""

    def __init__(self, canvas: Image.Image, rng: np.random.Generator) -> None:
        self._draw, self.rng = ImageDraw.Draw(canvas), rng
        edge = canvas.width
        self._size = edge * self.between(0.28, 0.45)
        self._middle = [edge * self.between(0.43, 0.57) for _ in range(2)]
        self._stretch = self.between(0.85, 1.15) * (1 if rng.integers(2) else -1)
        self._lean = self.between(-0.15, 0.15)

    def between(self, low: float, high: float) -> float:
        """A random number."""
        return low + (high - low) * int(self.rng.integers(1001)) / 1000

    def color(self, *choices: Color) -> Color:
        """One of the colours, a little changed."""
        chosen = choices[int(self.rng.integers(len(choices)))]
        return tuple(int(value) for value in (np.array(chosen) + self.rng.integers(-28, 29, 3)).clip(0, 255))

    def polygon(self, points: list[Point], color: Color) -> None:
        """A filled polygon."""
        (x0, y0), size = self._middle, self._size
        placed = [(round(x0 + size * self._stretch * (x + self._lean * y)), round(y0 + size * y)) for x, y in points]
        self._draw.polygon(placed, color)

    def box(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        """A filled rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], color)

    def disc(self, x: float, y: float, radius: float, color: Color, flat: float = 1.0) -> None:
        """A filled circle, or an ellipse `flat` times as high."""
        self.polygon([(x + dx, y + flat * dy) for dx, dy in arc(radius, 0, 2)], color)


def arc(radius: float, start: float, end: float, count: int = 24) -> list[Point]:
    """Points of a circle around the origin, angles in units of pi, clockwise from the right."""
    angles = [pi * (start + (end - start) * number / (count - 1)) for number in range(count)]
    return [(radius * cos(angle), radius * sin(angle)) for angle in angles]


def sun(pen: Pen) -> None:
    """A disc with rays."""
    ring = arc(1, 0, 2, 2 * int(pen.rng.integers(8, 12)) + 1)
    rays = [(x, y) if number % 2 else (0.6 * x, 0.6 * y) for number, (x, y) in enumerate(ring)]
    pen.polygon(rays, pen.color(YELLOW, ORANGE))
    pen.disc(0, 0, 0.56, pen.color(YELLOW))


def rainbow(pen: Pen) -> None:
    """Bows of five colours on two clouds."""
    for number, color in enumerate((RED, ORANGE, YELLOW, GREEN, BLUE)):
        outer, inner = 0.98 - 0.14 * number, 0.84 - 0.14 * number
        bow = [*arc(outer, 1, 2), *arc(inner, 2, 1)]
        pen.polygon([(x, 1.3 * y + 0.55) for x, y in bow], pen.color(color))
    for x in (-0.68, 0.68):
        pen.disc(x, 0.6, 0.36, pen.color(WHITE), flat=0.6)


def tree(pen: Pen) -> None:
    """A trunk with a round crown, or a fir."""
    pen.box(-0.13, 0.2, 0.13, 1, pen.color(BROWN))
    color = pen.color(GREEN, DARK)
    if pen.rng.integers(2):
        for x, y in ((-0.38, -0.1), (0.38, -0.1), (0, -0.5), (0, 0)):
            pen.disc(x, y, 0.45, color)
    else:
        for top, half in ((-1.0, 0.45), (-0.6, 0.6), (-0.15, 0.75)):
            pen.polygon([(0, top), (half, top + 0.75), (-half, top + 0.75)], color)


def flower(pen: Pen) -> None:
    """Petals around a yellow heart, on a stem with a leaf."""
    green = pen.color(GREEN)
    pen.box(-0.07, 0, 0.07, 1, green)
    pen.polygon([(0, 0.85), (0.5, 0.4), (0.55, 0.65)], green)
    color, petals = pen.color(PINK, PURPLE, WHITE), int(pen.rng.integers(5, 8))
    for x, y in arc(0.4, 0, 2 - 2 / petals, petals):
        pen.disc(x, y - 0.35, 0.28, color)
    pen.disc(0, -0.35, 0.24, pen.color(YELLOW))


def house(pen: Pen) -> None:
    """Walls, a roof, a door and a window."""
    pen.box(-0.75, -0.1, 0.75, 0.95, pen.color(CREAM, WHITE))
    pen.polygon([(-0.95, -0.05), (0, -0.95), (0.95, -0.05)], pen.color(RED, BROWN))
    pen.box(-0.5, 0.3, -0.1, 0.95, pen.color(BROWN))
    pen.box(0.15, 0.2, 0.55, 0.55, pen.color(BLUE, BLACK))


def car(pen: Pen) -> None:
    """A body with a cabin on two wheels."""
    color, glass = pen.color(RED, BLUE), pen.color((170, 205, 225))
    pen.polygon([(-0.6, 0), (-0.38, -0.5), (0.3, -0.5), (0.62, 0)], color)
    pen.polygon([(-0.42, 0), (-0.28, -0.36), (-0.04, -0.36), (-0.04, 0)], glass)
    pen.polygon([(0.08, 0), (0.08, -0.36), (0.25, -0.36), (0.46, 0)], glass)
    pen.polygon([(-1, 0.42), (-1, 0.02), (0.7, -0.06), (1, 0.1), (1, 0.42)], color)
    for x in (-0.55, 0.55):
        pen.disc(x, 0.44, 0.27, pen.color(BLACK))
        pen.disc(x, 0.44, 0.11, pen.color(GREY))


def boat(pen: Pen) -> None:
    """A hull with sails on water."""
    pen.box(-3, 0.72, 3, 3, pen.color(BLUE))
    pen.polygon([(-0.9, 0.35), (0.9, 0.35), (0.55, 0.85), (-0.55, 0.85)], pen.color(BROWN, RED))
    pen.box(-0.05, -1, 0.05, 0.4, pen.color(BROWN))
    sail = pen.color(WHITE, ORANGE)
    pen.polygon([(0.1, -0.95), (0.1, 0.22), (0.8, 0.22)], sail)
    pen.polygon([(-0.1, -0.7), (-0.1, 0.22), (-0.6, 0.22)], sail)


def fish(pen: Pen) -> None:
    """An oval with a tail, a fin and an eye."""
    color, fins = pen.color(ORANGE, TURQUOISE), pen.color(ORANGE, YELLOW)
    pen.polygon([(-0.45, 0), (-1, -0.5), (-0.85, 0), (-1, 0.5)], fins)
    pen.polygon([(-0.25, -0.35), (0.1, -0.75), (0.35, -0.3)], fins)
    pen.disc(0.15, 0, 0.78, color, flat=0.6)
    pen.disc(0.55, -0.12, 0.15, pen.color(WHITE))
    pen.disc(0.57, -0.12, 0.08, BLACK)


def heart(pen: Pen) -> None:
    """Two discs over a tip."""
    color = pen.color(RED, PINK)
    for x in (-0.42, 0.42):
        pen.disc(x, -0.3, 0.48, color)
    pen.polygon([(-0.86, -0.1), (0, -0.42), (0.86, -0.1), (0, 0.92)], color)


def umbrella(pen: Pen) -> None:
    """A scalloped half disc on a stick with a handle."""
    stick, color = pen.color(BLACK, BROWN), pen.color(PURPLE, BLUE, RED)
    pen.box(-0.06, -0.95, 0.06, 0.8, stick)
    pen.polygon([(x - 0.17, y + 0.8) for x, y in (*arc(0.23, 0, 1, 9), *arc(0.1, 1, 0, 9))], stick)
    scallops = [(middle + x, y / 2) for middle in (0.63, 0, -0.63) for x, y in arc(0.32, 2, 1, 9)]
    pen.polygon([*arc(0.95, 1, 2), *scallops], color)


THINGS: dict[str, Callable[[Pen], None]] = {
    thing.__name__: thing for thing in (sun, rainbow, tree, flower, house, car, boat, fish, heart, umbrella)
}


def picture(label: int, number: int) -> Image.Image:
    """Picture `number` of a class, RGB: background, clutter, the thing itself, clutter again, and noise."""
    rng = np.random.default_rng([label, number])
    thing = list(THINGS.values())[label]
    canvas = _sky(rng)
    _clutter(canvas, rng)
    thing(Pen(canvas, rng))
    _clutter(canvas, rng)
    pixels = np.asarray(canvas.reduce(_FINER)).astype(np.int64)
    pixels += rng.integers(-_NOISE, _NOISE + 1, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _sky(rng: np.random.Generator) -> Image.Image:
    upper, lower = (np.array(color) for color in SKIES[int(rng.integers(len(SKIES)))])
    edge = _FINER * RESOLUTION
    row = np.arange(edge)[:, None]
    column = ((upper * (edge - 1 - row) + lower * row) // (edge - 1)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(column[:, None], (edge, edge, 3))))


def _clutter(canvas: Image.Image, rng: np.random.Generator) -> None:
    """A few bars and blobs, each nearer to the colour below it than to one of its own."""
    draw = ImageDraw.Draw(canvas)
    edge, most = canvas.width, canvas.width * 7 // 16
    for number in range(int(rng.integers(1, 6))):
        x, y, wide, high = (int(value) for value in rng.integers((0, 0, 8, 8), (edge, edge, most, most)))
        below, own = np.array(canvas.getpixel((x, y))), rng.integers(0, 256, 3)
        color = tuple(int(value) for value in (3 * below + 2 * own) // 5)
        shape = draw.ellipse if number % 2 else draw.rectangle
        shape((x - wide // 2, y - high // 2, x + wide // 2, y + high // 2), color)


@cache
def _drawn() -> Tensor:
    """[classes, TRAIN + VAL, 3, RESOLUTION, RESOLUTION] uint8."""
    rows = [[np.asarray(picture(label, n)) for n in range(TRAIN + VAL)] for label in range(len(THINGS))]
    return torch.from_numpy(np.array(rows)).permute(0, 1, 4, 2, 3).contiguous()


def load_drawings(request: Request) -> Dataset:
    """Drawings at 32x32, or resized bilinearly to `resolution`; the last ones of each class are for validation."""
    known = tuple(THINGS)
    wanted = request.pick(known)
    resolution = request.resolution or RESOLUTION
    spec = DatasetSpec(request.name, tuple(known[index] for index in wanted), 3, resolution, _MEAN, _STD)
    chosen = _drawn()[list(wanted)]
    parts = []
    for part in (chosen[:, :TRAIN], chosen[:, TRAIN:]):
        labels = torch.arange(len(wanted)).repeat_interleave(part.shape[1])
        parts.append(ResidentSplit(spec, resized(part.flatten(0, 1), resolution), labels))
    return Dataset(spec, *parts)


PLUGINS = {"drawings": load_drawings}

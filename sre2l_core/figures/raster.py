"""Drawings as pixels, and as SVG that asks nothing of a page: for programs that know neither themes nor variables.

It draws what `figures.svg` writes, and no other SVG: rectangles, circles, lines, polygons, text and pictures in groups
that are moved. Words are in DejaVu Sans, which matplotlib brings along.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib as mpl
from PIL import Image, ImageColor, ImageDraw, ImageFont

from sre2l_core.figures.svg import Drawing

INK, PAPER = "#24292f", "#ffffff"
SCALE, FINER = 2, 2
"""Pixels of the picture to a CSS pixel, and pixels that are drawn to one of the picture: edges come out smooth."""
LETTERS = 0.93
"""Size of DejaVu Sans beside the narrower letters that drawings reckon with."""
LOOKS = re.compile(r'(?<= )(?:fill|stroke|style)="[^"]*"')
"""Attributes that may speak of a page; a quote within words is written otherwise."""
VARIABLE = re.compile(r"var\(--[\w-]+,\s*([^()]*)\)")
SILENT = ("title", "desc", "style")
"""Elements of which nothing is seen."""
Point = tuple[float, float]


def standalone(drawing: str) -> str:
    """A drawing on paper: its variables resolved, so that any program that reads SVG shows it as it is meant."""
    return re.sub(r"<style>.*?</style>", "", LOOKS.sub(_resolved, drawing), flags=re.DOTALL)


def pixels(drawing: Drawing, scale: int = SCALE) -> Image.Image:
    """A drawing on paper, as RGB; raises `ValueError` for an element that `figures.svg` does not write."""
    size = (math.ceil(drawing.width * scale), math.ceil(drawing.height * scale))
    canvas = Image.new("RGB", (size[0] * FINER, size[1] * FINER), PAPER)
    pen = _Pen(ImageDraw.Draw(canvas, "RGBA"), canvas, scale * FINER)
    for element in ElementTree.fromstring(standalone(drawing)):
        pen.draw(element)
    return canvas.resize(size, Image.Resampling.BOX)


@dataclass(frozen=True)
class _Pen:
    """Draws elements whose origin lies at (x, y) CSS pixels."""

    on: ImageDraw.ImageDraw
    canvas: Image.Image
    scale: float
    x: float = 0.0
    y: float = 0.0

    def draw(self, element: Element) -> None:
        """Draw an element, and those in it."""
        kind, look = element.tag.rpartition("}")[2], element.attrib
        if kind in SILENT:
            return
        if kind == "g":
            moved = self._moved(look.get("transform", ""))
            for child in element:
                moved.draw(child)
            return
        known = {
            "rect": self._rect, "circle": self._circle, "line": self._line, "polyline": self._lines,
            "polygon": self._polygon, "image": self._image,
        }  # fmt: skip
        if kind == "text":
            self._text(look, "".join(element.itertext()))
        elif kind in known:
            known[kind](look)
        else:
            raise ValueError(f"a drawing holds <{kind}>, which only a page can show")

    def _moved(self, transform: str) -> _Pen:
        if found := re.fullmatch(r"translate\((\S+) (\S+)\)", transform):
            return replace(self, x=self.x + float(found[1]), y=self.y + float(found[2]))
        return self

    def _at(self, x: float, y: float) -> Point:
        return (self.x + x) * self.scale, (self.y + y) * self.scale

    def _rect(self, look: Mapping[str, str]) -> None:
        x, y, width, height = (float(look[name]) for name in ("x", "y", "width", "height"))
        if width <= 0 or height <= 0:
            return
        (left, top), (right, bottom) = self._at(x, y), self._at(x + width, y + height)
        corners = (left, top, max(right - 1, left), max(bottom - 1, top))
        self.on.rounded_rectangle(corners, float(look.get("rx", 0)) * self.scale, **self._colours(look))

    def _circle(self, look: Mapping[str, str]) -> None:
        x, y = self._at(float(look["cx"]), float(look["cy"]))
        self.on.circle((x, y), float(look["r"]) * self.scale, **self._colours(look))

    def _line(self, look: Mapping[str, str]) -> None:
        ends = [(float(look[f"x{end}"]), float(look[f"y{end}"])) for end in "12"]
        self._stroke([self._at(*end) for end in ends], look)

    def _lines(self, look: Mapping[str, str]) -> None:
        self._stroke(self._points(look), look)

    def _polygon(self, look: Mapping[str, str]) -> None:
        self.on.polygon(self._points(look), fill=_colour(look, "fill", INK))

    def _points(self, look: Mapping[str, str]) -> list[Point]:
        pairs = (pair.split(",") for pair in look["points"].split())
        return [self._at(float(x), float(y)) for x, y in pairs]

    def _stroke(self, points: Sequence[Point], look: Mapping[str, str]) -> None:
        colour, width = _colour(look, "stroke"), self._width(look)
        dashes = [float(length) * self.scale for length in look.get("stroke-dasharray", "").split()]
        if colour is None:
            return
        for stretch in _dashed(points, dashes) if dashes else (points,):
            self.on.line(stretch, fill=colour, width=width, joint="curve")

    def _width(self, look: Mapping[str, str]) -> int:
        return max(1, round(float(look.get("stroke-width", 1)) * self.scale))

    def _colours(self, look: Mapping[str, str]) -> dict[str, Any]:
        edge = _colour(look, "stroke")
        return {"fill": _colour(look, "fill", INK), "outline": edge, "width": self._width(look) if edge else 0}

    def _text(self, look: Mapping[str, str], words: str) -> None:
        bold = int(look.get("font-weight", 400)) >= 600
        font = _font(bold, round(float(look.get("font-size", 11)) * self.scale * LETTERS))
        anchor = {"middle": "ms", "end": "rs"}.get(look.get("text-anchor", ""), "ls")
        colour, place = _colour(look, "fill", INK), self._at(float(look["x"]), float(look["y"]))
        if found := re.fullmatch(r"rotate\(-90 (\S+) (\S+)\)", look.get("transform", "")):
            self._upright(words, font, colour, self._at(float(found[1]), float(found[2])))
        else:
            self.on.text(place, words, fill=colour, font=font, anchor=anchor)

    def _upright(self, words: str, font: ImageFont.FreeTypeFont, colour: tuple[int, ...] | None, at: Point) -> None:
        """Words from below, their middle there."""
        left, top, right, bottom = font.getbbox(words)
        mask = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2))
        ImageDraw.Draw(mask).text((1 - left, 1 - top), words, fill=255, font=font)
        mask = mask.rotate(90, expand=True)
        corner = (round(at[0] - mask.width / 2), round(at[1] - mask.height / 2))
        self.canvas.paste((colour or (0, 0, 0))[:3], (*corner, corner[0] + mask.width, corner[1] + mask.height), mask)

    def _image(self, look: Mapping[str, str]) -> None:
        picture = Image.open(io.BytesIO(base64.b64decode(look["href"].partition(",")[2]))).convert("RGBA")
        (left, top), (right, bottom) = (
            self._at(float(look["x"]), float(look["y"])),
            self._at(float(look["x"]) + float(look["width"]), float(look["y"]) + float(look["height"])),
        )
        size = (max(1, round(right - left)), max(1, round(bottom - top)))
        grown = picture.resize(size, Image.Resampling.NEAREST)
        self.canvas.paste(grown, (round(left), round(top)), grown)


def _resolved(look: re.Match[str]) -> str:
    written, found = look[0], 1
    while found:
        written, found = VARIABLE.subn(r"\1", written)
    return written.replace("currentColor", INK).replace("Canvas", PAPER)


def _colour(look: Mapping[str, str], name: str, otherwise: str | None = None) -> tuple[int, ...] | None:
    """Red, green, blue and opacity; None for nothing at all."""
    written = look.get(name, otherwise)
    if written is None or written == "none":
        return None
    opacity = float(look.get("opacity", 1)) * float(look.get(f"{name}-opacity", 1))
    return (*ImageColor.getrgb(written)[:3], round(255 * min(opacity, 1)))


def _dashed(points: Sequence[Point], dashes: Sequence[float]) -> Iterator[list[Point]]:
    """The pieces of a line that a pattern of dashes and gaps leaves."""
    number, left, piece = 0, dashes[0], [points[0]]
    for (x, y), (to_x, to_y) in pairwise(points):
        length, gone = math.hypot(to_x - x, to_y - y), 0.0
        while length - gone > left:
            gone += left
            at = (x + (to_x - x) * gone / length, y + (to_y - y) * gone / length)
            if number % 2 == 0:
                yield [*piece, at]
            number, piece = number + 1, [at]
            left = dashes[number % len(dashes)]
        left -= length - gone
        piece.append((to_x, to_y))
    if number % 2 == 0 and len(piece) > 1:
        yield piece


@cache
def _font(bold: bool, size: int) -> ImageFont.FreeTypeFont:
    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts/ttf", name)), size)

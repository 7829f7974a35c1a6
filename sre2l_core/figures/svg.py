"""SVG as text: quick to make, sharp at any size, readable by a screen reader, in the colours of the page.

Text and axes take the theme's colours through CSS variables; where there is no theme, as on a page that only shows a
saved notebook, they take the colour of the text around. Series have the colours of `figures.colours`, and dash patterns
beside them.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Self

from PIL import Image

from sre2l_core.figures.encode import encoded

INK = "var(--jp-ui-font-color1, currentColor)"
FAINT = "var(--jp-border-color2, #9e9e9e)"
MUTED = "var(--jp-ui-font-color2, currentColor)"
ACCENT = "var(--jp-brand-color1, #1976d2)"
WARNING = "var(--jp-warn-color1, #e65100)"
GROUND = "var(--jp-layout-color0, Canvas)"
GOOD = "var(--jp-success-color1, #388e3c)"
FONT = "font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 11px"
LETTER = 6.4
"""CSS pixels of a letter, about; where it decides how much fits, so that no browser has to be asked."""
BESIDE = 8
"""CSS pixels that every chart leaves to the right of its x axis, at least."""
UNSAYABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document can hold: control characters, and halves of letters."""
DASHES = ("", "6 3", "2 2", "8 3 2 3")


class Drawing(str):
    """A picture as SVG text. It knows its size in CSS pixels and what it shows; a notebook displays the picture.

    Args:
        parts: elements, in the order of drawing.
        width: in CSS pixels.
        height: in CSS pixels.
        label: what it shows, for those who cannot see it.
        fit: whether it shrinks where there is less room.
        more: further attributes of the outermost element.
    """

    body: str
    width: float
    height: float
    label: str

    def __new__(
        cls, parts: Sequence[str], width: float, height: float, label: str, *, fit: bool = True, **more: object
    ) -> Self:
        """Write it."""
        style = f"display: block; {FONT}" + ("; max-width: 100%; height: auto" if fit else "")
        size = {"width": width, "height": height, "viewBox": f"0 0 {width:g} {height:g}"}
        body = "".join(parts)
        space = "http://www.w3.org/2000/svg"
        whole = tag("svg", body, xmlns=space, role="img", aria_label=label, **size, style=style, **more)
        self = super().__new__(cls, whole)
        self.body, self.width, self.height, self.label = body, width, height, label
        return self

    def __repr__(self) -> str:
        return f"<Drawing, {self.width:g} x {self.height:g}: {self.label}>"

    def _repr_svg_(self) -> str:
        return str(self)

    def at(self, x: float, y: float) -> str:
        """As a part of another drawing, its top left corner there."""
        return tag("g", self.body, transform=f"translate({x:g} {y:g})")


def tag(element: str, *content: str, **attributes: object) -> str:
    """An element around its content, which is SVG.

    Underscores in the names of attributes stand for hyphens, numbers are rounded to hundredths, None leaves one out.
    """
    written = "".join(f' {_name(name)}="{_value(value)}"' for name, value in attributes.items() if value is not None)
    return f"<{element}{written}>{''.join(content)}</{element}>" if content else f"<{element}{written}/>"


@cache
def _name(attribute: str) -> str:
    return attribute.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{round(value, 2):g}"
    return str(value) if isinstance(value, int) else escaped(str(value))


def escaped(words: str) -> str:
    """Any words as the content of an element or the value of an attribute."""
    return html.escape(sayable(words))


def sayable(words: str) -> str:
    """With a mark for each character that a drawing cannot hold."""
    return UNSAYABLE.sub("\ufffd", words)


def text(words: str, x: float, y: float, *, fill: str = INK, anchor: str | None = None, **more: object) -> str:
    """Words whose base line begins there; `anchor` "middle" or "end" puts that part of them there."""
    return tag("text", escaped(words), x=x, y=y, text_anchor=anchor, fill=fill, **more)


def hover(words: str) -> str:
    """What the pointer says on the element that this is in."""
    return tag("title", escaped(words)) if words else ""


def rule(x1: float, y1: float, x2: float, y2: float, stroke: str = FAINT, **more: object) -> str:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, **more)


def box(x: float, y: float, width: float, height: float, *content: str, **more: object) -> str:
    """A rectangle."""
    return tag("rect", *content, x=x, y=y, width=width, height=height, **more)


def dot(x: float, y: float, radius: float, *content: str, **more: object) -> str:
    """A circle."""
    return tag("circle", *content, cx=x, cy=y, r=radius, **more)


def picture(image: Image.Image, x: float, y: float, side: float) -> str:
    """A square image whose pixels stay squares."""
    return tag("image", href=data_url(image), x=x, y=y, width=side, height=side, image_rendering="pixelated")


def framed(image: Image.Image, label: str) -> Drawing:
    """A picture alone, as a drawing of its size."""
    size = {"width": image.width, "height": image.height}
    part = tag("image", href=data_url(image), x=0, y=0, image_rendering="pixelated", **size)
    return Drawing([part], image.width, image.height, label)


def data_url(image: Image.Image) -> str:
    """A picture as text that fits into SVG and HTML."""
    return f"data:image/png;base64,{base64.b64encode(encoded(image, 'png')).decode()}"


def picture_tag(image: Image.Image, side: int, words: str) -> str:
    """A square picture for a page, pixel by pixel, with words for those who cannot see it."""
    size = f"width: {side}px; height: {side}px"
    return f'<img class="sre-pixels" style="{size}" alt="{html.escape(words)}" src="{data_url(image)}">'


class Axis:
    """From data to CSS pixels.

    Args:
        left: end of the drawn area, as `top`, `right` and `bottom`; in CSS pixels from the top left corner.
        top: see `left`.
        right: see `left`.
        bottom: see `left`.
        x: data at the left and the right end.
        y: data at the bottom and the top; above 0 if `log`.
        log: whether y is logarithmic.
    """

    def __init__(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        x: tuple[float, float],
        y: tuple[float, float],
        log: bool = False,
    ) -> None:
        self.left, self.top, self.right, self.bottom = left, top, right, bottom
        self._x, self._log = x, log
        self._y = (math.log10(y[0]), math.log10(y[1])) if log else y

    def across(self, x: float) -> float:
        """CSS pixels from the left."""
        share = (x - self._x[0]) / (self._x[1] - self._x[0])
        return self.left + share * (self.right - self.left)

    def up(self, y: float) -> float:
        """CSS pixels from the top; what lies outside stays at the edge."""
        value = math.log10(y) if self._log else y
        share = (value - self._y[0]) / (self._y[1] - self._y[0])
        return self.bottom - min(max(share, -0.02), 1.02) * (self.bottom - self.top)


def ticks(low: float, high: float, *, log: bool = False) -> list[float]:
    """Round numbers from `low` to `high` for a y axis, about five; powers of ten on a logarithmic one."""
    if log:
        first, last = round(math.log10(low)), round(math.log10(high))
        stride = max(1, -(-(last - first) // 5))
        return [10.0**power for power in range(first, last + 1, stride)]
    step = nice((high - low) / 4)
    return [step * n for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def x_ticks(right: float) -> list[float]:
    """Round numbers from 0 to `right`, about six."""
    step = nice(right / 5)
    return [step * n for n in range(math.floor(right / step + 1e-9) + 1)]


def nice(step: float) -> float:
    """The number 1, 2 or 5 times a power of ten next above."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= step * (1 - 1e-9))


def frame(axis: Axis, y_ticks: Sequence[float], x_ticks: Sequence[float], x_label: str) -> list[str]:
    """Rules and numbers at these values, the base line, and the name of the x axis."""
    parts = []
    for y in y_ticks:
        up = axis.up(y)
        parts.append(rule(axis.left, up, axis.right, up, stroke_width=0.7, opacity=0.7))
        parts.append(text(f"{y:g}", axis.left - 6, up + 4, anchor="end", fill=MUTED))
    parts += [below(axis, axis.across(x), f"{x / 1000:g}k" if x >= 10_000 else f"{x:g}") for x in x_ticks]
    parts.append(rule(axis.left, axis.bottom, axis.right, axis.bottom, MUTED))
    return [*parts, text(x_label, (axis.left + axis.right) / 2, axis.bottom + 29, anchor="middle")]


def below(axis: Axis, x: float, words: str) -> str:
    """A number under the x axis, as far to the left of its place as it takes to be whole."""
    x = min(x, axis.right + BESIDE - LETTER * len(words) / 2)
    return text(words, x, axis.bottom + 15, anchor="middle", fill=MUTED)


def nothing_yet(axis: Axis) -> str:
    """Words in a chart without data, between two rules."""
    at, up = (axis.left + axis.right) / 2, axis.top + 0.4 * (axis.bottom - axis.top)
    return text("nothing yet", at, up, anchor="middle", fill=MUTED)


def cut(name: str, length: int) -> str:
    """At most so many characters of a name."""
    return name if len(name) <= length else f"{name[: max(length - 1, 1)]}…"


def dash(number: int) -> str:
    """Pattern of the series with this number."""
    return DASHES[number % len(DASHES)]

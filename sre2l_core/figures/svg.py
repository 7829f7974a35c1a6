"""Charts as SVG text: quick to make, sharp at any size, readable by a screen reader, in the colours of the page.

Text and axes take the theme's colours through CSS variables; series have colours that stay apart for colour-blind
readers on light and dark ground, and dash patterns beside them.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from sre2l_core.figures.colours import of_number

INK = "var(--jp-ui-font-color1, currentColor)"
FAINT = "var(--jp-border-color2, #9e9e9e)"
MUTED = "var(--jp-ui-font-color2, currentColor)"
ACCENT = "var(--jp-brand-color1, #1976d2)"
WARNING = "var(--jp-warn-color1, #e65100)"
DASHES = ("", "6 3", "2 2", "8 3 2 3")
MAX_POINTS = 160

Points = Sequence[tuple[float, float]]
Marks = Sequence[tuple[float, str]]


def line_chart(
    series: Mapping[str, Points],
    *,
    label: str,
    marks: Marks = (),
    log: bool = False,
    x_label: str = "",
    x_max: float | None = None,
    y_range: tuple[float, float] | None = None,
    styles: Sequence[tuple[str, int]] = (),
    width: int = 420,
    height: int = 220,
) -> str:
    """Lines over a common x axis, with a legend above and dashed upright lines where something changed.

    Args:
        series: name -> (x, y) points; NaN, and on a logarithmic scale what is not positive, leaves a gap.
        label: what the picture shows, for those who cannot see it.
        marks: (x, text) of changes; the text shows on hovering.
        log: logarithmic y axis.
        x_label: name of the x axis.
        x_max: right end of the x axis; the last point by default.
        y_range: ends of the y axis; those of the data by default.
        styles: colour, and number of the dash pattern, of each series; their numbers' own by default.
        width: in CSS pixels.
        height: in CSS pixels.
    """
    kept = {name: thinned(points) for name, points in series.items()}
    values = [y for points in kept.values() for _, y in points if _drawable(y, log)]
    last = max((x for points in kept.values() for x, _ in points), default=0)
    right = x_max or last or 1
    low, high = y_range or _range(values, log)
    axis = Axis(left=46, top=24, right=width - 10, bottom=height - 34, x=(0, right), y=(low, high), log=log)
    parts = frame(axis, ticks(low, high, log), x_ticks(right), x_label)
    for x, text in marks:
        at = axis.across(x)
        line = f'<line x1="{at:.1f}" y1="{axis.top}" x2="{at:.1f}" y2="{axis.bottom}" stroke="{WARNING}"'
        hover = f"<title>{html.escape(text)}</title>"
        head = f'<path class="sre-mark" d="M{at - 4:.1f} {axis.top}h8l-4 6z" fill="{WARNING}">{hover}</path>'
        parts.append(f'{line} stroke-width="1.2" stroke-dasharray="2 3"/>{head}')
    styles = styles or [(colour(number), number) for number in range(len(kept))]
    for (tint, pattern), points in zip(styles, kept.values(), strict=True):
        for run in _runs(points, log):
            path = " ".join(f"{axis.across(x):.1f},{axis.up(y):.1f}" for x, y in run)
            line = f'<polyline fill="none" stroke="{tint}" stroke-width="1.8" points="{path}"'
            parts.append(f'{line} stroke-linejoin="round" stroke-dasharray="{dash(pattern)}"/>')
    if not values:
        parts.append(placeholder("nothing yet", axis))
    parts.append(_legend([name if points else "" for name, points in kept.items()], axis, styles))
    return drawing(parts, width, height, label)


def scatter(
    points: Sequence[tuple[float, float]],
    groups: Sequence[int],
    names: Sequence[str],
    *,
    label: str,
    squares: Sequence[bool] | None = None,
    titles: Sequence[str] = (),
    bounds: tuple[float, float, float, float] | None = None,
    width: int = 420,
    height: int = 340,
) -> str:
    """Points coloured by group; those in `squares` are ringed squares, drawn last and larger.

    Args:
        points: (x, y) of each.
        groups: index into `names` of each.
        names: of the groups, for the legend.
        label: what the picture shows, for those who cannot see it.
        squares: which points stand out.
        titles: text of each point on hovering.
        bounds: left, bottom, right, top of what is shown; keeps a moving picture still.
        width: in CSS pixels.
        height: in CSS pixels.
    """
    xs, ys = [x for x, _ in points] or [0.0], [y for _, y in points] or [0.0]
    left, bottom, right, top = bounds or (min(xs), min(ys), max(xs), max(ys))
    shown = [name for index, name in enumerate(names) if index in set(groups)]
    room = 10 + 16 * math.ceil(len(shown) / max(width // 90, 1))
    axis = Axis(10, room, width - 10, height - 10, (left, max(right, left + 1e-9)), (bottom, max(top, bottom + 1e-9)))
    parts, standing = [], []
    for index, ((x, y), group) in enumerate(zip(points, groups, strict=True)):
        at, up = axis.across(x), axis.up(y)
        hover = f"<title>{html.escape(titles[index])}</title>" if titles else ""
        if squares is not None and squares[index]:
            box = f'<rect x="{at - 4:.1f}" y="{up - 4:.1f}" width="8" height="8" fill="{colour(group)}"'
            standing.append(f'{box} stroke="{INK}" stroke-width="1.2" data-index="{index}">{hover}</rect>')
        else:
            dot = f'<circle cx="{at:.1f}" cy="{up:.1f}" r="2.6" fill="{colour(group)}" fill-opacity="0.55"'
            parts.append(f'{dot} data-index="{index}">{hover}</circle>')
    if not points:
        parts.append(placeholder("nothing yet", axis))
    return drawing(
        [*parts, *standing, _legend(list(names), axis, [(colour(number), 0) for number in range(len(names))], wrap=90)],
        width,
        height,
        label,
    )


def bars(
    values: Mapping[str, float],
    *,
    label: str,
    high: float | None = None,
    text: str = "{:.2g}",
    highlight: Sequence[str] = (),
    width: int = 420,
    row: int = 17,
) -> str:
    """One bar lying in each row, with its name before and its value behind it.

    Args:
        values: name -> value from 0.
        label: what the picture shows, for those who cannot see it.
        high: value of a full bar; the largest by default.
        text: format of the value.
        highlight: names whose bars stand out.
        width: in CSS pixels.
        row: height of a row in CSS pixels.
    """
    longest = max((len(name) for name in values), default=0)
    left = min(max(30, 7 * longest + 6), width // 3)
    right = width - 50
    full = high or max((value for value in values.values() if math.isfinite(value)), default=0) or 1
    parts = []
    for number, (name, value) in enumerate(values.items()):
        middle = number * row + row / 2
        share = min(max(value / full, 0), 1) if math.isfinite(value) else 0
        fill = WARNING if name in highlight else ACCENT
        length = max(share * (right - left), 0.5)
        shown = html.escape(name if len(name) * 7 <= left else name[: left // 7 - 1] + "…")
        parts.append(
            f'<text x="{left - 6}" y="{middle + 4:.1f}" text-anchor="end" fill="{INK}">{shown}'
            f"<title>{html.escape(name)}</title></text>"
            f'<rect x="{left}" y="{middle - row * 0.32:.1f}" width="{length:.1f}" height="{row * 0.64:.1f}" rx="1.5"'
            f' fill="{fill}"/>'
            f'<text x="{left + length + 5:.1f}" y="{middle + 4:.1f}" fill="{MUTED}">{text.format(value)}</text>'
        )
    height = max(len(values), 1) * row + 2
    if not values:
        parts.append(f'<text x="8" y="{row - 4}" fill="{MUTED}">nothing yet</text>')
    return drawing(parts, width, height, label)


def columns(values: Sequence[float], *, label: str, x_label: str = "", width: int = 330, height: int = 200) -> str:
    """Upright bars numbered from 1, on an axis whose end moves in steps, so that a moving picture stays readable."""
    shown = [value if math.isfinite(value) else 0.0 for value in values]
    high = _nice(max(shown, default=0) or 1)
    axis = Axis(46, 10, width - 8, height - 34, (0, max(len(values), 1)), (0, high))
    parts = frame(axis, ticks(0, high, False), (), x_label)
    every = max(1, -(-len(values) // 12))
    for number, value in enumerate(shown):
        left, right, up = axis.across(number + 0.12), axis.across(number + 0.88), axis.up(value)
        bar = f'<rect x="{left:.1f}" y="{up:.1f}" width="{max(right - left, 1):.1f}"'
        hover = f"<title>layer {number + 1}: {value:.3g}</title>"
        parts.append(f'{bar} height="{max(axis.bottom - up, 0.5):.1f}" fill="{ACCENT}">{hover}</rect>')
        if number % every == 0:
            at = f'<text x="{(left + right) / 2:.1f}" y="{axis.bottom + 15}" text-anchor="middle"'
            parts.append(f'{at} fill="{MUTED}">{number + 1}</text>')
    if not values:
        parts.append(placeholder("nothing yet", axis))
    return drawing(parts, width, height, label)


def cells(
    values: Sequence[float],
    columns: int,
    *,
    label: str,
    step: float,
    size: float,
    good: Sequence[bool],
    titles: Sequence[str] = (),
    names: Sequence[str] = (),
    row: int = 15,
) -> str:
    """Shares in [0, 1] as little bars under the columns of a grid of images, row by row.

    Args:
        values: in the order of the images.
        columns: images in a row.
        label: what the picture shows, for those who cannot see it.
        step: CSS pixels from one column to the next.
        size: width of an image in CSS pixels.
        good: which ones are in order; the others stand out.
        titles: text of each on hovering.
        names: written before the share, as far as there is room.
        row: height of a row in CSS pixels.
    """
    parts, written = [], size >= 30
    for index, value in enumerate(values):
        left, top = index % columns * step, index // columns * row
        hover = f"<title>{html.escape(titles[index])}</title>" if titles else ""
        fill = ACCENT if good[index] else WARNING
        length = min(max(value, 0), 1) * size
        parts.append(
            f'<g><rect x="{left:.1f}" y="{top}" width="{size:.1f}" height="{row - 3}" fill="{FAINT}" opacity="0.35"/>'
            f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{row - 3}" fill="{fill}" opacity="0.55"/>'
        )
        if written:
            words = f'<text x="{left + size / 2:.1f}" y="{top + row - 6}" text-anchor="middle" font-size="10"'
            name = f"{html.escape(cut(names[index], int(size / 6) - 5))} " if names and size >= 60 else ""
            parts.append(f'{words} fill="{INK}">{name}{value:.0%}</text>')
        parts.append(f"{hover}</g>")
    rows = -(-len(values) // columns)
    return drawing(parts, round((columns - 1) * step + size), max(rows, 1) * row, label, fit=False)


def colour(number: int) -> str:
    """Of the series or group with this number."""
    return of_number(number)


def dash(number: int) -> str:
    """Pattern of the series with this number."""
    return DASHES[number % len(DASHES)]


def thinned(points: Points, most: int = MAX_POINTS) -> Points:
    """At most about `most` points, first and last among them."""
    if len(points) <= most:
        return points
    stride = -(-len(points) // most)
    return [*points[:-1:stride], points[-1]]


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


def _runs(points: Points, log: bool) -> list[list[tuple[float, float]]]:
    """The stretches of a curve without a gap."""
    groups = groupby(points, key=lambda point: _drawable(point[1], log))
    return [list(run) for drawable, run in groups if drawable]


def _drawable(y: float, log: bool) -> bool:
    return math.isfinite(y) and (not log or y > 0)


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    if not values:
        return (0.1, 10.0) if log else (0.0, 1.0)
    low, high = min(values), max(values)
    if log:
        low, high = 10 ** math.floor(math.log10(low) + 1e-9), 10 ** math.ceil(math.log10(high) - 1e-9)
        return (low, high) if high > low else (low, low * 10)
    low = min(low, 0.0)
    return (low, high) if high > low else (low, low + 1)


def ticks(low: float, high: float, log: bool) -> list[float]:
    """Round numbers from `low` to `high` for a y axis, about five; powers of ten on a logarithmic one."""
    if log:
        first, last = round(math.log10(low)), round(math.log10(high))
        stride = max(1, -(-(last - first) // 5))
        return [10.0**power for power in range(first, last + 1, stride)]
    step = _nice((high - low) / 4)
    return [step * n for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def x_ticks(right: float) -> list[float]:
    """Round numbers from 0 to `right`, about six."""
    step = _nice(right / 5)
    return [step * n for n in range(math.floor(right / step + 1e-9) + 1)]


def _nice(step: float) -> float:
    """The number 1, 2 or 5 times a power of ten next above."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= step * (1 - 1e-9))


def frame(axis: Axis, y_ticks: Sequence[float], x_ticks: Sequence[float], x_label: str) -> list[str]:
    """Rules and numbers at these values, the base line, and the name of the x axis, as pieces of SVG."""
    parts = []
    for y in y_ticks:
        up = axis.up(y)
        rule = f'<line x1="{axis.left}" y1="{up:.1f}" x2="{axis.right}" y2="{up:.1f}" stroke="{FAINT}"'
        parts.append(f'{rule} stroke-width="0.7" opacity="0.7"/>')
        parts.append(f'<text x="{axis.left - 6}" y="{up + 4:.1f}" text-anchor="end" fill="{MUTED}">{y:g}</text>')
    for x in x_ticks:
        at = axis.across(x)
        parts.append(
            f'<text x="{at:.1f}" y="{axis.bottom + 15}" text-anchor="middle" fill="{MUTED}">{_short(x)}</text>'
        )
    base = f'<line x1="{axis.left}" y1="{axis.bottom}" x2="{axis.right}" y2="{axis.bottom}" stroke="{MUTED}"/>'
    middle = (axis.left + axis.right) / 2
    name = f'<text x="{middle}" y="{axis.bottom + 29}" text-anchor="middle" fill="{INK}">{html.escape(x_label)}</text>'
    return [*parts, base, name]


def cut(name: str, length: int) -> str:
    """At most so many characters of a name."""
    return name if len(name) <= length else f"{name[: max(length - 1, 1)]}…"


def _short(number: float) -> str:
    return f"{number / 1000:g}k" if number >= 10_000 else f"{number:g}"


def _legend(names: Sequence[str], axis: Axis, styles: Sequence[tuple[str, int]], wrap: float = 0) -> str:
    """A line and a name for each series, in one row, or in rows of equal columns."""
    parts, x, y = [], axis.left, 13.0
    for (tint, pattern), name in zip(styles, names, strict=True):
        if not name:
            continue
        space = max(wrap, 34 + 6.4 * len(name))
        if x + space > axis.right + 20 and x > axis.left:
            x, y = axis.left, y + 16
        line = f'<line x1="{x:.0f}" y1="{y - 4}" x2="{x + 18:.0f}" y2="{y - 4}" stroke="{tint}"'
        if wrap:
            line = f'<circle cx="{x + 9:.0f}" cy="{y - 4}" r="4" fill="{tint}"'
        parts.append(f'{line} stroke-width="2.2" stroke-dasharray="{"" if wrap else dash(pattern)}"/>')
        parts.append(f'<text x="{x + 23:.0f}" y="{y}" fill="{INK}">{html.escape(name)}</text>')
        x += space
    return "".join(parts)


def placeholder(text: str, axis: Axis) -> str:
    """Words in a chart without data, between two rules."""
    at, up = (axis.left + axis.right) / 2, axis.top + 0.4 * (axis.bottom - axis.top)
    return f'<text x="{at}" y="{up}" text-anchor="middle" fill="{MUTED}">{html.escape(text)}</text>'


def drawing(parts: Sequence[str], width: int, height: float, label: str, *, fit: bool = True) -> str:
    """Pieces of SVG as one picture.

    Args:
        parts: in the order of drawing.
        width: in CSS pixels.
        height: in CSS pixels.
        label: what it shows, for those who cannot see it.
        fit: whether it shrinks where there is less room.
    """
    style = "display: block; font-family: var(--jp-ui-font-family, sans-serif); font-size: 11px"
    if fit:
        style += "; max-width: 100%"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(label, quote=True)}" '
        f'width="{width}" height="{height:g}" viewBox="0 0 {width} {height:g}" style="{style}">{"".join(parts)}</svg>'
    )

"""More charts as SVG and HTML text: students with seeds, a confusion matrix, ranges by layer, dots by class, tables."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence

from PIL import Image

from sre2l_core.figures.encode import encoded
from sre2l_core.figures.svg import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    WARNING,
    Axis,
    colour,
    cut,
    dash,
    drawing,
    frame,
    placeholder,
    ticks,
    x_ticks,
)

Line = Sequence[tuple[float, float]]


def seed_chart(
    groups: Mapping[str, Sequence[Line]],
    *,
    label: str,
    x_label: str,
    x_max: float,
    y_range: tuple[float, float],
    width: int = 520,
    height: int = 260,
) -> str:
    """Thin lines for the seeds of each group and a thick one for their mean; names to the right, best on top."""
    right = width - 10 - min(max((7 * len(name) for name in groups), default=0) + 28, width // 2)
    axis = Axis(46, 12, right, height - 34, (0, max(x_max, 1e-9)), y_range)
    parts = frame(axis, ticks(*y_range, False), x_ticks(max(x_max, 1e-9)), x_label)
    ends: list[tuple[float, int, str]] = []
    for number, (name, lines) in enumerate(groups.items()):
        for line in lines:
            if len(lines) > 1 and line:
                parts.append(_line(axis, line, colour(number), 1.0, "", 0.35))
        whole = min((len(line) for line in lines), default=0)
        mean = [(lines[0][i][0], sum(line[i][1] for line in lines) / len(lines)) for i in range(whole)]
        if mean:
            parts.append(_line(axis, mean, colour(number), 2.2, dash(number), 1.0))
            x, y = axis.across(mean[-1][0]), axis.up(mean[-1][1])  # all that shows of a setting judged once
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour(number)}"/>')
        ends.append((mean[-1][1] if mean else -1.0, number, name))
    for place, (_, number, name) in enumerate(sorted(ends, key=lambda end: (-end[0], end[1]))):
        x, y = right + 14, 22 + 18 * place
        parts.append(_sample(x, y, number, name))
    if not any(line for lines in groups.values() for line in lines):
        parts.append(placeholder("nothing yet", axis))
    return drawing(parts, width, height, label)


def matrix(
    values: Sequence[Sequence[float]],
    names: Sequence[str],
    *,
    label: str,
    text: str = "{:g}",
    across: str = "",
    down: str = "",
    side: int = 24,
    full: float | None = None,
) -> str:
    """Numbers in squares, shaded by their share of the row's sum, and off the diagonal in another colour.

    With `full`, they are shaded by their share of it, all in one colour.
    """
    left, top = min(max((7 * len(name) for name in names), default=0), 90) + 26, 36
    parts = [
        f'<text x="{left + side * len(names) / 2}" y="12" text-anchor="middle" fill="{MUTED}">'
        f"{html.escape(across)}</text>",
        f'<text x="10" y="{top + side * len(names) / 2}" text-anchor="middle" fill="{MUTED}" '
        f'transform="rotate(-90 10 {top + side * len(names) / 2})">{html.escape(down)}</text>',
    ]
    for row, name in enumerate(names):
        middle = top + side * row + side / 2 + 4
        shown = html.escape(cut(name, 12))
        parts.append(f'<text x="{left - 6}" y="{middle}" text-anchor="end" fill="{INK}">{shown}</text>')
        at = left + side * row + side / 2
        parts.append(
            f'<text x="{at}" y="{top - 6}" text-anchor="middle" fill="{INK}">{html.escape(cut(name, 3))}</text>'
        )
        total = full or sum(values[row]) or 1
        for column, value in enumerate(values[row]):
            share, x, y = value / total, left + side * column, top + side * row
            fill = ACCENT if full or row == column else colour(1)
            strength = 0.05 + 0.6 * share if fill == ACCENT else 0.25 + 2 * share
            opacity = min(strength, 0.8) if value else 0.0
            hover = html.escape(f"{name} → {names[column]}: {text.format(value)}")
            parts.append(
                f'<g><title>{hover}</title><rect x="{x}" y="{y}" width="{side - 1}" height="{side - 1}" fill="{FAINT}" '
                f'fill-opacity="0.18"/><rect x="{x}" y="{y}" width="{side - 1}" height="{side - 1}" fill="{fill}" '
                f'fill-opacity="{opacity:.2f}"/>'
            )
            if value:
                parts.append(
                    f'<text x="{x + side / 2 - 0.5}" y="{y + side / 2 + 4}" text-anchor="middle" fill="{INK}" '
                    f'font-size="10">{text.format(value)}</text>'
                )
            parts.append("</g>")
    return drawing(parts, left + side * len(names) + 6, top + side * len(names) + 6, label)


def ranges(
    rows: Mapping[str, Sequence[float]],
    *,
    label: str,
    x_label: str,
    at: float | None = None,
    colour_number: int = 0,
    width: int = 420,
    height: int = 190,
) -> str:
    """For each name in turn an upright bar from the 5 % to the 95 % quantile, a box for the middle half, the median.

    Args:
        rows: name -> five quantiles.
        label: what the picture shows, for those who cannot see it.
        x_label: what the places along the x axis are.
        at: value of a dashed line across.
        colour_number: of the palette.
        width: in CSS pixels.
        height: in CSS pixels.
    """
    values = [value for row in rows.values() for value in row] + ([] if at is None else [at])
    low, high = min(values, default=0.0), max(values, default=1.0)
    spare = 0.06 * (high - low or 1)
    axis = Axis(46, 10, width - 10, height - 34, (0, max(len(rows), 1)), (low - spare, high + spare))
    parts = frame(axis, ticks(low - spare, high + spare, False), [], x_label)
    if at is not None:
        y = axis.up(at)
        line = f'<line x1="{axis.left}" y1="{y:.1f}" x2="{axis.right}" y2="{y:.1f}" stroke="{MUTED}"'
        parts.append(f'{line} stroke-dasharray="4 3"/>')
    fill, step = colour(colour_number), (axis.right - axis.left) / max(len(rows), 1)
    wide, every = min(step * 0.6, 26), max(1, math.ceil(len(rows) / max((axis.right - axis.left) / 24, 1)))
    for number, (name, found) in enumerate(rows.items()):
        x = axis.across(number + 0.5)
        lowest, quarter, median, three, highest = (axis.up(value) for value in found)
        hover = html.escape(f"{name}: median {found[2]:.3g}, 5 % to 95 %: {found[0]:.3g} to {found[4]:.3g}")
        parts.append(
            f"<g><title>{hover}</title>"
            f'<line x1="{x:.1f}" y1="{lowest:.1f}" x2="{x:.1f}" y2="{highest:.1f}" stroke="{fill}" stroke-width="2"/>'
            f'<rect x="{x - wide / 2:.1f}" y="{three:.1f}" width="{wide:.1f}" height="{max(quarter - three, 1):.1f}" '
            f'fill="{fill}" fill-opacity="0.45" stroke="{fill}"/>'
            f'<line x1="{x - wide / 2:.1f}" y1="{median:.1f}" x2="{x + wide / 2:.1f}" y2="{median:.1f}" '
            f'stroke="{INK}" stroke-width="2"/></g>'
        )
        if number % every == 0:
            parts.append(
                f'<text x="{x:.1f}" y="{axis.bottom + 15}" text-anchor="middle" fill="{MUTED}">{number + 1}</text>'
            )
    if not rows:
        parts.append(placeholder("nothing yet", axis))
    return drawing(parts, width, height, label)


def class_dots(
    groups: Mapping[str, Mapping[str, float]],
    names: Sequence[str],
    *,
    label: str,
    hollow: Sequence[str] = (),
    numbers: Mapping[str, int] | None = None,
    width: int = 520,
    row: int = 20,
) -> str:
    """A line for each class with a dot for each group at its accuracy in [0, 1].

    Args:
        groups: group -> class -> accuracy.
        names: the classes, from top to bottom.
        label: what the picture shows, for those who cannot see it.
        hollow: groups drawn as rings, such as baselines.
        numbers: group -> number in the palette, where it is that of another chart.
        width: in CSS pixels.
        row: height of a line in CSS pixels.
    """
    left = min(max((7 * len(name) for name in names), default=10) + 12, width // 3)
    height = row * max(len(names), 2) + 34
    axis = Axis(left, 4, width - 20, height - 30, (0, 1), (0, 1))
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = axis.across(tick)
        parts.append(
            f'<line x1="{x:.1f}" y1="{axis.top}" x2="{x:.1f}" y2="{axis.bottom}" stroke="{FAINT}" opacity="0.7"/>'
        )
        parts.append(f'<text x="{x:.1f}" y="{axis.bottom + 14}" text-anchor="middle" fill="{MUTED}">{tick:.0%}</text>')
    for number, name in enumerate(names):
        y = axis.top + row * (number + 0.5)
        parts.append(f'<line x1="{left}" y1="{y}" x2="{axis.right}" y2="{y}" stroke="{FAINT}" opacity="0.5"/>')
        shown = html.escape(cut(name, max((left - 12) // 7, 1)))
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end" fill="{INK}">{shown}</text>')
        for order, (group, by_class) in enumerate(groups.items()):
            if name not in by_class or math.isnan(by_class[name]):
                continue
            tint = colour((numbers or {}).get(group, order))
            ring = 'fill="none" stroke-width="2"' if group in hollow else f'fill="{tint}" fill-opacity="0.8"'
            hover = html.escape(f"{name}, {group}: {by_class[name]:.0%}")
            at = axis.across(by_class[name])
            parts.append(
                f'<circle cx="{at:.1f}" cy="{y}" r="5" {ring} stroke="{tint}" pointer-events="all">'
                f"<title>{hover}</title></circle>"
            )
    if not any(groups.values()):
        parts.append(placeholder("nothing yet", axis))
    return drawing(parts, width, height, label)


def log_chart(
    series: Mapping[str, Line], *, at: float, label: str, x_label: str, width: int = 400, height: int = 210
) -> str:
    """Shares in [0, 1] against a quantity on a logarithmic axis, and an upright line at its present value.

    Args:
        series: name -> (log10 of the quantity, share).
        at: log10 of the present value.
        label: what the picture shows, for those who cannot see it.
        x_label: the quantity.
        width: in CSS pixels.
        height: in CSS pixels.
    """
    places = [x for points in series.values() for x, _ in points]
    low, high = min(places), max(places)
    axis = Axis(46, 26, width - 12, height - 34, (low, high), (0, 1))
    parts = frame(axis, (0, 0.25, 0.5, 0.75, 1), [], x_label)
    for power in range(math.ceil(low), math.floor(high) + 1):
        x = axis.across(power)
        parts.append(
            f'<text x="{x:.1f}" y="{axis.bottom + 15}" text-anchor="middle" fill="{MUTED}">{10**power:g}</text>'
        )
    x = axis.across(min(max(at, low), high))
    line = f'<line x1="{x:.1f}" y1="{axis.top}" x2="{x:.1f}" y2="{axis.bottom}" stroke="{WARNING}"'
    parts.append(f'{line} stroke-width="1.4" stroke-dasharray="3 3"/>')
    for number, points in enumerate(series.values()):
        parts.append(_line(axis, points, colour(number), 2, dash(number), 1))
    left = axis.left
    for number, name in enumerate(series):
        parts.append(_sample(left, 13, number, name))
        left += 40 + 6.6 * len(name)
    return drawing(parts, width, height, label)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """A small table; cells are HTML, all columns but the first stand right."""
    cell = "padding: 2px 10px; border-bottom: 1px solid var(--jp-border-color2, #ccc)"

    def line(cells: Sequence[str], tag: str) -> str:
        found = (
            f'<{tag} style="{cell}; text-align: {"left" if number == 0 else "right"}">{text}</{tag}>'
            for number, text in enumerate(cells)
        )
        return f"<tr>{''.join(found)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    title = f'<caption class="sre-heading" style="text-align: left">{html.escape(caption)}</caption>' if caption else ""
    style = "border-collapse: collapse; font-size: 12px; line-height: 1.4; font-variant-numeric: tabular-nums"
    return f'<table style="{style}">{title}<thead>{line(head, "th")}</thead><tbody>{body}</tbody></table>'


def titled(title: str, body: str, note: str = "") -> str:
    """A heading, a picture, and a line of text below."""
    below = f'<div class="sre-caption">{note}</div>' if note else ""
    return f'<div><div class="sre-heading">{html.escape(title)}</div>{body}{below}</div>'


def data_url(picture: Image.Image) -> str:
    """A picture as text that fits into HTML."""
    return f"data:image/png;base64,{base64.b64encode(encoded(picture, 'png')).decode()}"


def _line(axis: Axis, points: Line, stroke: str, width: float, dashes: str, opacity: float) -> str:
    path = " ".join(f"{axis.across(x):.1f},{axis.up(y):.1f}" for x, y in points)
    return (
        f'<polyline fill="none" stroke="{stroke}" stroke-width="{width}" stroke-dasharray="{dashes}" '
        f'opacity="{opacity}" points="{path}" stroke-linejoin="round"/>'
    )


def _sample(x: float, y: float, number: int, name: str) -> str:
    """A piece of a series' line and its name."""
    line = (
        f'<line x1="{x:.0f}" y1="{y - 4}" x2="{x + 20:.0f}" y2="{y - 4}" stroke="{colour(number)}" stroke-width="2.2"'
    )
    text = f'<text x="{x + 26:.0f}" y="{y}" fill="{INK}">{html.escape(name)}</text>'
    return f'{line} stroke-dasharray="{dash(number)}"/>{text}'

"""Bars: of classes, of layers, under the images of a grid, and the spread of a quantity layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sre2l_core.figures.colours import of_number
from sre2l_core.figures.svg import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    WARNING,
    Axis,
    Drawing,
    below,
    box,
    cut,
    frame,
    hover,
    nice,
    nothing_yet,
    rule,
    tag,
    text,
    ticks,
)


def bars(
    values: Mapping[str, float],
    *,
    label: str,
    high: float | None = None,
    form: str = "{:.2g}",
    highlight: Sequence[str] = (),
    width: int = 420,
    row: int = 17,
) -> Drawing:
    """One bar lying in each row, with its name before and its value behind it.

    Args:
        values: name -> value from 0.
        label: what the picture shows, for those who cannot see it.
        high: value of a full bar; the largest by default.
        form: how the value is written.
        highlight: names whose bars stand out.
        width: in CSS pixels.
        row: height of a row in CSS pixels.
    """
    left, right = min(max(30, 7 * max(map(len, values), default=0) + 6), width // 3), width - 50
    full = high or max((value for value in values.values() if math.isfinite(value)), default=0) or 1
    parts = []
    for number, (name, value) in enumerate(values.items()):
        middle = number * row + row / 2
        share = min(max(value / full, 0), 1) if math.isfinite(value) else 0
        length = max(share * (right - left), 0.5)
        shown = cut(name, left // 7)
        parts += [
            tag("g", hover(name), text(shown, left - 6, middle + 4, anchor="end")),
            box(left, middle - row * 0.32, length, row * 0.64, rx=1.5, fill=WARNING if name in highlight else ACCENT),
            text(form.format(value), left + length + 5, middle + 4, fill=MUTED),
        ]
    if not values:
        parts.append(text("nothing yet", 8, row - 4, fill=MUTED))
    return Drawing(parts, width, max(len(values), 1) * row + 2, label)


def columns(values: Sequence[float], *, label: str, x_label: str = "", width: int = 330, height: int = 200) -> Drawing:
    """Upright bars numbered from 1, on an axis whose end moves in steps, so that a moving picture stays readable."""
    shown = [value if math.isfinite(value) else 0.0 for value in values]
    high = nice(max(shown, default=0) or 1)
    axis = Axis(46, 10, width - 8, height - 34, (0, max(len(values), 1)), (0, high))
    parts = frame(axis, ticks(0, high), (), x_label)
    every = max(1, -(-len(values) // 12))
    for number, value in enumerate(shown):
        left, right, up = axis.across(number + 0.12), axis.across(number + 0.88), axis.up(value)
        said = hover(f"layer {number + 1}: {value:.3g}")
        parts.append(box(left, up, max(right - left, 1), max(axis.bottom - up, 0.5), said, fill=ACCENT))
        if number % every == 0:
            parts.append(below(axis, (left + right) / 2, str(number + 1)))
    if not values:
        parts.append(nothing_yet(axis))
    return Drawing(parts, width, height, label)


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
) -> Drawing:
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
    parts = []
    for index, value in enumerate(values):
        left, top, length = index % columns * step, index // columns * row, min(max(value, 0), 1) * size
        cell = [
            box(left, top, size, row - 3, fill=FAINT, opacity=0.35),
            box(left, top, length, row - 3, fill=ACCENT if good[index] else WARNING, opacity=0.55),
        ]
        if size >= 30:
            name = f"{cut(names[index], int(size / 6) - 5)} " if names and size >= 60 else ""
            middle = left + size / 2
            cell.append(text(f"{name}{value:.0%}", middle, top + row - 6, anchor="middle", font_size=10))
        parts.append(tag("g", *cell, hover(titles[index] if titles else "")))
    rows = -(-len(values) // columns)
    return Drawing(parts, round((columns - 1) * step + size), max(rows, 1) * row, label, fit=False)


def ranges(
    rows: Mapping[str, Sequence[float]],
    *,
    label: str,
    x_label: str,
    at: float | None = None,
    colour_number: int = 0,
    width: int = 420,
    height: int = 190,
) -> Drawing:
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
    parts = frame(axis, ticks(low - spare, high + spare), [], x_label)
    if at is not None:
        parts.append(rule(axis.left, axis.up(at), axis.right, axis.up(at), MUTED, stroke_dasharray="4 3"))
    fill, step = of_number(colour_number), (axis.right - axis.left) / max(len(rows), 1)
    every = max(1, math.ceil(len(rows) / max((axis.right - axis.left) / 24, 1)))
    for number, (name, found) in enumerate(rows.items()):
        x, half = axis.across(number + 0.5), min(step * 0.6, 26) / 2
        lowest, quarter, median, three, highest = (axis.up(value) for value in found)
        said = f"{name}: median {found[2]:.3g}, 5 % to 95 %: {found[0]:.3g} to {found[4]:.3g}"
        middle = box(x - half, three, 2 * half, max(quarter - three, 1), fill=fill, fill_opacity=0.45, stroke=fill)
        parts.append(
            tag(
                "g", hover(said), rule(x, lowest, x, highest, fill, stroke_width=2), middle,
                rule(x - half, median, x + half, median, INK, stroke_width=2),
            )
        )  # fmt: skip
        if number % every == 0:
            parts.append(below(axis, x, str(number + 1)))
    if not rows:
        parts.append(nothing_yet(axis))
    return Drawing(parts, width, height, label)

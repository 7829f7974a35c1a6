"""Bars: of classes, of layers, under the images of a grid, and the spread of a quantity layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sre2l_core.figures.colours import of_number
from sre2l_core.figures.svg import (
    ACCENT,
    FAINT,
    GROUND,
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

CELL = 15
"""CSS pixels of the bar under an image, with what keeps it apart from the next row."""


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
    values: Sequence[float | None],
    columns: int,
    *,
    label: str,
    step: float,
    down: float,
    size: float,
    good: Sequence[bool],
    titles: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Drawing:
    """Shares in [0, 1] as little bars, each under its own image; to be laid over a grid of images.

    Args:
        values: in the order of the images; None for one that is not known.
        columns: images in a row.
        label: what the picture shows, for those who cannot see it.
        step: CSS pixels from one column to the next.
        down: CSS pixels from one row to the next; `CELL` more than `size`, or the bars lie on the images.
        size: side of an image in CSS pixels.
        good: which ones are in order; the others stand out.
        titles: text of each on hovering.
        names: written before the share, as far as there is room.
    """
    width, rows = round((columns - 1) * step + size), max(-(-len(values) // columns), 1)
    # What lies between the rows of a picture is grey: here it becomes the page.
    parts = [box(0, row * down + size, width, down - size, fill=GROUND) for row in range(rows - 1)]
    for index, value in enumerate(values):
        left, top = index % columns * step, index // columns * down + size + 1
        cell = [box(left, top, size, CELL - 3, fill=FAINT, opacity=0.35)]
        if value is not None:
            tint = ACCENT if good[index] else WARNING
            cell.append(box(left, top, min(max(value, 0), 1) * size, CELL - 3, fill=tint, opacity=0.55))
        if value is not None and size >= 30:
            name = f"{cut(names[index], int(size / 6) - 5)} " if names and size >= 60 else ""
            cell.append(text(f"{name}{value:.0%}", left + size / 2, top + CELL - 6, anchor="middle", font_size=10))
        parts.append(tag("g", *cell, hover(titles[index] if titles else "")))
    return Drawing(parts, width, (rows - 1) * down + size + CELL, label, fit=False)


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

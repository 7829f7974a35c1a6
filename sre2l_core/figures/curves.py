"""Lines over a common x axis: losses and accuracies against the step, students with seeds, shares by temperature."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from sre2l_core.figures.colours import of_number
from sre2l_core.figures.svg import (
    ACCENT,
    LETTER,
    WARNING,
    Axis,
    Drawing,
    below,
    dash,
    dot,
    frame,
    hover,
    nothing_yet,
    rule,
    tag,
    text,
    ticks,
    x_ticks,
)

MAX_POINTS = 160
"""Of a curve: more cannot be told apart at this size."""
Points = Sequence[tuple[float, float]]
Marks = Sequence[tuple[float, str]]


def line_chart(
    series: Mapping[str, Points],
    *,
    label: str,
    marks: Marks = (),
    cursor: float | None = None,
    log: bool = False,
    x_label: str = "",
    x_max: float | None = None,
    y_range: tuple[float, float] | None = None,
    styles: Sequence[tuple[str, int]] = (),
    width: int = 420,
    height: int = 220,
) -> Drawing:
    """Lines over a common x axis, with a legend above and dashed upright lines where something changed.

    Args:
        series: name -> (x, y) points; NaN, and on a logarithmic scale what is not positive, leaves a gap.
        label: what the picture shows, for those who cannot see it.
        marks: (x, text) of changes; the text shows on hovering.
        cursor: x of an upright line: what is looked at.
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
    right = x_max or max((x for points in kept.values() for x, _ in points), default=0) or 1
    low, high = y_range or _range(values, log)
    axis = Axis(46, 24, width - 10, height - 34, (0, right), (low, high), log)
    parts = frame(axis, ticks(low, high, log=log), x_ticks(right), x_label)
    parts += [_mark(axis, x, words) for x, words in marks]
    if cursor is not None:
        parts.append(_cursor(axis, cursor))
    styles = styles or [(of_number(number), number) for number in range(len(kept))]
    for (tint, pattern), points in zip(styles, kept.values(), strict=True):
        parts += [_line(axis, run, tint, stroke_dasharray=dash(pattern)) for run in _runs(points, log)]
    if not values:
        parts.append(nothing_yet(axis))
    parts += _legend([name if points else "" for name, points in kept.items()], axis, styles)
    return Drawing(parts, width, height, label)


def seed_chart(
    groups: Mapping[str, Sequence[Points]],
    *,
    label: str,
    x_label: str,
    x_max: float,
    y_range: tuple[float, float],
    cursor: float | None = None,
    width: int = 520,
    height: int = 260,
) -> Drawing:
    """Thin lines for the seeds of each group and a thick one for their mean; names to the right, best on top.

    Args:
        groups: name -> a line of (x, y) for each seed.
        label: what the picture shows, for those who cannot see it.
        x_label: name of the x axis.
        x_max: right end of the x axis.
        y_range: ends of the y axis.
        cursor: x of an upright line: what is looked at.
        width: in CSS pixels.
        height: in CSS pixels.
    """
    right = width - 10 - min(max((7 * len(name) for name in groups), default=0) + 28, width // 2)
    axis = Axis(46, 12, right, height - 34, (0, max(x_max, 1e-9)), y_range)
    parts = frame(axis, ticks(*y_range), x_ticks(max(x_max, 1e-9)), x_label)
    if cursor is not None:
        parts.append(_cursor(axis, cursor))
    ends: list[tuple[float, int, str]] = []
    for number, (name, lines) in enumerate(groups.items()):
        tint = of_number(number)
        parts += [_line(axis, one, tint, stroke_width=1, opacity=0.35) for one in lines if len(lines) > 1 and one]
        if mean := _mean(lines):
            parts.append(_line(axis, mean, tint, stroke_width=2.2, stroke_dasharray=dash(number)))
            x, y = mean[-1]
            parts.append(dot(axis.across(x), axis.up(y), 3.5, fill=tint))  # all that shows of one judged once
        ends.append((mean[-1][1] if mean else -1.0, number, name))
    for place, (_, number, name) in enumerate(sorted(ends, key=lambda end: (-end[0], end[1]))):
        parts.append(_sample(right + 14, 22 + 18 * place, name, of_number(number), number))
    if not any(line for lines in groups.values() for line in lines):
        parts.append(nothing_yet(axis))
    return Drawing(parts, width, height, label)


def log_chart(
    series: Mapping[str, Points], *, at: float, label: str, x_label: str, width: int = 400, height: int = 210
) -> Drawing:
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
    powers = range(math.ceil(low), math.floor(high) + 1)
    parts += [below(axis, axis.across(power), f"{10**power:g}") for power in powers]
    x, styles = axis.across(min(max(at, low), high)), [(of_number(number), number) for number in range(len(series))]
    parts.append(rule(x, axis.top, x, axis.bottom, WARNING, stroke_width=1.4, stroke_dasharray="3 3"))
    for (tint, pattern), points in zip(styles, series.values(), strict=True):
        parts.append(_line(axis, points, tint, stroke_dasharray=dash(pattern)))
    return Drawing([*parts, *_legend(list(series), axis, styles)], width, height, label)


def thinned(points: Points, most: int = MAX_POINTS) -> Points:
    """At most about `most` points, first and last among them."""
    if len(points) <= most:
        return points
    stride = -(-len(points) // most)
    return [*points[:-1:stride], points[-1]]


def _line(axis: Axis, points: Points, stroke: str, *, stroke_width: float = 1.8, **more: object) -> str:
    path = " ".join(f"{axis.across(x):.1f},{axis.up(y):.1f}" for x, y in points)
    look = {"fill": "none", "stroke": stroke, "stroke_width": stroke_width, "stroke_linejoin": "round"}
    return tag("polyline", points=path, **look, **more)


def _mark(axis: Axis, x: float, words: str) -> str:
    """A dashed upright line with a head that says what was changed there."""
    at = axis.across(x)
    line = rule(at, axis.top, at, axis.bottom, WARNING, stroke_width=1.2, stroke_dasharray="2 3")
    head = f"{at - 4:.1f},{axis.top} {at + 4:.1f},{axis.top} {at:.1f},{axis.top + 6}"
    return line + tag("polygon", hover(words), class_="sre-mark", points=head, fill=WARNING)


def _cursor(axis: Axis, x: float) -> str:
    """An upright line at what is looked at."""
    at = axis.across(x)
    return rule(at, axis.top, at, axis.bottom, ACCENT, stroke_width=1.6, class_="sre-cursor")


def _sample(x: float, y: float, name: str, tint: str, pattern: int) -> str:
    """A piece of a series' line and its name."""
    line = rule(x, y - 4, x + 20, y - 4, tint, stroke_width=2.2, stroke_dasharray=dash(pattern))
    return line + text(name, x + 25, y)


def _legend(names: Sequence[str], axis: Axis, styles: Sequence[tuple[str, int]]) -> Iterator[str]:
    """A line and a name for each series in a row above the chart; series without data have no name."""
    x = axis.left
    for (tint, pattern), name in zip(styles, names, strict=True):
        if name:
            yield _sample(x, 13, name, tint, pattern)
            x += 37 + LETTER * len(name)


def _mean(lines: Sequence[Points]) -> Points:
    """As far as all of the lines reach."""
    whole = min((len(line) for line in lines), default=0)
    return [(lines[0][i][0], sum(line[i][1] for line in lines) / len(lines)) for i in range(whole)]


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

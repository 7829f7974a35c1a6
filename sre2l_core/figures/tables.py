"""Numbers by class: a matrix of shaded squares, dots on a line for each class, and a plain table."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence

from sre2l_core.figures.colours import of_number
from sre2l_core.figures.svg import (
    ACCENT,
    FAINT,
    MUTED,
    Axis,
    Drawing,
    below,
    box,
    cut,
    dot,
    hover,
    nothing_yet,
    rule,
    tag,
    text,
)

MAX_CLASSES = 20
"""Up to so many, a matrix has squares that numbers fit into, and every class a line of dots."""


def matrix(
    values: Sequence[Sequence[float]],
    names: Sequence[str],
    *,
    label: str,
    across: str = "",
    down: str = "",
    side: int = 24,
    full: float | None = None,
) -> Drawing:
    """Numbers in squares, shaded by their share of the row's sum, and off the diagonal in another colour.

    Args:
        values: row by row.
        names: of the rows, and of the columns.
        label: what the picture shows, for those who cannot see it.
        across: what the columns are.
        down: what the rows are.
        side: of a square in CSS pixels.
        full: numbers are shaded by their share of it instead, all in one colour.
    """
    left, top, length = min(max((7 * len(name) for name in names), default=0), 90) + 26, 36, side * len(names)
    middle = top + length / 2
    parts = [
        text(across, left + length / 2, 12, anchor="middle", fill=MUTED),
        text(down, 10, middle, anchor="middle", fill=MUTED, transform=f"rotate(-90 10 {middle})"),
    ]
    for row, name in enumerate(names):
        at = row * side + side / 2
        parts.append(text(cut(name, 12), left - 6, top + at + 4, anchor="end"))
        parts.append(text(cut(name, 3), left + at, top - 6, anchor="middle"))
        total = full or sum(values[row]) or 1
        for column, value in enumerate(values[row]):
            plain = full is not None or row == column
            strength = 0.05 + 0.6 * value / total if plain else 0.25 + 2 * value / total
            said, fill = f"{name} → {names[column]}: {value:g}", ACCENT if plain else of_number(1)
            x, y, shade = left + side * column, top + side * row, min(strength, 0.8) if value else 0.0
            parts.append(tag("g", hover(said), *_square(x, y, side, value, fill, shade)))
    return Drawing(parts, left + length + 6, top + length + 6, label)


def _square(x: float, y: float, side: int, value: float, fill: str, shade: float) -> Iterator[str]:
    """One number of a matrix; zero stays empty."""
    yield box(x, y, side - 1, side - 1, fill=FAINT, fill_opacity=0.18)
    yield box(x, y, side - 1, side - 1, fill=fill, fill_opacity=shade)
    if value:
        yield text(f"{value:g}", x + side / 2 - 0.5, y + side / 2 + 4, anchor="middle", font_size=10)


def class_dots(
    groups: Mapping[str, Mapping[str, float]],
    names: Sequence[str],
    *,
    label: str,
    hollow: Sequence[str] = (),
    numbers: Mapping[str, int] | None = None,
    width: int = 520,
    row: int = 20,
) -> Drawing:
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
    axis, parts = Axis(left, 4, width - 20, height - 30, (0, 1), (0, 1)), []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = axis.across(tick)
        parts.append(rule(x, axis.top, x, axis.bottom, opacity=0.7) + below(axis, x, f"{tick:.0%}"))
    for number, name in enumerate(names):
        y = axis.top + row * (number + 0.5)
        parts.append(rule(left, y, axis.right, y, opacity=0.5))
        parts.append(text(cut(name, max((left - 12) // 7, 1)), left - 8, y + 4, anchor="end"))
        for order, (group, by_class) in enumerate(groups.items()):
            if name not in by_class or math.isnan(by_class[name]):
                continue
            tint = of_number((numbers or {}).get(group, order))
            look = {"fill": "none", "stroke_width": 2} if group in hollow else {"fill": tint, "fill_opacity": 0.8}
            said = hover(f"{name}, {group}: {by_class[name]:.0%}")
            parts.append(dot(axis.across(by_class[name]), y, 5, said, stroke=tint, pointer_events="all", **look))
    if not any(groups.values()):
        parts.append(nothing_yet(axis))
    return Drawing(parts, width, height, label)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """A small HTML table; cells are HTML, all columns but the first stand right."""
    cell = "padding: 2px 10px; border-bottom: 1px solid var(--jp-border-color2, #ccc)"

    def line(cells: Sequence[str], kind: str) -> str:
        found = (
            f'<{kind} style="{cell}; text-align: {"left" if number == 0 else "right"}">{one}</{kind}>'
            for number, one in enumerate(cells)
        )
        return f"<tr>{''.join(found)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    title = f'<caption class="sre-heading" style="text-align: left">{html.escape(caption)}</caption>' if caption else ""
    style = "border-collapse: collapse; font-size: 12px; line-height: 1.4; font-variant-numeric: tabular-nums"
    return f'<table style="{style}">{title}<thead>{line(head, "th")}</thead><tbody>{body}</tbody></table>'

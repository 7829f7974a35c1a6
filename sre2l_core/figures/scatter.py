"""Many results as marks: axes, colours and facets each follow one quantity, whatever it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from matplotlib.figure import Figure

from sre2l_core.figures.colours import of_number
from sre2l_core.figures.sheet import in_rows
from sre2l_core.figures.svg import (
    INK,
    LETTER,
    MUTED,
    Axis,
    Drawing,
    cut,
    dot,
    hover,
    nice,
    nothing_yet,
    rule,
    tag,
    text,
    ticks,
)
from sre2l_core.figures.theme import LEGEND, plain, subplots, words
from sre2l_core.presets.recipe import written

WIDTH, COLUMNS = 820, 3
"""CSS pixels of all facets, and facets in a row at most."""
HEIGHT, SMALL_HEIGHT = 340, 220
"""CSS pixels of a chart alone, and of one of several."""
CATEGORIES = 12
"""Up to so many different values stand side by side; more numbers make an axis."""
HUES, FACETS = 8, 9
"""Different colours, and facets, at most; more values are put into groups."""
WITH_BARS = 400
"""Up to so many marks have a bar for their spread, and words on hovering."""
LOG_FROM = 30.0
"""Largest positive number over smallest, from which on an axis is logarithmic."""


@dataclass(frozen=True)
class Mark:
    """One result."""

    values: Mapping[str, Any]
    """Quantity -> plain value."""
    title: str
    """Said on hovering."""
    spread: float = 0.0
    """Half the length of its upright bar, where the y axis shows what it is the spread of."""


class Scale:
    """Where values lie between 0 and 1: side by side where they are few or no numbers, else as numbers.

    Args:
        values: plain values.
        measured: numbers however few they are.
    """

    def __init__(self, values: Sequence[Any], *, measured: bool = False) -> None:
        self.different = sorted({key_of(value): value for value in values}.values(), key=order)
        numbers = all(is_number(value) for value in self.different)
        few = len(self.different) <= CATEGORIES and not measured
        self.side_by_side = not numbers or few or not self.different
        self.places = {key_of(value): number for number, value in enumerate(self.different)}
        self.log = False
        if not self.side_by_side:
            low, high = float(self.different[0]), float(self.different[-1])
            self.log = low > 0 and high / low >= LOG_FROM and not measured
            self.low, self.high = (math.log10(low), math.log10(high)) if self.log else (low, high)
            spare = 0.04 * (self.high - self.low) or 0.5
            self.low, self.high = self.low - spare, self.high + spare

    def at(self, value: Any) -> float:
        """Share of the axis."""
        if self.side_by_side:
            return (self.places[key_of(value)] + 0.5) / len(self.different)
        number = math.log10(value) if self.log else float(value)
        return (number - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Share of the axis -> what stands there."""
        if self.side_by_side:
            every = max(1, -(-len(self.different) // most))
            return [(self.at(value), written(value)) for value in self.different[::every]]
        if self.log:
            powers = range(math.ceil(self.low), math.floor(self.high) + 1)
            return [((power - self.low) / (self.high - self.low), f"{10.0**power:g}") for power in powers]
        return [(self.at(number), f"{number:g}") for number in ticks(self.low, self.high)]


class Groups:
    """Values put into a few groups: each its own where they are few; else numbers by size, other values by how many."""

    def __init__(self, values: Sequence[Any], most: int) -> None:
        different = sorted({key_of(value): value for value in values}.values(), key=order)
        self.names = [written(value) for value in different]
        self._of = {key_of(value): number for number, value in enumerate(different)}
        if len(different) <= most:
            return
        if all(is_number(value) for value in different):
            parts = [different[len(different) * n // most : len(different) * (n + 1) // most] for n in range(most)]
            self.names = [f"{written(part[0])} to {written(part[-1])}" for part in parts]
            self._of = {key_of(value): number for number, part in enumerate(parts) for value in part}
        else:
            often = [key for key, _ in Counter(map(key_of, values)).most_common(most - 1)]
            kept = [value for value in different if key_of(value) in often]
            self.names = [*map(written, kept), "others"]
            self._of = {key_of(value): most - 1 for value in different}
            self._of |= {key_of(value): number for number, value in enumerate(kept)}

    def of(self, value: Any) -> int:
        """Number of its group."""
        return self._of[key_of(value)]


@dataclass(frozen=True)
class Scatter:
    """Marks, and what is drawn of them."""

    marks: Sequence[Mark]
    x: str
    y: str
    hue: str = ""
    """Quantity that colours follow; empty for none."""
    facet: str = ""
    """Quantity of which each value, or group of values, has a chart of its own; empty for one chart."""
    spread_of: str = ""
    """The measured quantity, whose spread the marks have."""
    width: int = WIDTH
    """CSS pixels of all charts."""

    @cached_property
    def hues(self) -> Groups:
        """Marks by colour."""
        return Groups([mark.values.get(self.hue) for mark in self.marks], HUES)

    @cached_property
    def facets(self) -> Groups:
        """Marks by chart."""
        return Groups([mark.values.get(self.facet) for mark in self.marks], FACETS)

    @cached_property
    def scales(self) -> tuple[Scale, Scale]:
        """Of both axes, the same in all charts."""
        x, y = (
            Scale(self._with_ends() if name == self.spread_of else self._all(name), measured=name == self.spread_of)
            for name in (self.x, self.y)
        )
        return x, y

    @cached_property
    def axes(self) -> list[Axis]:
        """Of each chart, from shares to CSS pixels."""
        count = len(self.facets.names) if self.facet else 1
        columns = min(count, COLUMNS)
        wide, high = self.width / columns, HEIGHT if count == 1 else SMALL_HEIGHT
        found = []
        for number in range(max(count, 1)):
            left, top = wide * (number % columns), self._top + high * (number // columns)
            found.append(Axis(left + 50, top + 22, left + wide - 12, top + high - 38, (0, 1), (0, 1)))
        return found

    @cached_property
    def places(self) -> list[tuple[float, float]]:
        """CSS pixels of each mark."""
        across, up = self.scales
        found = []
        for mark in self.marks:
            axis = self._axis(mark)
            found.append((axis.across(across.at(mark.values.get(self.x))), axis.up(up.at(mark.values.get(self.y)))))
        return found

    def drawing(self, chosen: int = -1, neighbour: int = -1) -> Drawing:
        """The charts.

        Args:
            chosen: number of a mark with a ring.
            neighbour: number of one with a thin ring.
        """
        label = f"{len(self.marks)} results: {self.y} against {self.x}"
        label += f", coloured by {self.hue}" * bool(self.hue) + f", a chart for each {self.facet}" * bool(self.facet)
        parts = [*self._legend(), *(part for number in range(len(self.axes)) for part in self._frame(number))]
        few = len(self.marks) <= WITH_BARS
        for mark, (x, y) in zip(self.marks, self.places, strict=True):
            tint = of_number(self.hues.of(mark.values.get(self.hue)))
            point = dot(x, y, 4.5 if few else 3, fill=tint, fill_opacity=0.85 if few else 0.6)
            parts.append(tag("g", hover(mark.title), *self._bar(mark, x, y, tint), point) if few else point)
        if not self.marks:
            parts.append(nothing_yet(self.axes[0]))
        parts += self._rings(chosen, neighbour)
        return Drawing(parts, self.width, self._height, label)

    def rings(self, chosen: int, neighbour: int = -1) -> Drawing:
        """Only the rings, to lie over a drawing without any."""
        return Drawing(self._rings(chosen, neighbour), self.width, self._height, "the open result and its neighbour")

    def figure(self) -> Figure:
        """The same by matplotlib, for a file of pixels."""
        count = len(self.axes)
        columns = min(count, COLUMNS)
        rows = -(-count // columns)
        figure, found = subplots(8.8, 3.9 if count == 1 else 2.6 * rows + 0.6, rows, columns, squeeze=False)
        across, up = self.scales
        for number, axes in enumerate(found.flat):
            axes.set_visible(number < count)
            own = [mark for mark in self.marks if self._number(mark) == number]
            for hue, name in enumerate(self.hues.names):
                marks = [mark for mark in own if self.hues.of(mark.values.get(self.hue)) == hue]
                x, y = (
                    [scale.at(mark.values.get(axis)) for mark in marks]
                    for scale, axis in ((across, self.x), (up, self.y))
                )
                shown = f"{self.hue} {words(name)}" if self.hue else ""
                plain(axes).scatter(x, y, s=18, color=of_number(hue), alpha=0.85, linewidths=0, label=shown or None)
            for scale, place in ((across, axes.xaxis), (up, axes.yaxis)):
                at = scale.ticks(8)
                place.set_ticks([share for share, _ in at], [words(name) for _, name in at])
            axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=words(self.x, 40), ylabel=words(self.y, 40))
            if self.facet and number < count:
                axes.set_title(words(f"{self.facet} {self.facets.names[number]}", 44), fontsize=9)
        if self.hue:
            figure.legend(
                *found[0][0].get_legend_handles_labels(), **LEGEND, fontsize=8, loc="outside upper center", ncols=4
            )
        return figure

    def _rings(self, chosen: int, neighbour: int) -> list[str]:
        found = ((neighbour, 1.0), (chosen, 2.5))
        return [
            dot(*self.places[number], 8, fill="none", stroke=INK, stroke_width=width)
            for number, width in found
            if number >= 0
        ]

    @property
    def _height(self) -> float:
        return max(axis.bottom for axis in self.axes) + 38

    @property
    def _top(self) -> float:
        return 18.0 * len(self._legend_rows)

    @cached_property
    def _legend_rows(self) -> list[list[tuple[float, int, str]]]:
        """Rows of (left, colour, name)."""
        rows: list[list[tuple[float, int, str]]] = []
        left = self.width + 1.0
        for number, name in enumerate(self.hues.names if self.hue else ()):
            shown = cut(name, 30)
            if left + 22 + LETTER * len(shown) > self.width:
                rows.append([])
                left = 50.0 + LETTER * len(self.hue) + 12 if len(rows) == 1 else 50.0
            rows[-1].append((left, number, shown))
            left += 30 + LETTER * len(shown)
        return rows

    def _legend(self) -> list[str]:
        if not self._legend_rows:
            return []
        parts = [text(self.hue, 50, 12, fill=MUTED)]
        for row, entries in enumerate(self._legend_rows):
            for left, number, name in entries:
                parts += [dot(left, 8 + 18 * row, 4.5, fill=of_number(number)), text(name, left + 9, 12 + 18 * row)]
        return parts

    def _frame(self, number: int) -> list[str]:
        axis, (across, up) = self.axes[number], self.scales
        wide = axis.right - axis.left
        parts = [rule(axis.left, axis.bottom, axis.right, axis.bottom, MUTED)]
        for share, name in up.ticks(8) if self.marks else ():
            y = axis.up(share)
            parts.append(rule(axis.left, y, axis.right, y, stroke_width=0.7, opacity=0.7))
            parts.append(text(cut(name, 7), axis.left - 6, y + 4, anchor="end", fill=MUTED))
        shown = across.ticks(max(int(wide / 45), 2)) if self.marks else []
        room = max(int(wide / max(len(shown), 1) / LETTER), 3)
        parts += [
            text(cut(name, room), axis.across(s), axis.bottom + 15, anchor="middle", fill=MUTED) for s, name in shown
        ]
        parts.append(text(self.x, (axis.left + axis.right) / 2, axis.bottom + 30, anchor="middle"))
        title = f"{self.facet} {cut(self.facets.names[number], 24)}" if self.facet else self.y
        return [*parts, text(title, axis.left, axis.top - 8, font_weight=600 if self.facet else None)]

    def _bar(self, mark: Mark, x: float, y: float, tint: str) -> list[str]:
        """The spread of a mark, where the y axis is one of numbers and shows it."""
        up = self.scales[1]
        if self.y != self.spread_of or not mark.spread or up.side_by_side or up.log:
            return []
        reach = mark.spread / (up.high - up.low) * (self._axis(mark).bottom - self._axis(mark).top)
        return [rule(x, y - reach, x, y + reach, tint, stroke_width=1.4)]

    def _all(self, quantity: str) -> list[Any]:
        return [mark.values.get(quantity) for mark in self.marks]

    def _with_ends(self) -> list[Any]:
        """What was measured, and the ends of the bars that are drawn of it."""
        found = self._all(self.spread_of)
        if len(found) > WITH_BARS:
            return found
        ends = zip(found, self.marks, strict=True)
        return [end for value, mark in ends for end in (value - mark.spread, value + mark.spread)]

    def _number(self, mark: Mark) -> int:
        return self.facets.of(mark.values.get(self.facet)) if self.facet else 0

    def _axis(self, mark: Mark) -> Axis:
        return self.axes[self._number(mark)]


def gathered(places: Sequence[tuple[float, float]], most: int) -> list[list[int]]:
    """Numbers of places that are near one another, in at most `most` gatherings: the finest squares that do."""
    side = 8.0
    while True:
        found: dict[tuple[int, int], list[int]] = {}
        for number, (x, y) in enumerate(places):
            found.setdefault((int(x // side), int(y // side)), []).append(number)
        if len(found) <= most:
            return list(found.values())
        side = nice(side * 1.3)


def is_number(value: Any) -> bool:
    """Whether a plain value is a number that an axis can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def key_of(value: Any) -> str:
    """The same for equal plain values, which may be lists."""
    return f"{float(value)!r}" if is_number(value) else repr(value)


def order(value: Any) -> tuple[float, str]:
    """Numbers by size, then all else as it is written."""
    return (value, "") if is_number(value) else (math.inf, written(value))


def slices(tried: Sequence[tuple[Mapping[str, Any], float]], measured: str, *, width: int = 400) -> Drawing:
    """What was measured against each setting by itself, in the order of trials from one colour to the next.

    Args:
        tried: settings by name, and what was measured, of each trial.
        measured: name of that quantity.
        width: CSS pixels of a chart.
    """
    names = dict.fromkeys(name for settings, _ in tried for name in settings)
    marks = [
        Mark({**settings, measured: value, "trial": number}, f"trial {number}: {value:.1f}")
        for number, (settings, value) in enumerate(tried)
    ]
    return in_rows([Scatter(marks, name, measured, "trial", "", measured, width).drawing() for name in names], 16)

"""Where plain values of any kind lie: along an axis, and in a few groups."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sre2l_core.figures.svg import ticks
from sre2l_core.presets.recipe import written

CATEGORIES = 12
"""Up to so many different values stand side by side; more numbers make an axis."""
LOG_FROM = 30.0
"""Largest positive number over smallest, from which on an axis is logarithmic."""


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


def is_number(value: Any) -> bool:
    """Whether a plain value is a number that an axis can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def key_of(value: Any) -> str:
    """The same for equal plain values, which may be lists."""
    return f"{float(value)!r}" if is_number(value) else repr(value)


def order(value: Any) -> tuple[float, str]:
    """Numbers by size, then all else as it is written."""
    return (value, "") if is_number(value) else (math.inf, written(value))

"""`ChartView`: results as marks, with choosers for axes, colours and facets; marks are clicked or walked to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from sre2l_core.errors import unknown
from sre2l_core.figures.scatter import WIDTH, WITH_BARS, Mark, Scatter, gathered
from sre2l_core.runs.points import TOP1, Points
from sre2l_core.widgets.base.spots import Spot, Spots
from sre2l_core.widgets.recovery.view import ROW

NONE = "nothing"
"""A chooser that chooses none."""
TARGETS = 120
"""Places that can be clicked, at most: where marks are many, those near one another share one."""
REACH, NAMED = 14.0, 6
"""CSS pixels of such a place, and results that it names on hovering."""
CHOOSERS = {"x": "across", "y": "up", "hue": "colour", "facet": "a chart for each"}


class ChartView(ipywidgets.VBox):
    """The chart of a folder's runs.

    Args:
        points: the runs.
        on_open: called with the number of a point.
    """

    def __init__(self, points: Points, on_open: Callable[[int], Any]) -> None:
        self._on_open, self._points, self._by_code = on_open, points, False
        self._shown: list[int] = []
        """Numbers of the points that are drawn."""
        self._targets: list[list[int]] = []
        self._drawn = -1
        self.scatter = Scatter([], "", "")
        """What is drawn."""
        style = {"description_width": "auto"}
        self.choosers = {
            name: ipywidgets.Dropdown(description=words, style=style, layout={"width": "260px"}).add_class(
                f"sre-{name}"
            )
            for name, words in CHOOSERS.items()
        }
        for chooser in self.choosers.values():
            chooser.observe(lambda change: self._chose(), names="value")
        self.number = ipywidgets.BoundedIntText(
            -1, -1, 0, description="point", tooltip="number of the point that is open; arrow keys walk from one to the "
            "next", style=style, layout={"width": "120px"},
        ).add_class("sre-chosen-point")  # fmt: skip
        self.number.observe(lambda change: self._walked(change["new"]), names="value")
        self.here = ipywidgets.Dropdown(
            description="these lie together", style=style, layout={"width": "620px", "display": "none"}
        ).add_class("sre-here")
        self.here.observe(lambda change: self._picked(change["new"]), names="value")
        self._picture, self._rings = ipywidgets.HTML().add_class("sre-chart"), ipywidgets.HTML().add_class("sre-rings")
        self._spots, wide = Spots(self._clicked), f"{WIDTH}px"
        layout = {"width": wide, "grid_template_columns": wide, "overflow": "visible"}
        layers = ipywidgets.GridBox([self._picture, self._rings, self._spots], layout=layout).add_class("sre-over")
        row = ipywidgets.HBox([*self.choosers.values(), self.number], layout={**ROW, "grid_gap": "2px 12px"})
        super().__init__([row, layers, self.here])

    @property
    def chosen(self) -> int:
        """Number of the open point; -1 for none."""
        return int(self.number.value)

    def quantity(self, name: str) -> str:
        """What a chooser is set to; empty for nothing."""
        value = str(self.choosers[name].value)
        return "" if value == NONE else value

    def choose(self, **quantities: str | None) -> None:
        """Set choosers: `x="recover.alpha_bn", facet=None`; raises `ConfigError` for a quantity that does not vary."""
        for name, wanted in quantities.items():
            value = wanted or NONE
            if name not in self.choosers:
                raise unknown("chooser", name, self.choosers)
            if value not in self.choosers[name].options:
                raise unknown("quantity", value, self.choosers[name].options)
        for name, wanted in quantities.items():
            self.choosers[name].value = wanted or NONE

    def show(self, chosen: int) -> None:
        """Draw the points as they are now."""
        varying = self._points.varying
        offers = {
            "x": [*varying, TOP1],
            "y": [TOP1, *varying],
            "hue": [NONE, *varying, TOP1],
            "facet": [NONE, *varying],
        }
        self._by_code = True
        try:
            for name, options in offers.items():
                chooser = self.choosers[name]
                if tuple(chooser.options) != tuple(options):
                    kept = chooser.value
                    usual = {"x": 0, "hue": min(2, len(varying)), "facet": 3 if len(varying) > 2 else 0}.get(name, 0)
                    chooser.options = options
                    chooser.value = kept if kept in options else options[min(usual, len(options) - 1)]
            self.number.max = max(len(self._points.points) - 1, 0)
            self.number.value = chosen
        finally:
            self._by_code = False
        if self._drawn != self._points.version:
            self.draw()
        self.mark()

    def draw(self) -> None:
        """Draw the chart anew, and lay the places to click over it."""
        self._drawn, self.scatter, self._shown = self._points.version, *self._scattered()
        self._picture.value = self.scatter.drawing()
        places = self.scatter.places
        found = gathered(places, TARGETS)
        self._targets = [[self._shown[index] for index in numbers] for numbers in found]
        self._spots.place(
            [_around([places[index] for index in numbers]) for numbers in found], list(map(self._title, self._targets))
        )

    def mark(self) -> None:
        """Put rings around the open point and its neighbour."""
        self._rings.value = self.scatter.rings(*self.marked())
        self._spots.mark(next((n for n, found in enumerate(self._targets) if self.chosen in found), -1))

    def marked(self) -> tuple[int, int]:
        """Numbers of the open point and of its neighbour among the marks; -1 where there is none."""
        neighbour = self._points.neighbour(self.chosen) if self.chosen >= 0 else -1
        place = {number: index for index, number in enumerate(self._shown)}
        return place.get(self.chosen, -1), place.get(neighbour, -1)

    def _scattered(self) -> tuple[Scatter, list[int]]:
        """The points that have both coordinates, as the choosers want them; their numbers."""
        x, y, hue, facet = (self.quantity(name) for name in CHOOSERS)
        points = [
            pair for pair in enumerate(self._points.points) if pair[1].mean is not None or TOP1 not in (x, y, hue)
        ]
        names, few = self._points.varying, len(points) <= WITH_BARS
        marks = [Mark(point.quantities(), point.title(names) if few else "", point.spread) for _, point in points]
        return Scatter(marks, x, y, hue, facet, TOP1), [number for number, _ in points]

    def _title(self, numbers: Sequence[int]) -> str:
        names = self._points.varying
        lines = [f"point {number}: {self._points.points[number].title(names)}" for number in numbers[:NAMED]]
        return "\n".join([*lines, *([f"and {len(numbers) - NAMED} more here"] if len(numbers) > NAMED else [])])

    def _chose(self) -> None:
        if not self._by_code:
            self.draw()
            self.mark()

    def _walked(self, number: int) -> None:
        if not self._by_code:
            self._list([])
            self._on_open(number)

    def _picked(self, number: int | None) -> None:
        if number is not None and not self._by_code:
            self._on_open(number)

    def _clicked(self, target: int) -> None:
        numbers = self._targets[target]
        best = max(numbers, key=lambda number: self._points.points[number].mean or 0.0)
        self._list(numbers, best)
        self._on_open(best)

    def _list(self, numbers: Sequence[int], chosen: int | None = None) -> None:
        """Offer the points of one place, where they are several."""
        names = self._points.varying
        self._by_code = True
        try:
            self.here.layout.display = None if len(numbers) > 1 else "none"
            titles = [(f"{number}: {self._points.points[number].title(names)}", number) for number in numbers]
            self.here.options = titles
            self.here.value = chosen if len(numbers) > 1 else None
        finally:
            self._by_code = False


def _around(places: Sequence[tuple[float, float]]) -> Spot:
    """What is clicked to choose one of these places."""
    left, top = (min(found) for found in zip(*places, strict=True))
    right, bottom = (max(found) for found in zip(*places, strict=True))
    return left - REACH / 2, top - REACH / 2, right - left + REACH, bottom - top + REACH

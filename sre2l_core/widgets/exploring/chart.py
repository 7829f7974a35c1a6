"""`ChartView`: results as marks, with choosers for axes, colours and facets; marks are clicked or walked to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from sre2l_core.errors import unknown
from sre2l_core.figures.scatter import WIDTH, Mark, Scatter, gathered
from sre2l_core.runs.points import TOP1, Points
from sre2l_core.widgets.base.spots import Spots, over
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
        self._picture, self._spots = ipywidgets.HTML().add_class("sre-chart"), Spots(self._clicked)
        layers = over(self._picture, self._spots, width=f"{WIDTH}px", grid_template_columns=f"{WIDTH}px")
        layers.layout.overflow = "visible"
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
        self.draw()

    def draw(self) -> None:
        """Draw the chart anew, and lay the places to click over it."""
        scatter = self.scatter()
        neighbour = self._points.neighbour(self.chosen) if self.chosen >= 0 else -1
        place = {number: index for index, number in enumerate(self._shown)}
        self._picture.value = scatter.drawing(place.get(self.chosen, -1), place.get(neighbour, -1))
        self._targets = [[self._shown[index] for index in found] for found in gathered(scatter.places, TARGETS)]
        middles = [scatter.places[place[numbers[0]]] for numbers in self._targets]
        spots = [(x - REACH / 2, y - REACH / 2, REACH, REACH) for x, y in middles]
        self._spots.place(spots, [self._title(numbers) for numbers in self._targets])
        self._spots.mark(next((n for n, found in enumerate(self._targets) if self.chosen in found), -1))

    def place_of_chosen(self) -> int:
        """Number of the open point among the marks of `scatter`; -1 where it has none."""
        return self._shown.index(self.chosen) if self.chosen in self._shown else -1

    def scatter(self) -> Scatter:
        """The points that have both coordinates, as the choosers want them."""
        x, y, hue, facet = (self.quantity(name) for name in CHOOSERS)
        names = self._points.varying
        self._shown, marks = [], []
        for number, point in enumerate(self._points.points):
            values = point.quantities()
            if TOP1 in (x, y, hue) and point.mean is None:
                continue
            self._shown.append(number)
            marks.append(Mark(values, point.title(names), point.spread))
        return Scatter(marks, x, y, hue, facet, TOP1)

    def _title(self, numbers: Sequence[int]) -> str:
        names = self._points.varying
        lines = [f"point {number}: {self._points.points[number].title(names)}" for number in numbers[:NAMED]]
        return "\n".join([*lines, *([f"and {len(numbers) - NAMED} more here"] if len(numbers) > NAMED else [])])

    def _chose(self) -> None:
        if not self._by_code:
            self.draw()

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

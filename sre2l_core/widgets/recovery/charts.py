"""A recovery in numbers: its loss by term, what was changed, the mismatch of each BatchNorm layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import ipywidgets

from sre2l_core import terms
from sre2l_core.events import StepEvent
from sre2l_core.figures import bars, colours
from sre2l_core.figures.curves import Points, line_chart
from sre2l_core.figures.svg import Drawing
from sre2l_core.widgets.recovery.view import HALF, ROW, titled


class Curves:
    """The numbers of a run's steps; fetched from the device when they are drawn, not at every step."""

    def __init__(self) -> None:
        self._waiting: list[StepEvent] = []
        self._points: dict[str, list[tuple[int, float]]] = {}

    def note(self, event: StepEvent) -> None:
        """Remember the numbers of a step."""
        self._waiting.append(event)

    def points(self) -> dict[str, list[tuple[int, float]]]:
        """Name -> (step, value); NaN where a term was switched off, which leaves a gap in its curve."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            for name in {**self._points, **event.metrics}:
                value = float(event.metrics.get(name, nan))
                self._points.setdefault(name, []).append((event.step, value))
        return self._points


class Charts(ipywidgets.HBox):
    """The loss by term, and the mismatch of each BatchNorm layer."""

    TITLES = ("Loss (terms unweighted)", "BatchNorm mismatch by layer")

    def __init__(self) -> None:
        self.losses = ipywidgets.HTML().add_class("sre-loss")
        self.layers = ipywidgets.HTML().add_class("sre-layers")
        both = zip(self.TITLES, (self.losses, self.layers), strict=True)
        super().__init__([titled(title, chart) for title, chart in both], layout=ROW | HALF)
        for part in self.children:
            part.layout.flex, part.layout.min_width = "1 1 320px", "0"

    def show(self, losses: str, distances: Sequence[float]) -> None:
        """Write them."""
        self.losses.value, self.layers.value = losses, layers_chart(distances)


def losses_chart(
    curves: Mapping[str, Points], steps: int, changes: Sequence[Mapping[str, Any]] = (), cursor: int | None = None
) -> Drawing:
    """The loss and its terms on a logarithmic scale, a mark at every change of a setting, a line at a step."""
    names = terms.legend()
    now = [f"{names[name]} {curves[name][-1][1]:.3g}" for name in names if isfinite(_last(curves, name))]
    words = f"Loss by term over {steps} steps. {', '.join(now) or 'Nothing yet.'} {len(changes)} changes of settings."
    return line_chart(
        {label: curves.get(name, ()) for name, label in names.items()},
        label=words,
        marks=[(one["step"], f"step {one['step']}: {one['field']} {one['old']} → {one['new']}") for one in changes],
        cursor=cursor,
        log=True,
        x_label="step",
        x_max=steps,
        styles=[(colours.of_term(name), number) for number, name in enumerate(names)],
        width=430,
        height=200,
    )


def layers_chart(distances: Sequence[float]) -> Drawing:
    """BatchNorm mismatch by layer as upright bars."""
    words = f"BatchNorm mismatch of {len(distances)} layers"
    if distances:
        worst = max(range(len(distances)), key=distances.__getitem__)
        words += f", largest in layer {worst + 1}: {distances[worst]:.3g}"
    return bars.columns(distances, label=words, x_label="BatchNorm layer, from the pixels up", width=330, height=200)


def in_words(numbers: Mapping[str, float], recognised: float) -> str:
    """The terms of a step, and the share of the images that the teacher puts into their class."""
    names = terms.legend()
    words = [f"{names.get(name, name)} {value:.3g}" for name, value in numbers.items() if isfinite(value)]
    return " · ".join([*words, f"the teacher recognises {recognised:.0%}"])


def at_step(curves: Mapping[str, Points], step: int) -> dict[str, float]:
    """What the curves are at a step; nothing of those that are not there yet."""
    return {name: y for name, points in curves.items() for x, y in points if x == step}


def _last(curves: Mapping[str, Points], name: str) -> float:
    return curves[name][-1][1] if curves.get(name) else nan

"""`RunView`: a run that was opened: images, losses, BatchNorm bars, score, and what its neighbour does otherwise."""

from __future__ import annotations

import html

import ipywidgets

from sre2l_core.figures import encode
from sre2l_core.figures.tables import table
from sre2l_core.presets.recipe import written_apart
from sre2l_core.runs.opened import Opened
from sre2l_core.runs.points import Points
from sre2l_core.widgets.recovery.charts import layers_chart, losses_chart
from sre2l_core.widgets.recovery.frame import columns_of, headings, numbered, short_names, small
from sre2l_core.widgets.recovery.view import ROW, Picture, titled

SHOWN = 40
"""Images at most."""


class RunView(ipywidgets.VBox):
    """What there is of a run."""

    def __init__(self) -> None:
        self._head, self._names, self._score, self._neighbour, self._notes = (ipywidgets.HTML() for _ in range(5))
        self._image = Picture(format="png").add_class("sre-pixels").add_class("sre-opened")
        self._losses, self._layers = ipywidgets.HTML().add_class("sre-loss"), ipywidgets.HTML().add_class("sre-layers")
        charts = [
            titled("Loss of the recovery (terms unweighted)", self._losses),
            titled("BatchNorm mismatch of these images by layer", self._layers),
        ]
        super().__init__(
            [
                self._head, self._names, self._image, ipywidgets.HBox(charts, layout=ROW),
                ipywidgets.HBox([self._score, self._neighbour], layout=ROW), self._notes,
            ]
        )  # fmt: skip
        self.add_class("sre-run")

    def show(self, found: Opened, points: Points, number: int) -> None:
        """Show a run, the point that it belongs to, and that point's neighbour."""
        run = found.run
        self._head.value = (
            f'<div class="sre-heading">Point {number}, run {html.escape(run.name)}: {html.escape(run.state)}</div>'
        )
        self._show_images(found)
        steps = max((points[-1][0] for points in found.curves.values() if points), default=1)
        self._losses.value = losses_chart(found.curves, steps)
        self._layers.value = layers_chart(found.distances)
        self._score.value = self._scores(found)
        self._neighbour.value = self._differences(points, number)
        self._notes.value = "<br>".join(map(html.escape, found.notes))

    def clear(self) -> None:
        """No run is open."""
        self._head.value = '<div class="sre-caption">Click a point to open its run.</div>'
        for one in (self._names, self._score, self._neighbour, self._notes, self._losses, self._layers):
            one.value = ""
        self._image.layout.display = "none"

    def _show_images(self, found: Opened) -> None:
        self._image.layout.display = "none" if found.pixels is None else None
        self._names.value = ""
        if found.pixels is None or found.spec is None:
            return
        labels = found.labels[:SHOWN]
        names = short_names(found.spec, labels)
        columns = columns_of(labels, found.spec.resolution)
        frame = encode.grid(small(found.pixels[:SHOWN]), columns)
        self._image.format, self._image.value, self._image.width = frame.format, frame.data, frame.width
        self._image.tooltip = "; ".join(numbered(names))
        self._names.value = headings(names, frame)

    def _scores(self, found: Opened) -> str:
        score = found.run.score
        if score is None:
            return ""
        rows = []
        for row in score.rows:
            last, spread = row.mean_std()
            cells = [f"{row.data}, {row.labels} labels", row.student, str(row.images)]
            rows.append([*map(html.escape, cells), f"{100 * last:.1f} ± {100 * spread:.1f}"])
        return table(("images", "student", "n", "top-1 (%)"), rows, caption=f"Judged on {score.judge}")

    def _differences(self, points: Points, number: int) -> str:
        """The settings in which the nearest point differs, and what that is worth."""
        other = points.neighbour(number)
        if other < 0:
            return ""
        here, there = points.points[number], points.points[other]
        rows = [
            [html.escape(name), *(html.escape(cell) for (cell,) in written_apart([[one] for one in pair]))]
            for name, pair in here.differences(there).items()
        ]
        rows.append(["top-1", html.escape(here.shown), html.escape(there.shown)])
        difference = here.less(there)
        if difference is not None:
            rows.append(["difference, same seeds", html.escape(str(difference)), ""])
        return table(("", "here", f"point {other}"), rows, caption="Its neighbour: fewest settings differ")

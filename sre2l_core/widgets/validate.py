"""`ValidatePanel`: students of several label settings race, seed by seed, and meet the real-image baselines."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import ipywidgets
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Score, Teacher
from sre2l_core.config import ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count
from sre2l_core.events import StepEvent
from sre2l_core.figures import charts, svg
from sre2l_core.figures.stage_figures import rendered, students_figure, telling_classes
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource, LiveLabels
from sre2l_core.stages.validate import grid
from sre2l_core.studies.classroom import Classroom
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.worker import Stage


class _Frame(NamedTuple):
    """Copied in the worker, so that nothing moves while it is drawn."""

    note: str
    curves: dict[str, list[list[tuple[float, float]]]]
    rows: list[dict[str, Any]]
    by_class: dict[str, Tensor]
    steps: int


class ValidatePanel(LivePanel):
    """Stage 4, live; `score` holds the result table of the settings that are finished.

    Args:
        condensed: the images.
        labels: their soft labels, stored or made on the fly.
        data: real data: judges, and gives the baselines.
        config: students, recipe, seeds and baselines; the panel edits epochs, seeds, learning rate and temperature.
        teacher: labels random real images.
        temperatures: more than one make one row of soft labels each; else the temperature of the config is used.
        runtime: device and precision; the best there is by default.
        name: see `LivePanel`.
    """

    CONTROLS = ("epochs", "seeds", "lr", "temperature")

    def __init__(
        self,
        condensed: CondensedSet,
        labels: LabelSource,
        data: Dataset,
        config: ValidateConfig,
        *,
        teacher: Teacher | None = None,
        temperatures: Sequence[float] = (),
        runtime: Runtime | None = None,
        name: str | None = None,
    ) -> None:
        self.condensed, self.labels, self.data, self.teacher = condensed, labels, data, teacher
        self.temperatures = tuple(temperatures)
        self._runtime = runtime or Runtime.auto()
        self._frame: _Frame | None = None
        self._curves = ipywidgets.HTML().add_class("sre-curves")
        self._table = ipywidgets.HTML().add_class("sre-table")
        self._classes = ipywidgets.HTML().add_class("sre-classes")
        wrap = {"flex_flow": "row wrap", "grid_gap": "8px 20px"}
        below = ipywidgets.HBox([self._table, self._classes], layout=wrap | {"margin": "8px 0 0"})
        super().__init__(config, [self._curves, below], name=name)
        if self.temperatures:
            self.controls["temperature"].layout.display = "none"

    @property
    def score(self) -> Score:
        """The table of all settings that are finished, as `validate` returns it."""
        if not isinstance(self.stage, Classroom):
            raise RuntimeError(f"there is no score yet: {self.error or 'start the panel first'}")
        return self.stage.score()

    @property
    def by_class(self) -> dict[str, Tensor]:
        """Setting -> [K] accuracy of each class, the mean over finished students."""
        return {} if self._frame is None else self._frame.by_class

    def build(self) -> Stage:
        """Fresh students of every setting."""
        config: Any = self.config
        rows = grid(
            self.condensed, self.labels, self.data, config,
            teacher=self.teacher, temperatures=self.temperatures, runtime=self._runtime,
        )  # fmt: skip
        return Classroom(rows, self.data, runtime=self._runtime)

    def look(self, stage: Classroom, event: StepEvent) -> _Frame:
        """Copy what is known."""
        curves = {
            name: [[(float(x), y) for x, y in zip(s.steps, s.top1, strict=True)] for s in students]
            for name, students in stage.curves().items()
        }
        return _Frame(event.note, curves, stage.table(), stage.by_class(), stage.steps)

    def show(self, frame: _Frame) -> None:
        """Draw curves, table and classes."""
        self._frame = frame
        self._numbers.value = f"last step: {html.escape(frame.note)}"
        self._draw(frame)

    def clear(self) -> None:
        """Empty charts."""
        self._frame = None
        how = "made on the fly" if isinstance(self.labels, LiveLabels) else "stored"
        self._numbers.value = f"{len(self.condensed)} condensed images, soft labels {how}"
        config: Any = self.config
        steps = config.epochs * batch_count(len(self.condensed), config.batch_size)
        self._draw(_Frame("", {}, [], {}, steps))

    def figure(self) -> Figure:
        """Curves and classes as a figure that stays."""
        if self._frame is None:
            raise RuntimeError(f"there is nothing to see yet: {self.error or 'start the panel first'}")
        frame = self._frame
        return students_figure(frame.curves, frame.by_class, self.data.spec, _baselines(frame))

    def picture(self) -> Image.Image | None:
        """The figure."""
        return None if self._frame is None else rendered(self.figure())

    def _draw(self, frame: _Frame) -> None:
        known = [y for lines in frame.curves.values() for line in lines for _, y in line]
        chart = charts.seed_chart(
            frame.curves, label="accuracy of the students on real images against their optimiser steps",
            x_label="optimiser step of each student", x_max=frame.steps, y_range=(0, 1), width=820,
        )  # fmt: skip
        seeds = max((len(lines) for lines in frame.curves.values()), default=0)
        note = f"Thick: mean of {seeds} seeds; thin: each seed." if seeds > 1 else ""
        self._curves.value = charts.titled("Share of real validation images recognised", chart, note if known else "")
        numbers = {name: number for number, name in enumerate(frame.curves)}
        rows = [
            (
                f'<span style="color: {svg.colour(numbers[row["name"]])}">●</span> {html.escape(row["name"])}',
                f"{row['n']:,}",
                "–" if row["mean"] is None else f"{row['mean']:.1f} ± {row['std']:.1f}",
                f"{row['finished']}/{row['seeds']}",
            )
            for row in frame.rows
        ]
        head = ("images + labels", "n", "top-1 (%)", "done")
        self._table.value = charts.table(head, rows, caption="Result") if rows else ""
        spec = self.data.spec
        shown = telling_classes(frame.by_class)
        names = [spec.class_names[k].split(",")[0] for k in shown]
        groups = {
            name: {spec.class_names[k].split(",")[0]: float(values[k]) for k in shown}
            for name, values in frame.by_class.items()
        }
        dots = charts.class_dots(
            groups,
            names,
            label="accuracy of each class by setting",
            hollow=_baselines(frame),
            numbers=numbers,
            width=410,
        )
        worth = "Rings: real images. Colours as above."
        self._classes.value = charts.titled("Each class, students that are done", dots, worth) if groups else ""


def _baselines(frame: _Frame) -> list[str]:
    return [row["name"] for row in frame.rows if row["real"]]

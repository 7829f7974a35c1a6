"""`ValidatePanel`: students of several label settings race, seed by seed, and meet the real-image baselines."""

from __future__ import annotations

import html
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

import ipywidgets
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Score, Teacher
from sre2l_core.config import ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count
from sre2l_core.events import StepEvent
from sre2l_core.figures.colours import of_number
from sre2l_core.figures.curves import seed_chart
from sre2l_core.figures.sheet import View, sheet
from sre2l_core.figures.svg import Drawing
from sre2l_core.figures.tables import MAX_CLASSES, class_dots, table
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource, LiveLabels
from sre2l_core.stages.students_by_workers import Materials
from sre2l_core.studies.classroom import Classroom
from sre2l_core.studies.diagnose import widest_spread
from sre2l_core.tabular import Table
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.worker import Stage

Lines = list[list[tuple[float, float]]]
"""(step, accuracy) pairs of each student of a row."""


class _Frame(NamedTuple):
    """Copied in the worker, so that nothing moves while it is drawn."""

    note: str
    curves: dict[str, Lines]
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
        executor: whose workers train the students, whose curves then come as a whole; see `RunBox.executor`.
        name: see `LivePanel`.
    """

    CONTROLS = ("epochs", "seeds", "lr", "temperature")
    FOLDER = "runs/validate"
    config: ValidateConfig

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
        executor: Executor | None = None,
        name: str | None = None,
    ) -> None:
        self.executor = executor
        self.condensed, self.labels, self.data, self.teacher = condensed, labels, data, teacher
        self.temperatures = tuple(temperatures)
        self._runtime = runtime or Runtime.auto()
        self._frame: _Frame | None = None
        self._views: dict[str, View] = {}
        self._html = {name: ipywidgets.HTML().add_class(f"sre-{name}") for name in ("curves", "table", "classes")}
        layout = {"flex_flow": "row wrap", "grid_gap": "8px 20px", "align_items": "flex-start"}
        super().__init__(config, [ipywidgets.HBox([*self._html.values()], layout=layout)], name=name)
        if self.temperatures:
            self.entry_of("temperature").layout.display = "none"

    @property
    def score(self) -> Score:
        """The table of all settings that are finished, as `validate` returns it."""
        if not isinstance(self.stage, Classroom):
            raise RuntimeError(f"there is no score yet: {self.error or 'start the panel first'}")
        return self.stage.score()

    def tables(self) -> dict[str, Table]:
        """The same as `score`, for files."""
        return {"score": self.score.tabulated()}

    @property
    def by_class(self) -> dict[str, Tensor]:
        """Setting -> [K] accuracy of each class, the mean over finished students."""
        return {} if self._frame is None else self._frame.by_class

    def build(self) -> Stage:
        """Fresh students of every setting."""
        made_of = (self.condensed, self.labels, self.data, self.config, self.teacher, self.temperatures)
        return Classroom(Materials(*made_of), runtime=self._runtime, executor=self.executor)

    def look(self, stage: Classroom, event: StepEvent) -> _Frame:
        """Copy what is known."""
        return _Frame(event.note, lines_of(stage), stage.table(), stage.by_class(), stage.steps)

    def show(self, frame: _Frame) -> None:
        """Draw curves, table and classes."""
        self._frame = frame
        self._numbers.say(f"last step: {frame.note}")
        self._draw(frame)

    def clear(self) -> None:
        """Empty charts."""
        self._frame = None
        how = "made on the fly" if isinstance(self.labels, LiveLabels) else "stored"
        self._numbers.say(f"{len(self.condensed)} condensed images, soft labels {how}")
        steps = self.config.epochs * batch_count(len(self.condensed), self.config.batch_size)
        self._draw(_Frame("", {}, [], {}, steps))

    def picture(self) -> Drawing | None:
        """Curves, results and classes as they are now."""
        if self._frame is None:
            return None
        lines = tuple(f"{row['name']}: {_accuracy(row)} %, {_finished(row)} done" for row in self._frame.rows)
        views = [self._views["curves"], View("Result, top-1 accuracy", notes=lines)]
        return sheet([*views, *([self._views["classes"]] if self.by_class else [])], "Accuracy of the students")

    def _draw(self, frame: _Frame) -> None:
        self._views = {"curves": accuracy_view(frame.curves, frame.steps), "classes": self._classes_view(frame)}
        self._html["curves"].value = self._views["curves"].html()
        self._html["classes"].value = self._views["classes"].html() if frame.by_class else ""
        numbers = {name: number for number, name in enumerate(frame.curves)}
        rows = [
            (
                f'<span style="color: {of_number(numbers[row["name"]])}">●</span> {html.escape(row["name"])}',
                f"{row['n']:,}" if row["n"] else "–",
                _accuracy(row),
                _finished(row),
            )
            for row in frame.rows
        ]
        head = ("images + labels", "n", "top-1 (%)", "done")
        self._html["table"].value = table(head, rows, caption="Result") if rows else ""

    def _classes_view(self, frame: _Frame) -> View:
        names = self.data.spec.short_names
        shown = widest_spread(frame.by_class, MAX_CLASSES)
        dots = class_dots(
            {name: {names[k]: float(values[k]) for k in shown} for name, values in frame.by_class.items()},
            [names[k] for k in shown],
            label="accuracy of each class by setting",
            hollow=[row["name"] for row in frame.rows if row["real"]],
            numbers={name: number for number, name in enumerate(frame.curves)},
            width=410,
        )
        return View("Each class, students that are done", dots, ("Rings: real images. Colours as above.",))


def lines_of(classroom: Classroom) -> dict[str, Lines]:
    """Row -> the accuracy of each of its students against its steps."""
    return {
        name: [[(float(x), y) for x, y in zip(one.steps, one.top1, strict=True)] for one in students]
        for name, students in classroom.curves().items()
    }


def accuracy_view(lines: dict[str, Lines], steps: int) -> View:
    """Accuracy of the students on real images while they learn."""
    chart = seed_chart(
        lines, label="accuracy of the students on real images against their optimiser steps",
        x_label="optimiser step of each student", x_max=steps, y_range=(0, 1), width=820,
    )  # fmt: skip
    seeds = max((len(each) for each in lines.values()), default=0)
    known = any(line for each in lines.values() for line in each)
    notes = (f"Thick: mean of {seeds} seeds; thin: each seed.",) if seeds > 1 and known else ()
    return View("Share of real validation images recognised", chart, notes)


def _accuracy(row: dict[str, Any]) -> str:
    return "–" if row["mean"] is None else f"{row['mean']:.1f} ± {row['std']:.1f}"


def _finished(row: dict[str, Any]) -> str:
    return f"{row['finished']}/{row['seeds']}"

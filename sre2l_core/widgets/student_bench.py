"""`StudentBench`: what a student learns from the images of a panel, beside as many random real ones."""

from __future__ import annotations

import html
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from statistics import mean
from typing import Any, NamedTuple

import ipywidgets

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.events import StepEvent
from sre2l_core.figures.sheet import View
from sre2l_core.figures.tables import table
from sre2l_core.runs.difference import Difference, with_spread
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.students_by_workers import Materials
from sre2l_core.studies.classroom import Classroom
from sre2l_core.tabular import Table
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.widgets.recovery.view import ROW
from sre2l_core.widgets.validate import accuracy_view, lines_of
from sre2l_core.worker import Stage

COLUMNS = ("#", "images", "T", "n", "students", "condensed (%)", "random real (%)", "difference")
CAPTION = "Top-1 on real images, soft labels, last epoch"
ROWS: dict[str, Any] = {"against": ("random",), "hard_labels": False}
"""What students learn from: the condensed images and as many random real ones, both with soft labels."""


@dataclass(frozen=True)
class Trial:
    """What the students of one try have learnt."""

    images: str
    """What they learnt from, in words."""
    count: int
    """Of images."""
    temperature: float
    condensed: tuple[float, ...]
    """Top-1 in % on real validation images, one value a seed."""
    random: tuple[float, ...]
    """The same for random real images with soft labels of the same teacher."""

    @property
    def difference(self) -> Difference:
        """Condensed less random real, paired by seed."""
        return Difference.between(self.condensed, self.random)

    def cells(self, number: int) -> tuple[str, ...]:
        """As a row of the table."""
        counts = (str(number), self.images, f"{self.temperature:g}", str(self.count), str(len(self.condensed)))
        return (*counts, with_spread(self.condensed), with_spread(self.random), str(self.difference))

    def record(self, number: int) -> dict[str, Any]:
        """Plain values: what a CSV file holds."""
        found, several = self.difference, len(self.condensed) > 1
        both = {"condensed": self.condensed, "random": self.random}
        return {
            "try": number, "images": self.images, "temperature": self.temperature, "n": self.count,
            **{name: mean(values) for name, values in both.items()},
            "difference": found.mean, "low": found.low if several else None, "high": found.high if several else None,
            **{f"{name}_values": " ".join(f"{value:.3f}" for value in values) for name, values in both.items()},
        }  # fmt: skip


class _Frame(NamedTuple):
    lines: dict[str, Any]
    rows: list[dict[str, Any]]
    steps: int
    note: str


class StudentBench(LivePanel):
    """Relabels images and trains students on them, at a small budget, whenever asked; every try stays in the table.

    Args:
        teacher: labels the images, and the real ones beside them.
        data: real data: judges, and gives the random images.
        relabel: views of the labels.
        config: recipe of the students; the panel edits epochs, seeds and temperature.
        images: gives the images, in the worker.
        about: what they are, in words.
        runtime: device and precision; the best there is by default.
        executor: whose workers train the students, whose curves then come as a whole; see `RunBox.executor`.
        name: see `LivePanel`.
    """

    CONTROLS = ("epochs", "seeds", "temperature")
    config: ValidateConfig

    def __init__(
        self,
        teacher: Teacher,
        data: Dataset,
        relabel: RelabelConfig,
        config: ValidateConfig,
        *,
        images: Callable[[], CondensedSet],
        about: Callable[[], str],
        runtime: Runtime | None = None,
        executor: Executor | None = None,
        name: str | None = None,
    ) -> None:
        self.executor = executor
        self.teacher, self.data, self.relabel = teacher, data, relabel
        self._images, self._words, self._runtime = images, about, runtime or Runtime.auto()
        self.trials: list[Trial] = []
        """Every try that came to its end."""
        self._about = ""
        self._curves, self._table = (ipywidgets.HTML().add_class(f"sre-student-{name}") for name in ("curves", "table"))
        row = ipywidgets.HBox([self._curves, self._table], layout=ROW | {"grid_gap": "0 24px"})
        super().__init__(config.but(**ROWS), [row], name=name)
        self.start_button.tooltip = "Relabel the images as they are now, and train students on them"
        self.start_button.layout.width, self._bar.begin = "15em", "Train a student on this"
        self._render()

    def use(self, teacher: Teacher, data: Dataset, relabel: RelabelConfig, config: ValidateConfig) -> None:
        """Go on with another teacher and its data; earlier tries stay in the table."""
        with self._lock:
            self.reset()
            self.teacher, self.data, self.relabel, self.config = teacher, data, relabel, config.but(**ROWS)
            self._show_config()

    def build(self) -> Stage:
        """Label the images as they are now, and begin with fresh students."""
        condensed, self._about = self._images(), self._words()
        labels = LiveLabels(self.teacher, condensed, self.relabel, runtime=self._runtime)
        made_of = Materials(condensed, labels, self.data, self.config, self.teacher)
        how: dict[str, Any] = {"runtime": self._runtime, "executor": self.executor}
        return Classroom(made_of, keep=lambda row: row.labels != "hard", **how)

    def look(self, stage: Classroom, event: StepEvent) -> _Frame:
        """Copy what is known."""
        return _Frame(lines_of(stage), stage.table(), stage.steps, event.note)

    def show(self, frame: _Frame) -> None:
        """Draw the curves; when the last student is done, add a row to the table."""
        self._numbers.say(f"last step: {frame.note}")
        self._curves.value = accuracy_view(frame.lines, frame.steps).html()
        if frame.rows and all(row["finished"] == row["seeds"] for row in frame.rows):
            self._keep(self.stage)

    def clear(self) -> None:
        """No curves; earlier tries stay."""
        self._numbers.say("The images are relabelled as they are then, and students learn from them.")
        self._curves.value = ""
        self._draw()

    def tables(self) -> dict[str, Table]:
        """Every try so far, as `students`; raises `RuntimeError` before the first came to its end."""
        if not self.trials:
            raise RuntimeError("no student was trained to the end yet: press Train a student on this")
        return {"students": self._tabulated()}

    def sheet_views(self) -> list[View]:
        """Every try in a line, for a picture; nothing before the first."""
        lines = tuple(
            f"{number}. {trial.images}, T = {trial.temperature:g}: condensed {with_spread(trial.condensed)} %, "
            f"random real {with_spread(trial.random)} %, difference {trial.difference}"
            for number, trial in enumerate(self.trials, start=1)
        )
        return [View(CAPTION, notes=lines)] if lines else []

    def _keep(self, stage: Classroom) -> None:
        ours, theirs = (tuple(100 * value for value in row.last) for row in stage.score().rows)
        images = stage.progress[0].images
        self.trials.append(Trial(self._about, images, stage.rows[0].config.temperature, ours, theirs))
        self._draw()

    def _tabulated(self) -> Table:
        tries = list(enumerate(self.trials, start=1))
        return Table(COLUMNS, [trial.cells(number) for number, trial in tries], [one.record(n) for n, one in tries])

    def _draw(self) -> None:
        rows = [[html.escape(cell) for cell in row] for row in self._tabulated().rows]
        self._table.value = table(COLUMNS, rows, caption=CAPTION) if rows else ""

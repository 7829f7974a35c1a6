"""`Explorer`: all runs of a folder as marks; open one, turn a knob of it and run it again, export what is shown."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import ipywidgets

from sre2l_core import storage
from sre2l_core.artifacts import Teacher
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.events import StepEvent
from sre2l_core.figures.sheet import View, sheet
from sre2l_core.figures.svg import Drawing
from sre2l_core.presets.recipe import Recipe, nested
from sre2l_core.runs.grid import changed
from sre2l_core.runs.opened import opened
from sre2l_core.runs.parts import Run as StoredRun
from sre2l_core.runs.pipeline import Places
from sre2l_core.runs.points import Point, Points
from sre2l_core.runs.store import MARK, Store
from sre2l_core.runs.sweep_table import SweepTable
from sre2l_core.runtime import Runtime
from sre2l_core.widgets.base.panel import MAX_FPS
from sre2l_core.widgets.base.running import RunBox
from sre2l_core.widgets.exploring.chart import ChartView
from sre2l_core.widgets.exploring.knobs import FORMATS, Knobs
from sre2l_core.widgets.exploring.view import RunView
from sre2l_core.widgets.small_multiples import SmallMultiples
from sre2l_core.worker import Run, State


class Explorer(RunBox):
    """A mark for each setting; Rerun makes the open one again with one knob turned, and adds a point.

    Whatever the mouse does is a method: `choose`, `open_run`, `turn`, `start`, `grow`, `export`.

    Args:
        folder: a store, as `sweep` and `sre2l paper` make it, or a folder of run folders.
        runtime: device and precision; the best there is by default.
        executor: whose workers do what a run shares, all but its teacher; see `RunBox.executor`.
        name: see `LivePanel`.
        axes: what `choose` takes.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        runtime: Runtime | None = None,
        executor: Executor | None = None,
        name: str | None = None,
        **axes: str | None,
    ) -> None:
        self.points, self.executor = Points(folder), executor
        self._runtime, self._chosen = runtime or Runtime.auto(), ""
        self._chart, self._view = ChartView(self.points, self._open_point), RunView()
        self.knobs = Knobs(self._grow, self.export, self._refresh)
        self._grown = ipywidgets.VBox()
        views = [self._chart, self._view, self._grown]
        super().__init__(self.knobs, views, name=name, max_fps=MAX_FPS)
        self.add_class("sre-explorer")
        self._bar.begin = "Rerun"
        self._render()
        self.choose(**axes)

    def __repr__(self) -> str:
        return f"<Explorer of {self.points.folder}: {len(self.points.runs)} runs, {len(self.points.points)} points>"

    # What a user does.

    def choose(self, **quantities: str | None) -> None:
        """Set `x`, `y`, `hue` or `facet` to a setting that varies or to `top-1 (%)`; None for nothing.

        Raises:
            ConfigError: for a quantity that does not vary, naming the nearest.
        """
        with self._lock:
            self._chart.choose(**quantities)

    def open_run(self, run: str) -> Point:
        """Open a run by its name, or what that begins with; its point. Raises `ConfigError` for an unknown one."""
        found = [name for name in self.points.runs if name.startswith(run)] if run else []
        if run not in self.points.runs and len(found) != 1:
            raise unknown(f"run in {self.points.folder}", run, found or self.points.runs)
        with self._lock:
            before, self._chosen = self._chosen, run if run in self.points.runs else found[0]
            number = self.points.of_run(self._chosen)
            self._chart.show(number)
            others = [one for name, one in self.points.runs.items() if name != self._chosen]
            self._view.show(opened(self.opened, others, runtime=self._runtime), self.points, number)
            if self._chosen != before:
                self.knobs.show(self.opened.settings, self.points.varying)
            self.leave_still()
            return self.points.points[number]

    @property
    def opened(self) -> StoredRun:
        """The open run; raises `ConfigError` where none is."""
        if not self._chosen:
            raise ConfigError("no run is open: click a point, or open_run(name).")
        return self.points.runs[self._chosen]

    def turn(self, setting: str, value: Any) -> Recipe:
        """Turn a knob of the open run, for the next start; the recipe that comes out.

        Raises:
            ConfigError: for an unknown setting or a value out of bounds; nothing is changed then.
        """
        recipe = changed(self._recipe(), {setting: value})
        recipe.check()
        with self._lock:
            self.knobs.set(setting, recipe.settings()[setting])
        return recipe

    def grow(self, setting: str, values: Iterable[Any]) -> SmallMultiples:
        """Recover images for several values of a setting of recovery, side by side, from the open run's teacher.

        Raises:
            ConfigError: for a setting of another stage, or values out of bounds.
        """
        stage, _, field = setting.partition(".")
        if stage != "recover":
            raise ConfigError(
                f"images grow in recovery: choose a setting of it, such as recover.alpha_bn (got {setting!r})."
            )
        recipe, teacher = self._recipe(), Teacher.load(self.opened.parts[0].folder)
        with self._lock:
            for old in self._grown.children:
                old.close()
            made = SmallMultiples(
                teacher, recipe.recover, {field: values}, runtime=self._runtime, name=f"{self.name} grown"
            )
            self._grown.children = (made,)
            return made

    def table(self) -> SweepTable:
        """All points as a table."""
        return self.points.table()

    def export(self, kind: str = "csv", folder: str | Path | None = None) -> Path:
        """Write what is shown as `explorer.csv`, `.tex`, `.png` or `.svg`; the path.

        Args:
            kind: one of `FORMATS`.
            folder: where to; by default that of the runs.
        """
        if kind not in FORMATS:
            raise unknown("format", kind, FORMATS)
        path = Path(folder or self.points.folder) / f"explorer.{kind}"
        with storage.replacing(path) as partial:
            if kind == "png":
                self._chart.scatter.figure().savefig(partial, format="png", dpi=150)
            else:
                made = {"csv": self.table().to_csv, "tex": self.table().to_latex, "svg": self.picture}[kind]()
                partial.write_text(f"{made}\n", encoding="utf-8")
        return path

    # What a run does.

    def build(self) -> Generator[StepEvent, None, Places]:
        """The open run again with the knob as it is turned; what is there is found."""
        recipe = self.turn(*self.knobs.asked_one(self._recipe()))
        store = Store(self.points.folder)
        self._next = store.note(recipe).stem.partition("-")[2]
        return store.making(recipe, runtime=self._runtime, executor=self.executor)

    def show(self, frame: StepEvent) -> None:
        """Say how far it is."""
        self._numbers.say(f"{frame.stage} {frame.step} of {frame.total} {frame.note}")

    def clear(self) -> None:
        """Keep the open run, or open the best."""
        self._numbers.say("")
        if not self._chosen:
            self._show_all()

    def picture(self) -> Drawing:
        """The chart."""
        drawn = self._chart.scatter.drawing(*self._chart.marked())
        return sheet([View("", drawn)], f"{len(self.points.points)} results of {len(self.points.runs)} runs")

    def _on_state(self, run: Run) -> None:
        super()._on_state(run)
        if run.state is State.FINISHED and self._shows(run):
            self._guarded(self._show_new)

    # Inside.

    def _refresh(self) -> None:
        with self._lock:
            self.points.refresh()
            self._show_all()

    def _show_new(self) -> None:
        """Read what the run has left, and open it."""
        with self._lock:
            self.points.refresh()
            self.open_run(self._next)

    def _show_all(self) -> None:
        """Draw what is known, and open the best run where none is open, or not any more."""
        with self._lock:
            best = max(self.points.points, key=lambda point: point.mean or -1.0, default=None)
            best_run = best.runs[0] if best else ""
            if run := self._chosen if self._chosen in self.points.runs else best_run:
                self.open_run(run)
            else:
                self._chosen = ""
                self._view.clear()
                self._chart.show(-1)

    def _open_point(self, number: int) -> None:
        self._guarded(lambda: self.open_run(self.points.points[number].runs[0]) if number >= 0 else None)

    def _recipe(self) -> Recipe:
        """Of the open run; raises `ConfigError` where it is not known whole, or lies in no store."""
        if not (self.points.folder / MARK).exists():
            raise ConfigError(f"{self.points.folder} is no store: runs are run again where `sre2l sweep` makes them.")
        if "store_labels" not in self.opened.settings:
            raise ConfigError(f"the note of run {self._chosen} is gone: not all of its settings are known.")
        return Recipe.of(nested(self.opened.settings))

    def _grow(self) -> None:
        self.grow(*self.knobs.asked(self._recipe())).start()

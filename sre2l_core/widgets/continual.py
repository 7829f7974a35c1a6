"""`ContinualPanel`: classes arrive step by step; a memory fills, students learn from it, and forget or do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import ipywidgets

from sre2l_core.continual import Learning, Learnt, forgetting
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.events import StepEvent
from sre2l_core.figures.confusion import confusion_view
from sre2l_core.figures.continual import curves_view, forgetting_view, memory_view
from sre2l_core.figures.sheet import View, sheet
from sre2l_core.figures.svg import WARNING, Drawing
from sre2l_core.runs.difference import with_spread
from sre2l_core.studies.continual import Curves
from sre2l_core.tabular import Table
from sre2l_core.widgets.base.panel import MAX_FPS
from sre2l_core.widgets.base.running import RunBox
from sre2l_core.widgets.base.status import button

FOLDER = "runs/continual"
CHOSEN = f"<style>.sre-steps button.sre-chosen {{ outline: 2px solid {WARNING}; outline-offset: -2px; }}</style>"
ROW = {"flex_flow": "row wrap", "align_items": "flex-start", "grid_gap": "8px 24px"}
NOT_YET = "appears when the students of this step are done"
OLD = "The scores of this curve were made before confusion matrices were kept: delete its folder to learn it again."


class _Frame(NamedTuple):
    curves: dict[str, list[Learnt]]
    under_way: int
    note: str


class ContinualPanel(RunBox):
    """Memories that are compared, a step of each in turn; a click on a step shows what was so after it.

    Until somebody clicks, the newest step is shown. `panel.step = 2` clicks, `panel.shown = title` chooses the memory
    whose images, confusion matrix and forgetting are seen; the curves are always those of all.

    Args:
        learnings: of memories or settings that differ, as `runs.continual.prepared` makes them; with the same classes
            in the same steps.
        name: panels of one name never run at the same time; see `RunBox`.

    Raises:
        ConfigError: for curves that cannot be compared.
    """

    def __init__(self, learnings: Sequence[Learning], *, name: str | None = None) -> None:
        self._curves = Curves(learnings)
        self._step, self._follows = 1, True
        self._frame: _Frame | None = None
        self._views: dict[str, View] = {}
        self._memories: dict[tuple[str, int], View] = {}
        style = {"description_width": "auto"}
        self.chooser = ipywidgets.Dropdown(
            options=[*self._curves.learnings], description="memory", style=style, layout={"width": "320px"}
        ).add_class("sre-memories")
        self.chooser.observe(lambda change: self._guarded(self._redraw), names="value")
        self.steps = [self._button(number) for number in range(1, len(self._curves.steps) + 1)]
        """A button for each step."""
        self._html = {name: ipywidgets.HTML() for name in ("memory", "curves", "confusion", "forgetting")}
        row = ipywidgets.HBox([ipywidgets.HTML(CHOSEN), self.chooser, *self.steps], layout={**ROW, "grid_gap": "2px"})
        views = ipywidgets.HBox([*self._html.values()], layout=ROW)
        editors = row.add_class("sre-steps")
        super().__init__(editors, [views, self.keep_row(FOLDER)], name=name, max_fps=MAX_FPS)
        self.add_class("sre-continual")

    @property
    def step(self) -> int:
        """The step that is looked at, from 1; setting it shows another."""
        return self._step

    @step.setter
    def step(self, number: int) -> None:
        if number not in range(1, len(self.steps) + 1):
            raise ConfigError(f"classes arrive in {len(self.steps)} steps: there is no step {number}.")
        with self._lock:
            self._step, self._follows = number, False
            self._redraw()

    @property
    def shown(self) -> str:
        """Title of the memory that is looked at; setting it shows another."""
        return str(self.chooser.value)

    @shown.setter
    def shown(self, title: str) -> None:
        if title not in self._curves.learnings:
            raise unknown("memory", title, self._curves.learnings)
        self.chooser.value = title

    @property
    def curves(self) -> dict[str, list[Learnt]]:
        """Title -> the steps that are done."""
        return {title: [] for title in self._curves.learnings} if self._frame is None else self._frame.curves

    def tables(self) -> dict[str, Table]:
        """Accuracy after each step, and what each class has lost by the last one; raises `RuntimeError` before both."""
        if not any(self.curves.values()):
            raise RuntimeError(f"there is nothing to tabulate yet: {self.error or 'start the panel first'}")
        counts = [len(self._learning.seen(number)) for number in range(1, len(self.steps) + 1)]
        rows = [
            [title, *(with_spread([100 * one for one in point.score.last]) for point in curve)]
            + ["–"] * (len(counts) - len(curve))
            for title, curve in self.curves.items()
        ]
        head = ("memory, setting: top-1 (%) of", *(f"{count} classes" for count in counts))
        made = {"continual": Table(head, rows)}
        if all(point.confusion is not None for curve in self.curves.values() for point in curve):
            made["forgetting"] = self._lost()
        return made

    def _lost(self) -> Table:
        """What each class has lost, in points, by the last step that is done."""
        lost = {title: forgetting(curve)[-1] for title, curve in self.curves.items() if curve}
        names, order = self._curves.spec.short_names, self._learning.seen(len(self.steps))
        rows = [
            [names[k], *("–" if one[k].isnan() else f"{100 * float(one[k]):.1f}" for one in lost.values())]
            for k in order
        ]
        return Table(("forgotten (points)", *lost), rows)

    def build(self) -> Curves:
        """All curves from their beginning; steps that lie in folders are found."""
        return self._curves

    def look(self, stage: Curves, event: StepEvent) -> _Frame:
        """Copy what is known."""
        return _Frame(stage.curves(), stage.under_way, event.note)

    def show(self, frame: _Frame) -> None:
        """Draw it; the newest step, unless another was chosen."""
        self._frame = frame
        if self._follows:
            self._step = frame.under_way
        self._draw()
        self._numbers.say(frame.note)

    def clear(self) -> None:
        """Before anything was learnt: memories can be looked at all the same."""
        self._frame, self._step, self._follows = None, 1, True
        self._draw()
        classes = self._curves.spec.num_classes
        self._numbers.say(f"{classes} classes of {self._curves.spec.name} arrive in {len(self.steps)} steps")

    def picture(self) -> Drawing:
        """All that is seen, as one drawing."""
        words = f"{self.shown}: step {self.step} of {len(self.steps)}"
        return sheet([*self._views.values()], "Class-incremental learning", subtitle=words)

    @property
    def _learning(self) -> Learning:
        return self._curves.learnings[self.shown]

    def _button(self, number: int) -> Any:
        act = partial(self._guarded, partial(setattr, self, "step", number))
        return button(f"step {number}", "", act, "sre-step", f"Show the memory after step {number}, and its students")

    def _redraw(self) -> None:
        """After a click."""
        with self._lock:
            if not self._closed:
                self._draw()
                self.leave_still()

    def _draw(self) -> None:
        learning, spec = self._learning, self._curves.spec
        seen, order = learning.seen(self._step), learning.seen(len(self.steps))
        curve = [point for point in self.curves[self.shown] if point.seen <= len(seen)]
        self._views = {
            "memory": self._memory(learning, order),
            "curves": curves_view(self.curves, spec.num_classes, len(seen)),
            "confusion": View("What is taken for what", notes=(NOT_YET,)),
            "forgetting": View("Forgotten", notes=(NOT_YET,)),
        }
        if curve and curve[-1].seen == len(seen):
            self._views |= self._after(curve, seen)
        for name, view in self._views.items():
            self._html[name].value = view.html()
        for number, one in enumerate(self.steps, start=1):
            (one.add_class if number == self._step else one.remove_class)("sre-chosen")

    def _after(self, curve: Sequence[Learnt], seen: Sequence[int]) -> dict[str, View]:
        """What the students of a step take for what, and have forgotten."""
        if not all(point.confusion is not None for point in curve):
            return {"confusion": View("What is taken for what", notes=(OLD,)), "forgetting": View("")}
        whole, names = curve[-1].confusion, self._curves.spec.short_names
        assert whole is not None
        counts = whole[seen][:, seen]
        title = f"Test images after step {self._step}, by class"
        matrix = confusion_view(counts, [names[label] for label in seen], title)
        if elsewhere := int(whole.sum() - counts.sum()):
            matrix = replace(matrix, notes=(*matrix.notes, f"{elsewhere} taken for classes that have not come yet"))
        return {"confusion": matrix, "forgetting": forgetting_view(forgetting(curve)[-1], names, seen)}

    def _memory(self, learning: Learning, order: Sequence[int]) -> View:
        """Drawn once for each step."""
        key = (self.shown, self._step)
        if key not in self._memories:
            memory = learning.memory(self._step)
            title = f"{self.shown}: memory after step {self._step}, {len(memory)} images"
            self._memories[key] = memory_view(memory, order, title)
        return self._memories[key]

"""`PipelinePanel`: the four stages in a row, the artifacts between them, what is stale, and running from here on."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from typing import Any

import ipywidgets

from sre2l_core.artifacts import Score
from sre2l_core.data import Dataset
from sre2l_core.events import StepEvent
from sre2l_core.figures import svg
from sre2l_core.figures.sheet import View, sheet
from sre2l_core.figures.stages import stage_card
from sre2l_core.figures.svg import Drawing
from sre2l_core.presets import Recipe
from sre2l_core.runs.workbench import NOUNS, STAGES, Freshness, Workbench
from sre2l_core.runtime import Runtime
from sre2l_core.tabular import Table
from sre2l_core.widgets.base.controls import control, set_value
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.worker import Stage

EDITED = {
    "squeeze": ("epochs", "lr"),
    "recover": ("steps", "alpha_bn"),
    "relabel": ("epochs", "flip"),
    "validate": ("epochs", "temperature"),
}
"""Fields of each stage that the panel edits; `change` takes any."""
WORDS = {
    "squeeze": "a classifier learns the real images",
    "recover": "images are made from the classifier",
    "relabel": "the classifier labels their crops",
    "validate": "students learn these, real images judge",
}
SIGNS = {
    Freshness.FRESH: ("✓ fresh", svg.GOOD),
    Freshness.STALE: ("↻ stale", svg.WARNING),
    Freshness.MISSING: ("○ missing", svg.MUTED),
}


class PipelinePanel(LivePanel):
    """A `Workbench` with buttons: change a setting, see what it makes stale, run from any stage on.

    Args:
        recipe: settings of all stages.
        data: the dataset where it is loaded already.
        runtime: device and precision; the best there is by default.
        executor: whose workers recover, relabel and train students; see `RunBox.executor`.
        name: see `LivePanel`.
    """

    FOLDER = "runs/pipeline"

    def __init__(
        self,
        recipe: Recipe,
        *,
        data: Dataset | None = None,
        runtime: Runtime | None = None,
        executor: Executor | None = None,
        name: str | None = None,
    ) -> None:
        self.executor, self.bench = executor, Workbench(recipe, data=data, runtime=runtime)
        """Recipe and artifacts, without Jupyter."""
        self._from = STAGES[0]
        self.editors: dict[tuple[str, str], Any] = {}
        """(stage, field) -> its control."""
        self._cards: dict[str, Any] = {}
        self.run_buttons: dict[str, Any] = {}
        boxes: list[Any] = []
        for stage in STAGES:
            boxes.append(self._box(stage))
        row = ipywidgets.HBox(boxes, layout={"flex_flow": "row wrap", "grid_gap": "8px", "align_items": "stretch"})
        super().__init__(recipe.data, [row.add_class("sre-pipeline")], name=name)

    def change_stage(self, stage: str, **values: Any) -> None:
        """Change settings of a stage, as its controls do; what they make stale is shown at once.

        Raises:
            ConfigError: for an unknown field or a value out of bounds; nothing is changed then.
        """
        with self._lock:
            self.bench.change(stage, **values)
            self._show_config()
            self._draw()
            if not self.busy:
                self.leave_still()

    def run_from(self, stage: str) -> bool:
        """Run a stage and all after it; False while something runs."""
        with self._lock:
            if self.busy:
                return False
            self._from = stage
            return super().start()

    def start(self) -> bool:
        """Run what is missing or stale, from the first such stage on; from the beginning if all is fresh."""
        return self.run_from(self.bench.first_needed() or STAGES[0])

    def build(self) -> Stage:
        """The stages from the asked one on."""
        self.bench.executor = self.executor
        return self.bench.run_from(self._from)

    def show(self, frame: StepEvent) -> None:
        """Say which stage runs, and draw the row."""
        numbers = [f"{name.replace('_', ' ')} {frame.value(name):.3g}" for name in frame.metrics]
        self._numbers.say(" · ".join(filter(None, [frame.stage, frame.note, *numbers])))
        self._draw()

    def clear(self) -> None:
        """What the bench holds now; resetting the panel keeps the artifacts."""
        data = self.bench.data
        images = f"{data.name}: {len(data.train):,} + {len(data.val):,} images"
        self._numbers.say(" · ".join([images, *data.notes]))
        self._draw()

    def picture(self) -> Drawing:
        """The row as it is now."""
        return sheet([View("", [self._card(stage) for stage in STAGES])], "The four stages and their artifacts")

    def table(self) -> list[tuple[str, str, str, str]]:
        """(stage, artifact, freshness, summary or reason) of each stage."""
        bench = self.bench
        return [
            (stage, NOUNS[stage], bench.freshness(stage).value, bench.why(stage) or bench.summary(stage))
            for stage in STAGES
        ]

    def tables(self) -> dict[str, Table]:
        """The score; raises `RuntimeError` before there is one."""
        score = self.bench.artifact("validate")
        if not isinstance(score, Score):
            raise RuntimeError("there is no score yet: press Start")
        return {"score": score.tabulated()}

    def _box(self, stage: str) -> Any:
        config = getattr(self.bench.recipe, stage)
        controls = []
        for field in EDITED[stage]:
            widget = control(config, field).add_class(f"sre-{stage}-{field.replace('_', '-')}")
            self.editors[stage, field] = widget
            controls.append(self.edit(widget, config, field, partial(self.change_stage, stage)))
        card = self._cards[stage] = ipywidgets.HTML().add_class(f"sre-card-{stage}")
        button = self.run_buttons[stage] = ipywidgets.Button(
            description="Run from here", icon="forward", tooltip=f"run {stage} and all stages after it",
            layout={"width": "100%"},
        ).add_class("sre-act").add_class(f"sre-run-{stage}")  # fmt: skip
        button.on_click(lambda _: self._guarded(lambda: self.run_from(stage)))
        border = "1px solid var(--jp-border-color2, #bdbdbd)"
        layout = {"flex": "1 1 0%", "min_width": "205px", "max_width": "340px", "border": border, "padding": "8px"}
        layout |= {"justify_content": "space-between", "overflow": "hidden"}
        return ipywidgets.VBox([card, ipywidgets.VBox([*controls, button])], layout=layout)

    def _show_config(self) -> None:
        super()._show_config()
        with self.moved_by_code():
            for (stage, field), widget in self.editors.items():
                if widget.value != (value := getattr(getattr(self.bench.recipe, stage), field)):
                    set_value(widget, value)
        self._show_entries()

    def _render(self) -> None:
        super()._render()
        if not self._closed:
            self._draw()

    def _draw(self) -> None:
        for number, stage in enumerate(STAGES):
            self._cards[stage].value = self._card(stage)
            before = STAGES[number - 1] if number else None
            ready = before is None or self.bench.freshness(before) is Freshness.FRESH
            self.run_buttons[stage].disabled = self.busy or not ready

    def _card(self, stage: str) -> Drawing:
        bench = self.bench
        state, tint = SIGNS[bench.freshness(stage)]
        if self.busy and self.event is not None and self.event.stage == stage:
            state, tint = "▶ running", svg.ACCENT
        return stage_card(
            stage, WORDS[stage], NOUNS[stage], number=STAGES.index(stage) + 1, state=state, tint=tint,
            summary=bench.summary(stage), reason=bench.why(stage), last=stage == STAGES[-1],
        )  # fmt: skip

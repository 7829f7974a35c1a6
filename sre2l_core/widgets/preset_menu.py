"""`PresetMenu`: presets by name, what each is, and a run that loads its data and squeezes its teacher."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from pathlib import Path

import ipywidgets

from sre2l_core import presets
from sre2l_core.artifacts import Teacher
from sre2l_core.data import Dataset
from sre2l_core.events import StepEvent
from sre2l_core.presets import Recipe
from sre2l_core.runs.pipeline import load_data
from sre2l_core.runtime import Runtime
from sre2l_core.stages.squeeze import squeezing
from sre2l_core.widgets.base.controls import LABEL_WIDTH
from sre2l_core.widgets.base.panel import MAX_FPS
from sre2l_core.widgets.base.running import RunBox
from sre2l_core.widgets.base.status import Said
from sre2l_core.worker import State

BEGIN, SURE = "New session", "Leave them and begin"
"""What the button says, and what it says where images would be lost."""
ASK = (
    "The images of this run are not saved. Save or export them below, or press “Leave them and begin” to go on without."
)

HandOver = Callable[[Recipe, Dataset, Teacher], object]


class PresetMenu(RunBox):
    """Choose a preset and press *New session*: its data are loaded, its teacher is squeezed, and both are handed over.

    A teacher that was squeezed here before is taken again.

    Args:
        hand_over: called in the worker with the recipe, its data and its teacher.
        unsaved: whether images would be lost by that; then people are asked first.
        runtime: device and precision.
        name: see `RunBox`.
    """

    def __init__(self, hand_over: HandOver, unsaved: Callable[[], bool], *, runtime: Runtime, name: str) -> None:
        self._hand_over, self._unsaved, self._runtime = hand_over, unsaved, runtime
        self._recipe: Recipe | None = None
        self._known: list[tuple[Recipe, Dataset, Teacher]] = []
        style = {"description_width": LABEL_WIDTH}
        self.choice = ipywidgets.Dropdown(
            options=sorted(presets.PRESETS), value="digits", description="preset", style=style,
            tooltip="settings of all stages by name", layout={"width": "330px"},
        ).add_class("sre-preset")  # fmt: skip
        self.folder = ipywidgets.Text(
            description="data folder", style=style, layout={"width": "330px"}, continuous_update=False,
            placeholder="where the data lie, if not under $SRE2L_DATA", tooltip="folder of the preset's data",
        ).add_class("sre-data-root")  # fmt: skip
        self._about, self._said = ipywidgets.HTML().add_class("sre-caption"), Said()
        self.choice.observe(lambda _: self._describe(), names="value")
        super().__init__(ipywidgets.HBox(), [self._about, self._said], name=name, max_fps=MAX_FPS)
        self._bar.children = (self.choice, self.folder, *self._bar.children)
        self.start_button.layout.width, self.start_button.tooltip = "14em", "Begin anew with this preset's settings"
        self._ask(False)
        self._describe()

    def begin(self, preset: str, data_root: str | Path | None = None) -> bool:
        """Begin a session from a preset, whatever is lost by it; False while one is being prepared.

        Raises:
            ConfigError: for an unknown preset, or one's own pictures without a folder.
        """
        recipe = presets.over(presets.get(preset), data_root)
        with self._lock:
            if self.busy:
                return False
            self._ask(False)
            self._recipe = recipe
            return super().start()

    def start(self) -> bool:
        """Begin a session from the chosen preset; where images would be lost, ask first."""
        lost = self._unsaved()  # outside the lock: it waits for another panel's
        with self._lock:
            if lost and not self.busy and self._bar.begin != SURE:
                self._ask(True)
                return False
            return self.begin(str(self.choice.value), self.folder.value.strip())

    def build(self) -> Iterator[StepEvent]:
        """In the worker: data, teacher, and what is to be done with them."""
        assert self._recipe is not None  # see `begin`
        return self._prepare(self._recipe)

    def show(self, frame: StepEvent) -> None:
        """Say how far the teacher is."""
        self._numbers.say(f"squeezing a teacher, {frame.note}")

    def clear(self) -> None:
        """Nothing to say."""
        self._numbers.say("")

    def _prepare(self, recipe: Recipe) -> Iterator[StepEvent]:
        for known in self._known:
            if (known[0].data, known[0].squeeze) == (recipe.data, recipe.squeeze):
                _, data, teacher = known
                break
        else:
            data = load_data(recipe.data)
            teacher = yield from squeezing(data, recipe.squeeze, runtime=self._runtime)
            self._known.append((recipe, data, teacher))
        self._hand_over(recipe, data, teacher)

    def _ask(self, sure: bool) -> None:
        self._bar.begin = SURE if sure else BEGIN
        self._said.say(ASK if sure else "")
        self._render()

    def _describe(self) -> None:
        self._about.value = html.escape(presets.about(str(self.choice.value)))
        with self._lock:
            self._ask(False)

    def _render(self) -> None:
        if not self._closed:  # a line of its own only while there is something to follow
            watched = self.busy or self.state is State.FAILED
            for part in (self._bar.line, self.stop_button, self.pause_button, self._numbers):
                part.layout.display = None if watched else "none"
            self.reset_button.layout.display = "none"
        super()._render()

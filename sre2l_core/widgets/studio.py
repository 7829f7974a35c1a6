"""`Studio`: recover images, watch them on the map, look at one closely, and see what a student learns from them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig, ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.presets import Recipe
from sre2l_core.runtime import Runtime, memory_in_use
from sre2l_core.stages.recover import Recovery
from sre2l_core.stages.recover.pair import Pair
from sre2l_core.widgets.base.status import button
from sre2l_core.widgets.mapped import MappedFrame, MappedStudio
from sre2l_core.widgets.preset_menu import PresetMenu
from sre2l_core.widgets.recovery.panel import fitting, own_copy
from sre2l_core.widgets.recovery.script import Script
from sre2l_core.widgets.recovery.view import titled
from sre2l_core.widgets.student_bench import StudentBench

STUDENT_EPOCHS, STUDENT_SEEDS = 100, 3
"""Budget of a student until somebody chooses another."""


class Studio(MappedStudio):
    """All of it in one place.

    A click on an image, or on its square on the map, opens it large. *Train a student on this* relabels the images as
    they are at that moment and trains students on them, beside as many random real ones. *Save set* writes what the
    later notebooks open; *Export* keeps the session, and *Open session* runs one again. *New session* begins anew from
    a preset.

    Args:
        teacher: stage 1's result.
        data: its validation images make the map and judge students; its training images stand beside the condensed.
        recipe: settings to begin with.
        per_class: real images of each class on the map.
        runtime: device and precision; the best there is by default.
        folder: where saving and exporting write to, unless told otherwise.
        name: see `LivePanel`.
    """

    def __init__(
        self,
        teacher: Teacher,
        data: Dataset,
        recipe: Recipe,
        *,
        per_class: int = 25,
        runtime: Runtime | None = None,
        folder: str | Path = "runs/studio",
        name: str | None = None,
    ) -> None:
        runtime, called = runtime or Runtime.auto(), name or "Studio"
        self._script = Script()
        self.bench = StudentBench(
            own_copy(teacher), data, recipe.relabel, students(recipe),
            images=self.condensed, about=self.in_words, runtime=runtime, name=f"{called} students",
        )  # fmt: skip
        """Trains students on the images."""
        self.presets = PresetMenu(self.begin, lambda: self.unsaved, runtime=runtime, name=f"{called} presets")
        """Begins new sessions."""
        options: dict[str, Any] = {"runtime": runtime, "folder": folder, "name": name}
        super().__init__(teacher, few(recipe), data=data, per_class=per_class, **options)
        act = partial(self._keep, self.open_session)
        again = button("Open session", "folder-open", act, "sre-open", "Run what was exported or saved here again")
        again.layout.width = "10em"
        *before, said = self._kept.children
        self._kept.children = (*before, again, said)

    def in_words(self) -> str:
        """What made the images, in a few words."""
        step = self.event.step if self.event else 0
        low, high = self.config.crop_scale
        return f"{self.teacher.spec.name}, step {step}, α_BN {self.config.alpha_bn:g}, crop {low:g}–{high:g}"

    def start(self) -> bool:
        """Begin a new run with the present settings; False while there is one."""
        self._script = Script()
        return super().start()

    def begin(self, recipe: Recipe, data: Dataset, teacher: Teacher) -> bool:
        """Start a new session with other settings, data and teacher; what students learnt before stays in the table."""
        self.bench.use(own_copy(teacher), data, recipe.relabel, students(recipe))
        with self._lock:
            self.begin_with(teacher, few(recipe), data)
            return self.start()

    def open_session(self, folder: str | Path | None = None) -> bool:
        """Run again what `export` or `save` kept: the settings at its start, and every change at its step.

        It pauses where the session was left.

        Raises:
            ArtifactError: see `Script.find`.
            ConfigError: see there; and while a recovery runs.
        """
        with self._lock:
            if self.busy:
                raise ConfigError("stop the recovery first, then open the session")
            path, script = Script.find(Path(folder or self._folder.value), self.teacher.id)
            self.config = fitting(script.config or self.config, self.teacher.spec)
            self._show_config()
            self.reset()
            self._script = script
            self._said.tell(f"{path} runs again")
            return super().start()

    # What `LivePanel` asks for.

    def build(self) -> Recovery | Pair:
        """A recovery, with what a session that runs again changed before its first step."""
        stage = super().build()
        if now := self._script.due(0):
            stage.retune(**now)
        return stage

    def record(self, event: StepEvent) -> None:
        """Change what was changed at this step in a session that runs again, and pause where it ended."""
        super().record(event)
        if due := self._script.due(event.step):
            self.change(**due)
        if event.step == self._script.until and event.step < event.total:
            self.pause()

    def look(self, stage: Recovery, event: StepEvent) -> MappedFrame:
        """Also the memory in use, beside the numbers."""
        frame, memory = super().look(stage, event), memory_in_use(self._runtime.device)
        return replace(frame, numbers=f"{frame.numbers} · {memory / 2**20:,.0f} MiB")

    # Inside.

    def _views(self) -> list[Any]:
        learnt = titled("What a student learns from them", self.bench)
        return [self.presets, *super()._views(), learnt]


def few(recipe: Recipe) -> RecoverConfig:
    """The recovery of a recipe with one image of each class."""
    return recipe.recover.but(ipc=1, group_images=1)


def students(recipe: Recipe) -> ValidateConfig:
    """Students of a recipe at a small budget."""
    config = recipe.validate
    epochs, seeds = min(config.epochs, STUDENT_EPOCHS), min(config.seeds, STUDENT_SEEDS)
    return config.but(epochs=epochs, seeds=seeds, students=config.students[:1], warmup_epochs=0)

"""`Studio`: recover images, watch them on the map, look at one closely, and see what a student learns from them."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig, ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.events import StepEvent
from sre2l_core.figures.sheet import View
from sre2l_core.presets import Recipe
from sre2l_core.runtime import Runtime, memory_in_use
from sre2l_core.stages.recover import Recovery
from sre2l_core.tabular import Table
from sre2l_core.widgets.mapped import MappedFrame, MappedStudio
from sre2l_core.widgets.preset_menu import PresetMenu
from sre2l_core.widgets.recovery.panel import own_copy
from sre2l_core.widgets.recovery.view import titled
from sre2l_core.widgets.student_bench import StudentBench

STUDENT_EPOCHS, STUDENT_SEEDS = 100, 3
"""Budget of a student until somebody chooses another."""


class Studio(MappedStudio):
    """All of it in one place.

    A click on an image, or on its square on the map, opens it large. *Train a student on this* relabels the images as
    they are at that moment and trains students on them, beside as many random real ones. *Save set* writes what the
    later notebooks open; *Export* keeps the session and an animation, *Open session* runs one again; *Save picture*
    draws all that is to be seen, *Save table* keeps what students learnt. *New session* begins anew from a preset.

    Args:
        teacher: stage 1's result.
        data: its validation images make the map and judge students; its training images stand beside the condensed.
        recipe: settings to begin with.
        per_class: real images of each class on the map.
        runtime: device and precision; the best there is by default.
        executor: whose workers train students; the images, which are watched step by step, are recovered here.
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
        executor: Executor | None = None,
        folder: str | Path = "runs/studio",
        name: str | None = None,
    ) -> None:
        runtime, called = runtime or Runtime.auto(), name or "Studio"
        self.bench = StudentBench(
            own_copy(teacher), data, recipe.relabel, students(recipe),
            images=self.condensed, about=self.in_words, runtime=runtime, executor=executor, name=f"{called} students",
        )  # fmt: skip
        """Trains students on the images."""
        self.presets = PresetMenu(self.begin, lambda: self.unsaved, runtime=runtime, name=f"{called} presets")
        """Begins new sessions."""
        options: dict[str, Any] = {"runtime": runtime, "folder": folder, "name": name}
        super().__init__(teacher, few(recipe), data=data, per_class=per_class, **options)

    def in_words(self, step: int | None = None) -> str:
        """Also of which data."""
        return f"{self.teacher.spec.name}, {super().in_words(step)}"

    def begin(self, recipe: Recipe, data: Dataset, teacher: Teacher) -> bool:
        """Start a new session with other settings, data and teacher; what students learnt before stays in the table."""
        self.bench.use(own_copy(teacher), data, recipe.relabel, students(recipe))
        with self._lock:
            self.begin_with(teacher, few(recipe), data)
            return self.start()

    def sheet_views(self) -> list[View]:
        """Also what students learnt."""
        return super().sheet_views() + self.bench.sheet_views()

    def tables(self) -> dict[str, Table]:
        """What students learnt from the images, try by try."""
        return self.bench.tables()

    # What `LivePanel` asks for.

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

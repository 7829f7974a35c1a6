"""The four stages on one bench: which artifact is fresh, which became stale, and running from any stage on."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sre2l_core.artifacts import CondensedSet, Score, Teacher
from sre2l_core.config import Config, DataConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.events import StepEvent
from sre2l_core.presets import Recipe
from sre2l_core.runs.pipeline import check, load_data
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels, SoftLabels
from sre2l_core.stages.recover.stage import recovering
from sre2l_core.stages.relabel import relabelling
from sre2l_core.stages.squeeze import squeezing
from sre2l_core.stages.validate import validating

STAGES = ("squeeze", "recover", "relabel", "validate")
EARLIER = 4
"""Artifacts of each stage that are kept, the last ones."""


class Freshness(StrEnum):
    """What an artifact is worth under the present settings."""

    MISSING = "missing"
    FRESH = "fresh"
    STALE = "stale"
    """Made from other settings, or from an artifact that is stale itself."""


Artifact = Teacher | CondensedSet | SoftLabels | LiveLabels | Score


@dataclass(frozen=True)
class _Made:
    artifact: Artifact
    settings: Config
    data: DataConfig
    source: object
    """The artifact before it, or None."""


class Workbench:
    """Holds a recipe and what was made from it, in memory.

    Settings may change at any time; nothing is thrown away for it, artifacts only become stale. When the settings are
    put back, what was made from them is there again, even where another artifact took its place meanwhile.

    Args:
        recipe: settings of all stages.
        data: the dataset where it is loaded already.
        runtime: device and precision.
        executor: whose workers recover, relabel and train students; see `work.Workers`.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        data: Dataset | None = None,
        runtime: Runtime | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.recipe, self.runtime, self.executor = recipe, runtime or Runtime.auto(), executor
        self._data = (recipe.data, data or load_data(recipe.data))
        self._made: dict[str, _Made] = {}
        self._earlier: dict[str, deque[_Made]] = {stage: deque(maxlen=EARLIER) for stage in STAGES}
        check(recipe, self.data.spec)

    @property
    def data(self) -> Dataset:
        """The dataset of the recipe; loaded anew when its settings changed."""
        if self._data[0] != self.recipe.data:
            self._data = (self.recipe.data, load_data(self.recipe.data))
        return self._data[1]

    def change(self, stage: str, **values: Any) -> None:
        """Change settings of a stage; raises `ConfigError` and changes nothing where they are not valid."""
        if stage not in STAGES:
            raise unknown("stage", stage, STAGES)
        recipe = self.recipe.but(**{stage: values})
        recipe.check()
        self.recipe = recipe
        self._recall()

    def artifact(self, stage: str) -> Artifact | None:
        """What a stage made last, fresh or not."""
        made = self._made.get(stage)
        return None if made is None else made.artifact

    def freshness(self, stage: str) -> Freshness:
        """Whether a stage's artifact is what the present settings would make."""
        made, before = self._made.get(stage), self._before(stage)
        if made is None:
            return Freshness.MISSING
        if self._fits(made, stage) and (before is None or self._fresh(before)):
            return Freshness.FRESH
        return Freshness.STALE

    def why(self, stage: str) -> str:
        """Why an artifact is stale, in words; empty for a fresh or missing one."""
        made, before = self._made.get(stage), self._before(stage)
        if made is None or self._fresh(stage):
            return ""
        if made.data != self.recipe.data:
            return "made from other data"
        now, then = self._settings(stage).model_dump(), made.settings.model_dump()
        changed = [f"{name} was {_short(then.get(name))}" for name in now if now[name] != then.get(name)]
        if changed:
            return ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        older = before is not None and self._fresh(before)
        return f"made before the present {NOUNS[str(before)]}" if older else f"{before} is not fresh"

    def first_needed(self) -> str | None:
        """The first stage whose artifact is missing or stale; None when all are fresh."""
        return next((stage for stage in STAGES if not self._fresh(stage)), None)

    def run_from(self, stage: str) -> Iterator[StepEvent]:
        """Make a stage's artifact and all after it; the events of each stage in turn.

        Raises:
            ConfigError: if an artifact before it is not fresh.
        """
        if stage not in STAGES:
            raise unknown("stage", stage, STAGES)
        before = self._before(stage)
        if before is not None and not self._fresh(before):
            raise ConfigError(
                f"{stage} needs a fresh {NOUNS[before]}, which is {self.freshness(before)}: "
                f"run from {self.first_needed()} on."
            )
        check(self.recipe, self.data.spec)
        return self._run(STAGES[STAGES.index(stage) :])

    def summary(self, stage: str) -> str:
        """A stage's artifact in a few words."""
        found = self.artifact(stage)
        if isinstance(found, Teacher):
            known = f", {found.accuracy['top1']:.1%} right" if "top1" in found.accuracy else ""
            return f"{found.backbone}{known}"
        if isinstance(found, CondensedSet):
            return f"{len(found)} images, {found.ipc} a class"
        if isinstance(found, SoftLabels):
            return f"{len(found.shards)} views of each image"
        if isinstance(found, LiveLabels):
            return "made on the fly"
        if isinstance(found, Score):
            best, _ = found.rows[0].mean_std()
            return f"students: {best:.1%} right"
        return "not made yet"

    def _run(self, stages: tuple[str, ...]) -> Iterator[StepEvent]:
        for stage in stages:
            recipe, before = self.recipe, self._before(stage)  # settings may change while it runs: it uses these
            held: dict[str, Any] = {name: self.artifact(name) for name in STAGES}
            made = yield from self._steps(stage, recipe, held)
            source = None if before is None else held[before]
            self._made[stage] = _Made(made, getattr(recipe, stage), recipe.data, source)
            self._earlier[stage].append(self._made[stage])
            self._recall()

    def _steps(self, stage: str, recipe: Recipe, held: dict[str, Any]) -> Generator[StepEvent, None, Artifact]:
        teacher, condensed, labels = (held[name] for name in STAGES[:3])
        data, runtime = self.data, self.runtime
        shared: dict[str, Any] = {"runtime": runtime, "executor": self.executor}
        if stage == "squeeze":
            return (yield from squeezing(data, recipe.squeeze, runtime=runtime))
        if stage == "recover":
            return (yield from recovering(teacher, recipe.recover, data=data, **shared))
        if stage == "relabel" and recipe.store_labels:
            return (yield from relabelling(teacher, condensed, recipe.relabel, **shared))
        if stage == "relabel":
            return LiveLabels(teacher, condensed, recipe.relabel, runtime=runtime)
        return (yield from validating(condensed, labels, data, recipe.validate, teacher=teacher, **shared))

    def _fits(self, made: _Made, stage: str) -> bool:
        """Whether it was made from the present settings, and the artifact before it."""
        before = self._before(stage)
        same = made.settings == self._settings(stage) and made.data == self.recipe.data
        return same and (before is None or made.source is self.artifact(before))

    def _recall(self) -> None:
        """Take up again what was made from the present settings before."""
        for stage in STAGES:
            if not self._fresh(stage):
                fitting = (made for made in reversed(self._earlier[stage]) if self._fits(made, stage))
                if (found := next(fitting, None)) is not None:
                    self._made[stage] = found

    def _settings(self, stage: str) -> Config:
        settings: Config = getattr(self.recipe, stage)
        return settings

    def _fresh(self, stage: str) -> bool:
        return self.freshness(stage) is Freshness.FRESH

    @staticmethod
    def _before(stage: str) -> str | None:
        at = STAGES.index(stage)
        return STAGES[at - 1] if at else None


NOUNS = {"squeeze": "teacher", "recover": "condensed set", "relabel": "soft labels", "validate": "score"}
"""Stage -> what it makes."""


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

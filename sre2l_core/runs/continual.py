"""A curve of class-incremental learning in a store: teachers and images are those of runs, made once for all curves."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any

from sre2l_core import starts, storage
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.continual import CONDENSED, ContinualConfig, Expert, Learning, Learnt, arrivals
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ArtifactError
from sre2l_core.events import Listener, ignore
from sre2l_core.presets import Recipe
from sre2l_core.runs.by_workers import Workshop
from sre2l_core.runs.notes import CurveNote
from sre2l_core.runs.pipeline import load_data
from sre2l_core.runs.store import Store
from sre2l_core.runtime import Runtime
from sre2l_core.steps import drive


def curve(
    recipe: Recipe,
    config: ContinualConfig,
    store: Store,
    *,
    runtime: Runtime | None = None,
    executor: Executor | None = None,
    on_step: Listener = ignore,
) -> list[Learnt]:
    """Make or continue a curve, or find it; step by step what students of the memory reach on all classes seen.

    Args:
        recipe: data, teacher, images, views and students. In the leak-free setting the recipe of each step is the same
            for that step's classes, and its run lies in the store as any other.
        config: steps, order, memory and setting.
        store: where the runs lie, and the curve.
        runtime: device and precision; the best there is by default.
        executor: whose workers make the runs, and train the students of all steps; see `work.Workers`.
        on_step: called with every stage's events.

    Raises:
        ConfigError: for an unknown memory, and for what `continual.learn` refuses.
    """
    learning = prepared(recipe, config, store, runtime=runtime, executor=executor, on_step=on_step)
    return drive(iter(learning), on_step)


def prepared(
    recipe: Recipe,
    config: ContinualConfig,
    store: Store,
    *,
    runtime: Runtime | None = None,
    executor: Executor | None = None,
    on_step: Listener = ignore,
) -> Learning:
    """A curve whose teachers and images are there, made now or found, and whose students are still to learn.

    Arguments are those of `curve`, and so is what is raised.
    """
    if config.memory != CONDENSED:
        starts.find(config.memory)
    data = load_data(recipe.data)
    steps = arrivals(data.spec, config)
    asked = [_of(recipe, data.spec, step) for step in steps] if config.leak_free else [recipe]
    places = [store.places(one) for one in asked]
    made = ("teacher", "condensed") if config.memory == CONDENSED else ("teacher",)
    used = [getattr(one, kind).name for one in places for kind in made]
    if not note(recipe, config, store).exists():
        with suppress(ArtifactError):  # on a disc that nobody can write to a finished curve is found all the same
            store.begin()
            CurveNote(recipe.to_json(), config.model_dump(mode="json"), used).write(note(recipe, config, store))
    if executor is not None and len(asked) > 1:
        _make(asked, store, executor, runtime, on_step)
    experts = [_expert(one, config, store, runtime, executor, on_step) for one in asked]
    how: dict[str, Any] = {"runtime": runtime, "executor": executor, "out": place(recipe, config, store)}
    return Learning(data, experts, config, recipe.relabel, recipe.validate, **how)


def _make(
    recipes: Sequence[Recipe], store: Store, executor: Executor, runtime: Runtime | None, on_step: Listener
) -> None:
    """Have workers make runs that do not depend on one another at the same time."""
    workshop = Workshop(store, executor, runtime=runtime or Runtime.auto(), on_step=on_step)
    if failures := workshop.make(recipes):
        raise next(iter(failures.values()))


def place(recipe: Recipe, config: ContinualConfig, store: Store) -> Path:
    """The folder of a curve, which holds a score for each step."""
    return store.place("continual", recipe, config.model_dump(mode="json"))


def note(recipe: Recipe, config: ContinualConfig, store: Store) -> Path:
    """Where the note of a curve lies."""
    return store.folder / f"curve-{place(recipe, config, store).name.partition('-')[2]}.json"


def finished(recipe: Recipe, config: ContinualConfig, store: Store, step: int) -> bool:
    """Whether the curve is there up to a step."""
    return (place(recipe, config, store) / f"step-{step}" / storage.MANIFEST).exists()


def _of(recipe: Recipe, spec: DatasetSpec, step: tuple[int, ...]) -> Recipe:
    """The same recipe for the classes of a step."""
    classes = tuple(spec.classes[label] for label in sorted(step))
    return recipe.but(data={"classes": classes, "num_classes": None})


def _expert(
    recipe: Recipe,
    config: ContinualConfig,
    store: Store,
    runtime: Runtime | None,
    executor: Executor | None,
    on_step: Listener,
) -> Expert:
    """What a run leaves: its teacher, and its images or a baseline's of the same classes."""
    places = store.make(recipe, runtime=runtime, executor=executor, on_step=on_step)
    teacher = Teacher.load(places.teacher)
    if config.memory == CONDENSED:
        return Expert(teacher, CondensedSet.load(places.condensed))
    data, settings = load_data(recipe.data), recipe.recover
    labels = tuple(range(data.spec.num_classes))
    images = starts.baseline(
        config.memory, data, ipc=settings.ipc, labels=labels, seed=settings.seed, teacher=teacher, runtime=runtime
    )
    return Expert(teacher, images)

"""Ready-made beginnings for the notebooks: the settings of a lesson, its teacher, its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sre2l_core import presets, storage
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import SRe2LError
from sre2l_core.presets import Recipe
from sre2l_core.runs.pipeline import load_data
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import recover
from sre2l_core.stages.squeeze import from_weights, squeeze

FAST_EPOCHS, FAST_STEPS, FAST_IPC, FAST_SEEDS = 3, 20, 2, 2
"""Lengths of a lesson that only has to run through."""


def recipe(preset: str, *, seed: int = 0, fast: bool = False) -> Recipe:
    """A preset for a lesson, with one seed for all stages.

    Args:
        preset: a name, see `presets`.
        seed: of all stages.
        fast: networks, data and views stay, everything is cut short: it runs through, and nothing gets good.
    """
    full = presets.get(preset).seeded(seed)
    if not fast:
        return full
    squeezing, recovery, students = full.squeeze, full.recover, full.validate
    epochs, warmup = min(squeezing.epochs, FAST_EPOCHS), min(squeezing.warmup_epochs, FAST_EPOCHS - 1)
    return replace(
        full,
        squeeze=squeezing.but(epochs=epochs, warmup_epochs=warmup),
        recover=recovery.but(ipc=min(recovery.ipc, FAST_IPC), steps=min(recovery.steps, FAST_STEPS)),
        validate=students.but(
            epochs=min(students.epochs, FAST_EPOCHS), warmup_epochs=0, seeds=min(students.seeds, FAST_SEEDS)
        ),
    )


def teacher_for(recipe: Recipe, *, data: Dataset | None = None, runtime: Runtime | None = None) -> Teacher:
    """Stage 1 of a recipe in one line.

    ImageNet recipes take torchvision's weights as they are and need no data. All others are squeezed from their data:
    seconds for digits, hours for Tiny-ImageNet without a GPU (then `Teacher.load` one that was squeezed before).

    Args:
        recipe: as `recipe` makes it, or one of `presets`.
        data: the recipe's data, if it is at hand already.
        runtime: device and precision.
    """
    if recipe.squeeze.pretrained and data is None:
        return from_weights(recipe.squeeze.backbone, recipe.squeeze.pretrained)
    return squeeze(load_data(recipe.data) if data is None else data, recipe.squeeze, runtime=runtime)


def images_for(
    teacher: Teacher,
    config: RecoverConfig,
    *,
    data: Dataset | None = None,
    runtime: Runtime | None = None,
    saved: str | Path = "runs/studio/condensed",
    made: CondensedSet | None = None,
    say: Callable[[str], object] = print,
) -> CondensedSet:
    """The set that somebody saved from the studio, where it belongs to this teacher; else another.

    A set that is damaged is left alone, and said so.

    Args:
        teacher: of the lesson.
        config: how images are recovered where none were saved.
        data: real data, for starts other than noise.
        runtime: device and precision.
        saved: where the studio saves.
        made: taken where none were saved, in place of a recovery.
        say: told which it is.
    """
    folder = Path(saved)
    if (folder / storage.MANIFEST).exists():
        try:
            found = CondensedSet.load(folder)
        except SRe2LError as error:
            say(f"what was saved in {folder} cannot be opened: {error}")
        else:
            if found.origin.get("teacher") == teacher.id:
                say(f"{len(found)} images that were saved in {folder}")
                return found
            say(f"the images in {folder} are of another teacher: others are taken")
    return recover(teacher, config, data=data, runtime=runtime) if made is None else made

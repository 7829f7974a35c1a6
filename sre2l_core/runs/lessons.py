"""Ready-made beginnings for the notebooks: the settings of a lesson, its teacher, its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sre2l_core import presets, storage
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.data.folders import pictures_below
from sre2l_core.errors import SRe2LError
from sre2l_core.events import in_seconds
from sre2l_core.presets import Recipe
from sre2l_core.runs.measurements import Scale
from sre2l_core.runs.pipeline import load_data
from sre2l_core.runs.plan import plan_run
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import recover
from sre2l_core.stages.squeeze import from_weights, squeeze

FAST_EPOCHS, FAST_STEPS, FAST_IPC, FAST_SEEDS = 3, 20, 2, 2
"""Lengths of a lesson that only has to run through."""
FEW = 1000
"""Of your own pictures: up to so many, networks and budgets are small."""
MEASURING = 3.0
"""Seconds, about, to find out how long a run will take."""


def recipe(
    preset: str,
    *,
    data_root: str | Path = "",
    seed: int = 0,
    fast: bool = False,
    say: Callable[[str], object] = print,
) -> Recipe:
    """A preset for a lesson, with one seed for all stages.

    Of your own pictures it says how many there are and how long a run will take; for few of them, `folder` becomes
    `folder/small`.

    Args:
        preset: a name, see `presets`.
        data_root: folder of its data, if they do not lie under $SRE2L_DATA.
        seed: of all stages.
        fast: networks, data and views stay, everything is cut short: it runs through, and nothing gets good.
        say: told about your own pictures.

    Raises:
        ConfigError: for an unknown preset, or your own pictures without a folder.
        DataError: where your own pictures cannot be read.
    """
    full = presets.over(presets.get(preset), data_root).seeded(seed)
    root = full.data.data_root
    if preset == "folder" and root is not None and 0 < len(pictures_below(root)) <= FEW:
        full = presets.over(presets.get("folder/small"), root).seeded(seed)
    if not fast:
        if full.data.data == "folder":
            say(how_long(full))
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


def how_long(recipe: Recipe, *, runtime: Runtime | None = None) -> str:
    """How many pictures there are, and how long each stage will take on this machine, measured for some seconds."""
    scale, parts = Scale.of(recipe), []
    for stage in plan_run(recipe, seconds=MEASURING, runtime=runtime):
        if stage.hours:
            parts.append(f"{in_seconds(3600 * stage.hours)} to {stage.stage}")
    count, side = scale.train + scale.val, scale.spec.resolution
    pictures = f"{count:,} pictures of {scale.spec.num_classes} classes at {side} pixels, teacher and students"
    return f"{pictures} {recipe.squeeze.backbone}. On this machine about {', '.join(parts)}."


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

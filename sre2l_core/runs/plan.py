"""What a run will cost before a day is spent on it: hours, disk and memory by stage, from a minute's measurement."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from sre2l_core import pictures
from sre2l_core.artifacts import empty_network
from sre2l_core.codecs import build_codec
from sre2l_core.errors import ConfigError
from sre2l_core.groups import plan as groups_of
from sre2l_core.groups import stacked
from sre2l_core.presets import Recipe
from sre2l_core.runs.inspect import in_bytes
from sre2l_core.runs.measurements import Measurements, Scale, weight_bytes
from sre2l_core.runs.pipeline import check
from sre2l_core.runtime import Runtime, compute_threads, memory_for, workers_here
from sre2l_core.tabular import Table


@dataclass(frozen=True)
class StagePlan:
    """What a stage will cost."""

    stage: str
    work: str
    """In words, such as `500 groups of 100 images, 4,000 steps each`."""
    units: int
    """Parts that workers can share."""
    hours: float
    """Of as many workers as were asked for."""
    disk: int
    """Bytes that it leaves."""
    memory: int
    """Bytes on the device of each worker, at their peak."""
    beside: int = 0
    """Bytes of images and labels in the main memory of each worker."""
    common: int = 0
    """Bytes of these that workers of one machine map and have in common."""
    meanwhile: int = 0
    """Bytes of disk that it takes only while it works."""


def plan_run(
    recipe: Recipe, *, workers: int = 1, seconds: float = 60.0, runtime: Runtime | None = None
) -> Iterator[StagePlan]:
    """Measure each stage on a few made-up images and say what the whole of it will cost; yields stage by stage.

    Args:
        recipe: the run.
        workers: that share it, each like this machine's device, or like one of its cores where it has no GPU.
        seconds: for all measurements; each is made twice at least, however long that takes.
        runtime: device and precision.

    Raises:
        ConfigError: for settings that do not fit one another.
        DataError: where the data must be counted and is not there.
    """
    if workers < 1:
        raise ConfigError(f"a plan needs at least one worker (got {workers}).")
    if not seconds > 0:
        raise ConfigError(f"a measurement takes more than 0 seconds (got {seconds:g}).")
    runtime, scale = runtime or Runtime.auto(), Scale.of(recipe)
    scale.recipe.check()
    check(scale.recipe, scale.spec)
    threads = 1 if workers > 1 and runtime.device.type == "cpu" else torch.get_num_threads()
    with compute_threads(threads):
        measured = Measurements(scale, runtime, seconds / (5 + 2 * len(recipe.validate.students)))
        for stage in (_squeeze, _recover, _relabel, _validate):
            alone = stage(scale, measured)
            waves = ceil(alone.units / workers) / alone.units
            yield replace(alone, hours=alone.hours * waves)


def on_another(stages: Sequence[StagePlan], recipe: Recipe, seconds: float) -> list[StagePlan]:
    """The same on a machine of which only the time of a recovery step is known, such as one that a paper names.

    All hours change as those of recovery do. For recovery that is arithmetic, for other stages a guess; disk and memory
    stay as they are.

    Args:
        stages: as `plan_run` made them.
        recipe: the run.
        seconds: that a step of recovery takes there, for one image.

    Raises:
        ConfigError: for no time, or a run that recovers nothing.
    """
    if not 0 < seconds < inf:
        raise ConfigError(f"a step takes more than 0 seconds (got {seconds:g}).")
    here = sum(stage.hours for stage in stages if stage.stage == "recover")
    if not here:
        raise ConfigError("this run recovers nothing in no step: there is nothing to compare two machines by.")
    share = seconds * Scale.of(recipe).images * recipe.recover.steps / 3600 / here
    return [replace(stage, hours=share * stage.hours) for stage in stages]


def table_of(machines: Mapping[str, Sequence[StagePlan]]) -> Table:
    """Stage by stage and in all: hours by machine, and what is the same on all, as the first of them has it."""
    first = next(iter(machines.values()))
    memory = [stage.memory + stage.beside for stage in first]
    rows = []
    for number, stage in enumerate(first):
        hours = (_hours(stages[number].hours) for stages in machines.values())
        room = in_bytes(stage.disk), in_bytes(memory[number])
        rows.append((stage.stage, *hours, *room, f"{stage.units:,}", stage.work))
    hours = (_hours(sum(stage.hours for stage in stages)) for stages in machines.values())
    room = in_bytes(sum(stage.disk for stage in first)), in_bytes(max(memory))
    rows.append(("all", *hours, *room, "", ""))
    return Table(("stage", *machines, "disk", "memory", "parts", "work"), rows)


def lines_of(stages: Sequence[StagePlan]) -> Iterator[str]:
    """The plan as a table with aligned columns, and the sum."""
    table = table_of({"hours": stages})
    rows = [table.head, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for name, *numbers, work in rows:
        cells = (cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True))
        yield "   ".join((name.ljust(widths[0]), *cells, work)).rstrip()


def misfits(stages: Sequence[StagePlan], out: Path, workers: int, runtime: Runtime) -> Iterator[str]:
    """What will not fit on this machine, and what helps."""
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    needed = sum(stage.disk for stage in stages) + max(stage.meanwhile for stage in stages)
    if needed > free:
        yield f"the run needs {in_bytes(needed)} of disk, {there} has {in_bytes(free)} free: choose another --out"
    here = workers_here(runtime.device)
    if workers > here:
        yield f"{workers} workers need {ceil(workers / here)} machines like this one, which serves {here}"
    main, own = memory_for(torch.device("cpu")), runtime.device.type == "cpu"
    for stage in stages:
        together = min(workers, here, stage.units)
        if not own and stage.memory > (size := memory_for(runtime.device)):
            yield f"{stage.stage} needs {in_bytes(stage.memory)} of the device's {in_bytes(size)}: {_SMALLER}"
        asked = stage.common + together * (stage.beside - stage.common + own * stage.memory)
        if asked > main:
            share = f", {together} workers together" if together > 1 else ""
            yield f"{stage.stage} needs {in_bytes(asked)} of memory{share}, {in_bytes(main)} are free: {_SMALLER}"


_SMALLER = "use fewer workers, or a smaller batch_size, micro_batch or group_size"


def _squeeze(scale: Scale, measured: Measurements) -> StagePlan:
    config, net = scale.recipe.squeeze, measured.teacher().net
    weights, testing = weight_bytes(net), scale.val * measured.looking(net)
    if config.pretrained:
        work = f"weights {config.pretrained}, tested on {scale.val:,} pictures"
        return StagePlan("squeeze", work, 1, testing / 3600, weights, 2 * weights, scale.resident)
    each, memory = measured.learning(net.requires_grad_(), config.micro_batch or config.batch_size)
    work = f"{config.epochs} epochs of {scale.train:,} pictures"
    hours = (config.epochs * scale.train * each + testing) / 3600
    return StagePlan("squeeze", work, 1, hours, weights, memory, scale.resident, meanwhile=2 * weights)


def _recover(scale: Scale, measured: Measurements) -> StagePlan:
    config, spec = scale.recipe.recover, scale.spec
    groups = groups_of(config, spec)
    stack = measured.runtime.stack(len(groups[0]) * spec.resolution**2) if config.stack == "auto" else config.stack
    batches = stacked(groups, stack)
    each, memory, recovery = measured.recovering(measured.teacher(), sum(map(len, batches[0])))
    snapshots = config.steps // config.snapshot_every if config.snapshot_every else 0
    with TemporaryDirectory() as folder:
        sizes = {}
        for form in (config.image_format, "png"):
            pictures.write(Path(folder, form), recovery.pixels()[0].cpu(), form)
            sizes[form] = Path(folder, form).stat().st_size
    disk = scale.images * (sizes[config.image_format] + snapshots * sizes["png"])
    work = f"{len(groups):,} group{'s' * (len(groups) > 1)} of {len(groups[0]):,} images, {config.steps:,} steps each"
    return StagePlan("recover", work, len(batches), scale.images * config.steps * each / 3600, disk, memory)


def _relabel(scale: Scale, measured: Measurements) -> StagePlan:
    if not scale.recipe.store_labels:
        return StagePlan("relabel", "none: labels are made while students train", 1, 0.0, 0, 0)
    config, teacher, classes = scale.recipe.relabel, measured.teacher(), scale.spec.num_classes
    views = scale.images * config.epochs
    hours = views * measured.labelling(teacher, config.batch_size) / 3600
    disk = views * build_codec(config.codec, **config.codec_options).bytes_per_row(classes)
    # An epoch of logits in float32, and as they are packed.
    beside = scale.images * (scale.image_bytes + 4 * classes) + disk // config.epochs
    work = f"{config.epochs} views of {scale.images:,} images"
    common = scale.images * scale.image_bytes
    return StagePlan("relabel", work, config.epochs, hours, disk, weight_bytes(teacher.net), beside, common)


def _validate(scale: Scale, measured: Measurements) -> StagePlan:
    config, spec, stored = scale.recipe.validate, scale.spec, scale.recipe.store_labels
    labelling = measured.labelling(None if stored else measured.teacher(), config.batch_size)
    tests, seconds, memory = ceil(config.epochs / config.eval_every), 0.0, 0
    for name in config.students:
        net = empty_network(name, spec, config.student_options)
        testing = scale.val * measured.looking(net)
        each, peak = measured.learning(net, config.micro_batch or config.batch_size)
        seconds += scale.students * (config.epochs * scale.images * (each + labelling) + tests * testing)
        memory = max(memory, peak)
    students = scale.students * len(config.students)
    work = f"{students} students, {config.epochs} epochs of {scale.images:,} images each"
    # The condensed images, and as many real ones, which each student draws for itself; an epoch of labels.
    common = scale.resident + scale.images * scale.image_bytes
    beside = common + scale.images * (scale.image_bytes + 4 * spec.num_classes * stored)
    decoded = 0 if scale.resident else scale.val * scale.image_bytes
    return StagePlan("validate", work, students, seconds / 3600, 2**14, memory, beside, common, meanwhile=decoded)


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.3f}"

"""What a run will cost before a day is spent on it: hours, disk and memory by stage, from a minute's measurement."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from sre2l_core import pictures
from sre2l_core.artifacts import CondensedSet, Teacher, empty_network
from sre2l_core.codecs import build_codec
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError
from sre2l_core.groups import Group, stacked
from sre2l_core.groups import plan as groups_of
from sre2l_core.presets import Recipe
from sre2l_core.runtime import Runtime, compute_threads, peak_memory, wait_for
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.recover import Recovery
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.training import Trainer
from sre2l_core.stages.validate import FULL, baselines

SIZES = {
    "digits": (1_438, 359), "cifar10": (50_000, 10_000), "cifar100": (50_000, 10_000), "imagenette": (9_469, 3_925),
    "tiny-imagenet": (100_000, 10_000), "imagenet-1k": (1_281_167, 50_000),
}  # fmt: skip
"""Training and validation images of the datasets that always have as many."""
FEW, FEW_PIXELS = 8, 2**17
"""What a measurement looks at: so many images, more of them where they are small, and no more than there will be."""


@dataclass(frozen=True)
class StagePlan:
    """What a stage will cost."""

    stage: str
    work: str
    """In words, such as `500 groups of 100 images, 4,000 steps each`."""
    hours: float
    disk: int
    """Bytes that it leaves."""
    memory: int
    """Bytes at its peak, on the device and beside it."""
    units: int
    """Parts that workers can share."""


@dataclass(frozen=True)
class Scale:
    """How much of everything there will be."""

    spec: DatasetSpec
    train: int
    val: int
    recipe: Recipe

    @property
    def images(self) -> int:
        """Condensed ones."""
        return self.spec.num_classes * self.recipe.recover.ipc

    @property
    def students(self) -> int:
        """To train, over all rows, networks and seeds."""
        config = self.recipe.validate
        rows = 1 + config.hard_labels + 2 * len(baselines(config)) + (FULL in config.against)
        return rows * len(config.students) * config.seeds


def plan_run(scale: Scale, *, workers: int = 1, runtime: Runtime | None = None) -> Iterator[StagePlan]:
    """Measure each stage on a few made-up images and say what the whole of it will cost.

    Args:
        scale: the run.
        workers: that share it, each like this machine's device, or like one of its cores where it has no GPU.
        runtime: device and precision.

    Raises:
        ConfigError: for settings that do not fit one another.
    """
    runtime = runtime or Runtime.auto()
    if workers < 1:
        raise ConfigError(f"a plan needs at least one worker (got {workers}).")
    scale.recipe.check()
    threads = 1 if workers > 1 and runtime.device.type == "cpu" else torch.get_num_threads()
    with compute_threads(threads):
        for measure in (_squeeze, _recover, _relabel, _validate):
            stage = measure(scale, runtime)
            waves = ceil(stage.units / min(workers, stage.units)) / stage.units
            yield StagePlan(stage.stage, stage.work, stage.hours * waves, stage.disk, stage.memory, stage.units)


def warnings(stages: list[StagePlan], out: Path) -> Iterator[str]:
    """What will not fit on this machine."""
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free, needed = shutil.disk_usage(there).free, sum(stage.disk for stage in stages)
    if needed > free:
        yield f"the run leaves {in_bytes(needed)}, the disk of {there} has {in_bytes(free)} free"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for stage in stages:
        if stage.memory > memory:
            yield f"{stage.stage} needs {in_bytes(stage.memory)} of memory, this machine has {in_bytes(memory)}"


def in_bytes(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _squeeze(scale: Scale, runtime: Runtime) -> StagePlan:
    config = scale.recipe.squeeze
    net = empty_network(config.backbone, scale.spec, config.backbone_options)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())
    testing = scale.val * _seconds_to_look(net, scale, runtime)
    if config.pretrained:
        work = f"weights {config.pretrained}, {scale.val:,} validation images"
        return StagePlan("squeeze", work, testing / 3600, weights, 2 * weights, 1)
    each, memory = _seconds_to_learn(net, scale, runtime, config.batch_size)
    work = f"{config.epochs} epochs of {scale.train:,} images"
    hours = (config.epochs * scale.train * each + testing) / 3600
    return StagePlan("squeeze", work, hours, 4 * weights, memory, 1)


def _recover(scale: Scale, runtime: Runtime) -> StagePlan:
    config, spec = scale.recipe.recover, scale.spec
    groups = groups_of(config, spec)
    stack = runtime.stack(len(groups[0]) * spec.resolution**2) if config.stack == "auto" else config.stack
    batches = stacked(groups, stack)
    numbers = range(_few(scale, len(groups[0])))
    few = Group(0, tuple(number % spec.num_classes for number in numbers), tuple(numbers))
    # A start from real images costs as much a step as one from noise; the data need not be here.
    settings = config.but(init="noise", steps=1000, snapshot_every=None, only_classes=None, stack=1)
    squeezed = scale.recipe.squeeze
    net = empty_network(squeezed.backbone, spec, squeezed.backbone_options)
    recovery = Recovery(Teacher(net, spec, squeezed.backbone), [few], settings, runtime=runtime)
    before = peak_memory(runtime.device)
    each = _seconds(recovery.step, runtime) / len(few)
    in_batch = sum(len(group) for group in batches[0])
    memory = before + max(0, peak_memory(runtime.device) - before) * in_batch // len(few)
    with TemporaryDirectory() as folder:
        pictures.write(recovery.pixels()[0].cpu(), Path(folder) / "one", config.image_format)
        stored = (Path(folder) / "one").stat().st_size
    work = f"{len(groups):,} groups of {len(groups[0]):,} images, {config.steps:,} steps each"
    hours = scale.images * config.steps * each / 3600
    return StagePlan("recover", work, hours, scale.images * stored, memory, len(batches))


def _relabel(scale: Scale, runtime: Runtime) -> StagePlan:
    config, pool = scale.recipe.relabel, scale.images * scale.spec.channels * scale.spec.resolution**2
    if not scale.recipe.store_labels:
        return StagePlan("relabel", "on the fly, while students train", 0.0, 0, 0, 1)
    codec = build_codec(config.codec, **config.codec_options)
    views = scale.images * config.epochs
    few, teacher = _few_images(scale, config.batch_size), _teacher(scale)
    each = _seconds(lambda: relabel(teacher, few, config.but(epochs=1), runtime=runtime), runtime) / len(few)
    work = f"{config.epochs} views of {scale.images:,} images"
    disk = views * codec.bytes_per_row(scale.spec.num_classes)
    memory = pool + scale.images * scale.spec.num_classes * 4
    return StagePlan("relabel", work, views * each / 3600, disk, memory, config.epochs)


def _validate(scale: Scale, runtime: Runtime) -> StagePlan:
    config, spec = scale.recipe.validate, scale.spec
    seconds, memory = 0.0, 0
    labelling = 0.0
    if not scale.recipe.store_labels:
        few = _few(scale, config.batch_size)
        live = LiveLabels(_teacher(scale), _few_images(scale, few), scale.recipe.relabel, runtime=runtime)
        pixels = torch.zeros(few, spec.channels, spec.resolution, spec.resolution, device=runtime.device)
        labelling = _seconds(lambda: live.logits(0, torch.arange(few), pixels), runtime) / few
    tests = ceil(config.epochs / config.eval_every)
    for name in config.students:
        net = empty_network(name, spec, config.student_options)
        looking = _seconds_to_look(net, scale, runtime)
        each, peak = _seconds_to_learn(net, scale, runtime, config.batch_size)
        share = scale.students / len(config.students)
        seconds += share * (config.epochs * scale.images * (each + labelling) + tests * scale.val * looking)
        memory = max(memory, peak)
    pool = scale.images * spec.channels * spec.resolution**2
    work = f"{scale.students} students, {config.epochs} epochs of {scale.images:,} images each"
    return StagePlan("validate", work, seconds / 3600, 2**14, memory + pool, scale.students)


def _teacher(scale: Scale) -> Teacher:
    config = scale.recipe.squeeze
    return Teacher(empty_network(config.backbone, scale.spec, config.backbone_options), scale.spec, config.backbone)


def _few(scale: Scale, most: int) -> int:
    """How many images a measurement looks at."""
    return min(most, max(FEW, FEW_PIXELS // scale.spec.resolution**2))


def _few_images(scale: Scale, most: int) -> CondensedSet:
    spec, count = scale.spec, _few(scale, most)
    images = torch.randint(0, 256, (count, spec.channels, *spec.size), generator=torch.Generator().manual_seed(0))
    return CondensedSet(images.to(torch.uint8), torch.arange(count) % spec.num_classes, spec)


def _seconds_to_look(net: torch.nn.Module, scale: Scale, runtime: Runtime) -> float:
    """For one image, without gradients."""
    images = torch.zeros(_few(scale, scale.val), scale.spec.channels, *scale.spec.size)
    placed = runtime.place(net).eval()
    return _seconds(lambda: runtime.logits(placed, images.to(runtime.device)), runtime) / len(images)


def _seconds_to_learn(net: torch.nn.Module, scale: Scale, runtime: Runtime, batch: int) -> tuple[float, int]:
    """For one image of a training step, and the peak of memory in a whole batch."""
    trainer = Trainer(net, scale.recipe.validate, runtime)
    images = torch.zeros(_few(scale, batch), scale.spec.channels, *scale.spec.size, device=runtime.device)
    before = peak_memory(runtime.device)
    each = _seconds(lambda: trainer.step(images, lambda logits, rows: logits.logsumexp(1).mean(), 0.0), runtime)
    each /= len(images)
    return each, before + max(0, peak_memory(runtime.device) - before) * batch // len(images)


def _seconds(call: Callable[[], object], runtime: Runtime, at_least: float = 1.0) -> float:
    """Of the fastest of several calls, after one that is not counted: others may use this machine too."""
    call()
    wait_for(runtime.device)
    begun, fastest, count = time.perf_counter(), float("inf"), 0
    while count < 3 or time.perf_counter() - begun < at_least:
        started = time.perf_counter()
        call()
        wait_for(runtime.device)
        fastest, count = min(fastest, time.perf_counter() - started), count + 1
    return fastest

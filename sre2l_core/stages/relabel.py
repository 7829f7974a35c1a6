"""Stage 3, relabel: Teacher + CondensedSet -> SoftLabels of random views (Equation 8)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from concurrent.futures import Executor
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from sre2l_core import storage
from sre2l_core.ahead import reading
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.codecs import build_codec
from sre2l_core.config import RelabelConfig
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.events import Listener, StepEvent
from sre2l_core.ranks import parts_of
from sre2l_core.registry import catalogue
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels, SoftLabels, shard_name, views_of
from sre2l_core.steps import drive, stepwise
from sre2l_core.views import requests
from sre2l_core.work import Shared, Unit, run_units, threads_of


@stepwise
def relabelling(
    teacher: Teacher,
    condensed: CondensedSet,
    config: RelabelConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
    executor: Executor | None = None,
) -> Generator[StepEvent, None, SoftLabels]:
    """The steps of `relabel`: a `StepEvent` after every epoch, and at the end the labels.

    With an executor epochs are finished in any order, and there is an event now and then while workers are at work.
    """
    live, spec, ids = (
        LiveLabels(teacher, condensed, config, runtime=runtime),
        condensed.spec,
        (teacher.id, condensed.id),
    )
    live.runtime.ranks.check_alone("relabel")
    request = {"teacher": teacher.id, "condensed": condensed.id, "config": config.request()}
    how = live.runtime.how(live.runtime.images_per_pass(config.batch_size, spec.resolution**2), threads_of(executor))
    build_codec(config.codec, **config.codec_options)  # or what is wrong with it, before anything is claimed
    with storage.claimed(out, "soft_labels", request, how, wait=wait) as work:
        shards: list[Mapping[str, Tensor]] = [{}] * config.epochs
        labels = SoftLabels(config, len(condensed), spec.num_classes, spec.size, *ids, shards, spec.classes)
        if not work.finished:
            label = _one_by_one(live, work) if executor is None else _by_workers(live, work, executor)
            with storage.in_background(may_wait=1) as do, closing(label) as answers:
                for done, answer in answers:
                    if answer is not None:
                        epoch, parts = answer
                        do(work.write, shard_name(epoch), storage.save_tensors, parts)
                        if out is None:
                            shards[epoch] = parts
                    yield StepEvent("relabel", done, config.epochs)
            work.finish(labels.to_json())
        return labels if out is None else SoftLabels.load(out)


def relabel(
    teacher: Teacher,
    condensed: CondensedSet,
    config: RelabelConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
    executor: Executor | None = None,
    on_step: Listener | None = None,
) -> SoftLabels:
    """Stage 3: the teacher's logits of one random view of every image, for each of `config.epochs` epochs.

    Temperature is applied when a student trains, so one label store serves all temperatures (Figure 4).

    Args:
        teacher: usually the network the images were recovered from (section 3.3), or a committee.
        condensed: the images.
        config: views, epochs, codec.
        runtime: device and precision; the best there is by default.
        out: folder of the label store, one shard an epoch, written as they come; calling again continues.
            Without it the labels stay in memory.
        wait: until another process that works in the folder is done, instead of raising `InUseError`.
        executor: whose workers label epochs; see `work.Workers`.
        on_step: called with a `StepEvent` after every epoch.

    Raises:
        DataError: if the teacher's classes are not those of the images.
    """
    steps = relabelling(teacher, condensed, config, runtime=runtime, out=out, wait=wait, executor=executor)
    return drive(steps, on_step)


Answers = Generator[tuple[int, tuple[int, Mapping[str, Tensor]] | None], None, None]
"""How many epochs are done, and if there is a new one its number and labels."""


def _one_by_one(live: LiveLabels, work: storage.Work) -> Answers:
    for epoch in range(live.config.epochs):
        yield epoch + 1, None if work.has(shard_name(epoch)) else (epoch, _label(live, epoch))


def _by_workers(live: LiveLabels, work: storage.Work, executor: Executor) -> Answers:
    todo = [epoch for epoch in range(live.config.epochs) if not work.has(shard_name(epoch))]
    shared, done = Shared.of(live), live.config.epochs - len(todo)
    units = (Unit(f"labels of epoch {epoch}", label_epoch, (shared, epoch)) for epoch in todo)
    with closing(run_units(units, executor, live.runtime)) as answers:
        for answer in answers:
            done += answer is not None
            yield done, answer and answer[1]


def label_epoch(live: LiveLabels, epoch: int, *, runtime: Runtime) -> tuple[int, Mapping[str, Tensor]]:
    """One unit: the labels of an epoch, packed."""
    live.runtime = runtime
    return epoch, _label(live, epoch)


def _label(live: LiveLabels, epoch: int) -> Mapping[str, Tensor]:
    """The labels of an epoch's views as the codec packs them, in the order of image ids."""
    codec = build_codec(live.config.codec, **live.config.codec_options)
    return codec.encode(_logits(live, epoch))


def _logits(live: LiveLabels, epoch: int) -> Tensor:
    """[N, K] logits of an epoch's views, on the CPU, in the order of image ids."""
    params, condensed, config = live.views(epoch), live.condensed, live.config
    spec, order = condensed.spec, torch.arange(len(condensed))
    if config.teacher_mode == "batch":  # the batch enters the labels: neighbours must not be of one class
        order = torch.randperm(len(condensed), generator=torch.Generator().manual_seed(config.seed + epoch))
    out, prepare = torch.empty(len(condensed), spec.num_classes), live.runtime.preparing(spec.normalize)
    batches = [order[rows] for rows in parts_of(len(order), config.batch_size)]
    with reading(condensed.pool(live.runtime), requests(batches, params), live.runtime.device) as pool:
        for ids in batches:
            pixels = views_of(spec, pool, ids, params, prepare)
            out[ids] = live.logits(epoch, ids, pixels).cpu()
    return out


REFERENCE_BYTES = 27.3
"""Bytes the reference's pickles spend on an image and epoch beside the logits, at batch size 1024."""


def store_sizes(num_images: int, num_classes: int, config: RelabelConfig) -> list[str]:
    """Size of a label store by codec, and of the reference's format (2 K + 27.3 bytes an image and epoch), as text."""
    if config.codec not in catalogue("codecs"):
        raise unknown("codec", config.codec, catalogue("codecs"))
    views = num_images * config.epochs
    unit, size = ("GiB", 2**30) if views * num_classes >= 2**26 else ("MiB", 2**20)
    lines = [f"{num_images:,} images x {config.epochs:,} epochs, {num_classes:,} classes:"]
    for name in sorted(catalogue("codecs")):
        chosen = name == config.codec
        try:
            bytes_per_row = build_codec(name, **config.codec_options if chosen else {}).bytes_per_row(num_classes)
        except ConfigError:
            if chosen:
                raise
            continue  # its defaults are for more classes
        lines.append(f"  {name:10} {views * bytes_per_row / size:9.3f} {unit} in {config.epochs:,} files")
    files = config.epochs * -(-num_images // config.batch_size)
    reference = views * (2 * num_classes + REFERENCE_BYTES) / size
    lines.append(f"  {'reference':10} {reference:9.3f} {unit} in {files:,} files (batches of {config.batch_size:,})")
    return lines

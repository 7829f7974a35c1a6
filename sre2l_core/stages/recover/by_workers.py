"""Recovery by workers: a batch of groups is a unit, for how groups are stacked enters the last bits of their images."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from typing import NamedTuple

from torch import Tensor

from sre2l_core import starts
from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.events import StepEvent
from sre2l_core.groups import Group
from sre2l_core.losses import accuracy
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover.images import Images, Snapshot
from sre2l_core.stages.recover.loop import Recovery
from sre2l_core.work import Shared, Unit, run_units


class Recovered(NamedTuple):
    """What a worker sends back."""

    ids: list[int]
    labels: list[int]
    pixels: Tensor
    snapshots: list[Snapshot]
    metrics: dict[str, float]
    """Of the last step."""


def by_workers(
    executor: Executor,
    teacher: Teacher,
    config: RecoverConfig,
    batches: Sequence[Sequence[Group]],
    images: Images,
    *,
    runtime: Runtime,
    data: Dataset | None,
    verifier: Teacher | None,
) -> Generator[StepEvent, None, None]:
    """Have workers recover the batches that are not there yet; an event after each, and some while none is finished."""
    todo = [batch for batch in batches if not images.has(batch)]
    seen = data if starts.find(config.init).needs_data or config.class_bn else None
    shared = [Shared.of(value) for value in (teacher, seen, verifier)]
    units = (Unit(_name(batch), recover_batch, (*shared, config, batch)) for batch in todo)
    done, note, metrics = len(batches) - len(todo), "", dict[str, float]()
    with closing(run_units(units, executor, runtime)) as answers:
        for answer in answers:
            if answer is not None:
                (unit, found), done = answer, done + 1
                images.keep(found.ids, found.labels, found.pixels)
                images.keep_snapshots(found.ids, found.snapshots)
                note, metrics = unit.name, found.metrics
            yield StepEvent("recover", done * config.steps, len(batches) * config.steps, metrics, note)


def recover_batch(
    teacher: Teacher,
    data: Dataset | None,
    verifier: Teacher | None,
    config: RecoverConfig,
    batch: Sequence[Group],
    *,
    runtime: Runtime,
) -> Recovered:
    """One unit: recover the images of a batch of groups, to the end."""
    recovery, metrics = Recovery(teacher, batch, config, runtime=runtime, data=data), dict[str, Tensor | float]()
    for event in recovery:
        metrics = {**event.metrics}
    if verifier is not None:
        metrics["verifier"] = accuracy(recovery.predict(verifier), recovery.targets)
    numbers = {name: float(value) for name, value in metrics.items()}
    return Recovered(
        recovery.ids, recovery.targets.tolist(), recovery.pixels().cpu(), list(recovery.snapshots), numbers
    )


def _name(batch: Sequence[Group]) -> str:
    return f"images {batch[0].ids[0]}-{batch[-1].ids[-1]}"

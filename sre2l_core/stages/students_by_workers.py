"""Validation by workers: a student is a unit, from a fresh network to its accuracies."""

from __future__ import annotations

import platform
from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import WorkError
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource, MadeOnTheFly, SoftLabels
from sre2l_core.stages.rows import grid
from sre2l_core.storage import Piece
from sre2l_core.work import Shared, Unit, run_units


class Materials(NamedTuple):
    """What every student needs: the arguments of `validate`."""

    condensed: CondensedSet
    labels: LabelSource
    data: Dataset
    config: ValidateConfig
    teacher: Teacher | None
    confusion: bool = False
    """Whether the confusion matrix of each student is asked for."""


class StudentKey(NamedTuple):
    """Which student: number of its row in the grid, and its seed."""

    row: int
    seed: int


class Answer(NamedTuple):
    """What became of a student."""

    result: dict[str, float]
    confusion: Tensor | None
    """[K, K], where it was asked for."""


class OutOfReachError(WorkError):
    """A worker does not see the folder of stored labels."""


def by_workers(
    executor: Executor, materials: Materials, students: Sequence[tuple[StudentKey, str]], runtime: Runtime
) -> Generator[tuple[StudentKey, Answer] | None, None, None]:
    """Have workers train students, given with what they are called; each with its result, None while none is done.

    Stored labels are read where they lie, an epoch at a time. Where a worker does not see them, they travel, if they
    are not too many.
    """
    labels, left = materials.labels, dict(students)
    if isinstance(labels, SoftLabels):  # workers may have been started in another folder
        shards = [replace(s, path=s.path.absolute()) if isinstance(s, Piece) else s for s in labels.shards]
        materials = materials._replace(labels=replace(labels, shards=shards))
    try:
        yield from _train(executor, materials, left, runtime)
    except OutOfReachError as error:
        yield from _train(executor, materials._replace(labels=carried(labels, error)), left, runtime)


def _train(
    executor: Executor, materials: Materials, left: dict[StudentKey, str], runtime: Runtime
) -> Generator[tuple[StudentKey, Answer] | None, None, None]:
    """Have students trained that are left, and strike out those that are done."""
    shared = Shared.of(materials)
    units = [Unit(note, train_student, (shared, key)) for key, note in left.items()]
    with closing(run_units(units, executor, runtime)) as answers:
        for answer in answers:
            if answer is None:
                yield None
                continue
            unit, found = answer
            key: StudentKey = unit.args[1]
            del left[key]
            yield key, found


def train_student(materials: Materials, key: StudentKey, *, runtime: Runtime) -> Answer:
    """One unit: a student learns and is tested."""
    labels = materials.labels
    if isinstance(labels, MadeOnTheFly):
        labels.runtime = runtime
    if isinstance(labels, SoftLabels):
        check_within_reach(labels)
    condensed, _, data, config, teacher, asked = materials
    rows = grid(condensed, labels, data, config, teacher=teacher, runtime=runtime)
    student = rows[key.row].begin(key.seed, data, runtime)
    for _ in student:
        pass
    return Answer(student.result(), student.confusion() if asked else None)


def check_within_reach(labels: SoftLabels) -> None:
    """Raise `OutOfReachError` in a worker that does not see the folder of stored labels."""
    first = labels.shards[0]
    if isinstance(first, Piece) and not first.path.exists():
        raise OutOfReachError(f"the worker {platform.node()} does not see {first.path}")


def carried(labels: LabelSource, error: OutOfReachError) -> SoftLabels:
    """Stored labels in memory, so that they travel to workers; raises `WorkError` where they are too many."""
    assert isinstance(labels, SoftLabels)
    size = sum(shard.path.stat().st_size for shard in labels.shards if isinstance(shard, Piece))
    if size > _CARRIED:
        raise WorkError(
            f"{error}, and stored labels of {size / 2**30:.1f} GiB do not travel: give it that folder under the same "
            "path, or have labels made on the fly."
        ) from error
    return labels.in_memory()


_CARRIED = 2**30
"""Bytes of stored labels that a worker may be sent, and then holds."""

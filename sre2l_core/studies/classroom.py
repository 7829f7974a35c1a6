"""Students of several rows of the table, side by side: curves that grow together, accuracy by class, one table."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from sre2l_core.artifacts import Score
from sre2l_core.events import StepEvent
from sre2l_core.runtime import Runtime
from sre2l_core.stages.rows import Row
from sre2l_core.stages.students import Student
from sre2l_core.stages.students_by_workers import Materials, StudentKey, begin_student, by_workers
from sre2l_core.stages.training import class_accuracy


@dataclass
class Learnt:
    """What is known of one student."""

    images: int = 0
    """How many it learns from; known once it begins."""
    steps: list[int] = field(default_factory=list)
    top1: list[float] = field(default_factory=list)
    """Accuracy on the real validation images at `steps`."""
    by_class: Tensor | None = None
    """[K] accuracy of each class after the last step."""
    result: dict[str, float] | None = None

    def note(self, event: StepEvent, student: Student) -> None:
        """Take note of a step that the student took."""
        if "top1" in event.metrics:
            self.steps.append(event.step)
            self.top1.append(event.value("top1"))
        if event.step == event.total:
            self.by_class, self.result = class_accuracy(student.confusion()), student.result()


@dataclass(kw_only=True)
class Progress(Learnt):
    """The same, and which student it is."""

    row: Row
    key: StudentKey


class Classroom:
    """Trains students of several rows, so that they can be compared while they learn; each as `validate` trains it.

    In this process all learn at once, an epoch of each in turn, and there is an event after every optimiser step. By
    workers there is one after every student, whose curve comes as a whole, and one now and then while they learn.

    Args:
        materials: what is compared, and with what.
        runtime: device and precision.
        executor: whose workers train the students; see `work.Workers`.
        keep: which rows of `grid` take part.

    Raises:
        SRe2LError: as `grid` does.
    """

    def __init__(
        self,
        materials: Materials,
        *,
        runtime: Runtime | None = None,
        executor: Executor | None = None,
        keep: Callable[[Row], bool] = lambda row: True,
    ) -> None:
        self.materials, self.runtime, self.executor = materials, runtime or Runtime.auto(), executor
        numbered = [(number, row) for number, row in enumerate(materials.rows(self.runtime)) if keep(row)]
        self.rows = [row for _, row in numbered]
        seeds = self.rows[0].seeds
        self.progress = [Progress(row=row, key=StudentKey(number, seed)) for seed in seeds for number, row in numbered]
        self.steps = self.rows[0].steps
        """Optimiser steps of every student."""
        self.total = self.steps * len(self.progress)

    def __iter__(self) -> Iterator[StepEvent]:
        """Train."""
        return self._in_turns() if self.executor is None else self._by_workers(self.executor)

    def curves(self) -> dict[str, list[Progress]]:
        """Row -> its students, in the order of the rows."""
        found: dict[str, list[Progress]] = {self._name(row): [] for row in self.rows}
        for progress in self.progress:
            found[self._name(progress.row)].append(progress)
        return found

    def table(self) -> list[dict[str, Any]]:
        """One row a setting: mean and spread of the newest accuracy of its students, and how many are finished."""
        rows = []
        for name, students in self.curves().items():
            newest = [100 * student.top1[-1] for student in students if student.top1]
            row = students[0].row
            rows.append(
                {
                    "name": name, "images": row.images, "labels": row.labels,
                    "n": max(student.images for student in students),
                    "real": row.real, "mean": mean(newest) if newest else None,
                    "std": stdev(newest) if len(newest) > 1 else 0.0, "seeds": len(students),
                    "finished": sum(student.result is not None for student in students),
                }
            )  # fmt: skip
        return rows

    def by_class(self) -> dict[str, Tensor]:
        """Row -> [K] accuracy of each class, the mean over finished students; rows without one are left out."""
        found = {}
        for name, students in self.curves().items():
            known = [student.by_class for student in students if student.by_class is not None]
            if known:
                found[name] = torch.stack(known).mean(0)
        return found

    def score(self) -> Score:
        """Rows all of whose students are finished, as the table that `validate` returns."""
        rows = []
        for students in self.curves().values():
            results = [student.result for student in students if student.result is not None]
            if len(results) == len(students):
                rows.append(students[0].row.score(results))
        origin = {**self.materials.data.to_json(), "config": self.rows[0].config.model_dump(mode="json")}
        return Score(tuple(rows), origin)

    def _in_turns(self) -> Iterator[StepEvent]:
        per_turn = max(1, self.steps // self.rows[0].config.epochs)
        data = self.materials.data
        students = [one.row.begin(one.key.seed, data, self.runtime) for one in self.progress]
        for progress, student in zip(self.progress, students, strict=True):
            progress.images = student.lesson.images
        going = [(p, s, iter(s)) for p, s in zip(self.progress, students, strict=True)]
        done = 0
        while going:
            for progress, student, steps in list(going):
                for _ in range(per_turn):
                    event = next(steps)
                    done += 1
                    progress.note(event, student)
                    if event.step == event.total:
                        going.remove((progress, student, steps))
                    yield StepEvent("validate", done, self.total, event.metrics, self._called(progress))
                    if event.step == event.total:
                        break

    def _by_workers(self, executor: Executor) -> Generator[StepEvent, None, None]:
        known = {one.key: one for one in self.progress}
        asked = [(key, self._called(one)) for key, one in known.items()]
        done, note, metrics = 0, f"{len(asked)} students at work, none is done", dict[str, float]()
        with closing(by_workers(executor, self.materials, asked, self.runtime, attend)) as answers:
            for answer in answers:
                if answer is not None:
                    key, learnt = answer
                    vars(known[key]).update(vars(learnt))
                    done, note, metrics = done + 1, self._called(known[key]), {"top1": learnt.top1[-1]}
                yield StepEvent("validate", done * self.steps, self.total, metrics, note)

    def _called(self, student: Progress) -> str:
        return f"{self._name(student.row)}, seed {student.key.seed}"

    def _name(self, row: Row) -> str:
        """As in legends; with the network where several are compared."""
        return row.name if len({other.student for other in self.rows}) == 1 else f"{row.name}, {row.student}"


def attend(materials: Materials, key: StudentKey, *, runtime: Runtime) -> Learnt:
    """One unit: a student learns to its end; what was seen of it meanwhile."""
    student = begin_student(materials, key, runtime)
    learnt = Learnt(student.lesson.images)
    for event in student:
        learnt.note(event, student)
    return learnt

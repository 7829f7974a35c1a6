"""Students of several rows of the table, side by side: curves that grow together, accuracy by class, one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from sre2l_core.artifacts import Score
from sre2l_core.data import Dataset
from sre2l_core.events import StepEvent
from sre2l_core.runtime import Runtime
from sre2l_core.stages.rows import Row
from sre2l_core.stages.students import Student
from sre2l_core.stages.training import class_accuracy


@dataclass
class Progress:
    """What is known of one student."""

    row: Row
    seed: int
    images: int = 0
    """How many it learns from; known once it begins."""
    steps: list[int] = field(default_factory=list)
    top1: list[float] = field(default_factory=list)
    """Accuracy on the real validation images at `steps`."""
    by_class: Tensor | None = None
    """[K] accuracy of each class after the last step."""
    result: dict[str, float] | None = None


class Classroom:
    """Trains all students at once, an epoch of each in turn, so that their curves can be compared while they grow.

    An iterator of optimiser steps, counted over all students. Each student is trained as `validate` trains it.

    Args:
        rows: what is compared, as `stages.rows.grid` makes it.
        data: real data; its validation images judge.
        runtime: device and precision.
    """

    def __init__(self, rows: Sequence[Row], data: Dataset, *, runtime: Runtime | None = None) -> None:
        self.rows, self.data, self.runtime = rows, data, runtime or Runtime.auto()
        seeds = rows[0].seeds
        self.progress = [Progress(row, seed) for seed in seeds for row in rows]
        self.steps = rows[0].steps
        """Optimiser steps of every student."""
        self.total = self.steps * len(self.progress)

    def __iter__(self) -> Iterator[StepEvent]:
        """Train, yielding after every optimiser step."""
        per_turn = max(1, self.steps // self.rows[0].config.epochs)
        students = [one.row.begin(one.seed, self.data, self.runtime) for one in self.progress]
        for progress, student in zip(self.progress, students, strict=True):
            progress.images = student.lesson.images
        going = [(p, s, iter(s)) for p, s in zip(self.progress, students, strict=True)]
        done = 0
        while going:
            for progress, student, steps in list(going):
                for _ in range(per_turn):
                    event = next(steps)
                    done += 1
                    if "top1" in event.metrics:
                        progress.steps.append(event.step)
                        progress.top1.append(event.value("top1"))
                    if event.step == event.total:
                        self._finish(progress, student)
                        going.remove((progress, student, steps))
                    note = f"{self._name(progress.row)}, seed {progress.seed}"
                    yield StepEvent("validate", done, self.total, event.metrics, note)
                    if event.step == event.total:
                        break

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
                    "name": name, "images": row.images, "labels": row.labels, "n": students[0].images,
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
        return Score(tuple(rows), {**self.data.to_json(), "config": self.rows[0].config.model_dump(mode="json")})

    def _name(self, row: Row) -> str:
        """As in legends; with the network where several are compared."""
        return row.name if len({other.student for other in self.rows}) == 1 else f"{row.name}, {row.student}"

    def _finish(self, progress: Progress, student: Student) -> None:
        progress.by_class, progress.result = class_accuracy(student.confusion()), student.result()

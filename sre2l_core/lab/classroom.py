"""Students of several label settings, side by side: curves that grow together, accuracy by class, one result table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from sre2l_core import baselines
from sre2l_core.artifacts import CondensedSet, Score, ScoreRow, Teacher
from sre2l_core.config import ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count
from sre2l_core.events import StepEvent
from sre2l_core.lab.diagnose import class_accuracy, confusion
from sre2l_core.labels import LabelSource, LiveLabels
from sre2l_core.runtime import Runtime
from sre2l_core.validate import CondensedLesson, Lesson, RealLesson, Student


@dataclass(frozen=True)
class Setting:
    """One way to teach; a lesson for each seed, because random real images are drawn anew."""

    images: str
    labels: str
    lessons: tuple[Lesson, ...]
    config: ValidateConfig
    real: bool = False
    """Whether it is a baseline of real images."""

    @property
    def name(self) -> str:
        """As in legends and tables."""
        return f"{self.images} + {self.labels}"


def settings_for(
    condensed: CondensedSet,
    labels: LabelSource,
    data: Dataset,
    config: ValidateConfig,
    *,
    teacher: Teacher | None = None,
    temperatures: tuple[float, ...] = (),
    runtime: Runtime | None = None,
) -> list[Setting]:
    """The settings that stage 4 compares: soft labels at each temperature, hard ones, and the baselines of the config.

    Args:
        condensed: the images.
        labels: soft labels of these images.
        data: real data, for the baselines.
        config: students, seeds, baselines (`against`) and `hard_labels`.
        teacher: labels random real images; without it only hard labels of these are compared.
        temperatures: of the soft labels; that of the config if none is given.
        runtime: where the teacher labels.
    """
    seeds = range(config.seed, config.seed + config.seeds)
    soft = CondensedLesson("condensed", condensed, labels, soft=True)
    found = [
        Setting("condensed", f"soft, T = {t:g}", (soft,) * config.seeds, config.but(temperature=t))
        for t in temperatures or (config.temperature,)
    ]
    if config.hard_labels:
        hard = CondensedLesson("condensed", condensed, labels, soft=False)
        found.append(Setting("condensed", "hard", (hard,) * config.seeds, config))
    if "random" in config.against:
        chosen = tuple(condensed.labels.unique().tolist())
        real = [baselines.select("random", data, ipc=condensed.ipc, labels=chosen, seed=seed) for seed in seeds]
        if teacher is not None:
            sources = [LiveLabels(teacher, images, labels.config, runtime=runtime) for images in real]
            lessons = [CondensedLesson("random real", i, s, soft=True) for i, s in zip(real, sources, strict=True)]
            found.append(Setting("random real", f"soft, T = {config.temperature:g}", tuple(lessons), config, real=True))
            lessons = [CondensedLesson("random real", i, s, soft=False) for i, s in zip(real, sources, strict=True)]
            found.append(Setting("random real", "hard", tuple(lessons), config, real=True))
    if "full" in config.against:
        found.append(Setting("all real", "hard", (RealLesson(data, labels.config),) * config.seeds, config, real=True))
    return found


@dataclass
class Progress:
    """What is known of one student."""

    setting: Setting
    seed: int
    steps: list[int] = field(default_factory=list)
    top1: list[float] = field(default_factory=list)
    """Accuracy on the real validation images at `steps`."""
    by_class: Tensor | None = None
    """[K] accuracy of each class after the last step."""
    result: dict[str, float] | None = None


class Classroom:
    """Trains all students at once, an epoch of each in turn, so that their curves can be compared while they grow.

    An iterator of optimiser steps, counted over all students. Each student is trained as `validate` trains it.
    """

    def __init__(
        self, settings: list[Setting], data: Dataset, *, student: str = "", runtime: Runtime | None = None
    ) -> None:
        self.settings, self.data, self.runtime = settings, data, runtime or Runtime.auto()
        self.student = student or settings[0].config.students[0]
        self.progress = [
            Progress(setting, setting.config.seed + number)
            for number in range(max(setting.config.seeds for setting in settings))
            for setting in settings
            if number < setting.config.seeds
        ]
        first = settings[0]
        self.steps = first.config.epochs * batch_count(first.lessons[0].images, first.config.batch_size)
        """Optimiser steps of every student: those of the first setting."""
        self.total = self.steps * len(self.progress)

    def __iter__(self) -> Iterator[StepEvent]:
        """Train, yielding after every optimiser step."""
        per_turn = max(1, self.steps // self.settings[0].config.epochs)
        students = [self._student(progress) for progress in self.progress]
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
                    note = f"{progress.setting.name}, seed {progress.seed}"
                    yield StepEvent("validate", done, self.total, event.metrics, note)
                    if event.step == event.total:
                        break

    def curves(self) -> dict[str, list[Progress]]:
        """Setting -> its students, those with results first known first."""
        found: dict[str, list[Progress]] = {setting.name: [] for setting in self.settings}
        for progress in self.progress:
            found[progress.setting.name].append(progress)
        return found

    def table(self) -> list[dict[str, Any]]:
        """One row a setting: mean and spread of the newest accuracy of its students, and how many are finished."""
        rows = []
        for name, students in self.curves().items():
            newest = [100 * student.top1[-1] for student in students if student.top1]
            setting = students[0].setting
            rows.append(
                {
                    "name": name, "images": setting.images, "labels": setting.labels, "n": setting.lessons[0].images,
                    "real": setting.real, "mean": mean(newest) if newest else None,
                    "std": stdev(newest) if len(newest) > 1 else 0.0, "seeds": len(students),
                    "finished": sum(student.result is not None for student in students),
                }
            )  # fmt: skip
        return rows

    def by_class(self) -> dict[str, Tensor]:
        """Setting -> [K] accuracy of each class, the mean over finished students; settings without one are left out."""
        found = {}
        for name, students in self.curves().items():
            known = [student.by_class for student in students if student.by_class is not None]
            if known:
                found[name] = torch.stack(known).mean(0)
        return found

    def score(self) -> Score:
        """Settings all of whose students are finished, as the table that `validate` returns."""
        rows = []
        for students in self.curves().values():
            results = [student.result for student in students if student.result is not None]
            if len(results) == len(students):
                setting = students[0].setting
                columns = {key: tuple(result[key] for result in results) for key in ("last", "best", "last_top5")}
                images = setting.lessons[0].images
                rows.append(ScoreRow(setting.images, setting.labels, self.student, images, self.steps, **columns))
        return Score(tuple(rows), {"config": self.settings[0].config.model_dump(mode="json")})

    def _student(self, progress: Progress) -> Student:
        setting, config = progress.setting, progress.setting.config
        lesson = setting.lessons[progress.seed - config.seed]
        return Student(lesson, self.data, self.student, config, progress.seed, self.steps, self.runtime)

    def _finish(self, progress: Progress, student: Student) -> None:
        counts = confusion(student.trainer.tested, self.data.val, self.runtime)
        progress.by_class, progress.result = class_accuracy(counts), student.result()


def against_real(by_class: Mapping[str, Tensor], name: str, baseline: str) -> list[tuple[int, float]]:
    """(class, difference in accuracy) of a setting and a baseline, the greatest loss first."""
    off = by_class[name] - by_class[baseline]
    return [(int(k), float(off[k])) for k in off.argsort()]

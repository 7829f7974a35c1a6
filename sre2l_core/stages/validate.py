"""Stage 4, validate: students trained on condensed images + soft labels, judged on real data (Equation 9)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre2l_core import starts, storage
from sre2l_core.artifacts import CondensedSet, Score, ScoreRow, Teacher
from sre2l_core.config import ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.events import Listener, StepEvent
from sre2l_core.registry import catalogue
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource, LiveLabels, SoftLabels
from sre2l_core.stages.students import CondensedLesson, Lesson, RealLesson, Student
from sre2l_core.steps import drive, stepwise


@dataclass(frozen=True)
class Row:
    """One row of the table: what a network learns from. Its students differ only by the seed."""

    images: str
    labels: str
    """Kind of labels: soft or hard; with the temperature where several are compared."""
    student: str
    """Network."""
    config: ValidateConfig
    steps: int
    """Optimiser steps of each student, the same in every row: as many as the condensed set gives."""
    lesson: Callable[[int], Lesson]
    """Seed -> what that student learns from; made when its turn comes, because baselines are drawn anew for each."""
    real: bool = False
    """Whether it is a baseline."""

    @property
    def seeds(self) -> range:
        """Of its students."""
        return range(self.config.seed, self.config.seed + self.config.seeds)

    @property
    def name(self) -> str:
        """As in legends."""
        kind = f"soft, T = {self.config.temperature:g}" if self.labels.startswith("soft") else self.labels
        return f"{self.images} + {kind}"

    def begin(self, seed: int, data: Dataset, runtime: Runtime) -> Student:
        """A fresh student."""
        return Student(self.lesson(seed), data, self.student, self.config, seed, self.steps, runtime)

    def score(self, results: Sequence[dict[str, float]]) -> ScoreRow:
        """The row of the table that results of all its students make."""
        columns = {key: tuple(result[key] for result in results) for key in ("last", "best", "last_top5")}
        return ScoreRow(self.images, self.labels, self.student, int(results[0]["images"]), self.steps, **columns)


def grid(
    condensed: CondensedSet,
    labels: LabelSource,
    data: Dataset,
    config: ValidateConfig,
    *,
    teacher: Teacher | None = None,
    temperatures: Sequence[float] = (),
    runtime: Runtime | None = None,
) -> list[Row]:
    """Everything that is compared: for each network the condensed images, then every baseline, all in the same steps.

    Args:
        condensed: the images.
        labels: soft labels of these images.
        data: real data, for baselines and as judge.
        config: students, seeds, baselines (`against`) and `hard_labels`.
        teacher: labels the baselines' images.
        temperatures: a row of soft labels for each; that of the config if none is given.
        runtime: where the teacher labels.

    Raises:
        ConfigError: if there are too few epochs of labels, or a baseline is not known or lacks what it needs.
        DataError: if the classes of images and data differ.
    """
    _check(condensed, labels, data, config, teacher)
    steps = config.epochs * batch_count(len(condensed), config.batch_size)
    classes, full = tuple(condensed.labels.unique().tolist()), RealLesson(data, labels.config)

    def ours(soft: bool) -> Callable[[int], Lesson]:
        return lambda seed: CondensedLesson("condensed", condensed, labels, soft)

    def theirs(name: str, soft: bool) -> Callable[[int], Lesson]:
        def lesson(seed: int) -> Lesson:
            real = starts.baseline(
                name, data, ipc=condensed.ipc, labels=classes, seed=seed, teacher=teacher, runtime=runtime
            )
            assert teacher is not None  # checked above
            source = LiveLabels(teacher, real, labels.config, runtime=runtime)
            return CondensedLesson(starts.find(name).title, real, source, soft)

        return lesson

    rows = []
    for student in config.students:
        for t in temperatures or (config.temperature,):
            kind = f"soft, T = {t:g}" if temperatures else "soft"
            rows.append(Row("condensed", kind, student, config.but(temperature=t), steps, ours(soft=True)))
        if config.hard_labels:
            rows.append(Row("condensed", "hard", student, config, steps, ours(soft=False)))
        for name in baselines(config):
            for soft in (False, True):
                kind, title = "soft" if soft else "hard", starts.find(name).title
                rows.append(Row(title, kind, student, config, steps, theirs(name, soft), real=True))
        if FULL in config.against:
            rows.append(Row(full.name, full.labels, student, config, steps, lambda seed: full, real=True))
    return rows


FULL = "full"
"""The name in `against` that is no start: all real images."""


def baselines(config: ValidateConfig) -> list[str]:
    """The starts named in `against`; raises `ConfigError` for a name that is none, naming the nearest."""
    names = [name for name in config.against if name != FULL]
    known = [*catalogue("starts"), FULL]
    for name in names:
        if name not in known:
            raise unknown("baseline", name, known)
    return names


@stepwise
def validating(
    condensed: CondensedSet,
    labels: LabelSource,
    data: Dataset,
    config: ValidateConfig,
    *,
    teacher: Teacher | None = None,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
) -> Generator[StepEvent, None, Score]:
    """The steps of `validate`: a `StepEvent` after every optimiser step of every student, and at the end the table."""
    runtime = runtime or Runtime.auto()
    rows = grid(condensed, labels, data, config, teacher=teacher, runtime=runtime)
    made_from = {"condensed": condensed.id, "labels": _describe(labels), "dataset": data.spec.to_json()}
    request = {**made_from, "config": config.model_dump(mode="json")}
    judge = teacher.id if teacher is not None and baselines(config) else None
    how = runtime.how(config.micro_batch or config.batch_size)
    with storage.claimed(out, "score", {"teacher of baselines": judge, **request}, how, wait=wait) as work:
        if work.finished and out is not None:
            return Score.load(out)
        results = Results(work)
        students = [(row, seed) for row in rows for seed in row.seeds]
        for number, (row, seed) in enumerate(students):
            if results.get(row, seed) is not None:
                continue
            student = row.begin(seed, data, runtime)
            note = f"{row.images} + {row.labels}, {row.student}, seed {seed - config.seed + 1}/{config.seeds}"
            for event in student:
                done, total = number * row.steps + event.step, len(students) * row.steps
                yield StepEvent("validate", done, total, event.metrics, note)
            results.add(row, seed, student.result())
        origin = {**request, "precision": runtime.precision}
        score = Score(tuple(row.score(results.of(row)) for row in rows), origin)
        score.write(work)
        return score


def validate(
    condensed: CondensedSet,
    labels: LabelSource,
    data: Dataset,
    config: ValidateConfig,
    *,
    teacher: Teacher | None = None,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
    on_step: Listener | None = None,
) -> Score:
    """Stage 4: students on the condensed set beside students on what one would otherwise use, under the same recipe.

    Args:
        condensed: the images.
        labels: soft labels of these images, stored or made on the fly.
        data: real data; its validation images judge, its training images serve the baselines.
        config: students, recipe, seeds, baselines.
        teacher: labels the baselines' images; needed for `against=("random",)`.
        runtime: device and precision; the best there is by default.
        out: folder of the score. Every finished student is written, and calling again continues.
        wait: until another process that works in the folder is done, instead of raising `InUseError`.
        on_step: called with a `StepEvent` after every optimiser step.

    Raises:
        ConfigError: if there are too few epochs of labels, or a baseline is not known or lacks what it needs.
        DataError: if the classes of images and data differ.
    """
    steps = validating(condensed, labels, data, config, teacher=teacher, runtime=runtime, out=out, wait=wait)
    return drive(steps, on_step)


STUDENTS = "students.json"


class Results:
    """Accuracies of finished students, kept in `students.json` if there is a folder."""

    def __init__(self, work: storage.Work) -> None:
        self._work = work
        self._done: dict[str, dict[str, float]] = work.read_json(STUDENTS)

    @staticmethod
    def _key(row: Row, seed: int) -> str:
        return f"{row.images} | {row.labels} | {row.student} | seed {seed}"

    def get(self, row: Row, seed: int) -> dict[str, float] | None:
        """The result of a finished student."""
        return self._done.get(self._key(row, seed))

    def add(self, row: Row, seed: int, result: dict[str, float]) -> None:
        """Keep a result."""
        self._done[self._key(row, seed)] = result
        self._work.write_json(STUDENTS, self._done)

    def of(self, row: Row) -> list[dict[str, float]]:
        """The results of all students of a row, by seed; every one is finished."""
        return [self._done[self._key(row, seed)] for seed in row.seeds]


def _describe(labels: LabelSource) -> dict[str, Any]:
    kind = "stored" if isinstance(labels, SoftLabels) else "on the fly"
    return {"kind": kind, "teacher": labels.teacher_id, "config": labels.config.model_dump(mode="json")}


def _check(
    condensed: CondensedSet, labels: LabelSource, data: Dataset, config: ValidateConfig, teacher: Teacher | None
) -> None:
    """Raise before the first step where images, labels, data and settings do not fit one another."""
    condensed.spec.check_fits(data.spec)
    asked = baselines(config)
    if labels.condensed_id != condensed.id:
        raise ConfigError(f"these labels belong to images {labels.condensed_id}, not to {condensed.id}: relabel them.")
    if isinstance(labels, SoftLabels) and config.epochs > len(labels.shards):
        raise ConfigError(
            f"students train for {config.epochs} epochs but there are labels for {len(labels.shards)}. "
            f"Use --epochs {len(labels.shards)}, relabel with more epochs, or make labels on the fly."
        )
    made, used, fixed = labels.config.batch_size, config.batch_size, isinstance(labels, SoftLabels)
    if fixed and labels.config.teacher_mode == "batch" and asked and made != used:
        raise ConfigError(
            f"the labels rest on statistics of batches of {made}, the baselines would be labelled in batches of "
            f"{used}: relabel with --batch-size {used}, or make labels on the fly, so that the comparison is fair."
        )
    if asked and teacher is None:
        raise ConfigError(f"against={asked[0]!r} needs the teacher to label its images: give it, or leave it out.")

"""Who is compared with whom: the rows of the table, each with what its students learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sre2l_core import starts
from sre2l_core.artifacts import CondensedSet, ScoreRow, Teacher
from sre2l_core.config import ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.registry import catalogue
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource, LiveLabels, SoftLabels
from sre2l_core.stages.students import CondensedLesson, Lesson, RealLesson, Student


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
    shown, real_views = labels.config.epochs if config.reuse_labels else None, labels.config.whole()
    classes, full = tuple(condensed.labels.unique().tolist()), RealLesson(data, real_views)
    own = str(condensed.origin.get("title", "condensed"))

    def ours(soft: bool) -> Callable[[int], Lesson]:
        return lambda seed: CondensedLesson(own, condensed, labels, soft, shown)

    def theirs(name: str, soft: bool) -> Callable[[int], Lesson]:
        def lesson(seed: int) -> Lesson:
            real = starts.baseline(
                name, data, ipc=condensed.ipc, labels=classes, seed=seed, teacher=teacher, runtime=runtime
            )
            assert teacher is not None  # checked above
            lost = labels.codec if isinstance(labels, SoftLabels) and labels.codec.lossy else None
            source = LiveLabels(teacher, real, real_views, runtime=runtime, codec=lost)
            return CondensedLesson(starts.find(name).title, real, source, soft, shown)

        return lesson

    rows = []
    for student in config.students:
        for t in temperatures or (config.temperature,):
            kind = f"soft, T = {t:g}" if temperatures else "soft"
            rows.append(Row(own, kind, student, config.but(temperature=t), steps, ours(soft=True)))
        if config.hard_labels:
            rows.append(Row(own, "hard", student, config, steps, ours(soft=False)))
        for name in baselines(config):
            for soft in (False, True):
                kind, title = "soft" if soft else "hard", starts.find(name).title
                rows.append(Row(title, kind, student, config, steps, theirs(name, soft), real=True))
        if FULL in config.against:
            rows.append(Row(full.name, full.labels, student, config, steps, lambda seed: full, real=True))
    return rows


FULL = "full"
"""The name in `against` that is no start: all real images."""


def rows_of_a_network(config: ValidateConfig) -> int:
    """How many rows `grid` has for each network at one temperature."""
    return 1 + config.hard_labels + sum(1 if name == FULL else 2 for name in config.against)


def baselines(config: ValidateConfig) -> list[str]:
    """The starts named in `against`; raises `ConfigError` for a name that is none, naming the nearest."""
    names = [name for name in config.against if name != FULL]
    known = [*catalogue("starts"), FULL]
    for name in names:
        if name not in known:
            raise unknown("baseline", name, known)
    return names


def _check(
    condensed: CondensedSet, labels: LabelSource, data: Dataset, config: ValidateConfig, teacher: Teacher | None
) -> None:
    """Raise before the first step where images, labels, data and settings do not fit one another."""
    condensed.spec.check_fits(data.spec)
    asked = baselines(config)
    if labels.condensed_id != condensed.id:
        raise ConfigError(f"these labels belong to images {labels.condensed_id}, not to {condensed.id}: relabel them.")
    if isinstance(labels, SoftLabels) and config.epochs > len(labels.shards) and not config.reuse_labels:
        raise ConfigError(
            f"students train for {config.epochs} epochs but there are labels for {len(labels.shards)}. "
            f"Use --epochs {len(labels.shards)} or --reuse-labels, relabel with more epochs, or make labels on the fly."
        )
    if teacher is not None and teacher.id != labels.teacher_id:
        raise ConfigError(
            f"the labels are those of teacher {labels.teacher_id}, the teacher given is {teacher.id}: it would label "
            "the baselines alone, and the comparison would not be fair. Give the teacher that labelled, or relabel."
        )
    made, used, fixed = labels.config.batch_size, config.batch_size, isinstance(labels, SoftLabels)
    if fixed and labels.config.teacher_mode == "batch" and asked and made != used:
        raise ConfigError(
            f"the labels rest on statistics of batches of {made}, the baselines would be labelled in batches of "
            f"{used}: relabel with --batch-size {used}, or make labels on the fly, so that the comparison is fair."
        )
    if asked and teacher is None:
        raise ConfigError(f"against={asked[0]!r} needs the teacher to label its images: give it, or leave it out.")

"""Stage 4, validate: students trained on condensed images + soft labels, judged on real data (Equation 9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from sre2l_core import baselines, storage
from sre2l_core.artifacts import CondensedSet, Score, ScoreRow, Teacher, empty_network
from sre2l_core.config import MixedViewConfig, ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count, train_id_batches
from sre2l_core.errors import ConfigError, DivergenceError
from sre2l_core.events import Listener, StepEvent, ignore
from sre2l_core.labels import LabelSource, LiveLabels, SoftLabels
from sre2l_core.losses import accuracy, cross_entropy, hard_targets, soft_label_loss
from sre2l_core.runtime import Runtime
from sre2l_core.training import Trainer, evaluate
from sre2l_core.views import render


class Taught(NamedTuple):
    """One batch for a student: pixels [B, C, S, S], hard targets [B, K], and the teacher's logits [B, K] if soft."""

    pixels: Tensor
    hard: Tensor
    soft: Tensor | None


class Lesson(Protocol):
    """Anything a student can learn from, epoch by epoch."""

    @property
    def name(self) -> str:
        """What the images are."""

    @property
    def labels(self) -> str:
        """Kind of labels: soft or hard."""

    @property
    def images(self) -> int:
        """Number of images."""

    def batches(self, epoch: int, config: ValidateConfig, seed: int, runtime: Runtime) -> Iterator[Taught]:
        """The batches of an epoch; order and views depend on (seed, epoch)."""


@dataclass(frozen=True)
class CondensedLesson:
    """A condensed set with the views, and if `soft` the logits, of a label source."""

    name: str
    condensed: CondensedSet
    source: LabelSource
    soft: bool

    @property
    def labels(self) -> str:
        """Kind of labels."""
        return "soft" if self.soft else "hard"

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.condensed)

    def batches(self, epoch: int, config: ValidateConfig, seed: int, runtime: Runtime) -> Iterator[Taught]:
        """The very views that were labelled, in an order of the student's own."""
        spec, params = self.condensed.spec, self.source.views(epoch)
        pool, labels = self.condensed.images.to(runtime.device), self.condensed.labels
        for ids in train_id_batches(self.images, batch_size=config.batch_size, seed=seed, epoch=epoch):
            pixels = render(pool, ids, params, size=spec.resolution, black=spec.black, prepare=spec.normalize)
            partners = labels[params.partner[ids]]
            hard = hard_targets(labels[ids], partners, params.weight[ids], spec.num_classes).to(runtime.device)
            yield Taught(pixels, hard, self.source.logits(epoch, ids, pixels) if self.soft else None)


@dataclass(frozen=True)
class RealLesson:
    """All real training images with hard labels, for as many optimiser steps as the condensed set gets."""

    data: Dataset
    views: MixedViewConfig
    name: str = "all real"
    labels: str = "hard"

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.data.train)

    def batches(self, epoch: int, config: ValidateConfig, seed: int, runtime: Runtime) -> Iterator[Taught]:
        """Augmented like the condensed images."""
        batches = self.data.train.train_batches(
            self.views, batch_size=config.batch_size, seed=seed, epoch=epoch, device=runtime.device
        )
        for batch in batches:
            hard = hard_targets(batch.labels, batch.partners, batch.weights, self.data.spec.num_classes)
            yield Taught(batch.images, hard, None)


class Student:
    """A fresh network learning one lesson; an iterator of optimiser steps."""

    def __init__(
        self, lesson: Lesson, data: Dataset, name: str, config: ValidateConfig, seed: int, steps: int, runtime: Runtime
    ) -> None:
        self.lesson, self.data, self.config, self.seed, self.runtime = lesson, data, config, seed, runtime
        self.net = empty_network(name, data.spec, config.student_options, seed)
        self.trainer = Trainer(self.net, config, runtime, config.ema)
        self.steps = steps
        self.history: list[dict[str, float]] = []
        """Step, top1 and top5 of every evaluation."""

    def __iter__(self) -> Iterator[StepEvent]:
        """Learn, yielding after every optimiser step."""
        config, step = self.config, 0
        per_epoch = batch_count(self.lesson.images, config.batch_size)
        for epoch in range(ceil(self.steps / per_epoch)):
            for batch in self.lesson.batches(epoch, config, self.seed, self.runtime):
                progress = config.epochs * step / self.steps
                loss, logits = self.trainer.step(batch.pixels, partial(_loss, batch, config), progress)
                step += 1
                metrics = {"loss": loss, "train_top1": accuracy(logits, batch.hard.argmax(1))}
                if step == self.steps or (step % per_epoch == 0 and (epoch + 1) % config.eval_every == 0):
                    self._test(step, loss)
                    metrics["top1"] = torch.tensor(self.history[-1]["top1"])
                yield StepEvent("validate", step, self.steps, metrics)
                if step == self.steps:
                    return

    def result(self) -> dict[str, float]:
        """Top-1 and top-5 after the last epoch, and the best top-1 of any evaluation."""
        last = self.history[-1]
        return {"last": last["top1"], "last_top5": last["top5"], "best": max(entry["top1"] for entry in self.history)}

    def _test(self, step: int, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise DivergenceError(
                f"validate: the loss of a student became {float(loss)} by step {step}. Finished students are kept. "
                f"Lower lr ({self.config.lr}) or add warmup_epochs ({self.config.warmup_epochs})."
            )
        self.history.append({"step": step, **evaluate(self.trainer.tested, self.data.val, self.runtime)})


def _loss(batch: Taught, config: ValidateConfig, logits: Tensor, rows: slice) -> Tensor:
    if batch.soft is None:
        return cross_entropy(logits, batch.hard[rows])
    return soft_label_loss(logits, batch.soft[rows], batch.hard[rows], config)


def validate(
    condensed: CondensedSet,
    labels: LabelSource,
    data: Dataset,
    config: ValidateConfig,
    *,
    teacher: Teacher | None = None,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    on_step: Listener | None = None,
) -> Score:
    """Stage 4: students on the condensed set beside students on what one would otherwise use, under the same recipe.

    Args:
        condensed: the images.
        labels: soft labels of these images, stored or made on the fly.
        data: real data; its validation images judge, its training images serve the baselines.
        config: students, recipe, seeds, baselines.
        teacher: labels the random real images; needed for `against=("random",)`.
        runtime: device and precision; the best there is by default.
        out: folder of the score. Every finished student is written, and calling again continues.
        on_step: called with a `StepEvent` after every optimiser step.

    Raises:
        ConfigError: if there are too few epochs of labels, or a baseline lacks what it needs.
        DataError: if the classes of images and data differ.
    """
    runtime, listener, folder = runtime or Runtime.auto(), on_step or ignore, None if out is None else Path(out)
    _check(condensed, labels, data, config, teacher)
    made_from = {"condensed": condensed.id, "labels": _describe(labels), "dataset": data.spec.to_json()}
    origin = {**made_from, "config": config.model_dump(mode="json")}
    judge = teacher.id if teacher is not None and "random" in config.against else None
    request = {"teacher of random images": judge, **origin}
    if folder is not None and storage.begin(folder, "score", request):
        return Score.load(folder)
    results = Results(folder)
    steps = config.epochs * batch_count(len(condensed), config.batch_size)
    runs = list(_runs(condensed, labels, data, config, teacher, runtime))
    for number, (lesson, name, seed) in enumerate(runs):
        if results.get(lesson, name, seed) is not None:
            continue
        student = Student(lesson, data, name, config, seed, steps, runtime)
        note = f"{lesson.name} + {lesson.labels}, {name}, seed {seed - config.seed + 1}/{config.seeds}"
        for event in student:
            listener(StepEvent("validate", number * steps + event.step, len(runs) * steps, event.metrics, note))
        results.add(lesson, name, seed, student.result())
    score = Score(tuple(results.rows(runs, steps)), origin)
    if folder is not None:
        score.save(folder)
    return score


Run = tuple[Lesson, str, int]


def _runs(
    condensed: CondensedSet,
    labels: LabelSource,
    data: Dataset,
    config: ValidateConfig,
    teacher: Teacher | None,
    runtime: Runtime,
) -> Iterator[Run]:
    """Every student to train: lesson, network, seed. Random real images are drawn anew for each seed."""
    seeds = range(config.seed, config.seed + config.seeds)
    classes = tuple(condensed.labels.unique().tolist())
    for name in config.students:
        for soft in (True, False) if config.hard_labels else (True,):
            for seed in seeds:
                yield CondensedLesson("condensed", condensed, labels, soft), name, seed
        if "random" in config.against and teacher is not None:
            for soft in (False, True):
                for seed in seeds:
                    real = baselines.select("random", data, ipc=condensed.ipc, labels=classes, seed=seed)
                    source = LiveLabels(teacher, real, labels.config, runtime=runtime)
                    yield CondensedLesson("random real", real, source, soft), name, seed
        if "full" in config.against:
            for seed in seeds:
                yield RealLesson(data, labels.config), name, seed


class Results:
    """Accuracies of finished students, kept in `students.json` if there is a folder."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / "students.json"
        known = self._path is not None and self._path.exists()
        self._done: dict[str, dict[str, float]] = storage.read_json(self._path) if self._path and known else {}

    @staticmethod
    def _key(lesson: Lesson, student: str, seed: int) -> str:
        return f"{lesson.name} | {lesson.labels} | {student} | seed {seed}"

    def get(self, lesson: Lesson, student: str, seed: int) -> dict[str, float] | None:
        """The result of a finished student."""
        return self._done.get(self._key(lesson, student, seed))

    def add(self, lesson: Lesson, student: str, seed: int, result: dict[str, float]) -> None:
        """Keep a result."""
        self._done[self._key(lesson, student, seed)] = result
        if self._path is not None:
            storage.write_json(self._path, self._done)

    def rows(self, runs: list[Run], steps: int) -> Iterator[ScoreRow]:
        """Runs that differ only in the seed, as one row each."""
        by_row: dict[tuple[str, str, str, int], list[dict[str, float]]] = {}
        for lesson, student, seed in runs:
            result = self.get(lesson, student, seed)
            assert result is not None
            by_row.setdefault((lesson.name, lesson.labels, student, lesson.images), []).append(result)
        for (name, kind, student, images), found in by_row.items():
            columns = {key: tuple(result[key] for result in found) for key in ("last", "best", "last_top5")}
            yield ScoreRow(name, kind, student, images, steps, **columns)


def _describe(labels: LabelSource) -> dict[str, Any]:
    kind = "stored" if isinstance(labels, SoftLabels) else "on the fly"
    return {"kind": kind, "teacher": labels.teacher_id, "config": labels.config.model_dump(mode="json")}


def _check(
    condensed: CondensedSet, labels: LabelSource, data: Dataset, config: ValidateConfig, teacher: Teacher | None
) -> None:
    condensed.spec.check_fits(data.spec)
    if labels.condensed_id != condensed.id:
        raise ConfigError(f"these labels belong to images {labels.condensed_id}, not to {condensed.id}: relabel them.")
    if isinstance(labels, SoftLabels) and config.epochs > len(labels.shards):
        raise ConfigError(
            f"students train for {config.epochs} epochs but there are labels for {len(labels.shards)}. "
            f"Use --epochs {len(labels.shards)}, relabel with more epochs, or make labels on the fly."
        )
    made, used, fixed = labels.config.batch_size, config.batch_size, isinstance(labels, SoftLabels)
    if fixed and labels.config.teacher_mode == "batch" and "random" in config.against and made != used:
        raise ConfigError(
            f"the labels rest on statistics of batches of {made}, random real images would be labelled in batches of "
            f"{used}: relabel with --batch-size {used}, or make labels on the fly, so that the comparison is fair."
        )
    if "random" in config.against and teacher is None:
        raise ConfigError(
            "against='random' needs the teacher to label the random real images: give it, or leave it out."
        )

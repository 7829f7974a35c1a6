"""Students: fresh networks, each learning one lesson (Equation 9), tested on real images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, empty_network
from sre2l_core.config import MixedViewConfig, ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count, train_id_batches
from sre2l_core.errors import DivergenceError
from sre2l_core.events import StepEvent
from sre2l_core.losses import accuracy, cross_entropy, hard_targets, soft_label_loss
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource
from sre2l_core.stages.training import Trainer, evaluate
from sre2l_core.views import render


class LabelledBatch(NamedTuple):
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

    def batches(self, epoch: int, config: ValidateConfig, seed: int, runtime: Runtime) -> Iterator[LabelledBatch]:
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

    def batches(self, epoch: int, config: ValidateConfig, seed: int, runtime: Runtime) -> Iterator[LabelledBatch]:
        """The very views that were labelled, in an order of the student's own."""
        spec, params = self.condensed.spec, self.source.views(epoch)
        pool, labels = self.condensed.images.to(runtime.device), self.condensed.labels
        for ids in train_id_batches(self.images, batch_size=config.batch_size, seed=seed, epoch=epoch):
            pixels = render(pool, ids, params, size=spec.resolution, black=spec.black, prepare=spec.normalize)
            partners, shares = labels[params.partner[ids]], params[ids].shares(spec.resolution)
            hard = hard_targets(labels[ids], partners, shares, spec.num_classes).to(runtime.device)
            yield LabelledBatch(pixels, hard, self.source.logits(epoch, ids, pixels) if self.soft else None)


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

    def batches(self, epoch: int, config: ValidateConfig, seed: int, runtime: Runtime) -> Iterator[LabelledBatch]:
        """Augmented like the condensed images."""
        batches = self.data.train.train_batches(
            self.views, batch_size=config.batch_size, seed=seed, epoch=epoch, device=runtime.device
        )
        for batch in batches:
            hard = hard_targets(batch.labels, batch.partners, batch.weights, self.data.spec.num_classes)
            yield LabelledBatch(batch.images, hard, None)


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
        for epoch in count():  # as many as it takes: a streamed epoch may have fewer batches than planned
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
        """Top-1 and top-5 after the last epoch, the best top-1 of any evaluation, and the number of images."""
        last, best = self.history[-1], max(entry["top1"] for entry in self.history)
        return {"last": last["top1"], "last_top5": last["top5"], "best": best, "images": self.lesson.images}

    def _test(self, step: int, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise DivergenceError(
                f"validate: the loss of a student became {float(loss)} by step {step}. Finished students are kept. "
                f"Lower lr ({self.config.lr}) or add warmup_epochs ({self.config.warmup_epochs})."
            )
        self.history.append({"step": step, **evaluate(self.trainer.tested, self.data.val, self.runtime)})


def _loss(batch: LabelledBatch, config: ValidateConfig, logits: Tensor, rows: slice) -> Tensor:
    if batch.soft is None:
        return cross_entropy(logits, batch.hard[rows])
    return soft_label_loss(logits, batch.soft[rows], batch.hard[rows], config)

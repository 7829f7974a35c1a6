"""Students: fresh networks, each learning one lesson (Equation 9), tested on real images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from sre2l_core.ahead import reading
from sre2l_core.artifacts import CondensedSet, empty_network
from sre2l_core.config import MixedViewConfig, ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count, train_id_batches
from sre2l_core.errors import DivergenceError
from sre2l_core.events import StepEvent
from sre2l_core.losses import accuracy, cross_entropy, hard_targets, soft_label_loss
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource, views_of
from sre2l_core.stages.training import Trainer, confusion, evaluate
from sre2l_core.views import requests


class LabelledBatch(NamedTuple):
    """One batch for a student: pixels [B, C, S, S], hard targets [B, K], and the teacher's logits [B, K] if soft."""

    pixels: Tensor
    hard: Tensor
    soft: Tensor | None
    share: float = 1.0
    """Weight of its mean loss where ranks have parts of the batch; see `ranks.Share`."""

    def part(self, rows: slice) -> LabelledBatch:
        """Some rows of it."""
        soft = None if self.soft is None else self.soft[rows]
        return LabelledBatch(self.pixels[rows], self.hard[rows], soft, self.share)


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
        """The batches of an epoch, or this rank's parts of them; order and views depend on (seed, epoch)."""


@dataclass(frozen=True)
class CondensedLesson:
    """A condensed set with the views, and if `soft` the logits, of a label source."""

    name: str
    condensed: CondensedSet
    source: LabelSource
    soft: bool
    epochs: int | None = None
    """Epochs of views there are; the first comes again after the last (LPLD, NeurIPS 2024). None: as many as asked."""

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
        shown = epoch % self.epochs if self.epochs else epoch
        spec, params, labels = self.condensed.spec, self.source.views(shown), self.condensed.labels
        batches = train_id_batches(self.images, batch_size=config.batch_size, seed=seed, epoch=epoch)
        size, prepare = runtime.ranks.part_size(config.batch_size, self.images), runtime.preparing(spec.normalize)
        shares = [runtime.ranks.share(len(ids), size) for ids in batches]
        # Labels that rest on the statistics of a whole batch are made of all of it by every rank.
        whole = self.soft and self.source.config.teacher_mode == "batch"
        seen = batches if whole else [ids[share.rows] for ids, share in zip(batches, shares, strict=True)]
        with reading(self.condensed.pool(runtime), requests(seen, params), runtime.device) as pool:
            for ids, share in zip(seen, shares, strict=True):
                pixels = views_of(spec, pool, ids, params, prepare)
                partners, parts = labels[params.partner[ids]], params[ids].shares(spec.resolution)
                hard = hard_targets(labels[ids], partners, parts, spec.num_classes).to(runtime.device)
                soft = self.source.logits(shown, ids, pixels) if self.soft else None
                batch = LabelledBatch(pixels, hard, soft, share.weight)
                yield batch.part(share.rows) if whole else batch


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
        where: dict[str, Any] = {"device": runtime.device, "ranks": runtime.ranks}
        batches = self.data.train.train_batches(
            self.views, batch_size=config.batch_size, seed=seed, epoch=epoch, **where
        )
        for batch in batches:
            hard = hard_targets(batch.labels, batch.partners, batch.weights, self.data.spec.num_classes)
            yield LabelledBatch(batch.images, hard, None, batch.share)


class Student:
    """A fresh network learning one lesson; an iterator of optimiser steps, whose state can be saved between any two."""

    def __init__(
        self, lesson: Lesson, data: Dataset, name: str, config: ValidateConfig, seed: int, steps: int, runtime: Runtime
    ) -> None:
        self.lesson, self.data, self.config, self.seed, self.runtime = lesson, data, config, seed, runtime
        self.net = empty_network(name, data.spec, config.student_options, seed)
        self.trainer = Trainer(self.net, config, runtime, config.ema)
        self.steps = steps
        self.step = 0
        """Optimiser steps taken."""
        self.epoch = self.batch = 0
        """The epoch under way, and the batches taken of it."""
        self.history: list[dict[str, float]] = []
        """Step, top1 and top5 of every evaluation."""

    def __iter__(self) -> Iterator[StepEvent]:
        """Take the steps that are left, yielding after each."""
        config = self.config
        per_epoch = batch_count(self.lesson.images, config.batch_size)
        while self.step < self.steps:  # as many epochs as it takes: a streamed one may have fewer batches than planned
            batches = self.lesson.batches(self.epoch, config, self.seed, self.runtime)
            for batch in islice(batches, self.batch, self.batch + self.steps - self.step):
                progress = config.epochs * self.step / self.steps
                loss, logits = self.trainer.step(batch.pixels, partial(_loss, batch, config), progress, batch.share)
                self.step, self.batch = self.step + 1, self.batch + 1
                right = batch.share * accuracy(logits, batch.hard.argmax(1))
                metrics = self.runtime.ranks.mean({"loss": loss, "train_top1": right})
                at_end_of_epoch = self.step % per_epoch == 0 and (self.epoch + 1) % config.eval_every == 0
                if self.step == self.steps or at_end_of_epoch:
                    self._test(metrics["loss"])
                    metrics["top1"] = torch.tensor(self.history[-1]["top1"])
                yield StepEvent("validate", self.step, self.steps, metrics)
            self.epoch, self.batch = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Tensors of the network and all that trains it, and how far it is."""
        far = {"step": self.step, "epoch": self.epoch, "batch": self.batch, "history": self.history}
        return {"tensors": self.trainer.state(), **far}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the step that `state` was taken at."""
        self.trainer.restore(state["tensors"])
        self.step, self.epoch, self.batch = (int(state[name]) for name in ("step", "epoch", "batch"))
        self.history = list(state["history"])

    def result(self) -> dict[str, float]:
        """Top-1 and top-5 after the last epoch, the best top-1 of any evaluation, and the number of images."""
        last, best = self.history[-1], max(entry["top1"] for entry in self.history)
        return {"last": last["top1"], "last_top5": last["top5"], "best": best, "images": self.lesson.images}

    def confusion(self) -> Tensor:
        """[K, K] validation images by true class (row) and predicted class (column); it is tested once more."""
        return confusion(self.trainer.tested, self.data.val, self.runtime)

    def _test(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise DivergenceError(
                f"validate: the loss of a student became {float(loss)} by step {self.step}. Finished students are "
                f"kept. Lower lr ({self.config.lr}) or add warmup_epochs ({self.config.warmup_epochs})."
            )
        self.history.append({"step": self.step, **evaluate(self.trainer.tested, self.data.val, self.runtime)})


def _loss(batch: LabelledBatch, config: ValidateConfig, logits: Tensor, rows: slice) -> Tensor:
    if batch.soft is None:
        return cross_entropy(logits, batch.hard[rows])
    return soft_label_loss(logits, batch.soft[rows], batch.hard[rows], config)

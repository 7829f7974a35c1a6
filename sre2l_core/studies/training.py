"""Stage 1 as one watches it: loss and accuracy step by step, and after each epoch what is confused with what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from sre2l_core.artifacts import Teacher
from sre2l_core.config import SqueezeConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count
from sre2l_core.events import StepEvent
from sre2l_core.runtime import Runtime
from sre2l_core.stages.squeeze import Squeezing, pretrained
from sre2l_core.stages.training import confusion

MOMENTUM = 0.9
"""Weight of the past in the moving average of the accuracy on training batches."""
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class TrainingCurves:
    """What is known of a training: numbers only."""

    total: int
    """Optimiser steps."""
    loss: Points = field(default_factory=list)
    train: Points = field(default_factory=list)
    """Accuracy on training batches, as a moving average."""
    val: Points = field(default_factory=list)
    """Accuracy on the validation images after each epoch."""
    changes: list[tuple[float, str]] = field(default_factory=list)
    """(step, what was changed)."""
    counts: Tensor | None = None
    """[K, K] confusion matrix after the last epoch."""


class MonitoredSqueezing(Squeezing):
    """A `Squeezing` that keeps its curves, validates after each epoch, and takes a new peak learning rate."""

    def __init__(self, data: Dataset, config: SqueezeConfig, *, runtime: Runtime | None = None) -> None:
        super().__init__(data, config, runtime=runtime)
        self._per_epoch = batch_count(len(data.train), config.batch_size)
        self._known = TrainingCurves(self._per_epoch * config.epochs)
        self._pending: list[StepEvent] = []
        self._step = 0

    def __iter__(self) -> Iterator[StepEvent]:
        """Train, yielding after every step; after the last of an epoch the confusion matrix is new."""
        for event in super().__iter__():
            self._pending.append(event)
            self._step = event.step
            if event.step % self._per_epoch == 0:
                counts = confusion(self.net, self.data.val, self.runtime)
                right = int(counts.diagonal().sum()) / max(int(counts.sum()), 1)
                self._known.val.append((event.step, right))
                self._known = replace(self._known, counts=counts)
            yield event

    def retune(self, lr: float) -> None:
        """Change the peak learning rate; the schedule goes on."""
        self.config = self.trainer.config = self.config.but(lr=lr)
        self._known.changes.append((self._step, f"lr = {lr:g}"))

    def curves(self) -> TrainingCurves:
        """A copy of what is known; numbers of the steps so far are fetched from the device now, not at every step."""
        pending, self._pending = self._pending, []
        known = self._known
        for event in pending:
            now = event.value("train_top1")
            keep = min(MOMENTUM, 1 - 1 / (len(known.train) + 1))
            known.loss.append((event.step, event.value("loss")))
            known.train.append((event.step, keep * known.train[-1][1] + (1 - keep) * now if known.train else now))
        return replace(known, loss=[*known.loss], train=[*known.train], val=[*known.val], changes=[*known.changes])


class PretrainedSqueezing:
    """Weights from torchvision: nothing is trained, the only step validates them."""

    def __init__(self, data: Dataset, config: SqueezeConfig, *, runtime: Runtime | None = None) -> None:
        self.data, self.config, self.runtime = data, config, runtime or Runtime.auto()
        self._found: tuple[Teacher, TrainingCurves] | None = None

    def __iter__(self) -> Iterator[StepEvent]:
        """Load and validate."""
        teacher = pretrained(self.data, self.config, self.runtime)
        counts = confusion(teacher.net, self.data.val, self.runtime)
        self._found = teacher, TrainingCurves(1, val=[(1, teacher.accuracy["top1"])], counts=counts)
        yield StepEvent("squeeze", 1, 1, {}, f"{self.config.backbone} with the weights {self.config.pretrained}")

    def retune(self, **changes: Any) -> None:
        """Nothing is trained: there is nothing to change."""

    def teacher(self) -> Teacher:
        """The classifier."""
        assert self._found is not None
        return self._found[0]

    def curves(self) -> TrainingCurves:
        """Its accuracy as the only point."""
        assert self._found is not None
        return self._found[1]

    @property
    def net(self) -> nn.Module:
        """The network."""
        return self.teacher().net


def monitored(
    data: Dataset, config: SqueezeConfig, *, runtime: Runtime | None = None
) -> MonitoredSqueezing | PretrainedSqueezing:
    """What the config asks for: a training from fresh weights, or pretrained ones."""
    kind = PretrainedSqueezing if config.pretrained else MonitoredSqueezing
    return kind(data, config, runtime=runtime)

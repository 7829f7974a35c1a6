"""`SqueezePanel`: watch stage 1 train: loss and accuracy, what BatchNorm remembers, what is confused with what."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import ipywidgets
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from sre2l_core.artifacts import Teacher
from sre2l_core.config import SqueezeConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count
from sre2l_core.events import StepEvent
from sre2l_core.figures import charts, svg
from sre2l_core.figures.stage_figures import MANY, rendered, training_figure
from sre2l_core.runtime import Runtime
from sre2l_core.stages.squeeze import Squeezing, pretrained
from sre2l_core.studies.diagnose import LayerMemory, bn_memory, confusion, worst_confusions
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.worker import Stage, State

SMOOTH = 0.9
"""Share of the past in the smoothed accuracy of training batches."""
WIDTH = 384
"""Of a chart, in CSS pixels: two and the confusion matrix of ten classes fit into a window of 1280."""
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Training:
    """What is known of a training: numbers only."""

    total: int
    loss: Points = field(default_factory=list)
    train: Points = field(default_factory=list)
    """Accuracy on training batches, smoothed."""
    val: Points = field(default_factory=list)
    """Accuracy on the validation images after each epoch."""
    changes: list[tuple[float, str]] = field(default_factory=list)
    """(step, what was changed)."""
    counts: Tensor | None = None
    """[K, K] confusion matrix after the last epoch."""


class LiveSqueezing(Squeezing):
    """A `Squeezing` that keeps its curves, meets the validation images after each epoch, and takes a new peak rate."""

    def __init__(self, data: Dataset, config: SqueezeConfig, *, runtime: Runtime | None = None) -> None:
        super().__init__(data, config, runtime=runtime)
        self._per_epoch = batch_count(len(data.train), config.batch_size)
        self._known = Training(self._per_epoch * config.epochs)
        self._waiting: list[StepEvent] = []
        self._step = 0

    def __iter__(self) -> Iterator[StepEvent]:
        """Train, yielding after every step; after the last of an epoch the confusion matrix is new."""
        for event in super().__iter__():
            self._waiting.append(event)
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

    def training(self) -> Training:
        """A copy of what is known; numbers of the steps so far are fetched from the device now, not at every step."""
        waiting, self._waiting = self._waiting, []
        known = self._known
        for event in waiting:
            now = event.value("train_top1")
            keep = min(SMOOTH, 1 - 1 / (len(known.train) + 1))
            known.loss.append((event.step, event.value("loss")))
            known.train.append((event.step, keep * known.train[-1][1] + (1 - keep) * now if known.train else now))
        return replace(known, loss=[*known.loss], train=[*known.train], val=[*known.val], changes=[*known.changes])


class Measuring:
    """Weights from torchvision: nothing is trained, one step meets the validation images."""

    def __init__(self, data: Dataset, config: SqueezeConfig, runtime: Runtime) -> None:
        self.data, self.config, self.runtime = data, config, runtime
        self._found: tuple[Teacher, Training] | None = None

    def __iter__(self) -> Iterator[StepEvent]:
        """Load and measure."""
        teacher = pretrained(self.data, self.config, self.runtime)
        counts = confusion(teacher.net, self.data.val, self.runtime)
        self._found = teacher, Training(1, val=[(1, teacher.accuracy["top1"])], counts=counts)
        yield StepEvent("squeeze", 1, 1, {}, f"{self.config.backbone} with the weights {self.config.pretrained}")

    def retune(self, **changes: Any) -> None:
        """Nothing is trained: there is nothing to change."""

    def teacher(self) -> Teacher:
        """The classifier."""
        assert self._found is not None
        return self._found[0]

    def training(self) -> Training:
        """Its accuracy as the only point."""
        assert self._found is not None
        return self._found[1]

    @property
    def net(self) -> nn.Module:
        """The network."""
        return self.teacher().net


class _Frame(NamedTuple):
    event: StepEvent
    training: Training
    memory: list[LayerMemory]


class SqueezePanel(LivePanel):
    """Stage 1, live. `teacher` holds the result; it can be taken at any time between two steps.

    Args:
        data: training and validation images.
        config: network and recipe; the panel edits epochs, batch size and learning rate (this one also while it runs).
        runtime: device and precision; the best there is by default.
        name: see `LivePanel`.
    """

    CONTROLS = ("epochs", "batch_size", "lr")
    LIVE = ("lr",)

    def __init__(
        self, data: Dataset, config: SqueezeConfig, *, runtime: Runtime | None = None, name: str | None = None
    ) -> None:
        self.data, self._runtime = data, runtime or Runtime.auto()
        self._frame: _Frame | None = None
        views = [ipywidgets.HTML() for _ in range(5)]
        self._loss, self._accuracy, self._means, self._stds, self._confusion = views
        for widget, css in zip(views, ("loss", "accuracy", "bn-mean", "bn-std", "confusion"), strict=True):
            widget.add_class(f"sre-{css}")
        wrap = {"flex_flow": "row wrap", "grid_gap": "6px 16px"}
        charts_of = [ipywidgets.HBox(row, layout=wrap) for row in (views[:2], views[2:4])]
        layout = {**wrap, "align_items": "flex-start"}
        whole = ipywidgets.HBox([ipywidgets.VBox(charts_of), self._confusion], layout=layout)
        super().__init__(config, [whole], name=name, limits={"lr": (0.001, 10)})

    @property
    def teacher(self) -> Teacher:
        """The classifier as it is now, its accuracy measured on the validation images; not while a step is under way.

        Raises:
            RuntimeError: before the first step, or while it trains: pause, stop or wait first.
        """
        stage = self.stage
        if not isinstance(stage, (LiveSqueezing, Measuring)) or self.event is None:
            raise RuntimeError(f"there is no teacher yet: {self.error or 'start the panel first'}")
        if self.busy and self.state is not State.PAUSED:
            raise RuntimeError("the network is being trained: pause, stop or wait for the panel first.")
        return stage.teacher()

    @property
    def training(self) -> Training:
        """The curves as they were shown last."""
        return self._shown().training

    @property
    def confusion(self) -> Tensor:
        """[K, K] validation images by true (row) and predicted class, after the last whole epoch."""
        counts = self._shown().training.counts
        if counts is None:
            raise RuntimeError("no epoch has been finished yet.")
        return counts

    def build(self) -> Stage:
        """A training from fresh weights, or the measuring of pretrained ones."""
        config: Any = self.config
        if config.pretrained:
            return Measuring(self.data, config, self._runtime)
        return LiveSqueezing(self.data, config, runtime=self._runtime)

    def look(self, stage: LiveSqueezing | Measuring, event: StepEvent) -> _Frame:
        """The curves, and what BatchNorm remembers now."""
        return _Frame(event, stage.training(), bn_memory(stage.net))

    def show(self, frame: _Frame) -> None:
        """Draw all charts."""
        self._frame = frame
        self._draw(frame.training, frame.memory)
        training = frame.training
        words = [html.escape(frame.event.note)]
        if training.loss:
            words += [f"loss {training.loss[-1][1]:.3f}", f"training batches {training.train[-1][1]:.1%} right"]
        words += [f"validation images {training.val[-1][1]:.1%} right"] if training.val else []
        self._numbers.value = " · ".join(words)

    def clear(self) -> None:
        """Empty charts."""
        self._frame = None
        images = f"{self._network()} on {len(self.data.train):,} images of {self.data.name}"
        self._numbers.value = html.escape(" · ".join([images, *self.data.notes]))
        config: Any = self.config
        self._draw(Training(config.epochs * batch_count(len(self.data.train), config.batch_size)), [])

    def figure(self) -> Figure:
        """Accuracy, BatchNorm's memory and the confusion matrix, as a figure that stays."""
        _, training, memory = self._shown()
        spec = self.data.spec
        counts = torch.zeros(spec.num_classes, spec.num_classes) if training.counts is None else training.counts
        return training_figure(
            {"training batches": training.train, "validation images": training.val}, memory, counts, spec
        )

    def picture(self) -> Image.Image | None:
        """The figure."""
        return None if self._frame is None else rendered(self.figure())

    def _shown(self) -> _Frame:
        if self._frame is None:
            raise RuntimeError(f"there is nothing to see yet: {self.error or 'start the panel first'}")
        return self._frame

    def _network(self) -> str:
        config: Any = self.config
        options = ", ".join(f"{name} {value}" for name, value in config.backbone_options.items())
        return f"{config.backbone} ({options})" if options else str(config.backbone)

    def _draw(self, training: Training, memory: list[LayerMemory]) -> None:
        axis: dict[str, Any] = {
            "width": WIDTH,
            "x_label": "optimiser step",
            "marks": training.changes,
            "x_max": training.total or None,
        }
        loss = svg.line_chart({"loss": training.loss}, label="loss of the training batches", log=True, **axis)
        self._loss.value = charts.titled("Loss, Equation 4", loss)
        both = {"training batches": training.train, "validation images": training.val}
        shown = svg.line_chart(both, label="share of images recognised", y_range=(0, 1), **axis)
        self._accuracy.value = charts.titled("Share recognised", shown)
        for widget, kind, title, at in (
            (self._means, "mean", "Running means", 0.0),
            (self._stds, "std", "Running standard deviations", 1.0),
        ):
            rows = {f"{i + 1} {layer.name}": getattr(layer, kind) for i, layer in enumerate(memory)}
            number = int(kind == "std")
            label = f"{title.lower()} of each BatchNorm layer, over its channels"
            chart = charts.ranges(
                rows, label=label, x_label="BatchNorm layer", at=at, colour_number=number, width=WIDTH
            )
            widget.value = charts.titled(title, chart, _memory_note(at))
        self._confusion.value = self._confused(training.counts)

    def _confused(self, counts: Tensor | None) -> str:
        spec = self.data.spec
        title, names = "Validation images by class", [n.split(",")[0] for n in spec.class_names]
        if counts is None:
            return charts.titled(title, "", "appears after the first epoch")
        worst = worst_confusions(counts, 5 if len(names) <= MANY else 20)
        lines = [f"{names[row]} taken for {names[column]}: {n}" for row, column, n in worst]
        note = "Most frequent mistakes:<br>" + "<br>".join(map(html.escape, lines)) if lines else "No mistakes."
        if len(names) > MANY:
            return charts.titled(title, "", note)
        numbers = charts.matrix(counts.tolist(), names, label="confusion matrix", across="predicted", down="true class")
        beside = f'<div class="sre-caption" style="margin-top: 36px">{note}</div>'
        return charts.titled(title, f'<div style="display: flex; gap: 24px">{numbers}{beside}</div>')


def _memory_note(start: float) -> str:
    return f"Box: half of the channels; line: 90 %; dashed: {start:g}, the beginning."

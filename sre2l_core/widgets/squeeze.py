"""`SqueezePanel`: watch stage 1 train: loss and accuracy, what BatchNorm remembers, what is confused with what."""

from __future__ import annotations

from typing import Any, NamedTuple

import ipywidgets
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import SqueezeConfig
from sre2l_core.data import Dataset
from sre2l_core.data.split import batch_count
from sre2l_core.events import StepEvent
from sre2l_core.figures.bars import ranges
from sre2l_core.figures.confusion import confusion_view
from sre2l_core.figures.curves import line_chart
from sre2l_core.figures.sheet import View, sheet
from sre2l_core.figures.svg import Drawing
from sre2l_core.runtime import Runtime
from sre2l_core.studies.diagnose import LayerMemory, bn_memory
from sre2l_core.studies.training import MonitoredSqueezing, PretrainedSqueezing, TrainingCurves, monitored
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.worker import Stage, State

WIDTH = 384
"""Of a chart, in CSS pixels: two and the confusion matrix of ten classes fit into a window of 1280."""
TITLES = {"mean": "Running means", "std": "Running standard deviations"}


class _Frame(NamedTuple):
    event: StepEvent
    training: TrainingCurves
    memory: list[LayerMemory]


class SqueezePanel(LivePanel):
    """Stage 1, live. `teacher` holds the result; it can be taken at any time between two steps.

    Args:
        data: training and validation images.
        config: network and recipe; the panel edits epochs, batch size and learning rate (this one also while it runs).
        runtime: device and precision; the best there is by default.
        name: see `LivePanel`.
    """

    FOLDER = "runs/squeeze"
    CONTROLS = ("epochs", "batch_size", "lr")
    LIVE = ("lr",)
    config: SqueezeConfig

    def __init__(
        self, data: Dataset, config: SqueezeConfig, *, runtime: Runtime | None = None, name: str | None = None
    ) -> None:
        self.data, self._runtime = data, runtime or Runtime.auto()
        self._frame: _Frame | None = None
        self._views: dict[str, View] = {}
        names = ("loss", "accuracy", "bn-mean", "bn-std", "confusion")
        self._html = {name: ipywidgets.HTML().add_class(f"sre-{name}") for name in names}
        *charts, counts = self._html.values()
        wrap = {"flex_flow": "row wrap", "grid_gap": "6px 16px"}
        rows = [ipywidgets.HBox(row, layout=wrap) for row in (charts[:2], charts[2:])]
        whole = ipywidgets.HBox([ipywidgets.VBox(rows), counts], layout={**wrap, "align_items": "flex-start"})
        super().__init__(config, [whole], name=name)

    @property
    def teacher(self) -> Teacher:
        """The classifier as it is now, its accuracy measured on the validation images; not while a step is under way.

        Raises:
            RuntimeError: before the first step, or while it trains: pause, stop or wait first.
        """
        stage = self.stage
        if not isinstance(stage, (MonitoredSqueezing, PretrainedSqueezing)) or self.event is None:
            raise RuntimeError(f"there is no teacher yet: {self.error or 'start the panel first'}")
        if self.busy and self.state is not State.PAUSED:
            raise RuntimeError("the network is being trained: pause, stop or wait for the panel first.")
        return stage.teacher()

    @property
    def training(self) -> TrainingCurves:
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
        """A training from fresh weights, or the validation of pretrained ones."""
        return monitored(self.data, self.config, runtime=self._runtime)

    def look(self, stage: MonitoredSqueezing | PretrainedSqueezing, event: StepEvent) -> _Frame:
        """The curves, and what BatchNorm remembers now."""
        return _Frame(event, stage.curves(), bn_memory(stage.net))

    def show(self, frame: _Frame) -> None:
        """Draw all charts."""
        self._frame = frame
        self._draw(frame.training, frame.memory)
        self._numbers.say(_in_words(frame))

    def clear(self) -> None:
        """Empty charts."""
        self._frame = None
        images = f"{self._network()} on {len(self.data.train):,} images of {self.data.name}"
        self._numbers.say(" · ".join([images, *self.data.notes]))
        steps = self.config.epochs * batch_count(len(self.data.train), self.config.batch_size)
        self._draw(TrainingCurves(steps), [])

    def picture(self) -> Drawing | None:
        """All charts as they are now."""
        if self._frame is None:
            return None
        words = f"{self._network()}, {_in_words(self._frame)}"
        return sheet(list(self._views.values()), f"Training of {self._network()}", subtitle=words)

    def _shown(self) -> _Frame:
        if self._frame is None:
            raise RuntimeError(f"there is nothing to see yet: {self.error or 'start the panel first'}")
        return self._frame

    def _network(self) -> str:
        options = ", ".join(f"{name} {value}" for name, value in self.config.backbone_options.items())
        return f"{self.config.backbone} ({options})" if options else self.config.backbone

    def _draw(self, training: TrainingCurves, memory: list[LayerMemory]) -> None:
        axis: dict[str, Any] = {"width": WIDTH, "x_label": "optimiser step", "x_max": training.total or None}
        axis["marks"] = training.changes
        loss = line_chart({"loss": training.loss}, label="loss of the training batches", log=True, **axis)
        curves = {"training batches": training.train, "validation images": training.val}
        accuracy = line_chart(curves, label="share of images recognised", y_range=(0, 1), **axis)
        self._views = {
            "loss": View("Loss, Equation 4", loss),
            "accuracy": View("Share recognised", accuracy),
            "bn-mean": _memory_view(memory, "mean", 0.0),
            "bn-std": _memory_view(memory, "std", 1.0),
            "confusion": self._confusion_view(training.counts),
        }
        for name, view in self._views.items():
            self._html[name].value = view.html()

    def _confusion_view(self, counts: Tensor | None) -> View:
        title, names = "Validation images by class", self.data.spec.short_names
        if counts is None:
            return View(title, notes=("appears after the first epoch",))
        return confusion_view(counts, names, title)


def _memory_view(memory: list[LayerMemory], kind: str, start: float) -> View:
    """The running means or standard deviations of every BatchNorm layer, and where they began."""
    rows = {f"{i + 1} {layer.name}": getattr(layer, kind) for i, layer in enumerate(memory)}
    label = f"{TITLES[kind].lower()} of each BatchNorm layer, over its channels"
    number = list(TITLES).index(kind)
    chart = ranges(rows, label=label, x_label="BatchNorm layer", at=start, colour_number=number, width=WIDTH)
    return View(TITLES[kind], chart, (f"Box: half of the channels; line: 90 %; dashed: {start:g}, the beginning.",))


def _in_words(frame: _Frame) -> str:
    training, words = frame.training, [frame.event.note]
    if training.loss:
        words += [f"loss {training.loss[-1][1]:.3f}", f"training batches {training.train[-1][1]:.1%} right"]
    if training.val:
        words.append(f"validation images {training.val[-1][1]:.1%} right")
    return " · ".join(words)

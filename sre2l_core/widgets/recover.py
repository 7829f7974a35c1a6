"""`RecoverStudio`: a recovery whose settings can be changed while its images appear."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from pathlib import Path
from typing import Any

import ipywidgets
from PIL import Image
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.events import StepEvent
from sre2l_core.figures import encode, svg
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.widgets.base.panel import CONTROL_WIDTH, LABEL_WIDTH
from sre2l_core.widgets.base.session import SessionPanel, small, start_pixels
from sre2l_core.widgets.recovery_view import Glance, Look, RecoveryView, columns_of, layers_chart, look, short_name
from sre2l_core.worker import State

TERMS = {"loss": "total", "ce": "cross-entropy", "r_bn": "R_BN", "r_tv": "R_TV", "r_l2": "R_ℓ2"}
GRID_WIDTH = 510
MANY_CLASSES = 10
"""So many are recovered where no classes are named."""
LIMITS: dict[str, tuple[float, float]] = {
    "alpha_bn": (0.001, 100),
    "lr": (0.005, 1),
    "first_bn_multiplier": (0.1, 100),
    "alpha_tv": (1e-6, 0.1),
    "alpha_l2": (1e-5, 1),
    "ipc": (1, 10),
}
CHOOSER: dict[str, Any] = {"style": {"description_width": LABEL_WIDTH}, "layout": {"width": CONTROL_WIDTH}}


@dataclass(frozen=True)
class _Frame:
    look: Look
    chart: str
    layers: str
    numbers: str


class RecoverStudio(SessionPanel):
    """Recover images and change what can be changed while they appear.

    Every slider is an attribute of the field's name; `only_classes`, `teacher` and `watched` (the image whose crop is
    shown) are set the same way. Changes are marked on the loss curve and noted in `log`, from which `recover.replay`
    makes the same pixels without the panel.

    Args:
        teacher: stage 1's result, or several by name to choose from.
        config: settings to begin with; without classes named, the first ten of the teacher are recovered.
        data: real data, for starts other than noise.
        runtime: device and precision; the best there is by default.
        folder: where saving and exporting write to, unless told otherwise.
        name: panels of one name never run at the same time; see `LivePanel`.
    """

    CONTROLS = (
        "crop_scale",
        "alpha_bn",
        "lr",
        "first_bn_multiplier",
        "steps",
        "alpha_tv",
        "roll",
        "alpha_l2",
        "ipc",
        "init",
    )
    LIVE = CONTROLS[:-2]
    config: RecoverConfig

    def __init__(
        self,
        teacher: Teacher | Mapping[str, Teacher],
        config: RecoverConfig | None = None,
        *,
        data: Dataset | None = None,
        runtime: Runtime | None = None,
        folder: str | Path = "runs/studio",
        name: str | None = None,
    ) -> None:
        given = {teacher.backbone: teacher} if isinstance(teacher, Teacher) else dict(teacher)
        self._teachers = {name: replace(one, net=copy.deepcopy(one.net)) for name, one in given.items()}
        self._chosen = next(iter(self._teachers))
        self._data, self._runtime = data, runtime or Runtime.auto()
        self._pending: list[StepEvent] = []
        self._curves: dict[str, list[tuple[int, float]]] = {}
        self._noise: list[tuple[int, Tensor]] = []
        self._labels: list[int] = []
        self._columns = 1
        self._live: Look | None = None
        self._glance = Glance()
        self._view = RecoveryView()
        self._chart = ipywidgets.HTML().add_class("sre-loss")
        self._layers = ipywidgets.HTML().add_class("sre-layers")
        self._timeline = ipywidgets.IntSlider(0, 0, 0, description="timeline", disabled=True, readout=False)
        self._timeline.layout.width = "440px"
        self._timeline.add_class("sre-timeline").observe(self._on_timeline, names="value")
        self._when = ipywidgets.HTML().add_class("sre-caption")
        row = {"flex_flow": "row wrap", "align_items": "flex-start"}
        middle = {"flex_flow": "row wrap", "align_items": "center"}
        choosers = self._make_choosers()
        beside = ipywidgets.VBox([self._watched, self._view.crop_caption], layout={"width": "180px"})
        crop = ipywidgets.HBox([self._view.crop, beside], layout={"margin": "0 0 0 12px"})
        charts = [titled("Loss (terms unweighted)", self._chart), titled("BatchNorm mismatch by layer", self._layers)]
        views = [
            ipywidgets.HBox(choosers, layout=middle),
            ipywidgets.HBox([self._view, crop], layout=row | {"margin": "8px 0 0"}),
            ipywidgets.HBox([self._timeline, self._when], layout=middle),
            ipywidgets.HBox(charts, layout=row),
        ]
        config = self._fitting(config or RecoverConfig(ipc=1, steps=300))
        config = config.but(ipc=min(config.ipc, 10), steps=max(1, config.steps))
        shift = max(1, self.teacher.spec.resolution // 4)
        super().__init__(config, views, folder=folder, name=name, limits=LIMITS | {"roll": (-shift, shift)})
        if data is None:
            self.controls["init"].options = ("noise",)
        self._show_config()

    @property
    def recovery(self) -> Recovery | None:
        """Of the present run: read its images, changes or state at any time."""
        return self.stage if isinstance(self.stage, Recovery) else None

    @property
    def teacher(self) -> Teacher:
        """The panel's own copy of the chosen teacher; set it by name."""
        return self._teachers[self._chosen]

    @teacher.setter
    def teacher(self, name: str) -> None:
        if name not in self._teachers:
            raise unknown("teacher", name, self._teachers)
        with self._lock:
            if self.busy:
                raise ConfigError("the teacher cannot change while a recovery runs: stop it first")
            same = self._teachers[name].spec.classes == self.teacher.spec.classes
            self._chosen = name
            self.config = self._fitting(self.config if same else self.config.but(only_classes=None))
            self._show_config()
            if not self.reset():
                self._show_empty()

    @property
    def only_classes(self) -> tuple[str, ...]:
        """Class ids that are recovered; may be set between runs."""
        return self.config.only_classes or ()

    @only_classes.setter
    def only_classes(self, ids: Iterable[str]) -> None:
        ids = tuple(ids)
        if not ids:
            raise ConfigError("choose at least one class")
        for one in set(ids) - set(self.teacher.spec.classes):
            raise unknown("class id", one, self.teacher.spec.classes)
        with self._lock:
            if self.busy:
                raise ConfigError("the classes cannot change while a recovery runs: stop it first")
            self.change(only_classes=ids, group_size=len(ids))

    @property
    def watched(self) -> int:
        """Index of the image whose crop is shown."""
        return int(self._watched.value) - 1

    @watched.setter
    def watched(self, index: int) -> None:
        self._watched.value = index + 1

    @property
    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Term -> (step, value) pairs, as `lab.plots.losses_figure` draws them."""
        with self._lock:
            return {name: list(points) for name, points in self._curves.items() if points}

    @property
    def _snapshots(self) -> list[tuple[int, Tensor]]:
        """What the timeline shows: the run, or the noise before it."""
        return self.tapes[""].moments if self.tapes else self._noise

    def settings(self) -> dict[str, RecoverConfig]:
        """Those of the only recovery."""
        return {"": self.config}

    def condensed(self) -> CondensedSet:
        """The images as they are now, with the settings and changes that made them."""
        return self.sets()[""]

    def page(self, sides: Sequence[Tensor]) -> Image.Image:
        """The images as the studio shows them."""
        return encode.still(sides[0], self._columns)

    # What `LivePanel` asks for.

    def build(self) -> Recovery:
        """Make the recovery of a run from the present settings."""
        with self._lock:
            config, teacher = self.config, self.teacher
        recovery = self._recovery(teacher, config)
        self.tape(recovery, {"": recovery})
        self._glance = Glance()
        return recovery

    def record(self, event: StepEvent) -> None:
        """Keep the terms of a step, and now and then the pixels."""
        super().record(event)
        self._pending.append(event)

    def look(self, stage: Recovery, event: StepEvent) -> _Frame:
        """Encode images, curves and bars."""
        known = self._glance(stage, now=stage.done or self.state is not State.RUNNING)
        view = look(stage, known, min(self.watched, len(stage.targets) - 1), GRID_WIDTH)
        with self._lock:
            pending, self._pending = self._pending, []
            for past in pending:
                for name, curve in self._curves.items():
                    if name in past.metrics or curve:  # a term that was switched off leaves a gap
                        curve.append((past.step, float(past.metrics.get(name, nan))))
            chart = curve_chart(self._curves, event.total, marks(stage.changes))
        return _Frame(view, chart, layers_chart(view.distances), in_words(event, view.known))

    def show(self, frame: _Frame) -> None:
        """Write a frame; its images only where the timeline is at its end."""
        following = self._timeline.value == self._timeline.max
        self._live = frame.look
        self._move_timeline(len(self._snapshots) - 1, follow=following)
        if following:
            self._view.show(frame.look)
        self._chart.value, self._layers.value, self._numbers.value = frame.chart, frame.layers, frame.numbers

    def clear(self) -> None:
        """Forget curves, changes and snapshots; show the noise that a run would start from."""
        self._forget()
        spec, config = self.teacher.spec, self.config
        groups = plan(config, spec)
        self._labels = [label for group in groups for label in group.labels]
        self._columns = columns_of(self._labels, spec.resolution)
        self._watched.max = len(self._labels)
        if config.init == "noise":
            self._noise = [(0, small(start_pixels(config, self.teacher, self._runtime)))]
            names = [short_name(spec, label) for label in self._labels]
            self._view.look_back(
                self._noise[0][1], names, self._columns, "The noise that a run starts from.", GRID_WIDTH
            )
        else:
            self._view.blank("Press Start: this start is made from the data.")
        self._move_timeline(0, follow=True)
        self._numbers.value = ""
        self._layers.value, self._chart.value = layers_chart([]), curve_chart({}, config.steps, [])

    def changed(self, changes: dict[str, Any]) -> None:
        """Show the start anew where another is chosen between runs."""
        if not self.busy and changes.keys() & {"ipc", "init", "only_classes"} and not self.reset():
            self._show_empty()

    def picture(self) -> Image.Image | None:
        """The images of the last frame."""
        with self._lock:
            pages = [small(self.recovery.pixels())] if self.recovery else [pixels for _, pixels in self._noise]
            return self.page(pages) if pages else None

    # Inside.

    def _recovery(self, teacher: Teacher, config: RecoverConfig) -> Recovery:
        return Recovery(teacher, plan(config, teacher.spec), config, runtime=self._runtime, data=self._data)

    def _fitting(self, config: RecoverConfig) -> RecoverConfig:
        """The config with few enough classes for one panel, all of them in one group."""
        spec = self.teacher.spec
        classes = config.only_classes
        if classes is None or not set(classes) <= set(spec.classes):
            classes = spec.classes[:MANY_CLASSES]
        return config.but(only_classes=classes, group_size=len(classes), stack=1, snapshot_every=None)

    def _forget(self) -> None:
        self._pending, self._curves, self._noise, self._live = [], {name: [] for name in TERMS}, [], None

    def _make_choosers(self) -> list[Any]:
        self._teacher = ipywidgets.Dropdown(options=list(self._teachers), description="teacher", **CHOOSER)
        self._teacher.observe(lambda change: self._choose("teacher", change["new"]), names="value")
        self._classes = ipywidgets.TagsInput(allow_duplicates=False, layout={"width": "700px"}).add_class("sre-classes")
        self._classes.observe(lambda change: self._choose("classes", change["new"]), names="value")
        self._watched = ipywidgets.BoundedIntText(1, 1, 1, description="watch image", layout={"width": "160px"})
        self._watched.style.description_width = "92px"
        self._watched.add_class("sre-watched")
        label = ipywidgets.Label("classes", layout={"width": LABEL_WIDTH, "justify_content": "flex-end"})
        classes = ipywidgets.HBox([label, self._classes], layout={"align_items": "center"})
        return [self._teacher, classes] if len(self._teachers) > 1 else [classes]

    def _choose(self, what: str, value: Any) -> None:
        with self._lock:
            if self._setting or self._closed:
                return
            try:
                if what == "teacher":
                    self.teacher = value
                else:
                    self.only_classes = tuple(self._tags[name] for name in value)
            except Exception as error:
                self._complain(error)
                self._show_config()

    @property
    def _tags(self) -> dict[str, str]:
        """What a class is called in the chooser -> its id."""
        spec = self.teacher.spec
        names = [short_name(spec, label) for label in range(spec.num_classes)]
        return {
            name if names.count(name) == 1 else f"{name} ({one})": one
            for name, one in zip(names, spec.classes, strict=True)
        }

    def _show_config(self) -> None:
        super()._show_config()
        self._setting = True
        try:
            tags = {one: name for name, one in self._tags.items()}
            self._teacher.value = self._chosen
            self._classes.allowed_tags = []
            self._classes.value = [tags[one] for one in self.only_classes]
            self._classes.allowed_tags = list(tags.values())
        finally:
            self._setting = False

    def _move_timeline(self, last: int, *, follow: bool) -> None:
        self._setting = True
        try:
            self._timeline.disabled = last < 1
            self._timeline.max = last
            if follow:
                self._timeline.value = last
        finally:
            self._setting = False
        if follow:
            self._when.value = "live"

    def _on_timeline(self, change: Any) -> None:
        with self._lock:
            if self._setting or self._closed:
                return
            if change["new"] == self._timeline.max and self._live is not None:
                self._view.show(self._live)
                self._when.value = "live"
                return
            step, pixels = self._snapshots[change["new"]]
            names = [short_name(self.teacher.spec, label) for label in self._labels]
            self._when.value = f"after step {step}"
            self._view.look_back(pixels, names, self._columns, f"The images after step {step}.", GRID_WIDTH)

    def _render(self) -> None:
        super()._render()
        if not self._closed:
            self._teacher.disabled = self._classes.disabled = self.busy
            # ipywidgets' page lets a disabled TagsInput look and work as ever
            (self._classes.add_class if self.busy else self._classes.remove_class)("sre-off")


def curve_chart(curves: Mapping[str, svg.Points], steps: int, changes: svg.Marks) -> str:
    """Loss and terms on a logarithmic scale."""
    now = ", ".join(
        f"{TERMS[name]} {points[-1][1]:.3g}" for name, points in curves.items() if points and isfinite(points[-1][1])
    )
    words = f"Loss by term over {steps} steps. {now or 'Nothing yet.'} {len(changes)} changes of settings."
    series = {TERMS[name]: curves.get(name, ()) for name in TERMS}
    return svg.line_chart(
        series, label=words, marks=changes, log=True, x_label="step", x_max=steps, width=430, height=200
    )


def in_words(event: StepEvent, known: float) -> str:
    """The terms of a step, and the share of the images that the teacher recognises."""
    numbers = [f"{TERMS.get(name, name)} {event.value(name):.3g}" for name in event.metrics]
    return " · ".join([*numbers, f"the teacher recognises {known:.0%}"])


def marks(changes: Sequence[Mapping[str, Any]]) -> list[tuple[float, str]]:
    """Changes as marks on a curve."""
    return [(one["step"], f"step {one['step']}: {one['field']} {one['old']} → {one['new']}") for one in changes]


def titled(title: str, widget: Any) -> Any:
    """A widget under a line that names it."""
    return ipywidgets.VBox([ipywidgets.HTML(f'<div class="sre-heading">{title}</div>'), widget])

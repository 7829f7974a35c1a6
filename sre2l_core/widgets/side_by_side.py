"""`SideBySide`: two recoveries from the same noise that differ in a few settings, step by step together (Figure 3)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ipywidgets
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.figures import colours, encode, svg
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.stages.recover.pair import SIDES, Pair
from sre2l_core.widgets.base.controls import control, set_value
from sre2l_core.widgets.base.session import SessionPanel, small, start_pixels
from sre2l_core.widgets.recover import LIMITS, MANY_CLASSES, TERMS, titled
from sre2l_core.widgets.recovery_view import Glance, Look, RecoveryView, columns_of, look
from sre2l_core.worker import State

WIDTH = 400
"""CSS pixels for the images of a side."""
GAP, HEADING = 24, 20
"""Pixels between the sides of a picture, and over them for their names."""
HEADING_COLOUR = (128, 128, 128, 255)
"""Readable on light and dark ground."""
COMPARED = ("ce", "r_bn")


@dataclass(frozen=True)
class _Frame:
    looks: dict[str, Look]
    chart: str
    numbers: str


class SideBySide(SessionPanel):
    """The left side follows the config, the right side differs in `right`; all other settings are shared.

    A slider moves both sides, except for a field of `right`: the right side has a control of its own for it, and
    `change_right` sets it.

    Args:
        teacher: stage 1's result.
        config: settings of the left side.
        right: fields in which the right side differs, such as `{"crop": "none"}`.
        names: what the sides are called.
        data: real data, for starts other than noise.
        runtime: device and precision; the best there is by default.
        folder: where saving and exporting write to, unless told otherwise.
        name: panels of one name never run at the same time; see `LivePanel`.
    """

    CONTROLS = ("crop_scale", "alpha_bn", "lr", "steps", "ipc")
    LIVE = CONTROLS[:-1]
    config: RecoverConfig

    def __init__(
        self,
        teacher: Teacher,
        config: RecoverConfig,
        right: Mapping[str, Any],
        *,
        names: tuple[str, str] = ("left", "right"),
        data: Dataset | None = None,
        runtime: Runtime | None = None,
        folder: str | Path = "runs/side_by_side",
        name: str | None = None,
    ) -> None:
        self._teacher = replace(teacher, net=copy.deepcopy(teacher.net))
        self._data, self._runtime = data, runtime or Runtime.auto()
        self._names = dict(zip(SIDES, names, strict=True))
        classes = config.only_classes or teacher.spec.classes[:MANY_CLASSES]
        config = config.but(only_classes=classes, group_size=len(classes), stack=1, snapshot_every=None)
        self._differs = dict(right)
        self._differs = {field: getattr(config.but(**self._differs), field) for field in self._differs}
        if fixed := {"ipc", "seed", "init", "only_classes", "steps"} & self._differs.keys():
            raise ConfigError(f"both sides start from the same noise and end together: {sorted(fixed)} cannot differ")
        self._pending: list[StepEvent] = []
        self._curves: dict[str, list[tuple[int, float]]] = {}
        self._glances: dict[str, Glance] = {}
        self._views = {side: RecoveryView(self._names[side], WIDTH) for side in SIDES}
        self._chart = ipywidgets.HTML().add_class("sre-loss")
        self.right_controls: dict[str, Any] = {}
        """Field -> the right side's own control."""
        for field in self._differs:
            try:
                low, high = LIMITS.get(field, (None, None))
                widget = control(config.but(**self._differs), field, low=low, high=high)
            except ConfigError:
                continue  # no control can edit it: `change_right` can
            widget.description = f"{self._names['right']}: {field.replace('_', ' ')}"
            widget.style.description_width, widget.layout.width = "160px", "340px"
            widget.observe(lambda change, field=field: self._on_right(field, change["new"]), names="value")
            self.right_controls[field] = widget.add_class(f"sre-right-{field.replace('_', '-')}")
        row = {"flex_flow": "row wrap", "align_items": "flex-start"}
        columns = [
            ipywidgets.VBox([view, view.crop, view.crop_caption], layout={"margin": "8px 16px 0 0"})
            for view in self._views.values()
        ]
        views = [
            ipywidgets.HBox(list(self.right_controls.values()), layout=row),
            ipywidgets.HBox(columns, layout=row),
            titled("Cross-entropy and BatchNorm mismatch of both", self._chart),
        ]
        super().__init__(config.but(ipc=min(config.ipc, 10)), views, folder=folder, name=name, limits=LIMITS)

    @property
    def teacher(self) -> Teacher:
        """The panel's own copy."""
        return self._teacher

    @property
    def right_config(self) -> RecoverConfig:
        """Settings of the right side."""
        return self.config.but(**self._differs)

    def settings(self) -> dict[str, RecoverConfig]:
        """Those of both sides."""
        return {"left": self.config, "right": self.right_config}

    def change_right(self, **values: Any) -> None:
        """Set a field of the right side only.

        Raises:
            ConfigError: for an unknown field or a value out of bounds; nothing is changed then.
        """
        with self._lock:
            config = self.config.but(**(self._differs | values))
            new = {field: getattr(config, field) for field in values}
            self._differs |= new
            self._show_config()
            if self._run is not None:
                self._run.retune(**{f"right.{field}": value for field, value in new.items()})

    def build(self) -> Pair:
        """Make both recoveries: the same groups and seed, and so the same noise and places of the crops."""
        with self._lock:
            self._glances = {side: Glance() for side in SIDES}
            configs = self.settings()
        sides = {side: self._recovery(config) for side, config in configs.items()}
        pair = Pair(**sides)
        self.tape(pair, sides)
        return pair

    def record(self, event: StepEvent) -> None:
        """Keep the terms of a step, and now and then the pixels."""
        super().record(event)
        self._pending.append(event)

    def look(self, stage: Pair, event: StepEvent) -> _Frame:
        """Encode both sides and the curves."""
        now = stage.done or self.state is not State.RUNNING
        looks = {side: look(stage.of(side), self._glances[side](stage.of(side), now=now), 0, WIDTH) for side in SIDES}
        with self._lock:
            pending, self._pending = self._pending, []
            for known in pending:
                for name, value in known.metrics.items():
                    self._curves.setdefault(name, []).append((known.step, float(value)))
            chart = self._curve_chart(event.total)
        words = [f"{self._names[side]}: the teacher recognises {looks[side].known:.0%}" for side in SIDES]
        return _Frame(looks, chart, " · ".join(words))

    def show(self, frame: _Frame) -> None:
        """Write both sides."""
        for side in SIDES:
            self._views[side].show(frame.looks[side])
        self._chart.value, self._numbers.value = frame.chart, frame.numbers

    def clear(self) -> None:
        """Show nothing but what will be seen."""
        self._pending, self._curves = [], {}
        for view in self._views.values():
            view.blank("Press Start: both sides begin with the same noise.")
        self._numbers.value = ""
        self._chart.value = self._curve_chart(self.config.steps)

    def picture(self) -> Image.Image | None:
        """Both sides, the right one beside the left."""
        if isinstance(self.stage, Pair):
            return self.page([small(self.stage.of(side).pixels()) for side in SIDES])
        if self.config.init != "noise":
            return None
        return self.page([small(start_pixels(self.config, self.teacher, self._runtime))] * 2)

    def page(self, sides: Sequence[Tensor]) -> Image.Image:
        """Both sides under their names."""
        spec = self._teacher.spec
        columns = columns_of([label for group in plan(self.config, spec) for label in group.labels], spec.resolution)
        pages = [encode.still(pixels, columns).convert("RGBA") for pixels in sides]
        canvas = Image.new("RGBA", (sum(page.width for page in pages) + GAP, pages[0].height + HEADING))
        draw, left = ImageDraw.Draw(canvas), 0
        for name, page in zip(self._names.values(), pages, strict=True):
            draw.text((left, 0), name, fill=HEADING_COLOUR, font=ImageFont.load_default(HEADING - 6))
            canvas.paste(page, (left, HEADING))
            left += page.width + GAP
        return canvas

    def _recovery(self, config: RecoverConfig) -> Recovery:
        groups = plan(config, self._teacher.spec)
        return Recovery(self._teacher, groups, config, runtime=self._runtime, data=self._data)

    def _retune(self, changes: dict[str, Any]) -> None:
        both = {f"left.{field}": value for field, value in changes.items()}
        both |= {f"right.{field}": value for field, value in changes.items() if field not in self._differs}
        super()._retune(both)

    def _on_right(self, field: str, value: Any) -> None:
        with self._lock:
            if self._setting or self._closed:
                return
            try:
                self.change_right(**{field: value})
            except Exception as error:
                self._complain(error)
                self._show_config()

    def _show_config(self) -> None:
        super()._show_config()
        self._setting = True
        try:
            for field, widget in self.right_controls.items():
                set_value(widget, self._differs[field])
        finally:
            self._setting = False

    def _curve_chart(self, steps: int) -> str:
        series = {
            f"{TERMS[term]}, {self._names[side]}": self._curves.get(f"{side} {term}", ())
            for side in SIDES
            for term in COMPARED
        }
        styles = [(colours.of_term(term), dash) for dash in range(2) for term in COMPARED]
        words = "Cross-entropy and BatchNorm mismatch of both sides over the steps. "
        words += ", ".join(f"{name} {points[-1][1]:.3g}" for name, points in series.items() if points)
        return svg.line_chart(
            series, label=words, log=True, x_label="step", x_max=steps, width=760, height=200, styles=styles
        )

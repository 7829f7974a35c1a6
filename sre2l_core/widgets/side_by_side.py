"""`SideBySide`: two recoveries of one seed that differ in a few settings, step by step together (Figure 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sre2l_core import starts, terms
from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.figures import colours, curves, encode
from sre2l_core.figures.sheet import View, sheet
from sre2l_core.figures.svg import Drawing
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover.loop import FIXED
from sre2l_core.stages.recover.pair import SIDES, Pair
from sre2l_core.widgets.base.controls import control, set_value
from sre2l_core.widgets.base.panel import GRID
from sre2l_core.widgets.recovery.frame import RecoveryFrame, images_view, small
from sre2l_core.widgets.recovery.panel import IMAGES, fitting
from sre2l_core.widgets.recovery.session import SessionPanel
from sre2l_core.widgets.recovery.view import ROW, RecoveryView, titled

WIDTH = 400
"""CSS pixels for the images of a side."""
GAP, HEADING = 24, 20
"""Pixels between the sides of a picture, and over them for their names."""
HEADING_COLOUR = (128, 128, 128, 255)
"""Readable on light and dark ground."""
CURVES = "Cross-entropy and BatchNorm mismatch of both"
COMPARED = ("ce", "r_bn")
"""Terms whose curves are drawn."""
SHARED = {"ipc", "seed", "init", "only_classes", "steps"}
"""Both sides start from noise of the same seed and end together."""


class _Frame(NamedTuple):
    images: dict[str, RecoveryFrame]
    chart: Drawing
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
    _shown: _Frame | None = None

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
        if fixed := SHARED & right.keys():
            raise ConfigError(f"both sides start from the same noise and end together: {sorted(fixed)} cannot differ")
        config = fitting(config, teacher.spec)
        config = config.but(ipc=min(config.ipc, IMAGES))
        differing = config.but(**right)
        self._differs = {field: getattr(differing, field) for field in right}
        self._names = dict(zip(SIDES, names, strict=True))
        self.right_controls, editors = self._right_controls(differing)
        """Field -> the right side's own control."""
        self._views = {side: RecoveryView(WIDTH, self._names[side]) for side in SIDES}
        self._chart = ipywidgets.HTML().add_class("sre-loss")
        columns = [ipywidgets.VBox([view, view.crop, view.crop_caption]) for view in self._views.values()]
        for view, column in zip(self._views.values(), columns, strict=True):
            view.layout.width = view.crop_caption.layout.width = f"{WIDTH}px"
            column.layout.margin = "8px 16px 0 0"
        chart = titled(CURVES, self._chart)
        chart.layout.flex, chart.layout.min_width = "1 1 480px", "0"
        views = [
            ipywidgets.GridBox(editors, layout=GRID),
            ipywidgets.HBox([ipywidgets.HBox(columns, layout=ROW), chart], layout=ROW),
        ]
        super().__init__(teacher, config, views, data=data, runtime=runtime, folder=folder, name=name)

    @property
    def right_config(self) -> RecoverConfig:
        """Settings of the right side."""
        return self.config.but(**self._differs)

    def settings(self) -> dict[str, RecoverConfig]:
        """Those of both sides."""
        return {"left": self.config, "right": self.right_config}

    def change_right(self, **values: Any) -> None:
        """Set a field of the right side only; one that is used up when a recovery starts counts from the next start.

        Raises:
            ConfigError: for an unknown field or a value out of bounds; nothing is changed then.
        """
        with self._lock:
            config = self.config.but(**(self._differs | values))
            new = {field: getattr(config, field) for field in values}
            self._differs |= new
            self._show_config()
            if self._run is not None:
                live = {f"right.{field}": value for field, value in new.items() if field not in FIXED}
                self._run.retune(**live)

    def retuned(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The left side takes all, the right side what it does not differ in."""
        both = super().retuned(changes)
        left = {f"left.{field}": value for field, value in both.items()}
        return left | {f"right.{field}": value for field, value in both.items() if field not in self._differs}

    def look(self, stage: Pair, event: StepEvent) -> _Frame:
        """Encode both sides and the curves."""
        images = {side: self._frame(self._views[side], stage.of(side)) for side in SIDES}
        words = [f"{self._names[side]}: the teacher recognises {images[side].recognised:.0%}" for side in SIDES]
        with self._lock:
            chart = self._curve_chart(event.total)
        return _Frame(images, chart, " · ".join(words))

    def show(self, frame: _Frame) -> None:
        """Write both sides."""
        for side in SIDES:
            self._views[side].show(frame.images[side])
        self._chart.value = frame.chart
        self._numbers.say(frame.numbers)
        self._shown = frame

    def clear(self) -> None:
        """Show nothing but what will be seen."""
        self._shown = None
        super().clear()
        for view in self._views.values():
            view.blank("Press Start: both sides begin with noise of the same seed.")
        self._numbers.say("")
        self._chart.value = self._curve_chart(self.config.steps)

    def picture(self) -> Image.Image | Drawing | None:
        """Both sides, the right one beside the left; of wide images the `sheet`, which takes fewer bytes."""
        if self.teacher.spec.resolution > encode.PIXELATED:
            return self.sheet()
        if isinstance(self.stage, Pair):
            return self.page([small(self.stage.of(side).pixels()) for side in SIDES])
        if starts.find(self.config.init).needs_data:
            return None
        return self.page([small(self.start_pixels(config)) for config in self.settings().values()])

    def sheet(self) -> Drawing | None:
        """Both sides and their curves as they were shown last, as one drawing; None before the first step."""
        if self._shown is None:
            return None
        sides = [replace(images_view(self._shown.images[side], ""), title=self._names[side]) for side in SIDES]
        return sheet([*sides, View(CURVES, self._shown.chart)], f"Two recoveries on {self.teacher.spec.name}")

    def page(self, sides: Sequence[Tensor]) -> Image.Image:
        """Both sides under their names."""
        pages = [encode.still(pixels, self.columns).convert("RGBA") for pixels in sides]
        canvas = Image.new("RGBA", (sum(page.width for page in pages) + GAP, pages[0].height + HEADING))
        draw, left = ImageDraw.Draw(canvas), 0
        for name, page in zip(self._names.values(), pages, strict=True):
            draw.text((left, 0), name, fill=HEADING_COLOUR, font=ImageFont.load_default(HEADING - 6))
            canvas.paste(page, (left, HEADING))
            left += page.width + GAP
        return canvas

    def _right_controls(self, config: RecoverConfig) -> tuple[dict[str, Any], list[Any]]:
        """By field, and as they are shown."""
        made, editors = {}, []
        for field in self._differs:
            try:
                widget = control(config, field)
            except ConfigError:
                continue  # no control can edit it: `change_right` can
            widget.description = f"{self._names['right']}: {field.replace('_', ' ')}"
            label = max(160, 8 * len(widget.description))  # CSS pixels, or longer names would be cut
            widget.style.description_width, widget.layout.width = f"{label}px", f"{label + 180}px"
            made[field] = widget.add_class(f"sre-right-{field.replace('_', '-')}")
            editors.append(self.edit(widget, config, field, self.change_right))
        return made, editors

    def _render(self) -> None:
        for field, widget in () if self._closed else self.right_controls.items():
            widget.disabled = self.busy and field in FIXED
        super()._render()

    def _show_config(self) -> None:
        super()._show_config()
        with self.moved_by_code():
            for field, widget in self.right_controls.items():
                set_value(widget, self._differs[field])
        self._show_entries()

    def _curve_chart(self, steps: int) -> Drawing:
        names, points = terms.legend(), self._curves.points()
        shown = [(side, term) for side in SIDES for term in COMPARED]
        series = {f"{names[term]}, {self._names[side]}": points.get(f"{side} {term}", ()) for side, term in shown}
        words = "Cross-entropy and BatchNorm mismatch of both sides over the steps. "
        words += ", ".join(f"{name} {line[-1][1]:.3g}" for name, line in series.items() if line)
        styles = [(colours.of_term(term), SIDES.index(side)) for side, term in shown]
        return curves.line_chart(
            series, label=words, log=True, x_label="step", x_max=steps, width=760, height=200, styles=styles
        )

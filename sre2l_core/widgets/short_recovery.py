"""`ShortRecovery`: move a slider and watch a few images being recovered anew."""

from __future__ import annotations

import base64
import copy
import html
import io
import threading
from dataclasses import replace
from functools import partial
from typing import Any

import ipywidgets
from PIL import Image
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import Range, RecoverConfig
from sre2l_core.events import StepEvent
from sre2l_core.lab.plots import tile
from sre2l_core.losses import accuracy
from sre2l_core.recover import Recovery, plan
from sre2l_core.run import Run, State
from sre2l_core.runtime import Runtime
from sre2l_core.widgets.controls import control, set_value

MAX_FPS = 8
TILE_PIXELS = 64
"""Small images are enlarged to about this width by whole factors, large ones are shrunk to it."""
COLUMNS = 10
STYLE = "<style>.sre-short-recovery .widget-readout { margin-left: 14px; box-shadow: none }</style>"
"""Keeps the handle of a slider off its number."""
ERROR_COLOUR = "var(--jp-error-color1, #c62828)"
TERMS = {"ce": "cross-entropy", "r_bn": "R_BN", "r_tv": "R_TV", "r_l2": "R_ℓ2"}


class ShortRecovery(ipywidgets.VBox):
    """One image per class, recovered in a few steps whenever the crop scale or the weight of R_BN changes.

    The panel keeps a copy of the teacher: recovery listens to BatchNorm layers that other cells may use meanwhile. One
    recovery runs at a time; a change stops it, and the next one starts from the same noise.

    Args:
        teacher: stage 1's result.
        config: settings of the recovery; the sliders start from its `crop_scale` and `alpha_bn`.
        steps: length of a recovery.
        max_classes: only the first so many classes are recovered.
        runtime: device and precision; the best there is by default.
    """

    def __init__(
        self,
        teacher: Teacher,
        config: RecoverConfig,
        *,
        steps: int = 100,
        max_classes: int = 10,
        runtime: Runtime | None = None,
    ) -> None:
        spec = teacher.spec
        classes = spec.classes[:max_classes] if spec.num_classes > max_classes else None
        self.config = config.but(ipc=1, stack=1, steps=steps, only_classes=classes, snapshot_every=None)
        self._teacher = replace(teacher, net=copy.deepcopy(teacher.net))
        self._runtime = runtime or Runtime.auto()
        self._lock = threading.RLock()
        """Held while anything below is changed or shown: callbacks and the worker come from several threads."""
        self._run: Run | None = None
        self._recovery: Recovery | None = None
        self._busy = self._wanted = self._closed = self._setting = False
        self._message, self._progress = "", "press Run or move a slider"
        self._idle = threading.Event()
        self._idle.set()

        self._crop_scale = control(self.config, "crop_scale")
        self._alpha_bn = control(self.config, "alpha_bn", low=0.001, high=100)
        for widget in (self._crop_scale, self._alpha_bn):
            widget.observe(self._on_control, names="value")
        self._button = ipywidgets.Button(icon="play", layout={"width": "6em"}).add_class("sre-run")
        self._button.on_click(self._on_click)
        self._names = ipywidgets.HTML()
        self._image = ipywidgets.Image(format="png").add_class("sre-grid")
        self._status = ipywidgets.HTML().add_class("sre-status")
        self._error = ipywidgets.HTML().add_class("sre-error")
        top = ipywidgets.HBox([self._crop_scale, self._alpha_bn, self._button], layout={"flex_flow": "row wrap"})
        parts = [top, self._names, self._image, self._status, self._error]
        super().__init__(parts, layout={"align_items": "flex-start"})  # stretching would blur the image
        self.add_class("sre-short-recovery")
        self._prepare()
        self._render()

    @property
    def crop_scale(self) -> Range:
        """Share of the image's area that a crop covers, (low, high); setting it recovers anew, as the slider does."""
        return self.config.crop_scale

    @crop_scale.setter
    def crop_scale(self, value: Range) -> None:
        self._set("crop_scale", self._crop_scale, tuple(value))

    @property
    def alpha_bn(self) -> float:
        """Weight of R_BN; setting it recovers anew, as the slider does."""
        return self.config.alpha_bn

    @alpha_bn.setter
    def alpha_bn(self, value: float) -> None:
        self._set("alpha_bn", self._alpha_bn, float(value))

    @property
    def state(self) -> State:
        """Of the present recovery."""
        return State.IDLE if self._run is None else self._run.state

    @property
    def status(self) -> str:
        """The status line, as HTML."""
        return str(self._status.value)

    @property
    def error(self) -> str:
        """What went wrong; empty while all is well."""
        return self._message

    def start(self) -> None:
        """Recover anew with the present settings, once the recovery under way has stopped."""
        with self._lock:
            if self._closed:
                return
            self._idle.clear()
            if self._run is None or self._run.state.over:
                self._launch()
            else:
                self._wanted = True
                self._run.stop()

    def stop(self) -> None:
        """Stop after the step under way; the images stay as they are."""
        with self._lock:
            self._wanted = False
            if self._run is not None:
                self._run.stop()

    def wait(self, timeout: float | None = None) -> State:
        """Block until the recovery is over, or `timeout` seconds; interrupting the wait stops it."""
        try:
            self._idle.wait(timeout)
        except KeyboardInterrupt:
            self.stop()
            raise
        return self.state

    def snapshot(self) -> Tensor:
        """[N, C, H, W] uint8: the images as they are now; noise before the first recovery."""
        if self._recovery is None:
            raise RuntimeError(f"there is nothing to show: {self.error}")
        return self._recovery.pixels().cpu()

    def close(self) -> None:
        """Stop the recovery and close all parts of the panel."""
        if not hasattr(self, "_lock") or self._closed:  # ipywidgets also calls this when a half-made object goes away
            return
        with self._lock:
            self._closed = True
            self.stop()
            for part in (*self.children[0].children, *self.children):
                part.close()
            super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The live view, and the last frame as a picture for readers without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None and self._image.value:
            bundle["image/png"] = base64.b64encode(self._image.value).decode()
        return bundle

    def _set(self, name: str, widget: Any, value: Any) -> None:
        with self._lock:
            self.config.but(**{name: value})  # refuses what is out of bounds before anything moves
            self._setting = True
            try:
                set_value(widget, value)
            finally:
                self._setting = False
            self._on_control(None)

    def _on_control(self, change: object) -> None:
        with self._lock:
            if self._setting:
                return
            try:
                self.config = self.config.but(crop_scale=self._crop_scale.value, alpha_bn=self._alpha_bn.value)
                self.start()
            except Exception as error:  # the front end would swallow it
                self._complain(error)

    def _on_click(self, button: object) -> None:
        with self._lock:
            if self._busy:
                self.stop()
            else:
                self.start()

    def _prepare(self) -> bool:
        """Make the next recovery and show its noise; says so in the error line where that fails."""
        try:
            groups = plan(self.config, self._teacher.spec)[:1]
            self._recovery = Recovery(self._teacher, groups, self.config, runtime=self._runtime)
            self._draw(self._recovery)
        except Exception as error:
            self._recovery = None
            self._complain(error)
            return False
        self._complain(None)
        return True

    def _launch(self) -> None:
        self._wanted = False
        self._busy = self._prepare()
        if not self._busy:
            self._render()
            self._idle.set()
            return
        assert self._recovery is not None
        show = partial(self._on_event, self._recovery)
        self._run = Run(self._recovery, on_event=show, on_state=self._on_state, max_fps=MAX_FPS)
        self._run.start()

    def _on_event(self, recovery: Recovery, event: StepEvent) -> None:
        """In the worker: draw and say where the recovery is."""
        try:
            known = accuracy(recovery.predict(), recovery.targets)
            numbers = [f"step {event.step}/{event.total}", f"loss {event.value('loss'):.3f}"]
            numbers += [f"{TERMS[name]} {event.value(name):.3f}" for name in TERMS if name in event.metrics]
            numbers += [f"teacher recognises {float(known):.0%}"]
            with self._lock:
                if recovery is self._recovery and not self._closed:
                    self._draw(recovery)
                    self._progress = " · ".join(numbers)
                    self._render()
        except Exception as error:
            self._complain(error)

    def _on_state(self, run: Run) -> None:
        """After every change of state, in any thread: show what is so now, and start what waits."""
        with self._lock:
            if run is not self._run:
                return
            if run.state.over and run.error is not None:
                self._complain(run.error)
            if run.state.over and self._wanted and not self._closed:
                self._launch()
                return
            self._busy = not run.state.over
            self._render()
            if not self._busy:
                self._idle.set()  # last, so that whoever waits finds everything shown

    def _draw(self, recovery: Recovery) -> None:
        pixels, spec = recovery.pixels().cpu(), self._teacher.spec
        self._image.value, scale = png(pixels, min(len(pixels), COLUMNS))
        labels = recovery.groups[0].labels[:COLUMNS]
        names = [spec.class_names[label].split(",")[0] for label in labels] if len(pixels) <= COLUMNS else []
        self._names.value = STYLE + _headings(names, spec.resolution * scale, scale)

    def _render(self) -> None:
        if self._closed:
            return
        self._button.description, self._button.icon = ("Stop", "stop") if self._busy else ("Run", "play")
        text = f"{self.state} · {self._progress}"
        self._status.value = f'<span role="status" style="font-variant-numeric: tabular-nums">{text}</span>'

    def _complain(self, error: BaseException | None) -> None:
        with self._lock:
            if self._closed:
                return
            self._message = "" if error is None else f"{type(error).__name__}: {error}"
            text = html.escape(self._message)
            self._error.value = f'<span role="alert" style="color: {ERROR_COLOUR}">{text}</span>'
            self._error.layout.display = None if text else "none"


def png(pixels: Tensor, columns: int) -> tuple[bytes, float]:
    """Images [N, C, H, W] uint8 as one PNG, enlarged by a whole factor without smoothing, or shrunk; and the factor."""
    size = pixels.shape[-1]
    page = Image.fromarray(tile(pixels, columns))
    scale: float = TILE_PIXELS // size if size <= TILE_PIXELS else TILE_PIXELS / size
    width, height = (max(round(side * scale), 1) for side in page.size)
    page = page.resize((width, height), Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    page.save(buffer, format="png", compress_level=1)
    return buffer.getvalue(), scale


def _headings(names: list[str], width: float, gap: float) -> str:
    """Names over columns of images so many pixels wide."""
    style = f"width: {width}px; margin-right: {gap}px; text-align: center; overflow: hidden; text-overflow: ellipsis"
    cells = (f'<span style="{style}" title="{html.escape(name)}">{html.escape(name)}</span>' for name in names)
    return f'<div style="display: flex; white-space: nowrap">{"".join(cells)}</div>'

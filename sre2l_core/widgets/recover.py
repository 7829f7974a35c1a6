"""`RecoverStudio`: a recovery whose settings can be changed while its images appear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ipywidgets
from PIL import Image
from torch import Tensor

from sre2l_core import starts
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.events import StepEvent
from sre2l_core.figures import encode
from sre2l_core.figures.sheet import View, sheet
from sre2l_core.figures.svg import Drawing, cut
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery
from sre2l_core.terms import all_terms
from sre2l_core.widgets.base.still import Picture
from sre2l_core.widgets.recovery.charts import Charts, at_step, in_words, layers_chart, losses_chart
from sre2l_core.widgets.recovery.choosers import Timeline
from sre2l_core.widgets.recovery.curriculum import CurriculumPanel
from sre2l_core.widgets.recovery.frame import Moment, RecoveryFrame, images_view, small
from sre2l_core.widgets.recovery.panel import IMAGES
from sre2l_core.widgets.recovery.view import HALF, HALVES, ROW, RecoveryView

WIDTH = 510
"""CSS pixels for the images, which leave room for the crop."""
SUBTITLE = 120
"""Letters of the line above a picture that is kept, at most."""


@dataclass(frozen=True)
class StudioFrame:
    """What is shown of a moment."""

    images: RecoveryFrame
    losses: Drawing
    numbers: str


class RecoverStudio(CurriculumPanel):
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
        weights = [term.weight for term in all_terms().values() if term.weight]
        self.LIVE = ("crop_scale", "crop_curriculum", "lr", *weights, "first_bn_multiplier", "steps", "roll")
        self.CONTROLS = type(self).CONTROLS or (*self.LIVE, "ipc", "init")
        self._live: StudioFrame | None = None
        self._shown: StudioFrame | None = None
        self._start: list[tuple[int, Tensor]] = []
        self._cursor: int | None = None
        config = config or RecoverConfig(ipc=1, steps=300)
        config = config.but(ipc=min(config.ipc, IMAGES), steps=max(1, config.steps))
        super().__init__(teacher, config, self._views(), folder=folder, data=data, runtime=runtime, name=name)

    @property
    def recovery(self) -> Recovery | None:
        """Of the present run: read its images, changes or state at any time."""
        return self.stage if isinstance(self.stage, Recovery) else None

    @property
    def watched(self) -> int:
        """Index of the image whose crop is shown."""
        return int(self._watched.value) - 1

    @watched.setter
    def watched(self, index: int) -> None:
        self._watched.value = index + 1

    def settings(self) -> dict[str, RecoverConfig]:
        """Those of the only recovery."""
        return {"": self.config}

    def condensed(self) -> CondensedSet:
        """The images as they are now, with the settings and changes that made them."""
        return self.sets()[""]

    def page(self, sides: Sequence[Tensor]) -> Image.Image:
        """The images as the studio shows them."""
        return encode.still(sides[0], self.columns)

    # What `LivePanel` asks for.

    def look(self, stage: Recovery, event: StepEvent) -> StudioFrame:
        """Encode images, curves and bars."""
        images = self._frame(self._view, stage, self.watched)
        numbers = {name: event.value(name) for name in event.metrics}
        return StudioFrame(images, self._losses(event.total), in_words(numbers, images.recognised))

    def show(self, frame: StudioFrame) -> None:
        """Write a frame; where the timeline is not at its end, only the curves go on."""
        self._live, follow = frame, self._timeline.follows
        with self.moved_by_code():
            self._timeline.extend(len(self._snapshots) - 1, follow=follow)
        if follow:
            self._write(frame)
        else:
            self._charts.losses.value = frame.losses

    def clear(self) -> None:
        """Forget curves, changes and snapshots; show what a run would start from."""
        super().clear()
        self._start, self._live, self._shown, self._cursor = [], None, None, None
        self._watched.max = len(self._labels)
        if starts.find(self.config.init).needs_data:
            self._view.blank("Press Start: this start is made from the data.")
        else:
            self._start = [(0, small(self.start_pixels()))]
            words = f"The {self.config.init} that a run starts from."
            self._view.show_past(self._start[0][1], self.names, self.columns, words)
        with self.moved_by_code():
            self._timeline.extend(0, follow=True)
        self._numbers.say("")
        self._charts.show(losses_chart({}, self.config.steps), [])

    def changed(self, changes: dict[str, Any]) -> None:
        """Show the start anew where another is chosen between runs."""
        super().changed(changes)
        if not self.busy and changes.keys() & {"ipc", "init", "only_classes"} and not self.reset():
            self._guarded(self.clear)

    def picture(self) -> Picture | None:
        """The images of the last frame."""
        with self._lock:
            pages = [small(self.recovery.pixels())] if self.recovery else [pixels for _, pixels in self._start]
            return self.page(pages) if pages else None

    def sheet(self) -> Drawing | None:
        """All that is to be seen now, live or back in time, as one drawing; None before the first step."""
        if self._shown is None:
            return None
        about = self.in_words(self._cursor)
        return sheet(self.sheet_views(), f"{type(self).__name__}: {about}", subtitle=cut(about, SUBTITLE))

    def sheet_views(self) -> list[View]:
        """Images, losses and layers."""
        assert self._shown is not None
        charts = (self._shown.losses, layers_chart(self._shown.images.distances))
        views = (View(title, chart) for title, chart in zip(Charts.TITLES, charts, strict=True))
        return [images_view(self._shown.images, self._shown.numbers), *views]

    def in_words(self, step: int | None = None) -> str:
        """What made the images, in a few words; as they are now, or after so many steps."""
        step = (self.event.step if self.event else 0) if step is None else step
        config = self.recovery.config if self.recovery else self.config
        low, high = config.crop_scale
        return f"step {step}, α_BN {config.alpha_bn:g}, crop {low:g}–{high:g}"

    # Inside.

    def _views(self) -> list[Any]:
        self._view = RecoveryView(WIDTH, on_pick=self._pick)
        self._charts = Charts()
        self._watched = ipywidgets.BoundedIntText(1, 1, 1, description="watch image", layout={"width": "160px"})
        self._watched.style.description_width = "92px"
        crop = self._view.beside(self._watched.add_class("sre-watched"))
        self._timeline = Timeline()
        self.listen(self._timeline.slider, self._go_to, "moment")
        self.listen(self._watched, self._watch, "image")
        images = ipywidgets.HBox([self._view, crop], layout=ROW | {"margin": "8px 0 0"})
        halves = [ipywidgets.VBox([images, self._timeline], layout=HALF), self._charts]
        return [ipywidgets.HBox(halves, layout=HALVES)]

    @property
    def _snapshots(self) -> Sequence[Moment] | list[tuple[int, Tensor]]:
        """What the timeline shows: the run, or the start before it."""
        return self.tapes[""].moments if self.tapes else self._start

    def _go_to(self, moment: int) -> None:
        """Show everything as it was then, or as it is."""
        if self._live is None or self.event is None:
            return
        if self._timeline.follows:
            self._cursor = None
            self._timeline.say(self._present())
            self._write(replace(self._live, losses=self._losses(self.event.total)))
            return
        seen = self.tapes[""].moments[moment]
        self._cursor, self._timeline.when.value = seen.step, f"after step {seen.step}"
        images = self._view.drawn(seen, self.tapes[""].recovery, self.watched, live=False)
        numbers = in_words(at_step(self._curves.points(), seen.step), images.recognised)
        self._write(StudioFrame(images, self._losses(self.event.total), numbers))

    def _pick(self, image: int) -> None:
        self.watched = image

    def _watch(self, image: int) -> None:
        """Show the crop of another image at the moment that is shown."""
        self._view.mark(image - 1)
        if self._live is None or self._view.latest is None:
            return
        if not self._timeline.follows:
            self._go_to(int(self._timeline.slider.value))
            return
        images = self._view.drawn(self._view.latest, self.tapes[""].recovery, self.watched, live=True)
        self._live = replace(self._live, images=images)
        self._write(self._live)

    def _present(self) -> str:
        """What the right end of the timeline is."""
        if self.event is None:
            return "before the first step"
        return "live" if self.busy else f"the end, after step {self.event.step}"

    def _render(self) -> None:
        if not self._closed:
            self._timeline.say(self._present())
        super()._render()

    def _losses(self, steps: int) -> Drawing:
        with self._lock:
            changes = self.recovery.changes if self.recovery else ()
            return losses_chart(self._curves.points(), steps, changes, self._cursor)

    def _write(self, frame: StudioFrame) -> None:
        self._shown = frame
        self._view.show(frame.images)
        self._charts.show(frame.losses, frame.images.distances)
        self._numbers.say(frame.numbers)

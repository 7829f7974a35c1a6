"""`MappedStudio`: a recovery whose images travel over the map of the real ones, and open large by a click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import ipywidgets
import numpy.typing as npt
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import Config, RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.figures.encode import shrunk
from sre2l_core.figures.sheet import View
from sre2l_core.stages.recover import Recovery
from sre2l_core.stages.recover.pair import Pair
from sre2l_core.studies.closeup import Closeup, closeup
from sre2l_core.studies.live_map import ITERATIONS, LAST_ITERATIONS, LiveMap
from sre2l_core.widgets.map_view import MapMoment, MapView
from sre2l_core.widgets.recover import RecoverStudio, StudioFrame
from sre2l_core.widgets.recovery.inspector import Inspector
from sre2l_core.widgets.recovery.view import HALF, HALVES, titled

NEAREST = 3
"""Real images beside the one that is looked at."""
MAX_MOVING = 500
"""Recovered images on a map: its work and memory grow with their square."""


class Seen(NamedTuple):
    """A point that was looked at closely."""

    point: int
    """Its number on the map."""
    closeup: Closeup
    nearest: list[tuple[Tensor, str]]
    """Real images and what they are, the nearest first."""


@dataclass(frozen=True)
class MappedFrame(StudioFrame):
    """What is shown of a moment, the map and the open image included."""

    moment: MapMoment
    seen: Seen | None


class MappedStudio(RecoverStudio):
    """A `RecoverStudio` beside the live map; a click on an image, or on its square on the map, opens it large.

    `map` is the `MapView`: `map.chosen` is the number of the point that is open, `map.moment` what is on the map now,
    and `map.final()` draws everything anew by scikit-learn.

    Args:
        teacher: stage 1's result.
        config: see `RecoverStudio`.
        data: its validation images make the map.
        per_class: real images of each class on the map.
        options: further arguments of `RecoverStudio`.
    """

    def __init__(
        self, teacher: Teacher, config: RecoverConfig, *, data: Dataset, per_class: int = 25, **options: Any
    ) -> None:
        self._per_class = per_class
        self._live_map: LiveMap | None = None
        self._places: list[tuple[int, npt.NDArray[Any]]] = []
        self.map = MapView(teacher.spec, lambda point: self._guarded(lambda: self._choose_point(point)))
        self._inspector = Inspector()
        super().__init__(teacher, config, data=data, **options)

    def sheet_views(self) -> list[View]:
        """Also the map."""
        return super().sheet_views() + ([] if self.map.moment is None else [self.map.view()])

    # What `LivePanel` asks for.

    def check(self, config: Config) -> None:
        """Refuse more images than a live map holds."""
        super().check(config)
        if isinstance(config, RecoverConfig) and (count := config.ipc * len(config.only_classes or ())) > MAX_MOVING:
            raise ConfigError(f"{count:,} images are too many for a live map, which holds {MAX_MOVING}")

    def build(self) -> Recovery | Pair:
        """The map of the real images where there is none of these classes yet, and a recovery."""
        self.check(self.config)
        assert self._data is not None  # see `__init__`
        labels = tuple(sorted({self.teacher.spec.classes.index(name) for name in self.only_classes}))
        kept = self._live_map
        if kept is None or kept.teacher is not self.teacher or tuple(kept.labels.unique().tolist()) != labels:
            kept = LiveMap(self.teacher, self._data, labels=labels, per_class=self._per_class, runtime=self._runtime)
        kept.forget()
        self._live_map = kept
        return super().build()

    def look(self, stage: Recovery, event: StepEvent) -> MappedFrame:
        """Also move the points of the map, and look closely at the image that is open."""
        assert self._live_map is not None  # made in `build`
        places = self._live_map.place(stage.images, LAST_ITERATIONS if stage.done else ITERATIONS).copy()
        moment = MapMoment(self._live_map, stage.targets.tolist(), places, stage.pixels().cpu())
        point = self.map.chosen if self._timeline.follows else -1
        seen = self._seen(moment, point) if point >= 0 else None
        return MappedFrame(**vars(super().look(stage, event)), moment=moment, seen=seen)

    def show(self, frame: Any) -> None:
        """Write a frame."""
        super().show(frame)
        self._places.append((self.event.step if self.event else 0, frame.moment.points))
        if self._timeline.follows:
            self.map.show(frame.moment)
            if frame.seen is not None and frame.seen.point == self.map.chosen:
                self._inspect(frame.seen)

    def clear(self) -> None:
        """An empty map, and nothing open."""
        self._places = []
        self.map.spec = self.teacher.spec
        self.map.clear()
        self.map.chosen = -1
        super().clear()

    # Inside.

    def _views(self) -> list[Any]:
        images = ipywidgets.VBox(super()._views(), layout=HALF)
        closely = ipywidgets.VBox([titled("Where the images lie", self.map), self._inspector], layout=HALF)
        return [ipywidgets.HBox([images, closely.add_class("sre-closely")], layout=HALVES)]

    def _pick(self, image: int) -> None:
        super()._pick(image)
        if self.map.moment is not None:
            self.map.chosen = len(self.map.moment.map) + image

    def _watch(self, image: int) -> None:
        super()._watch(image)
        if self._image_of(self.map.chosen) >= 0:
            self._pick(image - 1)

    def _image_of(self, point: int) -> int:
        """Number of the recovered image that is a point; below 0 for a real image, and for none."""
        return -1 if point < 0 or self.map.moment is None else point - len(self.map.moment.map)

    def _choose_point(self, point: int) -> None:
        """Open the image of a point; that of a square is watched, too."""
        image = self._image_of(point)
        self._view.mark(image)
        if image >= 0:
            self.watched = image
        if point < 0:
            self._inspector.clear()
        self._look_closely()

    def _look_closely(self) -> None:
        """Open the chosen point as it is shown; a run that goes on does so with its next frame."""
        if self.map.chosen >= 0 and self.map.moment is not None and self.state.rests:
            self._inspect(self._seen(self.map.moment, self.map.chosen))

    def _seen(self, moment: MapMoment, point: int) -> Seen:
        """The image of a point; of a recovered one also the real ones that are nearest to it on this map."""
        real, image = moment.map, point - len(moment.map)
        seen = closeup(self.teacher, moment.image(point), int(moment.labels[point]), runtime=self._runtime)
        rows = real.nearest(NEAREST)[image].tolist() if image >= 0 and self._timeline.follows else []
        return Seen(point, seen, [(real.pixels[row], self.map.name(int(real.labels[row]))) for row in rows])

    def _inspect(self, seen: Seen) -> None:
        image, past = self._image_of(seen.point), list[tuple[int, Tensor]]()
        title = f"Point {seen.point}: {self.map.describe(seen.point)}"
        if image >= 0:
            past = [(one[0], one[1][image]) for one in self._snapshots]
            title = f"Image {image + 1}, class {self.names[image]}"
        self._inspector.show(seen.closeup, self.teacher.spec, title, nearest=seen.nearest, past=past)

    def _go_to(self, moment: int) -> None:
        super()._go_to(moment)
        now = self.map.moment
        if now is None:
            return
        if self._timeline.follows and isinstance(self._live, MappedFrame):
            self.map.show(self._live.moment)
        else:
            step, pixels = self._snapshots[moment][:2]
            points = next((places for at, places in reversed(self._places) if at <= step), self._places[0][1])
            if pixels.shape != now.pixels.shape:  # small copies were kept of wide ones
                pixels = shrunk(pixels, now.pixels.shape[-1])
            self.map.show(MapMoment(now.map, now.targets, points, pixels))
        self._look_closely()

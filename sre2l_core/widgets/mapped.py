"""`MappedStudio`: a recovery whose images travel over the map of the real ones, and open large by a click."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import numpy.typing as npt
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
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


@dataclass(frozen=True)
class MappedFrame(StudioFrame):
    """What is shown of a moment, the map and the open image included."""

    moment: MapMoment
    seen: tuple[Closeup, list[tuple[Tensor, str]]] | None


class MappedStudio(RecoverStudio):
    """A `RecoverStudio` beside the live map; a click on an image, or on its square on the map, opens it large.

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
        self._per_class, self._opened = per_class, False
        self._live_map: LiveMap | None = None
        self._places: list[tuple[int, npt.NDArray[Any]]] = []
        self._map, self._inspector = MapView(teacher.spec, self._choose_point), Inspector()
        super().__init__(teacher, config, data=data, **options)

    def sheet_views(self) -> list[View]:
        """Also the map."""
        return super().sheet_views() + ([] if self._map.moment is None else [self._map.view()])

    # What `LivePanel` asks for.

    def build(self) -> Recovery | Pair:
        """The map of the real images where there is none of these classes yet, and a recovery."""
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
        seen = self._seen(moment) if self._opened and self._timeline.follows else None
        return MappedFrame(**vars(super().look(stage, event)), moment=moment, seen=seen)

    def show(self, frame: Any) -> None:
        """Write a frame."""
        super().show(frame)
        self._places.append((self.event.step if self.event else 0, frame.moment.points))
        if self._timeline.follows:
            self._map.show(frame.moment)
            if frame.seen is not None and self._opened:
                self._inspect(*frame.seen)

    def clear(self) -> None:
        """An empty map, and nothing open."""
        self._places = []
        self._map.spec = self.teacher.spec
        self._map.clear()
        self._map.chosen = -1
        self._close_inspector()
        super().clear()

    # Inside.

    def _views(self) -> list[Any]:
        images = ipywidgets.VBox(super()._views(), layout=HALF)
        closely = ipywidgets.VBox([titled("Where the images lie", self._map), self._inspector], layout=HALF)
        return [ipywidgets.HBox([images, closely.add_class("sre-closely")], layout=HALVES)]

    def _pick(self, image: int) -> None:
        self._opened = True
        super()._pick(image)
        self._watch(image + 1)  # also where it was watched already

    def _watch(self, image: int) -> None:
        super()._watch(image)
        moment = self._map.moment
        if moment is not None and self._opened:
            self._map.chosen = len(moment.map) + image - 1
            self._look_closely()

    def _choose_point(self, point: int) -> None:
        """A square opens its image; a real image is looked at as it is."""
        moment = self._map.moment
        if moment is None or point < 0:
            return self._close_inspector()
        if point >= (real := len(moment.map)):
            if not self._opened or self.watched != point - real:
                self._guarded(lambda: self._pick(point - real))
            return None
        self._opened = False  # or the next frame would show an image again
        if self.state.rests:
            seen = closeup(self.teacher, moment.image(point), int(moment.labels[point]), runtime=self._runtime)
            self._inspector.show(seen, self.teacher.spec, f"Point {point}: {self._map.describe(point)}")
        return None

    def _close_inspector(self) -> None:
        self._opened = False
        self._view.mark(-1)
        self._inspector.clear()

    def _look_closely(self) -> None:
        """Open the watched image as it is shown; a run that goes on does so with its next frame."""
        moment = self._map.moment
        if self._opened and moment is not None and self.state.rests:
            self._inspect(*self._seen(moment))

    def _seen(self, moment: MapMoment) -> tuple[Closeup, list[tuple[Tensor, str]]]:
        """The watched image, and the real ones that are nearest to it on this map."""
        image, real = self.watched, moment.map
        seen = closeup(self.teacher, moment.pixels[image], moment.targets[image], runtime=self._runtime)
        rows = real.nearest(NEAREST)[image].tolist() if self._timeline.follows else []
        return seen, [(real.pixels[row], self._map.name(int(real.labels[row]))) for row in rows]

    def _inspect(self, seen: Closeup, nearest: Sequence[tuple[Tensor, str]]) -> None:
        image = self.watched
        past = [(one[0], one[1][image]) for one in self._snapshots]
        title = f"Image {image + 1}, class {self.names[image]}"
        self._inspector.show(seen, self.teacher.spec, title, nearest=nearest, past=past)

    def _go_to(self, moment: int) -> None:
        super()._go_to(moment)
        now = self._map.moment
        if now is None:
            return
        if self._timeline.follows and isinstance(self._live, MappedFrame):
            self._map.show(self._live.moment)
        else:
            step, pixels = self._snapshots[moment][:2]
            points = next((places for at, places in reversed(self._places) if at <= step), self._places[0][1])
            if pixels.shape != now.pixels.shape:  # small copies were kept of wide ones
                pixels = shrunk(pixels, now.pixels.shape[-1])
            self._map.show(MapMoment(now.map, now.targets, points, pixels))
        self._look_closely()

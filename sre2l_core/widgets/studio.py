"""`Studio`: recover images, watch them on the map, look at one closely, and see what a student learns from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets
import numpy.typing as npt
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.presets import Recipe
from sre2l_core.runtime import Runtime, memory_in_use
from sre2l_core.stages.recover import Recovery
from sre2l_core.stages.recover.pair import Pair
from sre2l_core.studies.closeup import Closeup, closeup
from sre2l_core.studies.live_map import ITERATIONS, LAST_ITERATIONS, LiveMap
from sre2l_core.widgets.base.status import button
from sre2l_core.widgets.map_view import MapView, Moment
from sre2l_core.widgets.recover import RecoverStudio, StudioFrame
from sre2l_core.widgets.recovery.inspector import Inspector
from sre2l_core.widgets.recovery.panel import fitting, own_copy
from sre2l_core.widgets.recovery.view import ROW, titled
from sre2l_core.widgets.student_bench import StudentBench
from sre2l_core.worker import State

STUDENT_EPOCHS, STUDENT_SEEDS = 100, 3
"""Budget of a student until somebody chooses another."""
NEAREST = 3
"""Real images beside the one that is looked at."""


@dataclass(frozen=True)
class _Frame(StudioFrame):
    moment: Moment
    seen: Closeup | None
    nearest: list[tuple[Tensor, str]]


class Studio(RecoverStudio):
    """All of it in one place.

    A click on an image, or on its square on the map, opens it large. *Train a student on this* relabels the images as
    they are at that moment and trains students on them, beside as many random real ones. *Save set* writes what the
    later notebooks open; *Export* keeps the session, and *Open session* runs one again.

    Args:
        teacher: stage 1's result.
        data: its validation images make the map and judge students; its training images stand beside the condensed.
        recipe: settings to begin with.
        per_class: real images of each class on the map.
        runtime: device and precision; the best there is by default.
        folder: where saving and exporting write to, unless told otherwise.
        name: see `LivePanel`.
    """

    def __init__(
        self,
        teacher: Teacher,
        data: Dataset,
        recipe: Recipe,
        *,
        per_class: int = 25,
        runtime: Runtime | None = None,
        folder: str | Path = "runs/studio",
        name: str | None = None,
    ) -> None:
        self._shown_data, self._per_class, runtime = data, per_class, runtime or Runtime.auto()
        self._live_map: LiveMap | None = None
        self._places: list[tuple[int, npt.NDArray[Any]]] = []
        self._script: list[dict[str, Any]] = []
        self._until: int | None = None
        self._map, self._inspector, self._opened = MapView(teacher.spec, self._choose_point), Inspector(), False
        students = recipe.validate
        self.bench = StudentBench(
            own_copy(teacher), data, recipe.relabel,
            students.but(
                epochs=min(students.epochs, STUDENT_EPOCHS), seeds=min(students.seeds, STUDENT_SEEDS),
                students=students.students[:1], warmup_epochs=0,
            ),
            images=self.condensed, about=self.in_words, runtime=runtime, name=f"{name or 'Studio'} students",
        )  # fmt: skip
        """Trains students on the images."""
        config = recipe.recover.but(ipc=1, group_images=1)
        super().__init__(teacher, config, data=data, runtime=runtime, folder=folder, name=name)

    def in_words(self) -> str:
        """What made the images, in a few words."""
        step = self.event.step if self.event else 0
        low, high = self.config.crop_scale
        return f"step {step}, α_BN {self.config.alpha_bn:g}, crop {low:g}–{high:g}"

    def start(self) -> bool:
        """Begin a new run with the present settings; False while there is one."""
        self._script, self._until = [], None
        return super().start()

    def open_session(self, folder: str | Path | None = None) -> bool:
        """Run again what `export` kept: the settings at its start, and every change at its step, as far as it went.

        Raises:
            ArtifactError: if there is no session, or it cannot be read.
            ConfigError: if it was made with another teacher, or while a recovery runs.
        """
        path = Path(folder or self._folder.value) / "session.json"
        log = _session(path)
        with self._lock:
            if self.busy:
                raise ConfigError("stop the recovery first, then open the session")
            if log["teacher"] != self.teacher.id:
                raise ConfigError(f"{path} was made with teacher {log['teacher']}, this studio has {self.teacher.id}.")
            self.config = fitting(RecoverConfig.of(log["config"]), self.teacher.spec)
            self._show_config()
            self.reset()
            self._script, self._until = list(log["changes"]), int(log["steps"])
            self._say(f"{path} runs again")
            return super().start()

    # What `LivePanel` asks for.

    def build(self) -> Recovery | Pair:
        """The map of the real images where there is none of these classes yet, and a recovery."""
        labels = tuple(sorted({self.teacher.spec.classes.index(name) for name in self.only_classes}))
        kept = self._live_map
        if kept is None or tuple(kept.labels.unique().tolist()) != labels:
            kept = LiveMap(
                self.teacher, self._shown_data, labels=labels, per_class=self._per_class, runtime=self._runtime
            )
        kept.forget()
        self._live_map = kept
        stage = super().build()
        if now := {one["field"]: one["new"] for one in self._script if one["step"] == 0}:
            stage.retune(**now)
        return stage

    def record(self, event: StepEvent) -> None:
        """Change what was changed at this step in a session that runs again, and pause where it ended."""
        super().record(event)
        if due := {one["field"]: one["new"] for one in self._script if one["step"] == event.step}:
            self.change(**due)
        if event.step == self._until and event.step < event.total:
            self.pause()

    def look(self, stage: Recovery, event: StepEvent) -> _Frame:
        """Also move the points of the map, and look closely at the image that is open."""
        assert self._live_map is not None  # made in `build`
        places = self._live_map.place(stage.images, LAST_ITERATIONS if stage.done else ITERATIONS).copy()
        pixels, targets = stage.pixels().cpu(), stage.targets.tolist()
        moment = Moment(self._live_map, targets, places, pixels)
        seen, nearest = None, list[tuple[Tensor, str]]()
        if self._opened and (image := self.watched) < len(targets):
            seen = closeup(self.teacher, pixels[image], targets[image], runtime=self._runtime)
            rows = self._live_map.nearest(NEAREST)[image].tolist()
            nearest = [(self._live_map.pixels[row], self._map.name(int(self._live_map.labels[row]))) for row in rows]
        return _Frame(**vars(super().look(stage, event)), moment=moment, seen=seen, nearest=nearest)

    def show(self, frame: Any) -> None:
        """Write a frame."""
        super().show(frame)
        self._places.append((self.event.step if self.event else 0, frame.moment.points))
        if self._timeline.follows:
            self._map.show(frame.moment)
        if frame.seen is not None:
            self._inspect(frame.seen, self.watched, frame.nearest)
        self._numbers.value += f" · {memory_in_use(self._runtime.device) / 2**20:,.0f} MiB"

    def clear(self) -> None:
        """An empty map, and nothing open."""
        self._places = []
        self._map.clear()
        self._close_inspector()
        super().clear()

    # Inside.

    def _views(self) -> list[Any]:
        images, *rest = super()._views()
        opened = button("Open session", "folder-open", lambda: self._guarded(self.open_session), "sre-open",
                        "Run session.json of this folder again")  # fmt: skip
        opened.layout.width = "10em"
        closely = ipywidgets.HBox([titled("Where the images lie", self._map), self._inspector], layout=ROW).add_class(
            "sre-closely"
        )
        return [images, *rest, closely, titled("What a student learns from them", self.bench), opened]

    def _pick(self, image: int) -> None:
        self._opened = True
        super()._pick(image)
        self._watch(image + 1)  # also where it was watched already

    def _watch(self, number: int) -> None:
        super()._watch(number)
        moment = self._map.moment
        if moment is not None and self._opened:
            self._map.chosen = len(moment.map) + number - 1

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
        if not self.busy or self.state is State.PAUSED:  # else the network is at work
            seen = closeup(self.teacher, moment.image(point), int(moment.labels[point]), runtime=self._runtime)
            self._inspector.show(seen, self.teacher.spec, f"Point {point}: {self._map.describe(point)}")
        return None

    def _close_inspector(self) -> None:
        self._opened = False
        self._view.mark(-1)
        self._inspector.clear()

    def _inspect(self, seen: Closeup, image: int, nearest: Sequence[tuple[Tensor, str]]) -> None:
        past = [(step, pixels[image]) for step, pixels in self._snapshots]
        title = f"Image {image + 1}, class {self.names[image]}"
        self._inspector.show(seen, self.teacher.spec, title, nearest=nearest, past=past)

    def _go_to(self, moment: int) -> None:
        super()._go_to(moment)
        now = self._map.moment
        if now is None or not self._places:
            return
        step, pixels = self._snapshots[moment]
        points = self._places[-1][1]
        if not self._timeline.follows:
            points = next((places for at, places in reversed(self._places) if at <= step), self._places[0][1])
        self._map.show(Moment(now.map, now.targets, points, pixels))


def _session(path: Path) -> dict[str, Any]:
    """What `export` wrote of one recovery."""
    try:
        log = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"there is no {path}: press Export first, or name the folder of a session.") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}).") from None
    if not (isinstance(log, dict) and {"teacher", "config", "changes", "steps"} <= log.keys()):
        raise ArtifactError(f"{path} is not the session of one recovery: export one from the studio.")
    return log

"""`EmbeddingPanel`: condensed images move over the teacher's map of the real ones while they are recovered."""

from __future__ import annotations

import html
from typing import Any, NamedTuple

import ipywidgets
import numpy.typing as npt
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.events import StepEvent
from sre2l_core.figures.feature_map import INSET
from sre2l_core.figures.svg import Drawing, picture_tag
from sre2l_core.pictures import to_pil
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover.replay import as_condensed_set
from sre2l_core.studies.live_map import LiveMap, MappedRecovery, first_group
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.widgets.map_view import MapMoment, MapView
from sre2l_core.worker import Stage


class _Frame(NamedTuple):
    moment: MapMoment
    recognised: float
    event: StepEvent


class EmbeddingPanel(LivePanel):
    """t-SNE of the teacher's features, live: real images hold still, the recovered ones (squares) move.

    The pointer on a point shows its image, and so does its number in `chosen`; `final` draws everything anew by
    scikit-learn. The first group of the recovery is shown.

    Args:
        teacher: recovers the images, and its features make the map.
        data: its validation images make the map.
        config: settings of the recovery; the panel edits steps, learning rate, α_BN and crop scale.
        per_class: real images of each class on the map.
        max_classes: only the first so many classes are shown and recovered.
        runtime: device and precision; the best there is by default.
        name: see `LivePanel`.
    """

    FOLDER = "runs/embedding"
    CONTROLS = ("steps", "lr", "alpha_bn", "crop_scale")
    LIVE = ("lr", "alpha_bn", "crop_scale")
    config: RecoverConfig

    def __init__(
        self,
        teacher: Teacher,
        data: Dataset,
        config: RecoverConfig,
        *,
        per_class: int = 25,
        max_classes: int = 10,
        runtime: Runtime | None = None,
        name: str | None = None,
    ) -> None:
        self.teacher, self.data = teacher, data
        self._runtime, self._per_class = runtime or Runtime.auto(), per_class
        spec = teacher.spec
        if spec.num_classes > max_classes and config.only_classes is None:
            config = config.but(only_classes=spec.classes[:max_classes])
        self._map: LiveMap | None = None
        self._view, self._about = MapView(spec, self._chose), ipywidgets.HTML()
        row = ipywidgets.HBox([self._view, self._about], layout={"flex_flow": "row wrap", "grid_gap": "8px 20px"})
        super().__init__(config, [row], name=name)

    @property
    def colour_by(self) -> str:
        """What the colours tell: `class`, or `set` (real or condensed)."""
        return self._view.colour_by

    @colour_by.setter
    def colour_by(self, value: str) -> None:
        self._view.colour_by = value

    @property
    def chosen(self) -> int:
        """Number of the point whose image is shown beside the map: real images first, then condensed; -1 for none."""
        return self._view.chosen

    @chosen.setter
    def chosen(self, value: int) -> None:
        self._view.chosen = value

    @property
    def points(self) -> npt.NDArray[Any]:
        """[R + M, 2]: where the real and the condensed images are on the map now."""
        return self._shown().places

    @property
    def labels(self) -> Tensor:
        """[R + M] classes of the points."""
        return self._shown().labels

    def image_of(self, point: int) -> Tensor:
        """[C, H, W] uint8: the image of a point."""
        return self._shown().image(point)

    def final(self, seed: int = 0) -> Drawing:
        """Real and condensed images placed together from scratch by scikit-learn (as Figure 7)."""
        self._shown()
        return self._view.final(seed)

    def condensed(self) -> CondensedSet:
        """The images as they are now; raises `RuntimeError` before the first step."""
        if self.stage is None:
            raise RuntimeError(f"nothing was recovered yet: {self.error or 'start the panel first'}")
        return as_condensed_set(self.stage)

    def picture(self) -> Drawing | None:
        """The map as it is now."""
        return None if self._view.moment is None else self._view.drawing()

    def build(self) -> Stage:
        """The map of the real images where there is none yet, and a recovery."""
        group = first_group(self.config, self.teacher.spec)
        shown = tuple(sorted(set(group.labels)))
        if self._map is None or set(self._map.labels.tolist()) != set(shown):
            self._map = LiveMap(self.teacher, self.data, labels=shown, per_class=self._per_class, runtime=self._runtime)
        return MappedRecovery(self._map, group, self.config, data=self.data)

    def look(self, stage: MappedRecovery, event: StepEvent) -> _Frame:
        """Move the points a little towards where the images are now."""
        targets, points = stage.targets.tolist(), stage.place()
        return _Frame(MapMoment(stage.map, targets, points, stage.pixels().cpu()), stage.recognised(), event)

    def show(self, frame: _Frame) -> None:
        """Draw the map."""
        self._view.show(frame.moment)
        self._describe()
        self._numbers.say(f"loss {frame.event.value('loss'):.3f} · teacher recognises {frame.recognised:.0%}")

    def clear(self) -> None:
        """An empty map."""
        self._view.clear()
        self._numbers.say(f"{self._per_class} real images a class (dots); condensed ones will be squares")
        self._about.value = ""

    def _shown(self) -> MapMoment:
        if self._view.moment is None:
            raise RuntimeError(f"there is no map yet: {self.error or 'start the panel first'}")
        return self._view.moment

    def _chose(self, point: int) -> None:
        with self._lock:
            if not self._closed:
                self._guarded(self._describe)

    def _describe(self) -> None:
        """Beside the map the chosen point: its image, enlarged, and its class."""
        point, moment = self._view.chosen, self._view.moment
        if point < 0 or moment is None:
            self._about.value = ""
            return
        image = picture_tag(to_pil(moment.image(point)), INSET, "the chosen image")
        words = html.escape(self._view.describe(point))
        self._about.value = f'<div class="sre-heading">Point {point}</div>{image}<div class="sre-caption">{words}</div>'

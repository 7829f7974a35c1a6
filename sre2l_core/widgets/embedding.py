"""`EmbeddingPanel`: condensed images move over the teacher's map of the real ones while they are recovered."""

from __future__ import annotations

import html
from typing import Any, NamedTuple

import ipywidgets
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.figures.feature_map import INSET, WIDTH, FeatureMap, empty_map, thumbnails
from sre2l_core.figures.sheet import View, sheet
from sre2l_core.figures.svg import Drawing, data_url
from sre2l_core.pictures import to_pil
from sre2l_core.runtime import Runtime
from sre2l_core.studies.live_map import LiveMap, MappedRecovery, first_group
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.worker import Stage

SETS = ("real", "condensed")
CHOOSER: dict[str, Any] = {"style": {"description_width": "7.5em"}, "layout": {"width": "15em"}}
STYLE = """<style>
.sre-layers > * { grid-area: 1 / 1; margin: 0; }
.sre-map-moving, .sre-map-moving svg { pointer-events: none; }
.sre-layers .pt { pointer-events: auto; outline: none; cursor: pointer; }
.sre-layers .tip { visibility: hidden; pointer-events: none; }
.sre-layers .pt:hover .tip, .sre-layers .pt:focus .tip { visibility: visible; }
</style>"""
"""Lays the moving layer over the still one, and shows the image of a point while the pointer is on it."""


class _Frame(NamedTuple):
    map: LiveMap
    targets: list[int]
    points: npt.NDArray[Any]
    pixels: Tensor
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
        self._frame: _Frame | None = None
        self._colour_by, self._chosen = "class", -1
        self._uid = f"sre-map-{id(self):x}"
        self._colours = ipywidgets.Dropdown(
            options=["class", "set"], description="colour by", tooltip="what the colours of the points tell", **CHOOSER
        ).add_class("sre-colour-by")
        self._colours.observe(lambda change: self._set("colour_by", change["new"]), names="value")
        self._number = ipywidgets.BoundedIntText(
            -1, -1, 0, description="chosen", tooltip="number of a point whose image is shown; -1 for none", **CHOOSER
        ).add_class("sre-chosen-point")
        self._number.observe(lambda change: self._set("chosen", change["new"]), names="value")
        self._thumbnails, self._still, self._moving, self._about = (ipywidgets.HTML() for _ in range(4))
        self._still.add_class("sre-map-real")
        self._moving.add_class("sre-map-moving")
        layout = {"width": f"{WIDTH}px", "grid_template_columns": f"{WIDTH}px"}
        layers = ipywidgets.GridBox([self._still, self._moving], layout=layout).add_class("sre-layers")
        row = {"flex_flow": "row wrap", "grid_gap": "8px 20px"}
        views = [
            ipywidgets.HBox([self._colours, self._number], layout=row), self._thumbnails,
            ipywidgets.HBox([layers, self._about], layout=row),
        ]  # fmt: skip
        super().__init__(config, views, name=name)

    @property
    def colour_by(self) -> str:
        """What the colours tell: `class`, or `set` (real or condensed)."""
        return self._colour_by

    @colour_by.setter
    def colour_by(self, value: str) -> None:
        if value not in ("class", "set"):
            raise ConfigError(f"points are coloured by class or set, got {value!r}.")
        self._colours.value = value

    @property
    def chosen(self) -> int:
        """Number of the point whose image is shown beside the map: real images first, then condensed; -1 for none."""
        return self._chosen

    @chosen.setter
    def chosen(self, value: int) -> None:
        if not -1 <= value <= self._number.max:
            raise ConfigError(f"there are points 0 to {self._number.max}, got {value}.")
        self._number.value = value

    @property
    def points(self) -> npt.NDArray[Any]:
        """[R + M, 2]: where the real and the condensed images are on the map now."""
        frame = self._shown()
        return np.concatenate([frame.map.real, frame.points])

    @property
    def labels(self) -> Tensor:
        """[R + M] classes of the points."""
        frame = self._shown()
        return torch.cat([frame.map.labels, torch.tensor(frame.targets)])

    def image_of(self, point: int) -> Tensor:
        """[C, H, W] uint8: the image of a point."""
        frame = self._shown()
        real = len(frame.map)
        return frame.map.pixels[point] if point < real else frame.pixels[point - real]

    def final(self, seed: int = 0) -> Drawing:
        """Real and condensed images placed together from scratch by scikit-learn (as Figure 7)."""
        return self._sheet(self._shown().map.final(seed), "t-SNE of the teacher's features, by scikit-learn")

    def picture(self) -> Drawing | None:
        """The map as it is now."""
        return None if self._frame is None else self._sheet(self.points, "The teacher's features, live t-SNE")

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
        return _Frame(stage.map, targets, points, stage.pixels().cpu(), stage.recognised(), event)

    def show(self, frame: _Frame) -> None:
        """Draw the moving layer, and the still one when it is new."""
        first, self._frame = self._frame is None, frame
        if first:
            self._number.max = len(frame.map) + len(frame.points) - 1
            self._thumbnails.value = STYLE + thumbnails(f"{self._uid}-real", frame.map.pixels)
            self._draw_still()
        self._draw_moving()
        self._numbers.say(f"loss {frame.event.value('loss'):.3f} · teacher recognises {frame.recognised:.0%}")

    def clear(self) -> None:
        """An empty map."""
        self._frame = None
        self._numbers.say(f"{self._per_class} real images a class (dots); condensed ones will be squares")
        self._thumbnails.value, self._still.value = STYLE, empty_map()
        self._moving.value = self._about.value = ""

    def _shown(self) -> _Frame:
        if self._frame is None:
            raise RuntimeError(f"there is no map yet: {self.error or 'start the panel first'}")
        return self._frame

    def _set(self, name: str, value: Any) -> None:
        with self._lock:
            setattr(self, f"_{name}", value)
            if self._frame is not None and not self._closed:
                self._guarded(self._draw_still)
                self._guarded(self._draw_moving)

    def _draw_still(self) -> None:
        self._still.value = self._feature_map(self.points, self._uid).dots()

    def _draw_moving(self) -> None:
        frame = self._shown()
        squares = self._feature_map(self.points, self._uid).squares(self._chosen)
        self._moving.value = thumbnails(f"{self._uid}-condensed", frame.pixels) + squares
        self._about.value = self._description() if self._chosen >= 0 else ""

    def _feature_map(self, points: npt.NDArray[Any], uid: str = "") -> FeatureMap:
        """The images at these places, in the present colours."""
        labels, real = self.labels.tolist(), len(self._shown().map)
        present = sorted(set(labels[real:]))
        groups, names = [present.index(label) for label in labels], [self._name(label) for label in present]
        if self._colour_by == "set":
            groups, names = [int(index >= real) for index in range(len(labels))], list(SETS)
        titles = [f"{k}: {SETS[k >= real]}, class {self._name(label)}" for k, label in enumerate(labels)]
        return FeatureMap(points[:real], points[real:], groups, names, titles, uid)

    def _sheet(self, points: npt.NDArray[Any], title: str) -> Drawing:
        view = View(title, self._feature_map(points).drawing(), ("Dots: real images; squares: condensed ones.",))
        return sheet([view], title)

    def _description(self) -> str:
        """The chosen point: its image, enlarged, and its class."""
        index, kind = self._chosen, SETS[self._chosen >= len(self._shown().map)]
        look = f"width: {INSET}px; height: {INSET}px"
        source = data_url(to_pil(self.image_of(index)))
        image = f'<img class="sre-pixels" style="{look}" alt="the chosen image" src="{source}">'
        words = html.escape(f"{kind}, class {self._name(int(self.labels[index]))}")
        heading = f'<div class="sre-heading">Point {index}</div>'
        return f'{heading}{image}<div class="sre-caption">{words}</div>'

    def _name(self, label: int) -> str:
        return self.teacher.spec.short_names[label]

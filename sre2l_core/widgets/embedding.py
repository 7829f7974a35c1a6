"""`EmbeddingPanel`: condensed images wander over the teacher's map of the real ones while they are recovered."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import ipywidgets
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.figures import charts, svg
from sre2l_core.figures.encode import page, shrunk
from sre2l_core.figures.stage_figures import map_figure, rendered
from sre2l_core.losses import accuracy
from sre2l_core.pictures import to_pil
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.studies.live_map import LiveMap
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.worker import Stage

WIDTH, HEIGHT, TIP = 640, 470, 96
THUMB = 32
"""Images of more pixels are shrunk to this for the hovering pictures."""
MAX_MOVING = 200
WALK, SETTLE = 20, 150
"""Iterations of t-SNE for each frame, and for the last."""
SHEET_COLUMNS = 20
SETS = ("real", "condensed")
LINE = f'fill="none" stroke="{svg.FAINT}"'
FRAME = (
    f'<rect x="1" y="1" width="{WIDTH - TIP - 26}" height="{HEIGHT - 2}" {LINE}/>'
    f'<rect x="{WIDTH - TIP - 12}" y="2" width="{TIP + 4}" height="{TIP + 4}" {LINE}/>'
)
"""Of the map, and of the place for an image."""


class Wandering(Recovery):
    """A recovery with the map that its images wander over."""

    map: LiveMap


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
        self._bounds: tuple[float, float, float, float] | None = None
        self._uid = f"sre-map-{id(self):x}"
        self._colours = ipywidgets.Dropdown(
            options=["class", "set"], description="colour by", style={"description_width": "7.5em"},
            layout={"width": "15em"}, tooltip="what the colours of the points tell",
        ).add_class("sre-colour-by")  # fmt: skip
        self._colours.observe(lambda change: self._set("colour_by", change["new"]), names="value")
        self._number = ipywidgets.BoundedIntText(
            value=-1, min=-1, max=0, description="chosen", style={"description_width": "7.5em"},
            layout={"width": "14em"}, tooltip="number of a point whose image is shown; -1 for none",
        ).add_class("sre-chosen-point")  # fmt: skip
        self._number.observe(lambda change: self._set("chosen", change["new"]), names="value")
        self._sheet, self._still, self._moving, self._about = (ipywidgets.HTML() for _ in range(4))
        self._still.add_class("sre-map-real")
        self._moving.add_class("sre-map-moving")
        layers = ipywidgets.GridBox(
            [self._still, self._moving], layout={"width": f"{WIDTH}px", "grid_template_columns": f"{WIDTH}px"}
        ).add_class("sre-layers")
        row = {"flex_flow": "row wrap", "grid_gap": "8px 20px"}
        views = [
            ipywidgets.HBox([self._colours, self._number], layout=row), self._sheet,
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

    def _shown(self) -> _Frame:
        if self._frame is None:
            raise RuntimeError(f"there is no map yet: {self.error or 'start the panel first'}")
        return self._frame

    def build(self) -> Stage:
        """The map of the real images where there is none yet, and a recovery."""
        config: Any = self.config
        groups = plan(config, self.teacher.spec)[:1]
        if len(groups[0].labels) > MAX_MOVING:
            raise ConfigError(
                f"a group of {len(groups[0].labels)} images is too many for a live map: choose group_size and "
                f"group_images such that there are at most {MAX_MOVING}."
            )
        shown = tuple(sorted(set(groups[0].labels)))
        if self._map is None or set(self._map.labels.tolist()) != set(shown):
            self._map = LiveMap(self.teacher, self.data, labels=shown, per_class=self._per_class, runtime=self._runtime)
        self._map.forget()
        stage = Wandering(self.teacher, groups, config, runtime=self._runtime, data=self.data)
        stage.map = self._map
        return stage

    def look(self, stage: Wandering, event: StepEvent) -> _Frame:
        """Move the points a little towards where the images are now."""
        points = stage.map.place(stage.images, SETTLE if stage.done else WALK).copy()
        known = float(accuracy(stage.predict(), stage.targets))
        return _Frame(stage.map, stage.targets.tolist(), points, stage.pixels().cpu(), known, event)

    def show(self, frame: _Frame) -> None:
        """Draw the moving layer, and the still one when it is new."""
        first, self._frame = self._frame is None, frame
        if first:
            self._number.max = len(frame.map) + len(frame.points) - 1
            self._sheet.value = self._style() + _sheet(f"{self._uid}-r", frame.map.pixels)
            self._draw_still()
        self._draw_moving()
        event = frame.event
        self._numbers.value = f"loss {event.value('loss'):.3f} · teacher recognises {frame.recognised:.0%}"

    def clear(self) -> None:
        """An empty map."""
        self._frame = self._bounds = None
        self._numbers.value = f"{self._per_class} real images a class (dots); condensed ones will be squares"
        self._sheet.value = self._style()
        middle = f'x="{(WIDTH - TIP) // 2}" y="{HEIGHT // 2}" text-anchor="middle" fill="{svg.MUTED}"'
        words = f"<text {middle}>nothing yet</text>"
        label = "map of the teacher's features, nothing yet"
        self._still.value = svg.drawing([FRAME, words], WIDTH, HEIGHT, label)
        self._moving.value = self._about.value = ""

    def final(self, seed: int = 0) -> Figure:
        """Real and condensed images placed together from scratch by scikit-learn (as Figure 7)."""
        frame = self._shown()
        title = "t-SNE of the teacher's features, by scikit-learn"
        return map_figure(frame.map.final(seed), self.labels, len(frame.map), self.teacher.spec, title=title)

    def figure(self) -> Figure:
        """The live map as it is now, as a figure that stays."""
        return map_figure(self.points, self.labels, len(self._shown().map), self.teacher.spec, title="the live map")

    def picture(self) -> Image.Image | None:
        """The figure."""
        return None if self._frame is None else rendered(self.figure())

    def image_of(self, point: int) -> Tensor:
        """[C, H, W] uint8: the image of a point."""
        frame = self._shown()
        real = len(frame.map)
        return frame.map.pixels[point] if point < real else frame.pixels[point - real]

    def _set(self, name: str, value: Any) -> None:
        with self._lock:
            setattr(self, f"_{name}", value)
            if self._frame is not None and not self._closed:
                self._guarded(self._draw_still)
                self._guarded(self._draw_moving)

    def _name(self, label: int) -> str:
        return self.teacher.spec.class_names[label].split(",")[0]

    def _groups(self) -> tuple[list[int], list[str]]:
        """Palette number of each point, and what the numbers mean."""
        frame = self._shown()
        real = len(frame.map)
        if self._colour_by == "set":
            return [int(index >= real) for index in range(real + len(frame.targets))], list(SETS)
        present = sorted(set(frame.targets))
        place = {label: number for number, label in enumerate(present)}
        return [place[label] for label in self.labels.tolist()], [self._name(label) for label in present]

    def _axis(self, point: Sequence[float]) -> tuple[float, float]:
        """From the map to CSS pixels: the real images fill the middle, the edge catches what strays."""
        if self._bounds is None:
            real = self._shown().map.real
            low, high = real.min(0), real.max(0)
            spare = 0.12 * (high - low)
            self._bounds = (*(low - spare).tolist(), *(high + spare).tolist())
        left, bottom, right, top = self._bounds
        x = 8 + (point[0] - left) / max(right - left, 1e-9) * (WIDTH - 16 - TIP - 30)
        y = HEIGHT - 8 - (point[1] - bottom) / max(top - bottom, 1e-9) * (HEIGHT - 16)
        return min(max(x, 6), WIDTH - TIP - 28), min(max(y, 6), HEIGHT - 6)

    def _draw_still(self) -> None:
        real = self._shown().map
        groups, names = self._groups()
        parts = []
        for index, point in enumerate(real.real.tolist()):
            x, y = self._axis(point)
            title = html.escape(f"{index}: real, class {self._name(int(real.labels[index]))}")
            dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{svg.colour(groups[index])}" fill-opacity="0.55"/>'
            parts.append(self._point(index, index, "r", title, dot))
        for number, name in enumerate(names):
            x, y = WIDTH - TIP - 8, TIP + 30 + 18 * number
            parts.append(f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{svg.colour(number)}"/>')
            parts.append(f'<text x="{x + 10}" y="{y}" fill="{svg.INK}">{html.escape(name[:14])}</text>')
        middle = f'x="{WIDTH - TIP // 2 - 10}" text-anchor="middle" fill="{svg.MUTED}"'
        words = f'<text {middle} y="{TIP // 2}">point at one</text><text {middle} y="{TIP // 2 + 16}">to see it</text>'
        label = f"map of {len(real)} real images by the teacher's features"
        self._still.value = svg.drawing([FRAME, words, *parts], WIDTH, HEIGHT, label)

    def _draw_moving(self) -> None:
        frame = self._shown()
        real = len(frame.map)
        groups, _ = self._groups()
        parts = []
        for number, point in enumerate(frame.points.tolist()):
            x, y = self._axis(point)
            title = html.escape(f"{real + number}: condensed, class {self._name(frame.targets[number])}")
            tint = svg.colour(groups[real + number])
            square = (
                f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" fill="{tint}" '
                f'stroke="{svg.INK}" stroke-width="1.3"/>'
            )
            parts.append(self._point(real + number, number, "m", title, square))
        if self._chosen >= 0:
            x, y = self._axis(self.points[self._chosen].tolist())
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="none" stroke="{svg.INK}" stroke-width="2"/>')
        label = f"{len(frame.points)} condensed images on the map"
        sheet = _sheet(f"{self._uid}-m", frame.pixels)
        self._moving.value = sheet + svg.drawing(parts, WIDTH, HEIGHT, label)
        self._about.value = self._description() if self._chosen >= 0 else ""

    def _point(self, index: int, place: int, sheet: str, title: str, mark: str) -> str:
        """A mark with its image, which CSS shows in the corner while the pointer is on the mark."""
        row, column = divmod(place, SHEET_COLUMNS)
        tip = (
            f'<svg class="tip" x="{WIDTH - TIP - 10}" y="4" width="{TIP}" height="{TIP}" '
            f'viewBox="{column} {row} 1 1"><use href="#{self._uid}-{sheet}"/></svg>'
        )
        return f'<g class="pt" tabindex="-1" data-index="{index}"><title>{title}</title>{mark}{tip}</g>'

    def _description(self) -> str:
        index, real = self._chosen, len(self._shown().map)
        kind, label = SETS[index >= real], int(self.labels[index])
        look = f"width: {TIP}px; height: {TIP}px"
        picture = to_pil(self.image_of(index))
        image = f'<img class="sre-pixels" style="{look}" alt="the chosen image" src="{charts.data_url(picture)}">'
        return charts.titled(f"Point {index}", image, html.escape(f"{kind}, class {self._name(label)}"))

    def _style(self) -> str:
        return (
            "<style>.sre-layers > * { grid-area: 1 / 1; margin: 0; } .sre-map-moving, .sre-map-moving svg { "
            "pointer-events: none; } .sre-layers .pt { pointer-events: auto; outline: none; cursor: pointer; } "
            ".sre-layers .tip { visibility: hidden; pointer-events: none; image-rendering: pixelated; } "
            ".sre-layers .pt:hover .tip, .sre-layers .pt:focus .tip { visibility: visible; }</style>"
        )


def _sheet(name: str, pixels: Tensor) -> str:
    """Images side by side as one picture that marks can show a piece of; each fills a unit square."""
    pixels = shrunk(pixels, THUMB) if pixels.shape[-1] > THUMB else pixels
    rows = -(-len(pixels) // SHEET_COLUMNS)
    picture = page(pixels, SHEET_COLUMNS, gap=0, transparent=False)
    image = (
        f'<image id="{name}" href="{charts.data_url(picture)}" width="{SHEET_COLUMNS}" height="{rows}" '
        f'preserveAspectRatio="none" style="image-rendering: pixelated"/>'
    )
    return f'<svg width="0" height="0" style="position: absolute" aria-hidden="true"><defs>{image}</defs></svg>'

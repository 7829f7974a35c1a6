"""`MapView`: images on a map of the teacher's features, real ones at rest; one point may be chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ipywidgets
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError
from sre2l_core.figures.feature_map import WIDTH, FeatureMap, empty_map, thumbnails
from sre2l_core.figures.sheet import View, sheet
from sre2l_core.figures.svg import Drawing
from sre2l_core.studies.live_map import LiveMap
from sre2l_core.widgets.base.spots import Spots

SETS = ("real", "condensed")
CHOOSER: dict[str, Any] = {"style": {"description_width": "7.5em"}, "layout": {"width": "15em"}}
LIVE = "The teacher's features, live t-SNE"
REACH = 15.0
"""CSS pixels of what is clicked to choose a square."""
STYLE = """<style>
.sre-map-moving, .sre-map-moving svg { pointer-events: none; }
.sre-over .pt { pointer-events: auto; outline: none; cursor: pointer; }
.sre-over .tip { visibility: hidden; pointer-events: none; }
.sre-over .pt:hover .tip, .sre-over .pt:focus .tip { visibility: visible; }
</style>"""
"""Lays the moving layer over the still one, and shows the image of a point while the pointer is on it."""


@dataclass(frozen=True)
class MapMoment:
    """Real images and, among them, recovered ones as they were at one time."""

    map: LiveMap
    targets: list[int]
    """Classes of the recovered images."""
    points: npt.NDArray[Any]
    """[M, 2] their places."""
    pixels: Tensor
    """[M, C, H, W] uint8: what they show."""

    @property
    def places(self) -> npt.NDArray[Any]:
        """[R + M, 2]: of the real and of the recovered images."""
        return np.concatenate([self.map.real, self.points])

    @property
    def labels(self) -> Tensor:
        """[R + M] classes of the points."""
        return torch.cat([self.map.labels, torch.tensor(self.targets)])

    def image(self, point: int) -> Tensor:
        """[C, H, W] uint8: the image of a point."""
        real = len(self.map)
        return self.map.pixels[point] if point < real else self.pixels[point - real]


class MapView(ipywidgets.VBox):
    """The map, what its colours tell, and the number of the chosen point: real images first, then recovered ones.

    A square is chosen by a click or by keyboard, any point by its number.

    Args:
        on_choose: called with the number of a point when another one is chosen.
    """

    def __init__(self, spec: DatasetSpec, on_choose: Callable[[int], Any]) -> None:
        self.spec, self._on_choose = spec, on_choose
        self.moment: MapMoment | None = None
        self._uid = f"sre-map-{id(self):x}"
        self._colours = ipywidgets.Dropdown(
            options=["class", "set"], description="colour by", tooltip="what the colours of the points tell", **CHOOSER
        ).add_class("sre-colour-by")
        self._number = ipywidgets.BoundedIntText(
            -1, -1, 0, description="chosen", tooltip="number of a point whose image is shown; -1 for none", **CHOOSER
        ).add_class("sre-chosen-point")
        self._colours.observe(lambda _: self._redraw(), names="value")
        self._number.observe(lambda change: self._chose(change["new"]), names="value")
        self._thumbnails, self._still, self._moving = (ipywidgets.HTML() for _ in range(3))
        self._still.add_class("sre-map-real")
        self._moving.add_class("sre-map-moving")
        self._squares = Spots(self._clicked)
        layout = {"width": f"{WIDTH}px", "grid_template_columns": f"{WIDTH}px", "overflow": "visible"}
        layers = ipywidgets.GridBox([self._still, self._moving, self._squares], layout=layout).add_class("sre-over")
        row = {"flex_flow": "row wrap", "grid_gap": "8px 20px"}
        super().__init__([ipywidgets.HBox([self._colours, self._number], layout=row), self._thumbnails, layers])
        self.clear()

    @property
    def colour_by(self) -> str:
        """What the colours tell: `class`, or `set` (real or condensed)."""
        return str(self._colours.value)

    @colour_by.setter
    def colour_by(self, value: str) -> None:
        if value not in ("class", "set"):
            raise ConfigError(f"points are coloured by class or set, got {value!r}.")
        self._colours.value = value

    @property
    def chosen(self) -> int:
        """Number of the chosen point; -1 for none."""
        return int(self._number.value)

    @chosen.setter
    def chosen(self, value: int) -> None:
        if not -1 <= value <= self._number.max:
            raise ConfigError(f"there are points 0 to {self._number.max}, got {value}.")
        self._number.value = value

    def show(self, moment: MapMoment) -> None:
        """Draw the moving layer, and the still one when it is new."""
        before, self.moment = self.moment, moment
        if before is None or before.map is not moment.map or len(before.points) != len(moment.points):
            self._number.max = len(moment.map) + len(moment.points) - 1
            self._thumbnails.value = STYLE + thumbnails(f"{self._uid}-real", moment.map.pixels)
            self._still.value = self._feature_map(moment.places, self._uid).dots()
        self._draw_moving()

    def clear(self) -> None:
        """An empty map."""
        self.moment = None
        self._thumbnails.value, self._still.value, self._moving.value = STYLE, empty_map(), ""
        self._squares.place([], [])

    def final(self, seed: int = 0) -> Drawing:
        """Real and recovered images placed together from scratch by scikit-learn (as Figure 7)."""
        return self.drawing(self._shown().map.final(seed), "t-SNE of the teacher's features, by scikit-learn")

    def drawing(self, places: npt.NDArray[Any] | None = None, title: str = LIVE) -> Drawing:
        """The map as a picture that stays.

        Args:
            places: [R + M, 2] of the images; where they are now by default.
            title: over it.
        """
        return sheet([self.view(places, title)], title)

    def view(self, places: npt.NDArray[Any] | None = None, title: str = LIVE) -> View:
        """The same, as a part of a picture."""
        drawn = self._feature_map(self._shown().places if places is None else places).drawing()
        return View(title, drawn, ("Dots: real images; squares: condensed ones.",))

    def name(self, label: int) -> str:
        """Readable name of a class."""
        return self.spec.short_names[label]

    def describe(self, point: int) -> str:
        """What a point is, in words."""
        moment = self._shown()
        return f"{SETS[point >= len(moment.map)]}, class {self.name(int(moment.labels[point]))}"

    def _shown(self) -> MapMoment:
        if self.moment is None:
            raise RuntimeError("there is no map yet: start the panel first")
        return self.moment

    def _clicked(self, square: int) -> None:
        if self.moment is not None:
            self.chosen = len(self.moment.map) + square

    def _chose(self, point: int) -> None:
        self._redraw()
        self._on_choose(point)

    def _redraw(self) -> None:
        if self.moment is not None:
            self._still.value = self._feature_map(self.moment.places, self._uid).dots()
            self._draw_moving()

    def _draw_moving(self) -> None:
        moment = self._shown()
        drawn, real = self._feature_map(moment.places, self._uid), len(moment.map)
        self._moving.value = thumbnails(f"{self._uid}-condensed", moment.pixels) + drawn.squares(self.chosen)
        spots = [(x - REACH / 2, y - REACH / 2, REACH, REACH) for x, y in drawn.square_places()]
        # The buttons lie between the pointer and the squares: theirs is the hover that shows an image.
        tips = "".join(
            f".sre-over:has(.{{uid}}-{number}:is(:hover, :focus-visible)) [data-index='{number + real}'] .tip "
            "{ visibility: visible; }"
            for number in range(len(spots))
        )
        self._squares.place(spots, drawn.titles[real:], tips)
        self._squares.mark(self.chosen - real)

    def _feature_map(self, points: npt.NDArray[Any], uid: str = "") -> FeatureMap:
        """The images at these places, in the present colours."""
        moment = self._shown()
        labels, real = moment.labels.tolist(), len(moment.map)
        present = sorted(set(labels[real:]))
        groups, names = [present.index(label) for label in labels], [self.name(label) for label in present]
        if self.colour_by == "set":
            groups, names = [int(index >= real) for index in range(len(labels))], list(SETS)
        titles = [f"{k}: {SETS[k >= real]}, class {self.name(label)}" for k, label in enumerate(labels)]
        return FeatureMap(points[:real], points[real:], groups, names, titles, uid)

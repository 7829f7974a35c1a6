"""`RelabelPanel`: choose an image and see its crops, the teacher's soft label of each, and what storing them costs."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from typing import Any

import ipywidgets
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.figures import charts, svg
from sre2l_core.figures.encode import page, shrunk
from sre2l_core.figures.stage_figures import crops_figure, rendered
from sre2l_core.pictures import to_pil
from sre2l_core.runtime import Runtime
from sre2l_core.studies.crops import CodecCost, Crops, CropStudy
from sre2l_core.widgets.base.controls import control, set_value
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.worker import Stage

PICKABLE = 60
"""Images that can be clicked; the others have a number."""
PICK = 40
"""Width of an image to click, in CSS pixels."""
SIDE = 108
"""Width of a crop, in CSS pixels."""
TEMPERATURES = [10 ** (step / 10) for step in range(-5, 21)]
"""Along the chart, 0.3 to 100."""


class Looking:
    """Labels the crops of one image, one a step; at the end it knows what storing labels costs."""

    def __init__(
        self, study: CropStudy, image: int, count: int, temperature: float, options: dict[str, dict[str, Any]]
    ) -> None:
        self._study, self._image, self._count = study, image, count
        self._temperature, self._options = temperature, options
        self.found: list[Crops] = []
        self.costs: list[CodecCost] = []

    def __iter__(self) -> Iterator[StepEvent]:
        """Label one crop after the other."""
        for number in range(self._count):
            self.found.append(self._study.crops(self._image, 1, first=number))
            if number + 1 == self._count:
                self.costs = self._study.costs(Crops.joined(self.found).logits, self._temperature, self._options)
            yield StepEvent("relabel", number + 1, self._count)


class RelabelPanel(LivePanel):
    """Stage 3 under the magnifying glass: one image, a few of its crops, their labels.

    The chosen image and its crops are labelled in a worker, crop by crop; the temperature only redraws.

    Args:
        teacher: labels the crops; the panel works on a copy.
        condensed: the images.
        config: how crops are drawn; the panel edits crop scale and flips.
        crops: how many to look at.
        temperature: of the soft labels at first.
        image: id of the image that is shown at first.
        codec_options: codec -> its options, such as `{"topk": {"k": 3}}`, for the table of costs.
        runtime: device and precision; the best there is by default.
        name: see `LivePanel`.
    """

    CONTROLS = ("crop_scale", "flip")

    def __init__(
        self,
        teacher: Teacher,
        condensed: CondensedSet,
        config: RelabelConfig,
        *,
        crops: int = 6,
        temperature: float = 20.0,
        image: int = 0,
        codec_options: dict[str, dict[str, Any]] | None = None,
        runtime: Runtime | None = None,
        name: str | None = None,
    ) -> None:
        self.teacher, self.condensed, self.count = teacher, condensed, crops
        self._runtime = runtime or Runtime.auto()
        self._options = codec_options or {}
        self._image, self._temperature = _known(condensed, image), temperature
        self.crops: Crops | None = None
        """The crops that are shown, with the teacher's logits."""
        self.costs: list[CodecCost] = []
        self._keep = False
        """Whether the crops that are shown wait for others to take their place."""
        self._heat = control(ValidateConfig(temperature=temperature), "temperature")
        self._heat.continuous_update = True
        self._heat.style.description_width = "7.5em"
        self._heat.add_class("sre-temperature").observe(self._on_heat, names="value")
        self._number = ipywidgets.BoundedIntText(
            value=self._image, min=0, max=len(condensed) - 1, description="image", tooltip="id of the image to look at",
            style={"description_width": "7.5em"}, layout={"width": "14em"},
        ).add_class("sre-image")  # fmt: skip
        self._number.observe(lambda change: self._guarded(lambda: self._choose(change["new"])), names="value")
        self.picks, sheet = self._pickers()
        picker = ipywidgets.VBox([ipywidgets.HTML(sheet), self._grid()], layout={"flex": "0 0 auto"})
        self._whole, self._cards, self._against, self._agree, self._bytes = (ipywidgets.HTML() for _ in range(5))
        for widget, css in (
            (self._whole, "whole"), (self._cards, "crops"), (self._against, "against"), (self._agree, "agree"),
            (self._bytes, "codecs"),
        ):  # fmt: skip
            widget.add_class(f"sre-{css}")
        wrap = {"flex_flow": "row wrap", "grid_gap": "8px 20px"}
        views = [
            ipywidgets.HBox([self._number, self._heat], layout={"flex_flow": "row wrap", "align_items": "center"}),
            ipywidgets.HBox([picker, self._whole], layout=wrap),
            self._cards,
            ipywidgets.HBox([self._against, self._agree, self._bytes], layout=wrap),
        ]
        super().__init__(config, views, name=name)

    @property
    def temperature(self) -> float:
        """Of the soft labels; setting it redraws at once, as the slider does."""
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        with self._lock:
            ValidateConfig(temperature=value)
            set_value(self._heat, float(value))

    @property
    def image(self) -> int:
        """Id of the chosen image; setting it looks at its crops, as a click does."""
        return self._image

    @image.setter
    def image(self, value: int) -> None:
        with self._lock:
            self._choose(_known(self.condensed, value))

    def build(self) -> Stage:
        """Label the crops of the chosen image, one a step."""
        config: Any = self.config
        study = CropStudy(self.teacher, self.condensed, config, runtime=self._runtime)
        return Looking(study, self._image, self.count, self._temperature, self._options)

    def look(self, stage: Looking, event: StepEvent) -> Looking | None:
        """The crops labelled so far; only all of them once there was a picture, which would flicker otherwise."""
        return stage if self.crops is None or event.step == event.total else None

    def show(self, frame: Looking | None) -> None:
        """Draw them."""
        if frame is not None:
            self.crops, self.costs = Crops.joined(frame.found), frame.costs
            self._draw()

    def clear(self) -> None:
        """The image alone; while other crops are on their way, the old ones stay."""
        if not self._keep:
            self.crops, self.costs = None, []
        self._draw()

    def changed(self, changes: dict[str, Any]) -> None:
        """Other crops: look again."""
        self._look_again()

    def figure(self) -> Figure:
        """Image, crops and labels as a figure that stays."""
        if self.crops is None:
            raise RuntimeError(f"there is nothing to see yet: {self.error or 'start the panel first'}")
        return crops_figure(self.condensed.images[self.crops.index], self.crops, self.condensed.spec, self._temperature)

    def picture(self) -> Image.Image | None:
        """The figure."""
        return None if self.crops is None else rendered(self.figure())

    def _pixels(self) -> Tensor:
        return self.condensed.images[self._image]

    def _choose(self, image: int) -> None:
        with self._lock:
            if image == self._image:
                return
            self._image = image
            self._number.value = image
            self._look_again()

    def _look_again(self) -> None:
        """Look at the present image: now, or once Start is pressed if nothing was looked at so far."""
        if self._run is None:
            self._draw()
            return
        self._keep = True
        try:
            self.restart()
        finally:
            self._keep = False

    def _on_pick(self, image: int) -> None:
        with self._lock:
            fresh = self._run is None
            self._choose(image)
            if fresh:
                self.start()

    def _on_heat(self, change: dict[str, Any]) -> None:
        with self._lock:
            self._temperature = float(change["new"])
            self._guarded(self._draw)

    def _pickers(self) -> tuple[list[Any], str]:
        """One button for each of the first images, and the style that paints the images on them."""
        spec, count = self.condensed.spec, min(len(self.condensed), PICKABLE)
        pixels = self.condensed.images[:count]
        pixels = shrunk(pixels, PICK) if spec.resolution > PICK else pixels
        sheet, uid = page(pixels, count, gap=0, transparent=False), f"sre-{id(self):x}"
        layout = ipywidgets.Layout(width=f"{PICK}px", height=f"{PICK}px", padding="0", margin="1px")
        style = ipywidgets.ButtonStyle()
        buttons = []
        for number in range(count):
            name = spec.class_names[int(self.condensed.labels[number])].split(",")[0]
            button = ipywidgets.Button(tooltip=f"image {number}, class {name}", layout=layout, style=style)
            button.on_click(lambda _, number=number: self._guarded(lambda: self._on_pick(number)))
            buttons.append(button.add_class(uid).add_class(f"{uid}-{number}"))
        places = "".join(
            f".{uid}-{number} {{ background-position: {-number * PICK}px 0 !important; }}" for number in range(count)
        )
        css = (
            f".{uid} {{ background-image: url({charts.data_url(sheet)}) !important; image-rendering: pixelated; "
            f"background-size: {count * PICK}px {PICK}px !important; background-repeat: no-repeat !important; }}"
            f".{uid}:focus-visible, .{uid}.sre-chosen {{ outline: 3px solid {svg.WARNING}; outline-offset: -1px; }}"
        )
        return buttons, f"<style>{css}{places}</style>" + charts.titled("Click an image", "")

    def _grid(self) -> Any:
        columns = min(10, len(self.picks), max(1, len(self.condensed.labels.unique())))
        rows = [ipywidgets.HBox(self.picks[start : start + columns]) for start in range(0, len(self.picks), columns)]
        return ipywidgets.VBox(rows, layout={"max_height": "270px", "overflow": "auto"})

    def _draw(self) -> None:
        for number, button in enumerate(self.picks):
            chosen = number == self._image
            if chosen != ("sre-chosen" in button._dom_classes):
                (button.add_class if chosen else button.remove_class)("sre-chosen")
        spec, crops, heat = self.condensed.spec, self.crops, self._temperature
        name = spec.class_names[int(self.condensed.labels[self._image])].split(",")[0]
        own = crops if crops is not None and crops.index == self._image else None
        self._whole.value = charts.titled(f"Image {self._image}, class {name}", _outlines(self._pixels(), own))
        self._bytes.value = self._cost_table()
        if crops is None:
            self._numbers.value = "Choose an image, or press Start." if self._run is None else "labelling …"
            self._cards.value = self._against.value = self._agree.value = ""
            return
        words = f"{crops.same_top():.0%} of {len(crops)} crops have the same likeliest class"
        self._numbers.value = (
            f"{words} · at T = {heat:g} two crops share {crops.mean_agreement(heat):.0%} of their labels"
        )
        self._cards.value = self._labels(crops)
        top = [(math.log10(t), float(crops.soft(t).amax(1).mean())) for t in TEMPERATURES]
        agree = [(math.log10(t), crops.mean_agreement(t)) for t in TEMPERATURES]
        chart = charts.log_chart(
            {"likeliest class": top, "agreement": agree}, at=math.log10(heat),
            label="share of the likeliest class and agreement between crops, against temperature",
            x_label="temperature", width=350,
        )  # fmt: skip
        self._against.value = charts.titled("Flatter with temperature", chart)
        shared = [[round(100 * value) for value in row] for row in crops.agreement(heat).tolist()]
        numbers = [str(number + 1) for number in range(len(crops))]
        table = charts.matrix(
            shared, numbers, label="agreement between crops", across="crop", down="crop", full=100, side=28
        )
        self._agree.value = charts.titled("Labels that two crops share (%)", table)

    def _labels(self, crops: Crops) -> str:
        """A card for each crop: its pixels, and the five likeliest classes."""
        spec, cards = self.condensed.spec, []
        own = spec.class_names[int(self.condensed.labels[crops.index])].split(",")[0]
        short = max(map(len, spec.class_names)) <= 6
        width = 156 if short else 290  # three or two cards in a row
        for number, found in enumerate(crops.top(5, self._temperature)):
            picture = to_pil(
                shrunk(crops.pixels[number : number + 1], SIDE)[0] if spec.resolution > SIDE else crops.pixels[number]
            )
            names = [spec.class_names[label].split(",")[0] for label, _ in found]
            values = dict(zip(names, (share for _, share in found), strict=True))
            chart = svg.bars(
                values, label=f"soft label of crop {number + 1}", high=1, text="{:.0%}", width=width, row=21,
                highlight=[name for name in names if name != own],
            )  # fmt: skip
            look = f"width: {SIDE}px; height: {SIDE}px; outline: 2px solid {svg.colour(number)}; margin: 3px"
            image = f'<img class="sre-pixels" style="{look}" alt="crop {number + 1}" src="{charts.data_url(picture)}">'
            mirrored = ", mirrored" if bool(crops.flip[number]) else ""
            cards.append(
                f'<div><div class="sre-caption">crop {number + 1}{mirrored}</div>'
                f'<div style="display: flex; align-items: center">{image}{chart}</div></div>'
            )
        title = charts.titled(f"What the teacher says about each crop, at temperature {self._temperature:g}", "")
        note = f'<div class="sre-caption">Blue: the image\'s own class ({html.escape(own)}); orange: others.</div>'
        return f'{title}{note}<div style="display: flex; flex-wrap: wrap; gap: 6px 12px">{"".join(cards)}</div>'

    def _cost_table(self) -> str:
        if not self.costs:
            return ""
        rows = [
            (cost.codec, f"{cost.bytes_per_label:,}", _bytes(cost.total), f"{cost.per_image:.1f} ×", f"{cost.lost:.2%}")
            for cost in self.costs
        ]
        config: Any = self.config
        caption = f"Storing {config.epochs:,} labels for each of {len(self.condensed):,} images"
        head = ("codec", "bytes a label", "in all", "of the pixels", "label lost")
        return charts.table(head, rows, caption=caption)


def _known(condensed: CondensedSet, image: int) -> int:
    if not 0 <= image < len(condensed):
        raise ConfigError(f"there are images 0 to {len(condensed) - 1}, got {image}.")
    return image


def _outlines(image: Tensor, crops: Crops | None, side: int = 176) -> str:
    """The whole image with the frame of each crop."""
    size = image.shape[-1]
    scale, margin = side / size, 10
    picture = to_pil(shrunk(image[None], side)[0] if size > side else image)
    parts = [
        f'<image href="{charts.data_url(picture)}" x="{margin}" y="{margin}" width="{side}" height="{side}" '
        f'style="image-rendering: pixelated"/>'
    ]
    for number, (top, left, height, width) in enumerate(crops.box.tolist() if crops else ()):
        inset = 1.2 * number
        x, y = left * scale + margin + inset, top * scale + margin + inset
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width * scale - 2 * inset, 2):.1f}" '
            f'height="{max(height * scale - 2 * inset, 2):.1f}" fill="none" stroke="{svg.colour(number)}" '
            f'stroke-width="2"><title>crop {number + 1}</title></rect>'
        )
    return svg.drawing(parts, side + 2 * margin, side + 2 * margin, "the chosen image and the frames of its crops")


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"

"""`RelabelPanel`: choose an image and see its crops, the teacher's soft label of each, and what storing them costs."""

from __future__ import annotations

from typing import Any

import ipywidgets

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.figures.crops import against_temperature, agreement, cost_table, costs, crop_card, outlines
from sre2l_core.figures.sheet import View, sheet
from sre2l_core.figures.svg import Drawing
from sre2l_core.runtime import Runtime
from sre2l_core.studies.crops import CodecCost, CropLabelling, Crops, CropStudy
from sre2l_core.tabular import Table
from sre2l_core.widgets.base.controls import control, set_value
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.widgets.picker import ImagePicker
from sre2l_core.worker import Stage


class RelabelPanel(LivePanel):
    """Stage 3 under the magnifying glass: one image, a few of its crops, their labels, all looked at in this process.

    The chosen image and its crops are labelled in a thread beside, crop by crop; the temperature only redraws.

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
    FOLDER = "runs/relabel"
    config: RelabelConfig

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
        self._runtime, self._codec_options = runtime or Runtime.auto(), codec_options or {}
        self._image, self._temperature = _known(condensed, image), temperature
        self.crops: Crops | None = None
        """The crops that are shown, with the teacher's logits."""
        self.costs: list[CodecCost] = []
        self._keep = False
        """Whether the crops that are shown wait for others to take their place."""
        self._views: list[View] = []
        softness = ValidateConfig(temperature=temperature)
        self._slider = control(softness, "temperature").add_class("sre-temperature")
        self._slider.continuous_update = True
        entry = self.edit(self._slider, softness, "temperature", self._soften)
        entry.layout.flex = "1 1 320px"
        self._number = ipywidgets.BoundedIntText(
            value=self._image, min=0, max=len(condensed) - 1, description="image", tooltip="id of the image to look at",
            style={"description_width": "7.5em"}, layout={"width": "14em"},
        ).add_class("sre-image")  # fmt: skip
        self._number.observe(lambda change: self._guarded(lambda: self._choose(change["new"])), names="value")
        self._picker = ImagePicker(condensed, lambda image: self._guarded(lambda: self._on_pick(image)))
        self.picks = self._picker.buttons
        """A button for each of the first images."""
        names = ("whole", "crops", "against", "agree", "codecs")
        self._html = {name: ipywidgets.HTML().add_class(f"sre-{name}") for name in names}
        whole, cards, *charts = self._html.values()
        wrap = {"flex_flow": "row wrap", "grid_gap": "8px 20px"}
        views = [
            ipywidgets.HBox([self._number, entry], layout={"flex_flow": "row wrap", "align_items": "center"}),
            ipywidgets.HBox([self._picker, whole], layout=wrap),
            cards,
            ipywidgets.HBox(charts, layout=wrap),
        ]
        super().__init__(config, views, name=name)

    @property
    def temperature(self) -> float:
        """Of the soft labels; setting it redraws at once, as the slider does."""
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self._soften(value)

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
        study = CropStudy(self.teacher, self.condensed, self.config, runtime=self._runtime)
        return CropLabelling(study, self._image, self.count, self._temperature, self._codec_options)

    def look(self, stage: CropLabelling, event: StepEvent) -> CropLabelling | None:
        """The crops labelled so far; only all of them once there was a picture, which would flicker otherwise."""
        return stage if self.crops is None or event.step == event.total else None

    def show(self, frame: CropLabelling | None) -> None:
        """Draw them."""
        if frame is not None:
            self.crops, self.costs = frame.crops(), frame.costs
            self._draw()

    def clear(self) -> None:
        """The image alone; while other crops are on their way, the old ones stay."""
        if not self._keep:
            self.crops, self.costs = None, []
        self._draw()

    def changed(self, changes: dict[str, Any]) -> None:
        """Other crops: look again."""
        self._look_again()

    def picture(self) -> Drawing | None:
        """Image, crops and labels as they are now."""
        return sheet(self._views, f"Crops of image {self._image} and their soft labels") if self._views else None

    def tables(self) -> dict[str, Table]:
        """What each codec costs."""
        if not self.costs:
            raise RuntimeError("nothing was labelled yet: press Start")
        return {"label_costs": costs(self.costs)}

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

    def _soften(self, temperature: float) -> None:
        with self._lock:
            self._temperature = ValidateConfig(temperature=temperature).temperature
            with self.moved_by_code():
                set_value(self._slider, self._temperature)
            self._show_entries()
            self._guarded(self._draw)

    def _draw(self) -> None:
        self._picker.mark(self._image)
        crops = self.crops
        boxes = crops.box.tolist() if crops is not None and crops.index == self._image else []
        drawing = outlines(self.condensed.images[self._image], boxes)
        whole = View(f"Image {self._image}, class {self._class_of(self._image)}", drawing)
        self._html["whole"].value = whole.html()
        self._html["codecs"].value = cost_table(self.costs, epochs=self.config.epochs, images=len(self.condensed))
        if crops is None:
            self._numbers.say("Choose an image, or press Start." if self._run is None else "labelling …")
            self._views = []
            for name in ("crops", "against", "agree"):
                self._html[name].value = ""
            return
        temperature = self._temperature
        self._numbers.say(
            f"{crops.same_top():.0%} of {len(crops)} crops have the same likeliest class · at T = {temperature:g} "
            f"two crops share {crops.mean_agreement(temperature):.0%} of their labels"
        )
        views = {"against": against_temperature(crops, temperature), "agree": agreement(crops, temperature)}
        views["crops"] = self._cards(crops)
        self._views = [whole, *views.values()]
        for name, view in views.items():
            self._html[name].value = view.html()

    def _class_of(self, image: int) -> str:
        return self._names[int(self.condensed.labels[image])]

    @property
    def _names(self) -> tuple[str, ...]:
        return self.condensed.spec.short_names

    def _cards(self, crops: Crops) -> View:
        """A card for each crop: its pixels, and the five likeliest classes."""
        own, names = self._class_of(crops.index), self._names
        cards = []
        for number, likeliest in enumerate(crops.top(5, self._temperature)):
            soft_label = {names[label]: share for label, share in likeliest}
            flipped = bool(crops.flip[number])
            cards.append(crop_card(crops.pixels[number], soft_label, number=number, own=own, flipped=flipped))
        title = f"What the teacher says about each crop, at temperature {self._temperature:g}"
        return View(title, cards, (f"Blue: the image's own class ({own}); orange: others.",))


def _known(condensed: CondensedSet, image: int) -> int:
    if not 0 <= image < len(condensed):
        raise ConfigError(f"there are images 0 to {len(condensed) - 1}, got {image}.")
    return image

"""`SmallMultiples`: the images of several settings, from the same noise, growing at the same time (Figure 3)."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping
from itertools import product
from math import isfinite
from typing import Any

import ipywidgets
from PIL import Image, ImageDraw, ImageFont

from sre2l_core import starts, terms
from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.figures import encode
from sre2l_core.presets.recipe import written
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover.pair import Together
from sre2l_core.widgets.recovery.frame import small
from sre2l_core.widgets.recovery.panel import RecoveryPanel, fitting
from sre2l_core.widgets.side_by_side import HEADING_COLOUR, SHARED

MOST = 24
"""Settings that grow together."""
WIDTH, PAGE = 250, 4
"""CSS pixels of the images of one, and how many stand in a row of the picture that stays."""
ROW_OF = 5
"""Images in a row of one."""
ALIKE = SHARED | {"group_size"}
"""All start from the same noise and end together."""
HEADING = 18


class SmallMultiples(RecoveryPanel):
    """Every combination of the values, one image a class, step by step together.

    Args:
        teacher: stage 1's result; the panel works on a copy.
        config: settings of the recovery; what `grid` does not name is the same in all.
        grid: fields of the recovery -> values, each with each; up to `MOST` combinations.
        data: real data, for starts other than noise.
        runtime: device and precision; the best there is by default.
        name: panels of one name never run at the same time; see `LivePanel`.
    """

    CONTROLS = ("steps",)

    def __init__(
        self,
        teacher: Teacher,
        config: RecoverConfig,
        grid: Mapping[str, Iterable[Any]],
        *,
        data: Dataset | None = None,
        runtime: Runtime | None = None,
        name: str | None = None,
    ) -> None:
        if fixed := ALIKE & grid.keys():
            raise ConfigError(
                f"all start from the same noise and end together: {', '.join(sorted(fixed))} cannot differ."
            )
        config = fitting(config, teacher.spec).but(ipc=1)
        axes = {field: list(values) for field, values in grid.items()}
        self.variants = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
        """What each of them does otherwise than the config."""
        if not axes or not 2 <= len(self.variants) <= MOST:
            raise ConfigError(f"from 2 to {MOST} settings grow together (got {len(self.variants) if axes else 0}).")
        for variant in self.variants:
            config.but(**variant)
        self._view = ipywidgets.HTML().add_class("sre-multiples")
        super().__init__(teacher, config, [self._view], data=data, runtime=runtime, name=name)

    @property
    def titles(self) -> list[str]:
        """What each differs in, in words."""
        return [", ".join(f"{field} {written(value)}" for field, value in one.items()) for one in self.variants]

    @property
    def _across(self) -> int:
        """Images in a row: few, so that they are large."""
        return min(len(self._labels), ROW_OF)

    def build(self) -> Together:
        """Make the recoveries from the present settings."""
        made = {f"{number}": self._recovery(self.config.but(**one)) for number, one in enumerate(self.variants)}
        return Together(made)

    def look(self, stage: Together, event: StepEvent) -> str:
        """Encode all images, with the losses under them."""
        names, cards = terms.legend(), []
        for (number, recovery), title in zip(stage.recoveries.items(), self.titles, strict=True):
            values = {name: event.value(f"{number} {name}") for name in names if f"{number} {name}" in event.metrics}
            losses = " · ".join(f"{names[name]} {value:.3g}" for name, value in values.items() if isfinite(value))
            cards.append(
                self._card(encode.grid(small(recovery.pixels()), self._across, max_width=WIDTH), title, losses)
            )
        return _in_a_row(cards)

    def show(self, frame: str) -> None:
        """Write a frame."""
        self._view.value = frame
        self._numbers.say("each begins with the same noise")

    def clear(self) -> None:
        """Show the noise that all start from."""
        super().clear()
        self._numbers.say("press Start: they grow at the same time")
        if starts.find(self.config.init).needs_data and self._data is None:
            self._view.value = ""
            return
        frame = encode.grid(small(self.start_pixels()), self._across, max_width=WIDTH)
        self._view.value = _in_a_row([self._card(frame, title, "the noise") for title in self.titles])

    def picture(self) -> Image.Image | None:
        """All images under their settings."""
        if not isinstance(self.stage, Together):
            return None
        pages = [
            encode.still(small(one.pixels()), self._across).convert("RGBA") for one in self.stage.recoveries.values()
        ]
        width, height = pages[0].width + HEADING, pages[0].height + 2 * HEADING
        rows = -(-len(pages) // PAGE)
        canvas = Image.new("RGBA", (width * min(PAGE, len(pages)), height * rows))
        draw = ImageDraw.Draw(canvas)
        for number, (page, title) in enumerate(zip(pages, self.titles, strict=True)):
            left, top = number % PAGE * width, number // PAGE * height
            draw.text((left, top), title, fill=HEADING_COLOUR, font=ImageFont.load_default(HEADING - 6))
            canvas.paste(page, (left, top + HEADING))
        return canvas

    def _card(self, frame: encode.Frame, title: str, losses: str) -> str:
        """Images under what they differ in."""
        source = f"data:image/{frame.format};base64,{base64.b64encode(frame.data).decode()}"
        alt = html.escape(f"{title}: images of {', '.join(self.names)}")
        size = f"width: {frame.width}px"
        image = f'<img class="sre-pixels" style="{size}" alt="{alt}" title="{alt}" src="{source}">'
        heading = f'<div class="sre-heading">{html.escape(title)}</div>'
        return (
            f'<div style="width: {WIDTH}px">{heading}{image}<div class="sre-caption">{html.escape(losses)}</div></div>'
        )


def _in_a_row(cards: list[str]) -> str:
    return f'<div style="display: flex; flex-wrap: wrap; gap: 10px 14px">{"".join(cards)}</div>'

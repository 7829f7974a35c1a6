"""`Inspector`: an image, large: what the teacher sees and would change, the nearest real images, its own past."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets
import numpy as np
from PIL import Image
from torch import Tensor

from sre2l_core.data import DatasetSpec
from sre2l_core.figures import bars
from sre2l_core.figures.svg import picture_tag
from sre2l_core.pictures import to_pil
from sre2l_core.studies.closeup import Closeup

SIDE, SMALL = 224, 64
"""CSS pixels of the image, and of those beside it."""
PAST = 6
"""Earlier moments that are shown."""
HEAT = (230, 81, 0)
"""Colour of the pixels that the teacher would change most."""


class Inspector(ipywidgets.VBox):
    """Shows a `Closeup`; the overlay of the saliency can be switched off."""

    def __init__(self) -> None:
        self.overlay = ipywidgets.Checkbox(
            True,
            description="show what the teacher would change",
            tooltip="orange: pixels with a large gradient of the cross-entropy",
            indent=False,
        ).add_class("sre-saliency")
        self._page = ipywidgets.HTML().add_class("sre-inspector")
        self._shown: tuple[Closeup, str, str] | None = None
        self.overlay.observe(lambda _: self._draw(), names="value")
        super().__init__([self.overlay, self._page], layout={"display": "none"})

    def show(
        self,
        seen: Closeup,
        spec: DatasetSpec,
        title: str,
        *,
        nearest: Sequence[tuple[Tensor, str]] = (),
        past: Sequence[tuple[int, Tensor]] = (),
    ) -> None:
        """Show an image.

        Args:
            seen: the image.
            spec: its dataset.
            title: what it is.
            nearest: real images [C, H, W] uint8 and what they are, the nearest first.
            past: (step, image) earlier in its recovery.
        """
        shares = {spec.short_names[index]: share for index, share in seen.likeliest()}
        chart = bars.bars(
            shares,
            label=f"what the teacher sees: {title}",
            high=1.0,
            form="{:.1%}",
            highlight=[name for name in shares if name != spec.short_names[seen.label]],
            width=330,
        )
        parts = [_titled("What the teacher sees", chart)]
        if nearest:
            parts.append(_titled("Nearest real images, by the teacher's features", _strip(nearest)))
        if len(past) > 1:
            few = [past[round(k * (len(past) - 1) / (PAST - 1))] for k in range(PAST)] if len(past) > PAST else past
            parts.append(_titled("How it came about", _strip([(pixels, f"step {step}") for step, pixels in few])))
        self._shown = (seen, title, "".join(parts))
        self._draw()
        self.layout.display = None

    def clear(self) -> None:
        """Take no room."""
        self._shown, self._page.value, self.layout.display = None, "", "none"

    def _draw(self) -> None:
        if self._shown is None:
            return
        seen, title, beside = self._shown
        picture = lit(seen) if self.overlay.value else to_pil(seen.pixels)
        words = "the image, large" + (", with what the teacher would change in orange" if self.overlay.value else "")
        image = f'<div><div class="sre-heading">{html.escape(title)}</div>{picture_tag(picture, SIDE, words)}</div>'
        self._page.value = (
            f'<div style="display: flex; flex-wrap: wrap; gap: 4px 20px">{image}<div>{beside}</div></div>'
        )


def lit(seen: Closeup) -> Image.Image:
    """The image in grey, and on it in orange the pixels that the teacher would change most."""
    grey = np.asarray(to_pil(seen.pixels).convert("L"), dtype=np.float32)[..., None]
    share = seen.saliency.numpy()[..., None]
    return Image.fromarray(((1 - share) * grey + share * np.array(HEAT, dtype=np.float32)).round().astype(np.uint8))


def _strip(images: Sequence[tuple[Tensor, str]]) -> str:
    cells = (
        f'<figure style="margin: 0; width: {SMALL}px">{picture_tag(to_pil(pixels), SMALL, words)}'
        f'<figcaption class="sre-caption" style="overflow: hidden; text-overflow: ellipsis">{html.escape(words)}'
        "</figcaption></figure>"
        for pixels, words in images
    )
    return f'<div style="display: flex; flex-wrap: wrap; gap: 6px">{"".join(cells)}</div>'


def _titled(title: str, body: str) -> str:
    return f'<div class="sre-heading" style="margin-top: 6px">{html.escape(title)}</div>{body}'

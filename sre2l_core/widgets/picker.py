"""`ImagePicker`: the first images of a condensed set as buttons to click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from sre2l_core.artifacts import CondensedSet
from sre2l_core.figures.encode import page, shrunk
from sre2l_core.figures.svg import WARNING, data_url

MOST = 60
"""Images that can be clicked; the others have a number."""
SIDE = 40
"""Width of an image, in CSS pixels."""
COLUMNS = 10
"""In a row, at most."""


class ImagePicker(ipywidgets.VBox):
    """One button for each of the first images.

    Args:
        condensed: the images.
        on_pick: called with the number of the image that was clicked.
    """

    def __init__(self, condensed: CondensedSet, on_pick: Callable[[int], Any]) -> None:
        spec, count = condensed.spec, min(len(condensed), MOST)
        pixels = condensed.images[:count]
        pixels = shrunk(pixels, SIDE) if spec.resolution > SIDE else pixels
        sheet, uid = page(pixels, count, gap=0, transparent=False), f"sre-{id(self):x}"
        layout = ipywidgets.Layout(width=f"{SIDE}px", height=f"{SIDE}px", padding="0", margin="1px")
        style, self.buttons = ipywidgets.ButtonStyle(), []
        for number in range(count):
            name = spec.short_names[int(condensed.labels[number])]
            button = ipywidgets.Button(tooltip=f"image {number}, class {name}", layout=layout, style=style)
            button.on_click(lambda _, number=number: on_pick(number))
            self.buttons.append(button.add_class(uid).add_class(f"{uid}-{number}"))
        columns = min(COLUMNS, count, max(1, len(condensed.labels.unique())))
        rows = [ipywidgets.HBox(self.buttons[start : start + columns]) for start in range(0, count, columns)]
        heading = '<div class="sre-heading">Click an image</div>'
        super().__init__(
            [
                ipywidgets.HTML(_style(uid, data_url(sheet), count) + heading),
                ipywidgets.VBox(rows, layout={"max_height": "270px", "overflow": "auto"}),
            ],
            layout={"flex": "0 0 auto"},
        )

    def mark(self, image: int) -> None:
        """Show which image is chosen."""
        for number, button in enumerate(self.buttons):
            if (chosen := number == image) != ("sre-chosen" in button._dom_classes):
                (button.add_class if chosen else button.remove_class)("sre-chosen")


def _style(uid: str, url: str, count: int) -> str:
    """Paints one picture of all images on the buttons, each showing its own piece."""
    places = "".join(
        f".{uid}-{number} {{ background-position: {-number * SIDE}px 0 !important; }}" for number in range(count)
    )
    css = (
        f".{uid} {{ background-image: url({url}) !important; image-rendering: pixelated; "
        f"background-size: {count * SIDE}px {SIDE}px !important; background-repeat: no-repeat !important; }}"
        f".{uid}:focus-visible, .{uid}.sre-chosen {{ outline: 3px solid {WARNING}; outline-offset: -1px; }}"
    )
    return f"<style>{css}{places}</style>"

"""`Spots`: what lies in a picture can be clicked, and reached by keyboard, without a line of JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from sre2l_core.figures.svg import WARNING

Spot = tuple[float, float, float, float]
"""Left, top, width and height in CSS pixels."""


class Spots(ipywidgets.Box):
    """Buttons without a face over a picture; both are laid into one cell of a grid by `over`.

    They move by one style sheet, however many there are.

    Args:
        on_click: called with the number of a spot.
    """

    def __init__(self, on_click: Callable[[int], Any]) -> None:
        self._on_click, self._uid = on_click, f"sre-spot-{id(self):x}"
        self._places, self.buttons = ipywidgets.HTML(layout={"display": "none"}), list[Any]()
        self._layout = ipywidgets.Layout(width="0", height="0", padding="0", margin="0", min_width="0")
        super().__init__([self._places], layout={"overflow": "visible", "height": "0", "width": "0"})
        self.add_class("sre-spots")

    def place(self, spots: Sequence[Spot], titles: Sequence[str], style: str = "") -> None:
        """Lie there.

        Args:
            spots: where.
            titles: what each is, for the pointer and for a screen reader.
            style: more CSS; `{uid}` stands for the class of all buttons, which `{uid}-3` has besides.
        """
        if len(spots) != len(self.buttons):
            self._make(len(spots))
        for button, title in zip(self.buttons, titles, strict=True):
            button.tooltip = button.description = title  # the text is not seen, a screen reader says it
        rules = (
            f".{self._uid}-{number} {{ left: {x:.1f}px; top: {y:.1f}px; "
            f"width: {wide:.1f}px !important; height: {high:.1f}px !important; }}"
            for number, (x, y, wide, high) in enumerate(spots)
        )
        self._places.value = f"<style>{''.join(rules)}{style.replace('{uid}', self._uid)}</style>"

    def mark(self, chosen: int) -> None:
        """Show which one is chosen; -1 for none."""
        for number, button in enumerate(self.buttons):
            if (number == chosen) != ("sre-chosen" in button._dom_classes):
                (button.add_class if number == chosen else button.remove_class)("sre-chosen")

    def _make(self, count: int) -> None:
        for button in self.buttons[count:]:
            button.close()
        del self.buttons[count:]
        for number in range(len(self.buttons), count):
            button = ipywidgets.Button(layout=self._layout).add_class(self._uid).add_class(f"{self._uid}-{number}")
            button.on_click(lambda _, number=number: self._on_click(number))
            self.buttons.append(button)
        self.children = (self._places, *self.buttons)


def over(*layers: Any, **layout: str) -> Any:
    """Widgets laid one over the other, all from the same corner."""
    return ipywidgets.GridBox(layers, layout=layout).add_class("sre-over")


SPOTS_STYLE = f"""
.sre-over > * {{ grid-area: 1 / 1; margin: 0; }}
.sre-cells, .sre-cells svg {{ pointer-events: none; }}
.sre-cells g {{ pointer-events: auto; }}
.sre-spots {{ position: relative; pointer-events: none; }}
.sre-spots button {{ position: absolute; pointer-events: auto; background: transparent !important; border: none; }}
.sre-spots button {{ font-size: 0; overflow: hidden; }}
.sre-spots button:hover {{ box-shadow: none; outline: 1px solid {WARNING}; }}
.sre-spots button:focus-visible, .sre-spots button.sre-chosen {{ outline: 2px solid {WARNING}; }}
"""

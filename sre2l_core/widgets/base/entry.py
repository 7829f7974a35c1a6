"""`NumberEntry`: a slider and a field beside it that takes every value its setting allows, and says what is wrong."""

from __future__ import annotations

import html
import math
import operator
from typing import Any, get_args, get_origin

import ipywidgets

from sre2l_core.config import Config
from sre2l_core.errors import ConfigError
from sre2l_core.widgets.base.status import Said

BOUNDS = {
    "ge": (operator.ge, "at least"),
    "gt": (operator.gt, "more than"),
    "le": (operator.le, "at most"),
    "lt": (operator.lt, "less than"),
}
"""Of a field -> what it asks of a number, and in words."""
FIELD_WIDTH, END_WIDTH = 90, 62
"""CSS pixels of what a number is typed into, and one end of a range."""


class NumberEntry(ipywidgets.HBox):
    """A setting as a field with its name, a slider that takes the rest of the row, and what was refused under both.

    The field shows the value itself, which a screen reader says; of a slider in steps 1, 2, 5 it hears a number of a
    step.

    Args:
        widget: what `control` made of the setting.
        config: has the setting.
        name: of the setting.
    """

    def __init__(self, widget: Any, config: Config, name: str) -> None:
        kind = type(config).model_fields[name]
        self.widget, self.name, self._metadata = widget, name, kind.metadata
        self._whole = int in (kind.annotation, *get_args(kind.annotation))
        self._pair = get_origin(kind.annotation) is tuple
        self._label = widget.description
        self._said, self._note = Said(), ipywidgets.HTML(layout={"display": "none"}).add_class("sre-caption")
        self.fields = [self._field(self._label, widget.style.description_width)]
        """Where people type: one, or one for each end of a range."""
        if self._pair:
            self.fields.append(self._field("to", "18px"))
        sliders = [] if isinstance(widget, ipywidgets.BoundedIntText) else [widget]
        if not sliders:  # its page would silently make another number of one out of bounds: it is not shown
            self.fields[0]._dom_classes, widget._dom_classes = widget._dom_classes, ()
        for slider in sliders:
            slider.readout = False
            slider.layout = ipywidgets.Layout(flex="1 1 110px", width="auto", min_width="0", margin="0 10px")
        self._said.layout.flex = self._note.layout.flex = "0 0 100%"
        layout = {"flex_flow": "row wrap", "align_items": "center", "min_width": "0", "overflow": "visible"}
        super().__init__([*self.fields, *sliders, self._said, self._note], layout=layout)
        self.add_class("sre-entry").add_class(f"sre-entry-{name.replace('_', '-')}")
        self.show(widget.value)

    def show(self, value: Any) -> None:
        """Write a value into the field, or both ends of a range into theirs."""
        for field, number in zip(self.fields, value if self._pair else (value,), strict=True):
            field.value, field.disabled = self._written(number), self.widget.disabled

    def say(self, words: str) -> None:
        """Say what is wrong, under the field; nothing if `words` is empty."""
        self._said.say(words)

    def note(self, words: str) -> None:
        """Say under the field what is to be known of it; nothing if `words` is empty."""
        self._note.value, self._note.layout.display = html.escape(words), None if words else "none"

    def parsed(self, number: int, typed: str) -> Any:
        """The setting's value with what was typed into one of the fields.

        Raises:
            ConfigError: for what is no number, or out of bounds.
        """
        value = self._number(typed)
        if not self._pair:
            return value
        low, high = self.widget.value
        return (value, high) if number == 0 else (low, value)

    def close(self) -> None:
        """Close the widget too, which may not be shown."""
        self.widget.close()
        super().close()

    def _field(self, label: str, width: str) -> Any:
        room = {"width": f"{int(width.removesuffix('px')) + (END_WIDTH if self._pair else FIELD_WIDTH)}px"}
        field = ipywidgets.Text(description=label, continuous_update=False, layout=room, tooltip=self.widget.tooltip)
        field.style.description_width = width
        return field

    def _written(self, value: float) -> str:
        return "off" if value == 0 and self._may_be_off else f"{value:.12g}"

    @property
    def _may_be_off(self) -> bool:
        options = getattr(self.widget, "options", ())
        return any(value == 0 for _, value in options)

    def _number(self, typed: str) -> float:
        text = typed.strip().replace("\N{MINUS SIGN}", "-")
        try:
            value = 0.0 if self._may_be_off and text.lower() == "off" else float(text)
        except ValueError:
            value = math.nan
        tests = [(*BOUNDS[name], bound) for name in BOUNDS for bound in self._bounds(name)]
        kept = math.isfinite(value) and all(test(value, bound) for test, _, bound in tests)
        if not kept or (self._whole and value != int(value)):
            kind = "a whole number" if self._whole else "a number"
            limits = ", ".join(f"{words} {bound:,g}" for _, words, bound in tests)
            wanted = f"{kind} of {limits}" if limits else kind
            raise ConfigError(f"{self._label}: {wanted}, not {typed.strip() or 'nothing'}")
        return int(value) if self._whole else value

    def _bounds(self, name: str) -> list[float]:
        found = (getattr(item, name, None) for item in self._metadata)
        return [bound for bound in found if bound is not None]

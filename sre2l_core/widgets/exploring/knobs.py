"""`Knobs`: the setting that is to be another, its value, and buttons for what is done with the open run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets

from sre2l_core.errors import ConfigError
from sre2l_core.presets import Recipe
from sre2l_core.runs.grid import parsed, typed
from sre2l_core.widgets.base.status import Said, button

FORMATS = ("csv", "tex", "png", "svg")
ROW = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "2px 10px"}
FIELD: dict[str, Any] = {"style": {"description_width": "auto"}}


class Knobs(ipywidgets.HBox):
    """A row under the chart.

    Args:
        grow: recovers images for the values that were typed.
        export: writes what is shown, in the format that was chosen; where to.
        refresh: looks for runs that others have made.
    """

    def __init__(self, grow: Callable[[], Any], export: Callable[[str], Any], refresh: Callable[[], Any]) -> None:
        self._settings: Mapping[str, Any] = {}
        self.said = Said()
        self.knob = ipywidgets.Dropdown(description="with another", **FIELD).add_class("sre-knob")
        self.value = ipywidgets.Text(
            description="value",
            tooltip="of this setting; for Grow several, separated by commas",
            **FIELD,
            layout={"width": "170px"},
        ).add_class("sre-value")
        self.format = ipywidgets.Dropdown(options=FORMATS, description="as", **FIELD, layout={"width": "100px"})
        self.knob.observe(lambda change: self._show_value(), names="value")
        acts: dict[str, tuple[str, Callable[[], Any], str]] = {
            "Grow": ("th", grow, "recover images for each of these values, side by side"),
            "Export": ("download", self._exporting(export), "write what is shown into the folder of the runs"),
            "Refresh": ("refresh", refresh, "look for runs that others have made"),
        }
        made = [
            button(text, icon, self._beside(act), f"sre-{text.lower()}", tooltip)
            for text, (icon, act, tooltip) in acts.items()
        ]
        super().__init__([self.knob, self.value, *made[:2], self.format, made[2], self.said], layout=ROW)

    def show(self, settings: Mapping[str, Any], varying: Sequence[str]) -> None:
        """Offer the settings of a run, at its values; at first the one that varies most."""
        self._settings = settings
        if tuple(self.knob.options) != tuple(settings):
            first = next((name for name in varying if name in settings), next(iter(settings), None))
            self.knob.options = tuple(settings)
            self.knob.value = first
        self._show_value()

    def set(self, setting: str, value: Any) -> None:
        """Choose a setting, and type a value."""
        self.knob.value, self.value.value = setting, typed(value)

    def asked(self, recipe: Recipe) -> tuple[str, list[Any]]:
        """The setting that was chosen, and the values that were typed.

        Raises:
            ConfigError: for what is no value.
        """
        name, values = parsed(f"{self.knob.value}={self.value.value}", recipe)
        if not values:
            raise ConfigError(f"{name}: type a value first.")
        return name, values

    def asked_one(self, recipe: Recipe) -> tuple[str, Any]:
        """The same where one value is wanted."""
        name, values = self.asked(recipe)
        if len(values) > 1:
            raise ConfigError(f"{name}: one value is run at a time (got {self.value.value!r}); Grow takes several.")
        return name, values[0]

    def _show_value(self) -> None:
        if self.knob.value in self._settings:
            self.value.value = typed(self._settings[self.knob.value])

    def _exporting(self, export: Callable[[str], Any]) -> Callable[[], Any]:
        return lambda: self.said.tell(f"written: {export(self.format.value)}")

    def _beside(self, act: Callable[[], Any]) -> Callable[[], None]:
        """Do what a button asks for; what is refused is said beside it."""

        def acted() -> None:
            try:
                self.said.say("")
                act()
            except Exception as error:  # the front end would swallow it
                self.said.say(error)

        return acted

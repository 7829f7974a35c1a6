"""A config field as an ipywidgets control: label, bounds, slider and choices stand on the field (`config.setting`)."""

from __future__ import annotations

from math import floor, log10
from typing import Any, Literal, get_args, get_origin

import ipywidgets
from pydantic.fields import FieldInfo

from sre2l_core.config import Config
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.registry import catalogue
from sre2l_core.settings import Shown

CONTROL_WIDTH, LABEL_WIDTH = "276px", "100px"
"""Three controls stand side by side in a window of 1280 pixels; every label fits."""
NUMBERS = (
    ipywidgets.SelectionSlider,
    ipywidgets.IntSlider,
    ipywidgets.FloatSlider,
    ipywidgets.IntRangeSlider,
    ipywidgets.FloatRangeSlider,
    ipywidgets.BoundedIntText,
)
"""Controls of numbers: they get a field to type into."""
JAVASCRIPT_MAX = 2**53 - 1
"""Above it a browser rounds whole numbers."""


def control(config: Config, name: str) -> Any:
    """The control of one field of `config`, at its present value.

    Returns:
        A checkbox; a dropdown of a literal's or a catalogue's names; a slider between the ends that the field names,
        logarithmic ones in the steps 1, 2, 5, 10, … with "off" on the left if the field may be zero; or a field to
        type in.

    Raises:
        ConfigError: for an unknown field, or one that no control can edit.
    """
    fields = type(config).model_fields
    if name not in fields:
        raise unknown(f"{type(config).__name__} field", name, fields)
    field, shown = fields[name], config.shown(name)
    common: dict[str, Any] = {
        "description": f"{shown.label} ({shown.unit})" if shown.unit else shown.label,
        "tooltip": field.description or "",
        "style": {"description_width": LABEL_WIDTH},
        "layout": {"width": CONTROL_WIDTH},
    }
    widget = _plain(field, shown, common) if shown.slider is None else _slider(field, shown, common)
    if widget is None:
        raise ConfigError(f"no control can edit {name}: set it in a cell.")
    set_value(widget, getattr(config, name))
    return widget


def set_value(widget: Any, value: Any) -> None:
    """Set a control from code: one that does not reach so far is extended."""
    if isinstance(widget, ipywidgets.SelectionSlider):
        widget.options = _named({*widget.steps, value})
    elif isinstance(widget, ipywidgets.Dropdown) and value not in widget.options:
        widget.options = (*widget.options, value)
    elif hasattr(widget, "min"):
        low, high = value if isinstance(value, tuple) else (value, value)
        widget.min, widget.max = min(widget.min, low), max(widget.max, high)
    widget.value = value


def ladder(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 times powers of ten from `low` to `high`."""
    decades = range(floor(log10(low)), floor(log10(high)) + 1)
    steps = (float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5))
    return [step for step in steps if low <= step <= high]


def _plain(field: FieldInfo, shown: Shown, common: dict[str, Any]) -> Any:
    """A control without a slider; None where the type of the field has none."""
    kind, bounds = field.annotation, _bounds(field)
    if get_origin(kind) is Literal:
        return ipywidgets.Dropdown(options=get_args(kind), **common)
    if kind is bool:
        return ipywidgets.Checkbox(indent=True, **common)
    if kind is str and shown.catalogue:
        return ipywidgets.Dropdown(options=tuple(catalogue(shown.catalogue)), **common)
    if kind is str:
        return ipywidgets.Text(continuous_update=False, **common)
    if kind is int and len(bounds) == 2:
        least, greatest = bounds["ge"], min(bounds["le"], JAVASCRIPT_MAX)
        return ipywidgets.BoundedIntText(least, min=least, max=greatest, continuous_update=False, **common)
    return None


def _slider(field: FieldInfo, shown: Shown, common: dict[str, Any]) -> Any:
    """A slider between the ends that the field names."""
    low, high = shown.slider or (0, 1)
    common["continuous_update"] = False
    if shown.log:
        off = {0.0} if _bounds(field).get("ge") == 0 else set()
        steps = off | {*ladder(low, high)}
        slider = ipywidgets.SelectionSlider(options=_named(steps), **common)
        slider.steps = frozenset(steps)
        return slider
    whole = int in (field.annotation, *get_args(field.annotation))
    ends = {"min": low, "max": high, "step": shown.step or (1 if whole else (high - low) / 100)}
    if get_origin(field.annotation) is tuple:
        kind = ipywidgets.IntRangeSlider if whole else ipywidgets.FloatRangeSlider
        common["value"] = (low, high)
    else:
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        common["value"] = low
    return kind(**ends, **common) if whole else kind(readout_format=".2f", **ends, **common)


def _named(numbers: set[float]) -> list[tuple[str, float]]:
    return [("off" if number == 0 else f"{number:g}", number) for number in sorted(numbers)]


def _bounds(field: FieldInfo) -> dict[str, int]:
    """The least (`ge`) and greatest (`le`) whole number that the field's metadata allow, as far as they say so."""
    found: dict[str, int] = {}
    for item in field.metadata:
        for name, inside in (("ge", 0), ("gt", 1), ("le", 0), ("lt", -1)):
            if (bound := getattr(item, name, None)) is not None:
                found[name.replace("t", "e")] = bound + inside
    return found

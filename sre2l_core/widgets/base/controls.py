"""A config field as an ipywidgets control: bounds, default, label and tooltip come from the pydantic model."""

from __future__ import annotations

from math import floor, log10
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import ipywidgets
from pydantic.fields import FieldInfo

from sre2l_core.config import Config
from sre2l_core.errors import ConfigError, unknown

LABELS = {"alpha_bn": "α_BN", "alpha_tv": "α_TV", "alpha_l2": "α_ℓ2", "ipc": "images / class", "lr": "learning rate"}
LABELS |= {"first_bn_multiplier": "first layer ×", "roll": "jitter (roll)", "init": "start from"}
RANGE_BOUNDS = {"crop_scale": (0.01, 1.0, 0.01), "crop_ratio": (0.25, 4.0, 0.05), "roll": (-32, 32, 1)}
"""Least, greatest and step of pairs (low, high): the models bound these by validators, which cannot be read off."""
WIDE = 10.0
"""A float whose own bounds are further apart gets a logarithmic slider."""

MANY = 1000
"""Whole numbers with a longer range get a field to type in, because a slider could not hit them."""
JAVASCRIPT_MAX = 2**53 - 1


def control(config: Config, name: str, *, low: float | None = None, high: float | None = None) -> Any:
    """The control of one field of `config`, at its present value.

    Args:
        config: any of the stages' configs.
        name: a field of it.
        low: narrower lower end of a slider; above zero it is the smallest positive value of a logarithmic one.
        high: narrower upper end of a slider.

    Returns:
        A checkbox, dropdown, field, slider or range slider. Widely bounded floats, such as weights, get a
        logarithmic slider with the steps 1, 2, 5, 10, …, and "off" at its left end if they may be zero.

    Raises:
        ConfigError: for an unknown field, or one that no control can edit.
    """
    fields = type(config).model_fields
    if name not in fields:
        raise unknown(f"{type(config).__name__} field", name, fields)
    field, value = fields[name], getattr(config, name)
    kind, optional = _kind(field)
    common: dict[str, Any] = {
        "description": LABELS.get(name, name.replace("_", " ")),
        "tooltip": field.description or "",
        "style": {"description_width": "6em"},
        "layout": {"width": "24em"},
    }
    if optional:
        raise ConfigError(f"{name} may be left out (None), which no control shows: set it in a cell.")
    if get_origin(kind) is Literal:
        return ipywidgets.Dropdown(options=get_args(kind), value=value, **common)
    if kind is bool:
        return ipywidgets.Checkbox(value=value, indent=True, **common)
    common["continuous_update"] = False
    if kind is str:
        return ipywidgets.Text(value=value, **common)
    if name in RANGE_BOUNDS:
        return _range_slider(name, value, low, high, common)
    bounds = _bounds(field)
    least, greatest = bounds.least if low is None else low, bounds.greatest if high is None else high
    if least is None or greatest is None or kind not in (int, float):
        raise ConfigError(f"{name} has no bounds or no plain type: give low and high, or set it in a cell.")
    if kind is int:
        least, greatest = int(least), min(int(greatest) - bounds.below_greatest, JAVASCRIPT_MAX)
        editor = ipywidgets.IntSlider if greatest - least <= MANY else ipywidgets.BoundedIntText
        return editor(value=value, min=least, max=greatest, **common)
    if (bounds.greatest or greatest) - (bounds.least or 0) <= WIDE:
        step = (greatest - least) / 100
        least += step if low is None and bounds.above_least else 0
        greatest -= step if high is None and bounds.below_greatest else 0
        return ipywidgets.FloatSlider(value=value, min=least, max=greatest, step=step, readout_format=".2f", **common)
    steps = ladder(least if least > 0 else greatest / 1e5, greatest)
    zero = {0.0} if bounds.least == 0 and not bounds.above_least else set()
    return ipywidgets.SelectionSlider(options=_named({*zero, *steps, value}), value=value, **common)


def set_value(widget: Any, value: Any) -> None:
    """Set a control from code; a logarithmic slider gets a value between its steps as one more step."""
    if isinstance(widget, ipywidgets.SelectionSlider):
        known = {number for _, number in widget.options}
        if value not in known:
            widget.options = _named({*known, value})
    widget.value = value


def ladder(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 times powers of ten from `low` to `high`."""
    decades = range(floor(log10(low)), floor(log10(high)) + 1)
    steps = (float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5))
    return [step for step in steps if low <= step <= high]


def _named(numbers: set[float]) -> list[tuple[str, float]]:
    return [("off" if number == 0 else f"{number:g}", number) for number in sorted(numbers)]


def _kind(field: FieldInfo) -> tuple[Any, bool]:
    """The field's type without None, and whether None was allowed."""
    if get_origin(field.annotation) in (Union, UnionType):
        others = [part for part in get_args(field.annotation) if part is not type(None)]
        return others[0], True
    return field.annotation, False


class _Bounds(NamedTuple):
    least: float | None
    greatest: float | None
    above_least: bool
    below_greatest: bool


def _bounds(field: FieldInfo) -> _Bounds:
    """What the field's metadata says; `above_least` and `below_greatest` where the bound itself is not allowed."""
    found: dict[str, float] = {}
    for item in field.metadata:
        for name in ("ge", "gt", "le", "lt"):
            if (bound := getattr(item, name, None)) is not None:
                found[name] = bound
    return _Bounds(found.get("ge", found.get("gt")), found.get("le", found.get("lt")), "gt" in found, "lt" in found)


def _range_slider(
    name: str, value: tuple[float, float], low: float | None, high: float | None, common: dict[str, Any]
) -> Any:
    least, greatest, step = RANGE_BOUNDS[name]
    ends = {"min": least if low is None else low, "max": greatest if high is None else high, "step": step}
    if isinstance(step, int):
        return ipywidgets.IntRangeSlider(value=value, **ends, **common)
    return ipywidgets.FloatRangeSlider(value=value, readout_format=".2f", **ends, **common)

"""Controls take everything from the config models."""

import ipywidgets
import pytest
from pydantic import Field

from sre2l_core.config import Config, RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig, setting
from sre2l_core.errors import ConfigError
from sre2l_core.registry import catalogue
from sre2l_core.widgets.base.controls import control, ladder, set_value

CONFIGS = [SqueezeConfig(), RecoverConfig(), RelabelConfig(), ValidateConfig()]
FIELDS = [(config, name) for config in CONFIGS for name in type(config).model_fields]
BY_CELL = {"betas", "students", "against", "only_classes", "backbone_options", "student_options", "codec_options"}
BY_CELL |= {"warmup_epochs", "eval_every", "others"}
"""Fields that are set in a cell, beside those that may be None."""


@pytest.mark.parametrize(("config", "name"), FIELDS, ids=[f"{type(c).__name__}.{n}" for c, n in FIELDS])
def test_every_field_has_a_control_or_says_where_to_set_it(config: Config, name: str) -> None:
    field = type(config).model_fields[name]
    if name in BY_CELL or "None" in str(field.annotation):
        with pytest.raises(ConfigError, match="set it in a cell"):
            control(config, name)
        return
    widget = control(config, name)
    assert widget.value == getattr(config, name)
    assert widget.tooltip == field.description
    for end in ("min", "max"):
        if hasattr(widget, end) and not isinstance(widget.value, tuple) and name != "epochs":  # depends on warm-up
            config.but(**{name: getattr(widget, end)})


SLIDERS = [(config, name) for config, name in FIELDS if config.shown(name).slider]


@pytest.mark.parametrize(("config", "name"), SLIDERS, ids=[f"{type(c).__name__}.{n}" for c, n in SLIDERS])
def test_the_ends_of_a_slider_are_allowed(config: Config, name: str) -> None:
    low, high = config.shown(name).slider
    assert low < high
    for value in [(low, high)] if isinstance(getattr(config, name), tuple) else (low, high):
        config.but(**{name: value})


class Shown(Config):
    """Fields with known display data."""

    weight: float = setting(0.3, ge=0, le=1e3, label="α", slider=(0.1, 10), log=True)
    positive: float = setting(1.0, gt=0, le=1e3, slider=(0.1, 10), log=True)
    share: float = setting(0.5, ge=0, lt=1, slider=(0, 0.75))
    count: int = setting(3, ge=1, le=1000, label="many", unit="pieces", slider=(1, 5))
    pair: tuple[float, float] = setting((0.5, 1.0), slider=(0.25, 1), step=0.05)
    shift: tuple[int, int] = setting((0, 0), slider=(-4, 4))
    typed: int = Field(7, gt=1, lt=10_000)
    start: str = setting("noise", catalogue="starts")
    backbone: str = setting("resnet50_of_torchvision", catalogue="backbones")


def test_what_a_control_shows_stands_on_its_field() -> None:
    shown = Shown()
    kinds = {name: type(control(shown, name)) for name in Shown.model_fields}
    assert kinds == {
        "weight": ipywidgets.SelectionSlider,
        "positive": ipywidgets.SelectionSlider,
        "share": ipywidgets.FloatSlider,
        "count": ipywidgets.IntSlider,
        "pair": ipywidgets.FloatRangeSlider,
        "shift": ipywidgets.IntRangeSlider,
        "typed": ipywidgets.BoundedIntText,
        "start": ipywidgets.Dropdown,
        "backbone": ipywidgets.Dropdown,
    }
    ends = {name: (widget.min, widget.max) for name in kinds if hasattr(widget := control(shown, name), "min")}
    assert ends == {"share": (0, 0.75), "count": (1, 5), "pair": (0.25, 1), "shift": (-4, 4), "typed": (2, 9999)}
    assert [control(shown, name).description for name in ("weight", "count", "shift")] == [
        "α",
        "many (pieces)",
        "shift",
    ]
    assert control(shown, "pair").step == 0.05


def test_weights_get_a_logarithmic_slider_with_off_at_its_left_end() -> None:
    widget = control(Shown(), "weight")
    assert [name for name, _ in widget.options] == ["off", "0.1", "0.2", "0.3", "0.5", "1", "2", "5", "10"]
    assert [value for _, value in widget.options][:2] == [0, 0.1]
    assert control(RecoverConfig(), "alpha_bn").description == "α_BN"


def test_a_weight_that_must_be_positive_cannot_be_switched_off() -> None:
    assert min(value for _, value in control(Shown(), "positive").options) == 0.1
    assert min(value for _, value in control(RecoverConfig(), "lr").options) > 0


def test_a_log_slider_takes_values_between_its_steps() -> None:
    widget = control(RecoverConfig(), "alpha_bn")
    set_value(widget, 0.0123)
    assert widget.value == 0.0123
    assert ("0.0123", 0.0123) in widget.options
    set_value(widget, 0)
    assert widget.value == 0


@pytest.mark.parametrize(
    ("name", "value", "ends"),
    [
        ("weight", 500.0, None),
        ("share", 0.9, (0, 0.9)),
        ("count", 40, (1, 40)),
        ("pair", (0.125, 1.0), (0.125, 1)),
        ("shift", (-9, 8), (-9, 8)),
    ],
)
def test_what_lies_beyond_the_ends_of_a_slider_is_shown_too(name: str, value: object, ends: object) -> None:
    """A slider's ends are where people usually move; a cell may set all that the field allows."""
    moved = control(Shown(), name)
    set_value(moved, value)
    for widget in (moved, control(Shown(**{name: value}), name)):
        assert widget.value == value
        assert ends is None or (widget.min, widget.max) == ends


def test_names_of_a_catalogue_are_offered_and_others_are_kept() -> None:
    assert set(control(Shown(), "start").options) == set(catalogue("starts"))
    backbone = control(Shown(), "backbone")
    assert backbone.value == "resnet50_of_torchvision"
    assert {*backbone.options} == {*catalogue("backbones"), "resnet50_of_torchvision"}


def test_crop_scale_gets_a_range_slider() -> None:
    widget = control(RecoverConfig(crop_scale=(0.2, 0.9)), "crop_scale")
    assert isinstance(widget, ipywidgets.FloatRangeSlider)
    assert (widget.value, widget.max) == ((0.2, 0.9), 1)
    RecoverConfig(crop_scale=(widget.min, widget.min))


def test_open_bounds_are_left_out() -> None:
    widget = control(SqueezeConfig(), "momentum")
    assert widget.min == 0
    assert widget.max == pytest.approx(0.99)


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="alpha_bn"):
        control(RecoverConfig(), "alpha_nb")


def test_ladder_climbs_in_steps_of_one_two_five() -> None:
    assert ladder(0.1, 5) == [0.1, 0.2, 0.5, 1, 2, 5]
    assert ladder(0.15, 0.6) == [0.2, 0.5]

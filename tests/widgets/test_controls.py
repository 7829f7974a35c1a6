"""Controls take everything from the config models."""

import ipywidgets
import pytest

from sre2l_core.config import Config, RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.errors import ConfigError
from sre2l_core.widgets.base.controls import control, ladder, set_value

CONFIGS = [SqueezeConfig(), RecoverConfig(), RelabelConfig(), ValidateConfig()]
FIELDS = [(config, name) for config in CONFIGS for name in type(config).model_fields]
BY_CELL = {"betas", "students", "against", "only_classes", "backbone_options", "student_options", "codec_options"}
BY_CELL |= {"warmup_epochs", "eval_every"}
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


def test_weights_get_a_logarithmic_slider_with_off_at_its_left_end() -> None:
    widget = control(RecoverConfig(alpha_bn=0.3), "alpha_bn", low=0.1, high=10)
    assert isinstance(widget, ipywidgets.SelectionSlider)
    assert [name for name, _ in widget.options] == ["off", "0.1", "0.2", "0.3", "0.5", "1", "2", "5", "10"]
    assert [value for _, value in widget.options][:2] == [0, 0.1]
    assert widget.description == "α_BN"


def test_a_weight_that_must_be_positive_cannot_be_switched_off() -> None:
    widget = control(RecoverConfig(), "lr")
    assert min(value for _, value in widget.options) > 0


def test_a_log_slider_takes_values_between_its_steps() -> None:
    widget = control(RecoverConfig(), "alpha_bn", low=0.01, high=10)
    set_value(widget, 0.0123)
    assert widget.value == 0.0123
    assert ("0.0123", 0.0123) in widget.options
    set_value(widget, 0)
    assert widget.value == 0


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

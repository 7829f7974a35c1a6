"""Configs: bounds, messages, immutability."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from sre2l_core.config import RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig, ViewConfig
from sre2l_core.errors import ConfigError, SRe2LError

STAGES = [SqueezeConfig, RecoverConfig, RelabelConfig, ValidateConfig]


@pytest.mark.parametrize("kind", STAGES)
def test_every_field_is_described_and_has_a_default(kind):
    for name, field in kind.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name
    assert kind.of(kind().model_dump(mode="json")) == kind()


@pytest.mark.parametrize("kind", STAGES)
def test_numbers_are_bounded(kind):
    for name, field in kind.model_fields.items():
        if field.annotation in (int, float):
            bounds = {type(item).__name__ for item in field.metadata}
            assert bounds & {"Ge", "Gt"}, f"{name} has no lower bound"
            with pytest.raises(ConfigError, match=rf"{kind.__name__}\.{name}"):
                kind.of({name: math.nan})


@pytest.mark.parametrize(
    ("kind", "wrong", "nearest"),
    [(RecoverConfig, "alpha_nb", "alpha_bn"), (SqueezeConfig, "epoch", "epochs"), (ViewConfig, "scale", "crop_scale")],
)
def test_an_unknown_field_names_the_nearest(kind, wrong, nearest):
    with pytest.raises(ConfigError, match=rf"{kind.__name__} field '{wrong}'.*Did you mean '{nearest}'"):
        kind.of({wrong: 1})
    with pytest.raises(ConfigError, match=nearest):
        kind().but(**{wrong: 1})


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (RecoverConfig, {"ipc": 0}, r"RecoverConfig\.ipc: .*greater than or equal to 1 \(got 0\)"),
        (RecoverConfig, {"lr": 0.0}, r"RecoverConfig\.lr: .*greater than 0"),
        (RecoverConfig, {"betas": (0.5, 1.0)}, r"RecoverConfig\.betas.*less than 1"),
        (RecoverConfig, {"betas": (-0.1, 0.9)}, r"RecoverConfig\.betas.*greater than or equal to 0"),
        (SqueezeConfig, {"betas": (2.0, 0.9)}, r"SqueezeConfig\.betas"),
        (RecoverConfig, {"crop_scale": (0.5, 0.1)}, r"crop_scale \(0\.5, 0\.1\) must satisfy 0 < low <= high <= 1"),
        (RecoverConfig, {"crop_scale": (0.0, 0.1)}, "crop_scale"),
        (RecoverConfig, {"crop_ratio": (2, 1)}, "crop_ratio"),
        (RecoverConfig, {"roll": (1, 0)}, r"roll \(1, 0\) must be"),
        (SqueezeConfig, {"epochs": 5, "warmup_epochs": 5}, "warmup_epochs 5 must be below epochs 5"),
        (ValidateConfig, {"students": ()}, r"ValidateConfig\.students"),
        (ValidateConfig, {"students": ("resnet18", "convnet", "resnet18")}, "students names resnet18 more than once"),
        (ValidateConfig, {"against": ("random", "random")}, "against names random more than once"),
    ],
)
def test_values_out_of_bounds_are_refused_with_a_reason(kind, values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        kind.of(values)
    assert isinstance(caught.value, (SRe2LError, ValueError))
    with pytest.raises(ConfigError, match=message):
        kind().but(**values)


def test_several_problems_are_told_together():
    with pytest.raises(ConfigError, match=r"RecoverConfig\.ipc.*; RecoverConfig\.steps: .*\(got -1\)"):
        RecoverConfig.of({"ipc": 0, "steps": -1})


def test_a_thousand_wrong_entries_are_one_short_message():
    with pytest.raises(ConfigError, match=r"students\.0: .*; and \d+ more$") as caught:
        ValidateConfig(students=[1] * 1000)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("values", [None, 3, "ipc", ["ipc"]])
def test_settings_that_are_no_settings_are_refused(values):
    with pytest.raises(ConfigError, match=r"RecoverConfig: expected settings by name \(got "):
        RecoverConfig.of(values)


def test_a_name_in_a_message_is_quoted_where_a_terminal_would_obey_it():
    with pytest.raises(ConfigError, match=r"codec_options\.'\\x1b\[2J'\.") as caught:
        RelabelConfig(codec_options={"\x1b[2J": {}})
    assert str(caught.value).isprintable()
    with pytest.raises(ConfigError, match="names '\\\\udcff' more than once"):
        ValidateConfig(students=("\udcff", "\udcff"))


def test_configs_are_frozen_and_copies_leave_the_original():
    config = RecoverConfig(ipc=3)
    with pytest.raises(ValidationError, match="frozen"):
        config.ipc = 4
    changed = config.but(steps=7)
    assert (config.steps, changed.steps, changed.ipc) == (1000, 7, 3)
    assert isinstance(changed, RecoverConfig)


def test_defaults_that_carry_the_method():
    recover, validate = RecoverConfig(), ValidateConfig()
    assert (recover.betas, recover.first_bn_multiplier, recover.group_size) == ((0.5, 0.9), 10.0, 100)
    assert (recover.alpha_tv, recover.alpha_l2, recover.crop_scale) == (0.0, 0.0, (0.08, 1.0))
    assert (validate.temperature, validate.loss) == (20.0, "kl")

"""Every field of every config, given anything: its declared type and bounds, or a line that names it."""

from __future__ import annotations

import json
import math
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from fuzzing import NONSENSE, NUMBERS, OBJECTS, SCALARS, TEXTS, answer
from hypothesis import given
from hypothesis import strategies as st

from sre2l_core import config as configs
from sre2l_core import presets
from sre2l_core.config import Config, DataConfig, RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.presets import Recipe

STAGES = (DataConfig, SqueezeConfig, RecoverConfig, RelabelConfig, ValidateConfig)
FIELDS = [(stage, name) for stage in STAGES for name in stage.model_fields]
NAMES = st.sampled_from(FIELDS)
LISTS = st.lists(NUMBERS, max_size=3) | st.lists(TEXTS, max_size=3) | st.dictionaries(TEXTS, SCALARS, max_size=2)
LISTS |= st.sampled_from([[1] * 1000, ["x"] * 1000])


def within(value: Any, bounds: list[Any]) -> bool:
    """Whether a value keeps the declared bounds, read as the mathematics has them."""
    checks = {Ge: lambda b: value >= b.ge, Gt: lambda b: value > b.gt, Le: lambda b: value <= b.le}
    checks[Lt] = lambda b: value < b.lt
    return all(checks[type(bound)](bound) for bound in bounds if type(bound) in checks)


def is_of(value: Any, kind: Any) -> bool:
    """Whether a value has an annotated type, looked at without pydantic; a float is a finite number."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if hasattr(kind, "__metadata__"):
        bounds = [part for extra in kind.__metadata__ for part in getattr(extra, "metadata", [extra])]
        return is_of(value, kind.__origin__) and within(value, bounds)
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        parts = parts[:1] * len(value or ()) if parts[-1] is Ellipsis else parts
        return isinstance(value, tuple) and len(value) == len(parts) and all(map(is_of, value, parts))
    if get_origin(kind) is dict:
        return all(isinstance(name, str) and is_of(one, get_args(kind)[1]) for name, one in value.items())
    if get_args(kind):
        return any(is_of(value, part) for part in get_args(kind))
    if kind in (None, NoneType):
        return value is None
    return type(value) is kind if kind in (int, bool) else isinstance(value, kind) and finite(value)


def finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def means(given: Any, taken: Any) -> bool:
    """Whether a number that was taken is the one that was given."""
    if isinstance(given, (str, bytes)) and isinstance(taken, (int, float)):
        return float(given) == float(taken)
    if isinstance(given, (list, tuple)) and isinstance(taken, tuple):
        return all(map(means, given, taken))
    return not isinstance(taken, (int, float)) or given == taken


def is_right(made: Config, name: str, given: Any) -> bool:
    """Types and bounds as declared, the value that was given, and the same config again from its JSON."""
    field, value = type(made).model_fields[name], getattr(made, name)
    kept = json.loads(json.dumps(made.model_dump(mode="json"), allow_nan=False))
    fits = is_of(value, field.annotation) and (value is None or within(value, field.metadata))
    return fits and means(given, value) and type(made).of(kept) == made


@given(NAMES, SCALARS | LISTS | OBJECTS)
def test_a_setting_from_python(field, value):
    kind, name = field
    answer("settings", lambda: kind(**{name: value}), name, right=lambda made: is_right(made, name, value))


@given(NAMES, SCALARS | LISTS | NONSENSE)
def test_a_setting_from_json(field, value):
    kind, name = field
    answer("settings", lambda: kind.of({name: value}), name, right=lambda made: is_right(made, name, value))


@given(NAMES, st.data())
def test_a_setting_on_its_bound_and_beside_it(field, data):
    kind, name = field
    ends = [getattr(bound, key) for bound in kind.model_fields[name].metadata for key in vars_of(bound)]
    end = data.draw(st.sampled_from(ends)) if ends else data.draw(NUMBERS)
    value = data.draw(st.sampled_from([end, end - 1, end + 1, math.nextafter(end, math.inf), str(end), [end, end]]))
    answer("settings", lambda: kind(**{name: value}), name, right=lambda made: is_right(made, name, value))


def vars_of(bound):
    return [key for key in ("ge", "gt", "le", "lt") if hasattr(bound, key)]


@given(st.sampled_from(STAGES), TEXTS, SCALARS)
def test_a_field_that_is_not_there(kind, name, value):
    if name not in kind.model_fields:
        answer("settings", lambda: kind.of({name: value}), kind.__name__, "Known", right=lambda made: False)


@given(
    st.dictionaries(
        st.sampled_from(["data", "squeeze", "recover", "relabel", "validate", "store_labels", "x"]), NONSENSE
    )
)
def test_a_recipe_from_json(values):
    answer("settings", lambda: Recipe.of(values), right=lambda made: Recipe.of(made.to_json()) == made)


@given(st.sampled_from(sorted(presets.PRESETS)), NAMES, NONSENSE)
def test_a_change_of_a_preset(preset, field, value):
    kind, name = field
    stage = kind.__name__.removesuffix("Config").lower()
    recipe = presets.get(preset)
    answer(
        "settings",
        lambda: recipe.but(**{stage: {name: value}}),
        name,
        right=lambda made: is_of(getattr(getattr(made, stage), name), kind.model_fields[name].annotation),
    )


_PARTS = {Config, configs.ViewConfig, configs.StoredViewConfig, configs.MixedViewConfig, configs.TrainConfig}


def test_every_config_is_attacked():
    found = {kind for kind in vars(configs).values() if isinstance(kind, type) and issubclass(kind, Config)}
    assert found - set(STAGES) == _PARTS


PAIR = tuple[configs.Momentum, configs.Momentum]
ORACLE = [(1, int, True), (True, int, False), (math.nan, float, False), ((1.0, 2.0), configs.Range, True)]
ORACLE += [
    ((1.0,), configs.Range, False),
    (None, int | None, True),
    ("x", Literal["x"], True),
    ("y", Literal["x"], False),
]
ORACLE += [({"a": "b"}, configs.Options, True), ((0.5, 1.0), PAIR, False), ((0.5, 0.9), PAIR, True)]


@pytest.mark.parametrize(("value", "kind", "expected"), ORACLE)
def test_the_oracle_itself(value, kind, expected):
    assert is_of(value, kind) is expected

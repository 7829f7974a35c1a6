"""What a setting is: a frozen, bounded field that says how it is shown, and an error for each value it cannot take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Self, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from sre2l_core.errors import ConfigError, SRe2LError, came, plain, unknown


@dataclass(frozen=True)
class Shown:
    """How a setting is named and moved where people look at it."""

    label: str
    unit: str = ""
    slider: tuple[float, float] | None = None
    """Ends of its slider; values beyond them, within the field's bounds, are set in a cell."""
    log: bool = False
    """Steps of 1, 2, 5, 10, … instead of even ones."""
    step: float | None = None
    """Width of an even step; a hundredth of the slider by default."""
    catalogue: str = ""
    """The folder of plug-ins whose names it takes."""


def setting(
    default: Any,
    *,
    label: str = "",
    unit: str = "",
    slider: tuple[float, float] | None = None,
    log: bool = False,
    step: float | None = None,
    catalogue: str = "",
    later: bool = False,
    **field: Any,
) -> Any:
    """A `pydantic.Field` that also says how the setting is shown; see `Shown`, `Config.shown` and `Config.later`."""
    shown: dict[str, Any] = {"shown": Shown(label, unit, slider, log, step, catalogue), "later": later}
    return Field(default, json_schema_extra=shown, **field)


class Config(BaseModel):
    """Base of all configs: immutable, no unknown fields, errors a user can act on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values: Any) -> None:
        for name in values:
            if name not in type(self).model_fields:
                raise unknown(f"{type(self).__name__} field", name, type(self).model_fields)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(explain(type(self).__name__, error)) from None

    if not TYPE_CHECKING:  # a type checker would let any name pass

        def __getattr__(self, name: str) -> Any:
            """In a config made before a term brought its weight, that weight has its default."""
            late = type(self).model_fields.get(name)
            return super().__getattr__(name) if late is None else late.get_default()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Build from the values of a JSON object; raises `ConfigError` where it is none."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"{cls.__name__}: expected settings by name (got {came(values)}).")
        return cls(**values)

    def but(self, **changes: Any) -> Self:
        """A copy with `changes`, validated like any other config."""
        return type(self)(**(self.model_dump() | changes))

    def request(self) -> dict[str, Any]:
        """Plain values for the names and requests of artifacts: settings that came later, only where they are set.

        What was made before there was such a setting is then still what is asked for.
        """
        usual = self.later()
        return {name: value for name, value in self.model_dump(mode="json").items() if value != usual.get(name, ...)}

    @classmethod
    def later(cls) -> dict[str, Any]:
        """The settings that came after artifacts had been made without them, and their defaults, as plain values."""
        extra = {name: field.json_schema_extra for name, field in cls.model_fields.items()}
        names = {name for name, more in extra.items() if isinstance(more, dict) and more.get("later")}
        return cls().model_dump(mode="json", include=names)

    @classmethod
    def shown(cls, name: str) -> Shown:
        """How the field `name` is shown; its own name, without underscores, where no label was given."""
        extra = cls.model_fields[name].json_schema_extra
        found = extra.get("shown") if isinstance(extra, dict) else None
        shown = found if isinstance(found, Shown) else Shown("")
        return shown if shown.label else replace(shown, label=name.replace("_", " "))

    @classmethod
    def extend(cls, name: str, field: FieldInfo) -> None:
        """Give this model one more field, a float: the weight of a loss term that a file of `terms/` brings."""
        field.annotation = float
        cls.__pydantic_fields__[name] = field
        cls.model_rebuild(force=True)


def check_fields(made: Any, error: type[SRe2LError], owner: str = "") -> None:
    """Raise `error` for a field of a dataclass whose value is not what it is annotated with, naming both."""
    model = _model_of(made.__class__)
    try:
        model(**{name: getattr(made, name) for name in model.model_fields})
    except ValidationError as problem:
        raise error(explain(owner or model.__name__, problem)) from None


@cache
def _model_of(kind: type) -> type[BaseModel]:
    hints = get_type_hints(kind, include_extras=True)
    config = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)
    wanted: dict[str, Any] = {name: (hints[name], ...) for name in kind.__annotations__}
    return create_model(kind.__name__, __config__=config, **wanted)


def explain(owner: str, error: ValidationError) -> str:
    """The first problems in one line: the field, what came and what was expected."""
    problems = []
    for item in error.errors(include_url=False):
        field = ".".join((owner, *(plain(str(part)) for part in item["loc"])))
        got = f" (got {came(item['input'])})" if item["loc"] else ""
        problems.append(f"{field}: {item['msg'].removeprefix('Value error, ')}{got}")
    more = f"; and {len(problems) - _PROBLEMS} more" if len(problems) > _PROBLEMS else ""
    return "; ".join(problems[:_PROBLEMS]) + more


_PROBLEMS = 4
"""Shown at most: a list of a thousand wrong entries is wrong once."""

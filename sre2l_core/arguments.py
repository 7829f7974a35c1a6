"""How tyro reads the types of the config models from a command line.

Names of a catalogue (`--init noise`), which help lists and completion offers; names in a row (`--classes cats,dogs`,
`--against random full`); nothing (`--against none`); options of a plug-in (`--backbone-options depth=3 width=64`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from sre2l_core import presets
from sre2l_core.config import Config
from sre2l_core.errors import ConfigError, SRe2LError
from sre2l_core.presets.recipe import NONE
from sre2l_core.registry import names_of

REGISTRY = ConstructorRegistry()
"""What is written for no value and for an empty list."""


class Offered(tuple[str, ...]):
    """Names that completion offers. The parser lets others pass: whoever looks one up names the nearest known."""

    def __contains__(self, name: object) -> bool:
        return True


def one_of(offered: Iterable[str], *, optional: bool = False) -> PrimitiveConstructorSpec[Any]:
    """A single name, with these to choose from; `none` for no name where that is allowed."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="NAME",
        instance_from_str=lambda words: None if optional and words == [NONE] else words[0],
        is_instance=lambda value: isinstance(value, str) or (optional and value is None),
        str_from_instance=lambda value: [NONE if value is None else str(value)],
        choices=Offered(offered),
    )


def row_of(
    offered: Iterable[str], *, optional: bool = False, metavar: str = "NAME,NAME"
) -> PrimitiveConstructorSpec[Any]:
    """Any number of names, with commas or spaces between them; `none` or nothing for no name at all."""
    absent = None if optional else ()

    def read(words: list[str]) -> tuple[str, ...] | None:
        parts = tuple(part for word in words for part in word.split(",") if part)
        return absent if parts in ((), (NONE,)) else parts

    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, tuple) or value is None,
        str_from_instance=lambda value: [",".join(value or (NONE,))],
        choices=Offered(offered) or None,
    )


PresetName = Annotated[str | None, one_of(sorted(presets.PRESETS), optional=True)]
DatasetName = Annotated[str | None, one_of(names_of("data"), optional=True)]


@REGISTRY.struct_rule
def config(info: StructTypeInfo) -> StructConstructorSpec | None:
    """A config model: its own message about a wrong value reaches the user as it is."""
    kind = info.type
    if not (isinstance(kind, type) and issubclass(kind, Config)):
        return None

    def build(**values: Any) -> Config:
        try:
            return kind(**values)
        except ConfigError as error:
            raise SRe2LError(str(error)) from None  # tyro would put a ValueError into words of its own

    build.__doc__ = kind.__doc__
    start = info.default if isinstance(info.default, kind) else kind()
    fields = []
    for name in kind.model_fields:
        annotation, help_text = _type_and_help(kind, name)
        fields.append(StructFieldSpec(name, annotation, getattr(start, name), help_text))
    return StructConstructorSpec(build, tuple(fields))


@REGISTRY.primitive_rule
def optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """A single value, or `none`."""
    inner = _without_none(info.type)
    if inner is info.type or inner not in (int, float, str, Path):
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=inner.__name__.upper(),
        instance_from_str=lambda words: None if words == [NONE] else inner(words[0]),
        is_instance=lambda value: value is None or isinstance(value, inner),
        str_from_instance=lambda value: [NONE if value is None else str(value)],
    )


@REGISTRY.primitive_rule
def names(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """A tuple of names."""
    inner = _without_none(info.type)
    item, *rest = get_args(inner) or (None,)
    if get_origin(inner) is not tuple or rest != [Ellipsis] or (item is not str and get_origin(item) is not Literal):
        return None
    known = get_args(item)
    metavar = f"{{{','.join(known)}}}" if known else "NAME,NAME"
    return row_of(known, optional=inner is not info.type, metavar=metavar)


@REGISTRY.primitive_rule
def options(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Options of a plug-in as `name=value`."""
    if get_origin(info.type) is not dict:
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=VALUE",
        instance_from_str=lambda words: dict(_option(word) for word in words if word != NONE),
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [f"{name}={entry}" for name, entry in value.items()] or [NONE],
    )


def _option(word: str) -> tuple[str, bool | int | float | str]:
    name, separator, text = word.partition("=")
    if not (name and separator):
        raise ValueError(f"expected NAME=VALUE, got {word!r}")
    try:
        value = json.loads(text.lower())
    except ValueError:
        return name, text
    return name, value if isinstance(value, (bool, int, float)) else text.strip('"')


def _type_and_help(kind: type[Config], name: str) -> tuple[Any, str]:
    """The type of a field, and what the help says of it: with its names, if they are those of a catalogue."""
    field: Any = kind.model_fields[name]
    folder = kind.shown(name).catalogue
    if not folder:
        return field.annotation, field.description
    known = names_of(folder)
    spec = row_of(known) if get_origin(field.annotation) is tuple else one_of(known)
    return Annotated[field.annotation, spec], f"{field.description}: {', '.join(known)}"


def _without_none(kind: Any) -> Any:
    """`X` of `X | None`; any other type as it is."""
    parts = [part for part in get_args(kind) if part is not type(None)]
    is_optional = get_origin(kind) in (Union, UnionType) and len(parts) == 1
    return parts[0] if is_optional else kind

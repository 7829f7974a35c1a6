"""A grid of settings: the cells that it has, each with its recipes, all of them checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from types import NoneType
from typing import Any, get_args

from sre2l_core import presets
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.presets import Recipe, repeated
from sre2l_core.presets.recipe import NONE, word

MOST_CELLS = 10_000
MOST_SEEDS = 1000
_ALONE = {"hard_labels": False, "against": ()}
"""Students of the condensed images with soft labels: a sweep reads no others."""
_OPTIONS_OF = {"squeeze.backbone": "squeeze.backbone_options", "validate.students": "validate.student_options"}
"""A network -> its options, which mean nothing to another network."""


@dataclass(frozen=True)
class Cell:
    """One combination of values."""

    settings: Mapping[str, Any]
    """Setting -> plain value, for each setting of the grid."""
    recipes: tuple[Recipe, ...]
    """One for each repetition."""

    @property
    def name(self) -> str:
        """As in messages."""
        return ", ".join(f"{name} = {word(value)}" for name, value in self.settings.items())


def cells(
    base: str | Recipe, grid: Mapping[str, Iterable[Any]], *, seeds: int | None = None, zipped: bool = False
) -> tuple[Cell, ...]:
    """The cells of a grid, the last setting varying fastest.

    A network that is swept over has its defaults as options unless these are swept over too. Students of baselines and
    of hard labels are left out, unless the grid asks for them (`validate.against`, `validate.hard_labels`).

    Args:
        base: a preset or a recipe; what the grid does not name stays as it is there.
        grid: `stage.field` -> values, for any field of any stage.
        seeds: recover, relabel and train so often, a student each, from one teacher; None: one recovery, and as many
            students as the recipe has.
        zipped: first values together, second values together and so on, instead of each with each.

    Raises:
        ConfigError: for an unknown setting (names the nearest), a value out of bounds, or a grid that is none.
    """
    start = presets.get(base) if isinstance(base, str) else base
    axes = _checked_axes(grid, start, zipped)
    _check_seeds(seeds, axes)
    start, made = start.but(validate=_ALONE), dict[str, Cell]()
    for values in zip(*axes.values(), strict=True) if zipped else product(*axes.values()):
        recipe = changed(start, dict(zip(axes, values, strict=True)))
        recipe.check()
        settings = recipe.settings()
        cell = Cell({name: settings[name] for name in axes}, repeated(recipe, seeds) if seeds else (recipe,))
        key = json.dumps(cell.settings, sort_keys=True)
        if key in made:
            raise ConfigError(f"two cells of the grid are the same: {cell.name}. Name each value once.")
        made[key] = cell
    return tuple(made.values())


def changed(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with some settings, `stage.field` -> value.

    A name stands for a row of one name (`validate.students`); options of a network go where another network comes.
    """
    now, changes = recipe.settings(), dict[str, Any]()
    for name, value in values.items():
        if name not in now:
            raise unknown("setting", name, now)
        stage, _, setting = name.partition(".")
        given = (value,) if isinstance(value, str) and isinstance(now[name], list) else value
        if setting:
            changes.setdefault(stage, {})[setting] = given
        elif isinstance(given, bool):
            changes[stage] = given
        else:
            raise ConfigError(f"{name}: expected true or false (got {given!r}).")
    made = recipe.but(**changes)
    then = made.settings()
    stale = [own for network, own in _OPTIONS_OF.items() if then[network] != now[network] and own not in values]
    return made.but(**{stage: {setting: {}} for stage, _, setting in (own.partition(".") for own in stale)})


def _checked_axes(grid: Mapping[str, Iterable[Any]], start: Recipe, zipped: bool) -> dict[str, list[Any]]:
    """Setting -> its values, as a list."""
    if not isinstance(grid, Mapping) or not grid:
        raise ConfigError(
            f"a sweep needs settings and a list of values for each, such as {{'recover.alpha_bn': [0, 0.1, 1]}} "
            f"(got {grid!r})."
        )
    known, axes = start.settings(), dict[str, list[Any]]()
    for name, values in grid.items():
        if name not in known:
            raise unknown("setting", str(name), known)
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            raise ConfigError(f"{name}: expected a list of values (got {values!r}).")
        axes[name] = list(values)
        if not axes[name]:
            raise ConfigError(f"{name} has no values: the grid is empty. Give it some, or leave it out.")
    lengths = {name: len(values) for name, values in axes.items()}
    if zipped and len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {count}" for name, count in lengths.items())
        raise ConfigError(f"zipped settings need as many values each: {shown}.")
    if not zipped and prod(lengths.values()) > MOST_CELLS:
        raise ConfigError(f"{prod(lengths.values()):,} cells are more than the {MOST_CELLS:,} that a sweep may have.")
    return axes


def _check_seeds(seeds: Any, axes: Mapping[str, Any]) -> None:
    if seeds is None:
        return
    if type(seeds) is not int or not 1 <= seeds <= MOST_SEEDS:
        raise ConfigError(f"seeds must be a whole number within 1..{MOST_SEEDS} (got {seeds!r}).")
    if "validate.seeds" in axes:
        raise ConfigError("validate.seeds says how many students there are, and so does seeds: leave one of them out.")


def parsed(text: str, recipe: Recipe) -> tuple[str, list[Any]]:
    """`recover.alpha_bn=0,0.1,1` -> the name and its values, each as JSON has it, else as a word.

    Raises:
        ConfigError: for what is no assignment, or an unknown setting (names the nearest).
    """
    name, equals, values = text.partition("=")
    known = recipe.settings()
    if not equals:
        raise ConfigError(f"expected STAGE.FIELD=VALUE,VALUE (got {text!r}).")
    if name not in known:
        raise unknown("setting", name, known)
    try:
        found: list[Any] = json.loads(f"[{values}]")
    except ValueError:
        found = [_read(part.strip()) for part in values.split(",") if part.strip()]
    return name, [None if value == NONE and _is_optional(recipe, name) else value for value in found]


def typed(value: Any) -> str:
    """A plain value as `parsed` reads it."""
    return NONE if value is None else value if isinstance(value, str) else json.dumps(value)


def _is_optional(recipe: Recipe, name: str) -> bool:
    stage, _, setting = name.partition(".")
    return bool(setting) and NoneType in get_args(type(getattr(recipe, stage)).model_fields[setting].annotation)


def _read(text: str) -> Any:
    try:
        return json.loads(text.lower()) if text.lower() in ("true", "false") else json.loads(text)
    except ValueError:
        return text

"""What a search looks through: for each setting a range or values, and what a trial takes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sre2l_core.errors import ConfigError
from sre2l_core.presets import Recipe
from sre2l_core.presets.recipe import word
from sre2l_core.runs.grid import cells

if TYPE_CHECKING:
    from optuna import Trial


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, whole ones where both are written as whole numbers."""

    low: float
    high: float
    log: bool = False
    """Each factor as likely as any other; `low` must be above 0."""

    def __post_init__(self) -> None:
        numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (self.low, self.high))
        if not numbers or not self.low < self.high or (self.log and self.low <= 0):
            above = " above 0" if self.log else ""
            raise ConfigError(f"a range goes from a number{above} to a larger one (got {self.low!r} to {self.high!r}).")

    def ask(self, trial: Trial, name: str) -> float:
        """What a trial takes."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return int(trial.suggest_int(name, self.low, self.high, log=self.log))
        return float(trial.suggest_float(name, self.low, self.high, log=self.log))


Space = Mapping[str, Range | Sequence[Any]]
"""`stage.field` -> a range, or the values to choose from."""


def ask(trial: Trial, name: str, values: Range | Sequence[Any]) -> Any:
    """What a trial takes of a range or of values."""
    if isinstance(values, Range):
        return values.ask(trial, name)
    return taken(trial.suggest_categorical(name, [word(value) for value in values]), values)


def taken(asked: Any, values: Range | Sequence[Any]) -> Any:
    """The value that a trial took; of those to choose from a journal keeps the words."""
    return asked if isinstance(values, Range) else {word(value): value for value in values}[asked]


def settings_of(recipe: Recipe, space: Space) -> dict[str, Any]:
    """What a recipe has in place of the ranges."""
    known = recipe.settings()
    return {name: known[name] for name in space}


def within(settings: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """The settings as a trial takes them; nothing where one of them lies outside."""
    found: dict[str, Any] = {}
    for name, values in space.items():
        if isinstance(values, Range):
            inside, found[name] = values.low <= (settings[name] or 0) <= values.high, settings[name]
        else:
            inside, found[name] = word(settings[name]) in map(word, values), word(settings[name])
        if not inside:
            return {}
    return found


def check_space(base: Recipe, space: Space, trials: int, seeds: int) -> None:
    """Raise `ConfigError` for what no trial could do."""
    if type(trials) is not int or trials < 1:
        raise ConfigError(f"trials must be a whole number of at least 1 (got {trials!r}).")
    if not base.data.holdout:
        raise ConfigError(
            "a search would choose by the test images: hold out a part of the training images, data.holdout = 0.2 "
            "(--holdout 0.2)."
        )
    if not isinstance(space, Mapping) or not space:
        raise ConfigError(f"a search needs settings and a range or values for each (got {space!r}).")
    for name, values in space.items():  # ends out of bounds, unknown names
        cells(base, {name: [values.low, values.high] if isinstance(values, Range) else values}, seeds=seeds)

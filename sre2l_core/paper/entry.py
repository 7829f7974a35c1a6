"""What a table or figure of the paper is: a grid of runs, the paper's numbers, and the trends it claims."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sre2l_core.artifacts import Score
from sre2l_core.errors import unknown
from sre2l_core.presets import Recipe
from sre2l_core.runs.difference import Difference
from sre2l_core.runs.pipeline import Places

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from matplotlib.figure import Figure

    from sre2l_core.events import Listener
    from sre2l_core.paper.results import Results
    from sre2l_core.runs.store import Store
    from sre2l_core.runtime import Runtime


@dataclass(frozen=True)
class Cell:
    """One number of ours: the mean over repetitions of a run."""

    row: str
    column: str
    recipes: tuple[Recipe, ...]
    """One for each repetition, alike but for their seeds; cells of a column have the same seeds and are compared so."""
    student: str | None = None
    """Whose accuracy it is, where a recipe trains several."""

    @property
    def name(self) -> str:
        """As in messages."""
        return f"{self.row}, {self.column}"

    def finished(self, store: Store, recipe: Recipe) -> bool:
        """Whether what is measured of a repetition is there."""
        return store.finished(recipe)

    def make(
        self, store: Store, recipe: Recipe, *, runtime: Runtime | None, executor: Executor | None, on_step: Listener
    ) -> Places:
        """Make what is measured of a repetition, or find it; where it lies."""
        return store.make(recipe, runtime=runtime, executor=executor, on_step=on_step)


@dataclass(frozen=True)
class Budget:
    """What is run in place of the authors' experiment, or as it."""

    cost: str
    """How long it takes, and on what."""
    cells: tuple[Cell, ...]
    note: str = ""
    """What a reader has to know beside the settings."""

    @property
    def columns(self) -> tuple[str, ...]:
        """In order."""
        return tuple(dict.fromkeys(cell.column for cell in self.cells))

    def about(self) -> list[str]:
        """What is run, in a line for each column or columns alike: read from the recipes."""
        firsts, alike = {cell.column: cell for cell in reversed(self.cells)}, defaultdict[str, list[str]](list)
        for column in self.columns:
            alike[_described(firsts[column])].append(column)
        return [f"{'; '.join(columns)}: {what}" for what, columns in alike.items()]

    def at(self, data_root: Path) -> Self:
        """The same with the data in another place."""
        where = {"data_root": data_root}
        moved = (replace(cell, recipes=tuple(r.but(data=where) for r in cell.recipes)) for cell in self.cells)
        return replace(self, cells=tuple(moved))


@dataclass(frozen=True)
class Claim:
    """A trend: one row exceeds another, or comes close to it, in every column."""

    text: str
    better: str
    """A row."""
    worse: str
    """The row it is compared with."""
    within: float | None = None
    """Points by which the two differ at most, where the paper says that they hardly differ."""

    def verdict(self, found: Difference) -> str:
        """Whether a difference of ours, `better` less `worse`, shows the trend: nothing is read from its noise."""
        if found.n < 2:
            return "not judged, from a single run each"
        bound = self.within or 0.0
        if self.within is None:
            shown, refuted = found.low > 0, found.high < 0
        else:
            shown, refuted = -bound <= found.low and found.high <= bound, found.low > bound or found.high < -bound
        return "shown" if shown else "the opposite is shown" if refuted else "too close to call"


def top1(places: Places, cell: Cell) -> tuple[float, ...]:
    """Top-1 in % of the students of condensed images with soft labels, one value a seed."""
    row = Score.load(places.score).row("condensed", "soft", cell.student)
    return tuple(100 * value for value in row.last)


@dataclass(frozen=True)
class Entry:
    """A table or figure of the paper."""

    name: str
    """Such as `table-8`."""
    title: str
    rows_are: str
    """What the rows vary."""
    columns: tuple[str, ...]
    """The paper's."""
    numbers: Mapping[str, tuple[float | None, ...]]
    """Row -> the paper's number for each of its columns; None where it gives none, as in most figures."""
    claims: tuple[Claim, ...]
    budgets: Mapping[str, Budget]
    """By name: `laptop`, minutes on a CPU, and `gpu`, the paper's own."""
    measure: Callable[[Places, Cell], tuple[float, ...]] = top1
    """What is read from a finished run: from its score, or from any other part of it."""
    unit: str = "top-1 (%)"
    draw: Callable[[Results], Figure] | None = None
    """A picture of the results."""

    def budget(self, name: str) -> Budget:
        """Raises `ConfigError` for an unknown one, naming the nearest."""
        if name not in self.budgets:
            raise unknown(f"budget of {self.name}", name, self.budgets)
        return self.budgets[name]

    def number(self, row: str, column: str) -> float | None:
        """What the paper gives; None where it gives nothing."""
        return self.numbers[row][self.columns.index(column)] if column in self.columns else None


def _described(cell: Cell) -> str:
    recipe, recoveries = cell.recipes[0], len(cell.recipes)
    data, student = recipe.data, cell.student or recipe.validate.students[0]
    pixels = f" at {data.resolution} pixels" if data.resolution else ""
    return (
        f"{data.data}{pixels}, teacher {recipe.squeeze.backbone}, {recipe.recover.ipc} images of each class after "
        f"{recipe.recover.steps:,} iterations, student {student} for {recipe.validate.epochs} epochs; {recoveries} "
        f"recover{'ies' if recoveries > 1 else 'y'} and {recipe.validate.seeds} student"
        f"{'s' if recipe.validate.seeds > 1 else ''} of each."
    )

"""What a table or figure of the paper is: a grid of runs, the paper's numbers, and the trends it claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sre2l_core import presets, storage
from sre2l_core.artifacts import Score
from sre2l_core.errors import ArtifactError, DataError, unknown
from sre2l_core.presets import Recipe
from sre2l_core.runs.difference import Difference
from sre2l_core.runs.pipeline import Places, load_data

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from matplotlib.figure import Figure

    from sre2l_core.events import Listener
    from sre2l_core.paper.results import Results
    from sre2l_core.runs.store import Store
    from sre2l_core.runtime import Runtime

ALONE: dict[str, Any] = {"hard_labels": False, "against": ()}
"""Students of the condensed images with soft labels and no others."""


def small(name: str, **changes: Any) -> Recipe:
    """A preset for a laptop's cells: `ALONE`, labels on the fly; `changes` as `Recipe.but` takes them."""
    return presets.get(name).but(validate=ALONE, store_labels=False).but(**changes)


TEN, TEN_CLASSES = small("tiny-imagenet-10/resnet10/noise", recover={"steps": 200}), "ten Tiny-ImageNet classes"
"""Real photographs at a laptop's scale, where they are; and what a column of them is called."""


@dataclass(frozen=True)
class Cell:
    """One number of ours: the mean over repetitions of a run."""

    row: str
    column: str
    recipes: tuple[Recipe, ...]
    """One for each repetition, alike but for their seeds; cells of a column have the same seeds and are compared so."""
    student: str | None = None
    """Whose accuracy it is, where a recipe trains several."""
    labels: str = "soft"
    """Which labels it learnt."""
    optional: bool = False
    """Left out where its data is not, without being missed."""

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
class Measured(Cell):
    """A number that no score holds: it is taken once, and kept in the store as a file of its own."""

    def place(self, store: Store, recipe: Recipe) -> Path:
        """Where it is kept."""
        return store.place("measured", recipe, type(self).__name__, self.row, self.column).with_suffix(".json")

    def finished(self, store: Store, recipe: Recipe) -> bool:
        """Whether it was taken."""
        return self.place(store, recipe).exists()

    def make(
        self, store: Store, recipe: Recipe, *, runtime: Runtime | None, executor: Executor | None, on_step: Listener
    ) -> Places:
        """Take it, if it was not; the places of the run, the score's that of the number."""
        path = self.place(store, recipe)
        if not path.exists():
            value = self.take(store, recipe, runtime=runtime, executor=executor, on_step=on_step)
            store.begin()
            storage.write_json(path, {"kind": "number", "of": self.name, "value": value})
        return replace(store.places(recipe), score=path)

    def take(
        self, store: Store, recipe: Recipe, *, runtime: Runtime | None, executor: Executor | None, on_step: Listener
    ) -> float:
        """Measure."""
        raise NotImplementedError


@dataclass(frozen=True)
class Budget:
    """What is run in place of the authors' experiment, or as it."""

    cost: str
    """How long it takes, and on what."""
    cells: tuple[Cell, ...]
    note: str = ""
    """What a reader has to know beside the settings."""
    said: tuple[str, ...] = ()
    """What is run, where recipes do not say it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """In order."""
        return tuple(dict.fromkeys(cell.column for cell in self.cells))

    def about(self) -> list[str]:
        """What is run, in a line for each column or columns alike: read from the recipes."""
        if self.said:
            return [*self.said]
        alike: dict[str, list[str]] = {}
        for column in self.columns:
            cells = [cell for cell in self.cells if cell.column == column]
            alike.setdefault(_described(cells), []).append(column)
        return [f"{'; '.join(columns)}: {what}" for what, columns in alike.items()]

    def at(self, data_root: Path) -> Self:
        """The same with the data in another place."""
        where = {"data_root": data_root}
        moved = (replace(cell, recipes=tuple(r.but(data=where) for r in cell.recipes)) for cell in self.cells)
        return replace(self, cells=tuple(moved))

    def here(self) -> Self:
        """The same without the optional cells whose data is not on this machine; the note then names their columns."""
        asked = {cell.recipes[0].data for cell in self.cells if cell.optional}
        absent = {data for data in asked if not _there(data)}
        kept = tuple(cell for cell in self.cells if not (cell.optional and cell.recipes[0].data in absent))
        left_out = [column for column in self.columns if column not in {cell.column for cell in kept}]
        said = f"Left out, for the data is not here: {', '.join(left_out)}." if left_out else ""
        return replace(self, cells=kept, note=f"{self.note} {said}".strip())


def _there(data: Any) -> bool:
    try:
        load_data(data)
    except DataError:
        return False
    return True


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
    where: str = ""
    """What the name of a column has to hold; in others nothing is claimed."""

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
    """Top-1 in % of the students of condensed images, one value a seed."""
    row = Score.load(places.score).row("condensed", cell.labels, cell.student)
    return tuple(100 * value for value in row.last)


def number(places: Places, cell: Cell) -> tuple[float, ...]:
    """What a `Measured` cell took."""
    value = storage.read_json(places.score).get("value")
    if not isinstance(value, float):
        raise ArtifactError(f"{places.score} holds no number. Delete it: it is then measured anew.")
    return (value,)


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


def _described(cells: Sequence[Cell]) -> str:
    recipes, cell = [cell.recipes[0] for cell in cells], cells[0]
    data, validate, recoveries = recipes[0].data, recipes[0].validate, len(cell.recipes)
    sizes = [recipe.data.resolution for recipe in recipes if recipe.data.resolution]
    where = f"{data.data} at {_each(sizes)} pixels" if sizes else data.data
    return (
        f"{where}, teacher {_each(r.squeeze.backbone for r in recipes)}, "
        f"{_each(r.recover.ipc for r in recipes)} images of each class after "
        f"{_each(f'{r.recover.steps:,}' for r in recipes)} iterations, student "
        f"{_each(cell.student or cell.recipes[0].validate.students[0] for cell in cells)} for "
        f"{_each(r.validate.epochs for r in recipes)} epochs; {recoveries} "
        f"recover{'ies' if recoveries > 1 else 'y'} and {validate.seeds} student"
        f"{'s' if validate.seeds > 1 else ''} of each."
    )


def _each(values: Any) -> str:
    *others, last = dict.fromkeys(map(str, values))
    return f"{', '.join(others)} or {last}" if others else last

"""Sweeps: a question about settings as a grid of runs in a store; nothing is computed twice, what fails costs no other.

table = sweep("digits", {"recover.alpha_bn": [0, 0.01, 0.1, 1]}, seeds=3, store="runs/sweep")
print(table.to_markdown())
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sre2l_core.artifacts import Score
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError, InUseError, SRe2LError
from sre2l_core.events import Listener, ignore
from sre2l_core.presets import Recipe
from sre2l_core.runs import pipeline
from sre2l_core.runs.grid import Cell, cells
from sre2l_core.runs.store import Store
from sre2l_core.runs.sweep_table import SweepRow, SweepTable
from sre2l_core.runtime import Runtime


def sweep(
    base: str | Recipe,
    grid: Mapping[str, Iterable[Any]],
    *,
    seeds: int | None = None,
    zipped: bool = False,
    store: Store | str | Path = "runs/sweep",
    runtime: Runtime | None = None,
    on_step: Listener = ignore,
    say: Callable[[str], object] = lambda line: None,
) -> SweepTable:
    """Make the runs of a grid that are not in the store yet, and compare all of them; calling again continues.

    To choose settings without looking at the test images, hold out a part of the training images: begin with
    `presets.get("digits").but(data={"holdout": 0.2})`. The table says who judged.

    Args:
        base: a preset or a recipe; what the grid does not name stays as it is there.
        grid: `stage.field` -> values, for any field of any stage; see `grid.cells`.
        seeds: recover, relabel and train so often, a student each, from one teacher; None: one recovery, and as many
            students as the recipe has.
        zipped: first values together, second values together and so on, instead of each with each.
        store: where the runs lie; other sweeps and tables of the paper may lie there too, and may write there now.
        runtime: device and precision; the best there is by default.
        on_step: called with every stage's events.
        say: called with a line for each run.

    Returns:
        The table. A run that fails, such as one that diverges, has its message there.

    Raises:
        ConfigError: for a grid that is none, or settings that do not fit one another; before the first run.
        SRe2LError: the first run's, if not one of them gave a value.
    """
    made, place = cells(base, grid, seeds=seeds, zipped=zipped), store if isinstance(store, Store) else Store(store)
    check(made, place)
    failures: dict[Path, SRe2LError] = {}
    todo = [(cell, recipe) for cell in made for recipe in cell.recipes]
    count, total = 0, len(todo)
    while todo:
        busy: list[tuple[Cell, Recipe]] = []
        for cell, recipe in todo:
            make = partial(place.make, recipe, runtime=runtime, on_step=on_step)
            told = "found" if place.finished(recipe) else "made"
            try:
                try:
                    make()
                except InUseError as error:
                    if len(busy) < len(todo) - 1:  # somebody else makes it: meanwhile the others
                        busy.append((cell, recipe))
                        continue
                    say(f"waiting: {error}")
                    make(wait=True)
            except SRe2LError as error:
                failures[place.note(recipe)], told = error, f"failed: {error}"
            count += 1
            say(f"{count}/{total}  {cell.name}, seed {recipe.validate.seed}: {told}")
        todo = busy
    return table_of(made, place, failures)


def check(made: Sequence[Cell], store: Store) -> None:
    """Raise `SRe2LError` for what a stage of an unfinished run would refuse: now, not after hours of other runs."""
    specs: dict[str, DatasetSpec] = {}
    for cell in made:
        recipe = cell.recipes[0]
        if all(store.finished(each) for each in cell.recipes):
            continue
        try:
            key = recipe.data.model_dump_json()
            specs[key] = specs.get(key) or pipeline.load_data(recipe.data).spec
            pipeline.check(recipe, specs[key])
        except SRe2LError as error:
            raise ConfigError(f"{cell.name}: {error}") from error


def table_of(made: Sequence[Cell], store: Store, failures: Mapping[Path, SRe2LError] | None = None) -> SweepTable:
    """What finished runs of a grid gave: a row for each cell and student.

    Args:
        made: the cells.
        store: where the runs lie; what is not finished there is left out.
        failures: note of a run -> why it has no value.

    Raises:
        SRe2LError: the first failure, where there is no value at all.
    """
    failed, rows = failures or {}, []
    for cell in made:
        scores = {r.validate.seed: Score.load(store.places(r).score) for r in cell.recipes if store.finished(r)}
        messages = {r.validate.seed: str(failed[store.note(r)]) for r in cell.recipes if store.note(r) in failed}
        judges = sorted({score.judge for score in scores.values()})
        for student in cell.recipes[0].validate.students:
            values = {
                first + number: 100 * value
                for first, score in scores.items()
                for number, value in enumerate(score.row("condensed", "soft", student).last)
            }
            rows.append(SweepRow(cell.settings, student, values, messages, ", ".join(judges)))
    if failed and not any(row.values for row in rows):
        raise next(iter(failed.values()))
    return SweepTable(tuple(rows))

"""Sweeps: a question about settings as a grid of runs in a store; nothing is computed twice, what fails costs no other.

table = sweep("digits", {"recover.alpha_bn": [0, 0.01, 0.1, 1]}, seeds=3, store="runs/sweep")
print(table.to_markdown())
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sre2l_core.artifacts import Score
from sre2l_core.data import DatasetSpec
from sre2l_core.data.split import Holdout
from sre2l_core.errors import ConfigError, InUseError, SRe2LError
from sre2l_core.events import Listener, ignore
from sre2l_core.presets import Recipe
from sre2l_core.runs import pipeline
from sre2l_core.runs.by_workers import Workshop
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
    executor: Executor | None = None,
    on_step: Listener = ignore,
    say: Callable[[str], object] = lambda line: None,
) -> SweepTable:
    """Make the runs of a grid that are not in the store yet, and compare all of them; calling again continues.

    To choose settings without looking at the test images, hold out a part of the training images: begin with
    `presets.get("digits").but(data={"holdout": 0.2})`. The table says who judged, and `verdict` has the test images
    judge what was chosen.

    Args:
        base: a preset or a recipe; what the grid does not name stays as it is there.
        grid: `stage.field` -> values, for any field of any stage; see `grid.cells`.
        seeds: recover, relabel and train so often, a student each, from one teacher; None: one recovery, and as many
            students as the recipe has.
        zipped: first values together, second values together and so on, instead of each with each.
        store: where the runs lie; other sweeps and tables of the paper may lie there too, and may write there now.
        runtime: device and precision; the best there is by default.
        executor: whose workers make the runs, teachers too, a part of a run each; see `work.Workers`. The same bytes
            come out as without one, where this process uses as many threads as each of them does.
        on_step: called with every stage's events, with an executor after every part.
        say: called with a line for each run.

    Returns:
        The table. A run that fails, such as one that diverges, has its message there.

    Raises:
        ConfigError: for a grid that is none, or settings that do not fit one another; before the first run.
        WorkError: if the executor is broken; what was finished is kept.
        SRe2LError: the first run's, if not one of them gave a value.
    """
    made, place = cells(base, grid, seeds=seeds, zipped=zipped), store if isinstance(store, Store) else Store(store)
    check(made, place)
    return table_of(made, place, make(made, place, runtime=runtime, executor=executor, on_step=on_step, say=say))


def verdict(
    base: Recipe,
    settings: Sequence[Mapping[str, Any]],
    *,
    seeds: int | None = None,
    store: Store | str | Path = "runs/sweep",
    runtime: Runtime | None = None,
    executor: Executor | None = None,
    on_step: Listener = ignore,
    say: Callable[[str], object] = lambda line: None,
) -> SweepTable:
    """What settings that were chosen on held-out images are worth: trained on all training images, judged on the test.

    Args:
        base: the recipe that was tuned; its holdout chose.
        settings: of each row, the same fields in all of them; the first is what the others are compared with.
        seeds: see `sweep`.
        store: see `sweep`.
        runtime: see `sweep`.
        executor: see `sweep`.
        on_step: see `sweep`.
        say: see `sweep`.

    Raises:
        ConfigError: if nothing was held out: then the test images have chosen already.
    """
    if not base.data.holdout:
        raise ConfigError(
            "nothing was held out, so the test images have chosen already and cannot judge any more: tune with "
            "data.holdout = 0.2 (--holdout 0.2)."
        )
    rows = [*{json.dumps(dict(row), sort_keys=True): row for row in settings}.values()]
    grid = {name: [row[name] for row in rows] for name in rows[0] if not name.startswith("data.holdout")}
    table = sweep(
        base.but(data={"holdout": 0.0}), grid, zipped=True, seeds=seeds, store=store, runtime=runtime,
        executor=executor, on_step=on_step, say=say,
    )  # fmt: skip
    return replace(table, chosen_on=str(Holdout(base.data.holdout, base.data.holdout_seed)))


def make(
    made: Sequence[Cell],
    store: Store,
    *,
    runtime: Runtime | None = None,
    executor: Executor | None = None,
    on_step: Listener = ignore,
    say: Callable[[str], object] = lambda line: None,
) -> dict[Path, SRe2LError]:
    """Make what the cells lack; note of each run that has no end -> why. Arguments are those of `sweep`."""
    todo = [(cell, recipe) for cell in made for recipe in cell.recipes]
    told = _Told(todo, store, say)
    if executor is None:
        return _one_by_one(todo, store, runtime, on_step, told)
    for _, recipe in todo:
        if store.finished(recipe):
            store.make(recipe)  # a run without a note gets one
            told(recipe, "found")
    shop = Workshop(
        store, executor, runtime=runtime or Runtime.auto(), on_step=on_step, done=partial(told, what="made")
    )
    failures = shop.make([recipe for _, recipe in todo])
    for _, recipe in todo:
        failed = failures.get(store.note(recipe))
        told(recipe, "found" if failed is None else f"failed: {failed}")  # somebody else has made it meanwhile
    return failures


class _Told:
    """Says a line for each run, once."""

    def __init__(self, todo: Sequence[tuple[Cell, Recipe]], store: Store, say: Callable[[str], object]) -> None:
        self._left = {store.note(recipe): cell for cell, recipe in todo}
        self._total, self._store, self.say = len(self._left), store, say

    def __call__(self, recipe: Recipe, what: str) -> None:
        cell = self._left.pop(self._store.note(recipe), None)
        if cell is not None:
            count = self._total - len(self._left)
            self.say(f"{count}/{self._total}  {cell.name}, seed {recipe.validate.seed}: {what}")


def _one_by_one(
    todo: list[tuple[Cell, Recipe]], store: Store, runtime: Runtime | None, on_step: Listener, told: _Told
) -> dict[Path, SRe2LError]:
    """Make the runs in this process; what somebody else makes is left for later, and waited for at the end."""
    failures: dict[Path, SRe2LError] = {}
    while todo:
        busy: list[tuple[Cell, Recipe]] = []
        for cell, recipe in todo:
            work = partial(store.make, recipe, runtime=runtime, on_step=on_step)
            what = "found" if store.finished(recipe) else "made"
            try:
                try:
                    work()
                except InUseError as error:
                    if len(busy) < len(todo) - 1:  # somebody else makes it: meanwhile the others
                        busy.append((cell, recipe))
                        continue
                    told.say(f"waiting: {error}")
                    work(wait=True)
            except SRe2LError as error:
                failures[store.note(recipe)], what = error, f"failed: {error}"
            told(recipe, what)
        todo = busy
    return failures


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

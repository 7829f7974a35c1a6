"""The parts of many runs, each made by a worker: all teachers first, then images, labels and scores.

A part is a unit: a pure function of its settings and of the parts before it, which travel to the worker. It comes back
as bytes, and the driver alone writes into the store: no folder is shared, and a worker may die at any moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Any

from sre2l_core import storage
from sre2l_core.errors import InUseError, SRe2LError
from sre2l_core.events import Listener, StepEvent, ignore, merge_log
from sre2l_core.presets import Recipe
from sre2l_core.runs.parcels import Parcel, adopt, packed, unpack
from sre2l_core.runs.parts import STAGE
from sre2l_core.runs.pipeline import Places, running_up_to
from sre2l_core.runs.store import PARTS, Store
from sre2l_core.runtime import Runtime
from sre2l_core.steps import drive
from sre2l_core.work import Shared, Unit, run_units

if TYPE_CHECKING:
    from concurrent.futures import Executor

_PACKED = 4
"""Parts that are kept packed, because the next units need them too."""


@dataclass(frozen=True)
class Made:
    """What a worker sends back."""

    parcel: Parcel = field(default_factory=dict)
    log: str = ""
    seconds: float = 0.0
    failure: SRe2LError | None = None
    """Why there is nothing."""


def make_part(kind: str, asked: Mapping[str, Any], *before: Parcel, runtime: Runtime) -> Made:
    """On a worker: make one part of a run in a folder of its own.

    Args:
        kind: of the part, one of `PARTS`.
        asked: the recipe, see `Recipe.to_json`.
        before: the parts that it is made from, in their order.
        runtime: device and precision.
    """
    begun = monotonic()
    with TemporaryDirectory(prefix="sre2l-") as folder:
        recipe, to = Recipe.of(asked), Places.in_folder(Path(folder) / "run")
        for name, parcel in zip(kinds_before(kind, recipe), before, strict=True):
            unpack(parcel, getattr(to, name))
        try:
            drive(running_up_to(STAGE[kind], recipe, to, runtime=runtime))
        except SRe2LError as error:
            return Made(failure=error)
        text = to.log.read_text("utf-8") if to.log.exists() else ""
        return Made(packed(getattr(to, kind)), text, monotonic() - begun)


def kinds_before(kind: str, recipe: Recipe) -> list[str]:
    """The kinds of parts that a part of a run is made from."""
    return [name for name in PARTS[: PARTS.index(kind)] if name != "labels" or recipe.store_labels]


class Workshop:
    """Has workers make what a store lacks of some runs.

    Args:
        store: where the runs lie; others may write there meanwhile.
        executor: see `work.Workers`.
        runtime: device and precision; workers have to be like the driver.
        on_step: called with an event after every part, and now and then while there is none.
        done: called with a recipe when its run is there to its end.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        *,
        runtime: Runtime,
        on_step: Listener = ignore,
        done: Callable[[Recipe], object] = lambda recipe: None,
    ) -> None:
        self._store, self._executor, self._runtime, self._on_step, self._done = store, executor, runtime, on_step, done
        self._failures: dict[Path, SRe2LError] = {}
        self._count = self._total = 0
        self._packed = lru_cache(_PACKED)(lambda folder: Shared.of(packed(folder)))

    def make(self, recipes: Sequence[Recipe]) -> dict[Path, SRe2LError]:
        """Make the runs; note of each that has no end -> why."""
        runs = [recipe for recipe in recipes if not self._store.finished(recipe)]
        for recipe in runs:
            self._store.write_note(recipe, wait=True)
        self._total = sum(len(self._missing(kind, runs)) for kind in PARTS)
        for kind in PARTS:
            failed = self._make_parts(kind, self._missing(kind, runs))
            for recipe in runs:
                if (error := failed.get(self._folder(kind, recipe))) and self._store.note(recipe) not in self._failures:
                    self._failures[self._store.note(recipe)] = error
                    self._store.write_note(recipe, failure=str(error), wait=True)
        return self._failures

    def _folder(self, kind: str, recipe: Recipe) -> Path:
        folder: Path = getattr(self._store.places(recipe), kind)
        return folder

    def _missing(self, kind: str, runs: Sequence[Recipe]) -> dict[Path, Recipe]:
        """Folder of each part that is not there -> the first run that needs it."""
        found: dict[Path, Recipe] = {}
        for recipe in runs:
            needed = kind != "labels" or recipe.store_labels
            if needed and self._store.note(recipe) not in self._failures:
                found.setdefault(self._folder(kind, recipe), recipe)
        return {folder: recipe for folder, recipe in found.items() if not _finished(folder)}

    def _make_parts(self, kind: str, wanted: Mapping[Path, Recipe]) -> dict[Path, SRe2LError]:
        """Make parts of one kind; those that somebody else makes are waited for when nothing else is left."""
        failed: dict[Path, SRe2LError] = {}
        left = dict(wanted)
        while left:
            busy = self._make_free(kind, left, failed)
            if len(busy) == len(left):
                folder = next(iter(busy))
                try:
                    with storage.held(folder, wait=True):
                        pass
                except InUseError as error:  # this very process holds it
                    failed[folder] = error
            left = {folder: busy[folder] for folder in busy if folder not in failed and not _finished(folder)}
        return failed

    def _make_free(
        self, kind: str, wanted: Mapping[Path, Recipe], failed: dict[Path, SRe2LError]
    ) -> dict[Path, Recipe]:
        """Make the parts that nobody else works on; the others."""
        busy: dict[Path, Recipe] = {}
        claims: dict[Unit, tuple[Path, Recipe, ExitStack]] = {}

        def units() -> Iterator[Unit]:
            for folder, recipe in wanted.items():
                claim = ExitStack()
                try:
                    claim.enter_context(storage.held(folder))
                except InUseError:
                    busy[folder] = recipe
                    continue
                try:
                    unit = self._unit(kind, folder, recipe)
                except SRe2LError as error:  # what it is made from is damaged
                    failed[folder] = error
                    claim.close()
                    continue
                claims[unit] = folder, recipe, claim
                yield unit

        with ExitStack() as open_claims, closing(run_units(units(), self._executor, self._runtime)) as answers:
            open_claims.callback(_close_all, claims)
            for answer in answers:
                if answer is not None:
                    unit, made = answer
                    folder, recipe, claim = claims.pop(unit)
                    claim.close()
                    try:
                        self._keep(kind, folder, recipe, made)
                    except SRe2LError as error:
                        failed[folder] = error
                        with suppress(OSError):  # what others began there stays
                            folder.rmdir()
                    self._count += 1
                note = answer[0].name if answer else ""
                self._on_step(StepEvent("sweep", self._count, max(self._total, self._count), {}, note))
        return busy

    def _unit(self, kind: str, folder: Path, recipe: Recipe) -> Unit:
        before = [self._packed(self._folder(name, recipe)) for name in kinds_before(kind, recipe)]
        return Unit(folder.name, make_part, (kind, recipe.to_json(), *before))

    def _keep(self, kind: str, folder: Path, recipe: Recipe, made: Made) -> None:
        """Write a part into the store, with its log; raises why there is none."""
        if made.failure is not None:
            raise made.failure
        adopt(made.parcel, folder, wait=True)
        if made.log:
            merge_log(self._store.places(recipe).log, STAGE[kind], made.log)
        self._store.write_note(recipe, {STAGE[kind]: made.seconds}, wait=True)
        if kind == PARTS[-1]:
            self._done(recipe)


def _close_all(claims: Mapping[Unit, tuple[Path, Recipe, ExitStack]]) -> None:
    for _, _, claim in claims.values():
        claim.close()


def _finished(folder: Path) -> bool:
    return (folder / storage.MANIFEST).exists()

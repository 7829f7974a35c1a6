"""Searches over ranges instead of grids, by Optuna: its samplers and pruners, on the runs of a store.

found = search(base, {"recover.alpha_bn": Range(0.01, 10, log=True)}, trials=20, store="runs/search")
print(found.to_markdown())

Held-out training images choose; the test images judge what was chosen, at the end.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sre2l_core import presets, storage
from sre2l_core.errors import ConfigError, SRe2LError, unknown
from sre2l_core.events import Listener, ignore
from sre2l_core.figures.bars import bars
from sre2l_core.figures.scatter import slices
from sre2l_core.figures.svg import Drawing
from sre2l_core.presets import Recipe
from sre2l_core.runs.grid import Cell, cells
from sre2l_core.runs.space import Range, Space, ask, check_space, settings_of, taken, within
from sre2l_core.runs.store import Store
from sre2l_core.runs.sweep import check, make, table_of, verdict
from sre2l_core.runs.sweep_table import SweepRow, SweepTable
from sre2l_core.runtime import Runtime
from sre2l_core.work import Workers

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

__all__ = ["PRUNERS", "SAMPLERS", "Found", "Range", "search"]

SAMPLERS = {"tpe": "TPESampler", "random": "RandomSampler", "gp": "GPSampler", "qmc": "QMCSampler"}
"""Name -> Optuna's."""
PRUNERS = {"none": "NopPruner", "median": "MedianPruner", "halving": "SuccessiveHalvingPruner"}
"""Name -> Optuna's."""
FEWEST = 4
"""Trials from which on it is said what mattered."""


@dataclass(frozen=True)
class Found:
    """What a search found."""

    trials: SweepTable
    """A row for each setting that was tried, judged on the images that were held out."""
    importance: Mapping[str, float]
    """Setting -> share of the spread of the trials that it explains (fANOVA); empty for fewer than `FEWEST` trials."""
    pruned: int
    """Trials that were given up before their last seed."""
    study: Study
    """Optuna's own, for whatever else it offers."""
    verdict: SweepTable | None = None
    """The base and the best settings, judged on the test images."""

    @property
    def best(self) -> SweepRow:
        """The trial of the largest mean; raises `ConfigError` where none has a value."""
        return self.trials.best

    def importance_chart(self) -> Drawing:
        """What each setting explains, as bars."""
        return bars(self.importance, label="importance of settings", high=1.0, form="{:.0%}")

    def slices(self) -> Drawing:
        """The accuracy against each setting by itself."""
        tried = [(row.settings, row.mean) for row in self.trials.rows if row.mean is not None]
        return slices(tried, "top-1 (%)")

    def to_markdown(self) -> str:
        """Both tables, and what mattered."""
        parts = [self.trials.to_markdown()]
        if self.importance:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in self.importance.items())
            parts.append(f"Importance (fANOVA): {shares}.")
        return "\n\n".join([*parts, *([self.verdict.to_markdown()] if self.verdict else [])])


def search(
    base: str | Recipe,
    space: Space,
    *,
    trials: int,
    seeds: int = 1,
    store: Store | str | Path = "runs/search",
    name: str = "search",
    sampler: str = "tpe",
    pruner: str = "none",
    seed: int = 0,
    judge: bool = True,
    runtime: Runtime | None = None,
    executor: Executor | None = None,
    on_step: Listener = ignore,
    say: Callable[[str], object] = lambda line: None,
) -> Found:
    """Look for the settings whose students are best on held-out images; calling again continues.

    The first trial is the base itself, where it lies in the space. What was suggested is kept in Optuna's journal,
    `study-NAME/journal.log` in the store; the runs lie there as any others. A trial that was stopped is begun again.

    Args:
        base: a preset or a recipe with `data.holdout` above 0; what the space does not name stays as it is there.
        space: `stage.field` -> `Range` or values, for any field of any stage.
        trials: in all, those of earlier calls included; failed and pruned ones count.
        seeds: of each trial: recover, relabel and train so often. A pruner compares trials seed by seed.
        store: where the runs lie.
        name: of the study.
        sampler: one of `SAMPLERS`.
        pruner: one of `PRUNERS`.
        seed: of the sampler.
        judge: at the end, train base and best settings on all training images and test them.
        runtime: device and precision; the best there is by default.
        executor: whose workers make the runs of as many trials at a time as there are workers.
        on_step: called with every stage's events, with an executor after every part of a run.
        say: called with a line for each run and each trial.

    Raises:
        ConfigError: if nothing is held out, for a space that is none, or if Optuna is not installed.
        InUseError: another process goes on with this study.
    """
    start, place = (
        presets.get(base) if isinstance(base, str) else base,
        store if isinstance(store, Store) else Store(store),
    )
    check_space(start, space, trials, seeds)
    optuna = _optuna()
    how: dict[str, Any] = {"runtime": runtime, "executor": executor, "on_step": on_step, "say": say}
    width = 1 if executor is None else Workers.of(executor).count()
    place.begin()
    with storage.held(place.folder / f"study-{name}"), _quiet(optuna):
        journal = optuna.storages.journal.JournalFileBackend(str(place.folder / f"study-{name}" / "journal.log"))
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(journal), study_name=name, direction="maximize", load_if_exists=True,
            pruner=_one_of("pruner", pruner, PRUNERS, optuna.pruners)(),
        )  # fmt: skip
        # A sampler that goes on must not repeat what it drew at first.
        study.sampler = _one_of("sampler", sampler, SAMPLERS, optuna.samplers)(seed=seed + len(study.trials))
        hunt = _Hunt(study, start, space, seeds, place, how)
        hunt.resume(optuna.trial.TrialState)
        while (left := trials - len(hunt.ended)) > 0:
            hunt.go_on(min(left, width), optuna.trial.TrialState)
        found = Found(hunt.table(), hunt.importance(optuna), hunt.pruned, study)
    if not judge:
        return found
    chosen = [settings_of(start, space), found.best.settings]
    return replace(found, verdict=verdict(start, chosen, seeds=seeds, store=place, **how))


class _Hunt:
    """A study, and the runs of its trials."""

    def __init__(
        self, study: Study, base: Recipe, space: Space, seeds: int, store: Store, how: Mapping[str, Any]
    ) -> None:
        self._study, self._base, self._space, self._seeds, self._store = study, base, space, seeds, store
        self._how, self._say = how, how["say"]

    @property
    def ended(self) -> list[FrozenTrial]:
        """Trials that came to an end by themselves."""
        again = self._study.user_attrs.get(_AGAIN, [])
        return [trial for trial in self._study.trials if trial.state.is_finished() and trial.number not in again]

    @property
    def pruned(self) -> int:
        """Trials that were given up early."""
        return sum(trial.state.name == "PRUNED" for trial in self.ended)

    def resume(self, states: Any) -> None:
        """Begin with the base, and again what was stopped: nobody else works here."""
        if not self._study.trials and (first := within(settings_of(self._base, self._space), self._space)):
            self._study.enqueue_trial(first)
        for trial in self._study.get_trials(states=(states.RUNNING,)):
            self._study.set_user_attr(_AGAIN, [*self._study.user_attrs.get(_AGAIN, []), trial.number])
            self._study.tell(trial.number, state=states.FAIL)
            self._study.enqueue_trial(trial.params)

    def go_on(self, count: int, states: Any) -> None:
        """Take some trials to their end, seed by seed."""
        going: list[tuple[Trial, Cell]] = []
        for trial in [self._study.ask() for _ in range(count)]:
            try:
                cell = self._cell({name: ask(trial, name, values) for name, values in self._space.items()})
                check([cell], self._store)
                going.append((trial, cell))
            except ConfigError as error:  # settings that do not fit one another
                self._fail(trial, error, states)
        for number in range(self._seeds):
            parts = [replace(cell, recipes=cell.recipes[number : number + 1]) for _, cell in going]
            failures = make(parts, self._store, **self._how)
            going = [pair for pair in going if self._goes_on(*pair, number, failures, states)]

    def _goes_on(self, trial: Trial, cell: Cell, number: int, failures: Mapping[Path, SRe2LError], states: Any) -> bool:
        """Tell the study how a trial stands after so many seeds; whether it wants the next."""
        if error := failures.get(self._store.note(cell.recipes[number])):
            self._fail(trial, error, states)
            return False
        so_far = table_of([replace(cell, recipes=cell.recipes[: number + 1])], self._store).rows[0]
        trial.report(so_far.mean or 0.0, number)
        if number + 1 == self._seeds:
            self._study.tell(trial, so_far.mean)
            self._say(f"trial {trial.number}: {so_far.shown}")
        elif trial.should_prune():
            self._study.tell(trial, state=states.PRUNED)
            self._say(f"trial {trial.number}: {so_far.shown}, given up after {number + 1} of {self._seeds} seeds")
        else:
            return True
        return False

    def _fail(self, trial: Trial, error: SRe2LError, states: Any) -> None:
        trial.set_user_attr(_FAILURE, str(error))
        self._study.tell(trial, state=states.FAIL)
        self._say(f"trial {trial.number}: failed: {error}")

    def _cell(self, values: Mapping[str, Any]) -> Cell:
        (cell,) = cells(self._base, {name: [value] for name, value in values.items()}, seeds=self._seeds)
        return cell

    def table(self) -> SweepTable:
        """Every setting that was tried, once."""
        made: dict[str, Cell] = {}
        failures: dict[Path, SRe2LError] = {}
        for trial in self.ended:
            try:
                cell = self._cell({name: taken(trial.params[name], values) for name, values in self._space.items()})
            except (ConfigError, KeyError):  # settings that do not fit one another: there is no such run
                continue
            made.setdefault(cell.name, cell)
            if reason := trial.user_attrs.get(_FAILURE):
                failures[self._store.note(cell.recipes[0])] = SRe2LError(reason)
        return table_of([*made.values()], self._store, failures)

    def importance(self, optuna: Any) -> dict[str, float]:
        """What each setting explains; nothing where there are too few trials to say."""
        done = self._study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        if len(done) < FEWEST or len({trial.value for trial in done}) < 2:
            return {}
        return dict(optuna.importance.get_param_importances(self._study))


_AGAIN, _FAILURE = "begun again", "failure"
"""Names under which a study keeps which trials were stopped, and a trial why it has no value."""


def _optuna() -> Any:
    try:
        import optuna
        import optuna.storages.journal
    except ImportError:
        raise ConfigError("a search needs Optuna: pip install 'sre2l-core[search]'. A sweep does without.") from None
    return optuna


def _one_of(kind: str, name: str, known: Mapping[str, str], module: Any) -> Any:
    if name not in known:
        raise unknown(kind, name, known)
    return getattr(module, known[name])


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """While it is open, Optuna says nothing of its own."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="optuna")
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)

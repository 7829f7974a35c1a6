"""A unit is a pure function of its inputs with its own seed: it may run anywhere, in any order, and more than once.

The driver hands units to an executor and alone writes what comes back. What many units need, such as a teacher, travels
to each worker once: a unit is first sent without it, and again with it where a worker says that it has not seen it yet.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from dataclasses import dataclass, field, replace
from threading import Event, Lock
from typing import Any
from uuid import uuid4

from sre2l_core.errors import SRe2LError, WorkError
from sre2l_core.work.place import Place


@dataclass(frozen=True)
class Shared:
    """A value that many units need. Make it once and give it to all of them."""

    value: Any
    key: str = field(default_factory=lambda: uuid4().hex)

    def without_value(self) -> Shared:
        """The same, to be looked up where it arrives."""
        return replace(self, value=None)


@dataclass(frozen=True)
class Unit:
    """One piece of work: `call(*args, runtime=...)`, where each `Shared` among the arguments stands for its value."""

    name: str
    """What people see of it, such as `images 0-99`."""
    call: Callable[..., Any]
    """A function of a module, so that a worker can import it."""
    args: tuple[Any, ...] = ()

    @property
    def shared(self) -> tuple[Shared, ...]:
        """Those of its arguments that other units need too."""
        return tuple(arg for arg in self.args if isinstance(arg, Shared))

    def without_values(self) -> Unit:
        """The same, small enough to be sent again and again."""
        return replace(self, args=tuple(a.without_value() if isinstance(a, Shared) else a for a in self.args))


@dataclass(frozen=True)
class Missing:
    """A worker's answer where it lacks what a unit shares with others."""

    keys: tuple[str, ...]


def run_units(
    units: Iterable[Unit],
    executor: Executor,
    place: Place,
    *,
    at_once: int | None = None,
    patience: float | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Generator[tuple[Unit, Any], None, None]:
    """Run units and yield each with its result as it comes; between two of them nothing new is begun.

    Args:
        units: in the order in which they should be begun; taken only as fast as they are begun.
        executor: anything with `submit`, whose futures have `done` and `result`.
        place: how to compute.
        at_once: units that are under way or waiting at a worker; twice the number of workers by default.
        patience: seconds after which a unit that was not answered is given to another worker too; the first answer
            counts. None waits for ever.
        say: told in words of a unit that was given to another worker.

    Raises:
        WorkError: if the executor is broken or was shut down, or a unit fails by an exception that is not this
            package's own; those come out as they are. What was yielded before stays good.
    """
    under_way, source = _UnderWay(executor, place), iter(units)
    limit = at_once or 2 * workers_of(executor)
    try:
        while True:
            while len(under_way) < limit and (unit := next(source, None)) is not None:
                under_way.send(unit)
            if not len(under_way):
                return
            for unit, result in under_way.answers(patience, say):
                yield unit, result
    finally:
        under_way.cancel()


class _UnderWay:
    """Units that were sent and not answered yet."""

    def __init__(self, executor: Executor, place: Place) -> None:
        self._executor, self._place = executor, place
        self._futures: dict[Any, tuple[Unit, float]] = {}
        self._answered = Event()

    def __len__(self) -> int:
        return len({id(unit) for unit, _ in self._futures.values()})

    def send(self, unit: Unit, *, whole: bool = False) -> None:
        """Hand a unit to the executor, with what it shares or without."""
        sent = unit if whole else unit.without_values()
        try:
            future = self._executor.submit(Performer(unit.call.__name__), sent, self._place, uuid4().hex)
        except (RuntimeError, BrokenExecutor) as error:
            raise WorkError(f"{unit.name}: {_why_broken(error)}") from error
        self._futures[future] = (unit, time.monotonic())
        if hasattr(future, "add_done_callback"):
            future.add_done_callback(lambda _: self._answered.set())

    def answers(self, patience: float | None, say: Callable[[str], object]) -> list[tuple[Unit, Any]]:
        """Wait until something was answered, or somebody has to be asked again."""
        self._answered.wait(_POLL_SECONDS)
        self._answered.clear()
        found = []
        for future, (unit, begun) in list(self._futures.items()):
            if future not in self._futures:  # another worker was quicker with the same unit
                continue
            if future.done():
                del self._futures[future]
                result = _result(future, unit)
                if isinstance(result, Missing):
                    self.send(unit, whole=True)
                    continue
                self._forget(unit)
                found.append((unit, result))
            elif patience is not None and time.monotonic() - begun > patience:
                self._futures[future] = (unit, float("inf"))
                self.send(unit, whole=True)
                say(f"{unit.name}: no answer for {patience:g} s, given to another worker too")
        return found

    def cancel(self) -> None:
        """Whoever was not begun need not begin."""
        for future in self._futures:
            if hasattr(future, "cancel"):
                future.cancel()
        self._futures.clear()

    def _forget(self, unit: Unit) -> None:
        for future in [future for future, (other, _) in self._futures.items() if other is unit]:
            del self._futures[future]


_POLL_SECONDS = 0.1
"""Executors whose futures take no callback are looked at so often."""


def _result(future: Any, unit: Unit) -> Any:
    try:
        return future.result()
    except SRe2LError:
        raise
    except (BrokenExecutor, CancelledError) as error:
        raise WorkError(f"{unit.name}: {_why_broken(error)}") from error
    except Exception as error:
        said = str(error).strip().splitlines()
        raise WorkError(
            f"{unit.name} failed on a worker: {type(error).__name__}: {said[0] if said else 'no message'}. What was "
            "finished before is kept; the same command goes on with what is left."
        ) from error


def _why_broken(error: BaseException) -> str:
    said = str(error).strip() or type(error).__name__
    return (
        f"the executor takes no work any more ({said.splitlines()[0]}). What was finished before is kept; the same "
        "command goes on with what is left."
    )


def workers_of(executor: Executor) -> int:
    """How many units an executor may run at the same time; 1 where it does not tell."""
    for name in ("_max_workers", "max_workers", "_processes"):
        if isinstance(found := getattr(executor, name, None), int):
            return max(found, 1)
    client = getattr(executor, "_client", None)  # Dask's
    return max(len(client.nthreads()), 1) if client is not None else 1


class Performer:
    """What an executor calls in a worker; Dask's dashboard shows its name, and so the kind of unit."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, unit: Unit, place: Place, sent: str) -> Any:
        """Run a unit; `sent` tells one sending from another, which Dask would take for the same."""
        return perform(unit, place)


def perform(unit: Unit, place: Place) -> Any:
    """Run a unit here, in the worker; `Missing` where it lacks a shared value."""
    place.check()
    with _lock:
        for shared in unit.shared:
            if shared.value is not None:
                _kept[shared.key] = shared.value
        missing = tuple(shared.key for shared in unit.shared if shared.key not in _kept)
        if missing:
            return Missing(missing)
        args = [_kept[arg.key] if isinstance(arg, Shared) else arg for arg in unit.args]
        for shared in unit.shared:
            _kept.move_to_end(shared.key)
        while len(_kept) > _KEEP:
            _kept.popitem(last=False)
    with place.computing() as runtime:
        return unit.call(*args, runtime=runtime)


_kept: OrderedDict[str, Any] = OrderedDict()
"""Shared values that arrived in this worker, those used last at the end."""
_KEEP = 6
"""A teacher, a condensed set and a dataset, of two runs."""
_lock = Lock()

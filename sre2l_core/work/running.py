"""In the driver: units are handed to an executor and yielded as they are answered."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import suppress
from itertools import islice
from math import inf
from threading import Event
from typing import Any, NamedTuple, Self
from uuid import uuid4

from sre2l_core.errors import ConfigError, SRe2LError, WorkError, out_of_memory
from sre2l_core.runtime import Runtime
from sre2l_core.work.performing import Performer, Place
from sre2l_core.work.units import Load, Missing, Unit, unpack


class Workers(Executor):
    """An executor, and how its workers are used; stages take it as they take any other.

    Args:
        executor: anything with `submit` whose futures have `done` and `result`; or a Dask `Client`.
        threads: of the processor for each worker. Last bits depend on it, so it is kept with the result.
        patience: seconds after which a unit that was not answered is given to another worker too, three at most; the
            first answer counts. They include the time that it waits at a worker, where one unit is before it.
            None waits for ever.
    """

    def __init__(self, executor: Executor, *, threads: int = 1, patience: float | None = None) -> None:
        executor = executor.get_executor() if hasattr(executor, "get_executor") else executor
        if not hasattr(executor, "submit"):
            raise ConfigError(f"an executor has `submit`, as concurrent.futures says (got {type(executor).__name__}).")
        self.check(threads, patience)
        self.executor, self.threads, self.patience = executor, threads, patience

    @staticmethod
    def check(threads: int, patience: float | None = None) -> None:
        """Raise `ConfigError` for settings that cannot be."""
        if threads < 1 or (patience is not None and not patience > 0):
            raise ConfigError(f"threads and patience must be greater than 0 (got {threads} and {patience}).")

    @classmethod
    def of(cls, executor: Executor) -> Self:
        """Any executor with the usual settings; one that has settings as it is."""
        return executor if isinstance(executor, cls) else cls(executor)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a call to the executor."""
        return self.executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; Dask's executor knows no `cancel_futures`."""
        self.executor.shutdown(wait)

    def count(self) -> int:
        """How many units may run at the same time, as far as the executor tells."""
        client = getattr(self.executor, "_client", None)  # Dask's, whose workers come and go
        if client is not None:
            with suppress(OSError):  # its scheduler is gone: sending will say so
                return max(len(client.nthreads()), 1)
        found = getattr(self.executor, "_max_workers", None)  # of pools: the standard library's, loky's, mpi4py's
        return found if isinstance(found, int) else _UNKNOWN


_UNKNOWN = 16
"""Workers of an executor that does not say how many it has."""


def threads_of(executor: Executor | None) -> int | None:
    """Threads of the processor that each worker uses; None without an executor."""
    return None if executor is None else Workers.of(executor).threads


def run_units(
    units: Iterable[Unit], executor: Executor, runtime: Runtime
) -> Generator[tuple[Unit, Any] | None, None, None]:
    """Run units and yield each with its result as it comes; None now and then while there is none.

    Every yield is a point at which a stage may pause or end: between two of them nothing new is begun.

    Args:
        units: in the order in which they should be begun; taken only as fast as they are begun, two for each worker.
        executor: see `Workers`.
        runtime: how to compute.

    Raises:
        WorkError: if the executor is broken or was shut down, a worker is not like the driver, or a unit fails by an
            exception that is not this package's own; those come out as they are. What was yielded before stays good.
    """
    workers, source = Workers.of(executor), iter(units)
    under_way = _UnderWay(workers, Place.of(runtime, workers.threads))
    try:
        while True:
            for unit in islice(source, max(2 * workers.count() - len(under_way), 0)):
                under_way.send(unit)
            if not len(under_way):
                return
            yield from under_way.answers() or (None,)
    finally:
        under_way.cancel()


class _Sending(NamedTuple):
    """A unit on its way: with how much of what it shares, and until when an answer is waited for."""

    unit: Unit
    load: Load
    until: float


class _UnderWay:
    """Units that were sent and not answered yet."""

    def __init__(self, workers: Workers, place: Place) -> None:
        self._workers, self._place = workers, place
        self._futures: dict[Future[Any], _Sending] = {}
        self._answered = Event()

    def __len__(self) -> int:
        return len({sending.unit for sending in self._futures.values()})

    def send(self, unit: Unit, load: Load = Load.KEYS) -> None:
        """Hand a unit to the executor, with so much of what it shares."""
        try:
            future = self._workers.submit(Performer(unit.name), unit.loaded(load), self._place, uuid4().hex)
        except (RuntimeError, OSError) as error:
            raise _broken(unit, error) from error
        self._futures[future] = _Sending(unit, load, time.monotonic() + (self._workers.patience or inf))
        if hasattr(future, "add_done_callback"):
            future.add_done_callback(lambda _: self._answered.set())

    def answers(self) -> list[tuple[Unit, Any]]:
        """Wait a moment for answers; nobody is waited for longer than `patience`."""
        self._answered.wait(_MOMENT)
        self._answered.clear()
        found = []
        for future, (unit, load, until) in list(self._futures.items()):
            if future in self._futures and future.done():  # it is gone where another worker was quicker
                del self._futures[future]
                result = _result(future, unit)
                if isinstance(result, Missing):
                    self.send(unit, Load(load + 1))
                else:
                    self._forget(unit)
                    found.append((unit, unpack(result)))
            elif time.monotonic() > until:
                self._futures[future] = _Sending(unit, load, inf)
                self._ask_another(unit)
        return found

    def _ask_another(self, unit: Unit) -> None:
        waited = f"{unit.name}: no answer within {self._workers.patience:g} s"
        if sum(other.unit is unit for other in self._futures.values()) >= _ASKED:
            raise WorkError(f"{waited} from any of {_ASKED} workers. {_KEPT_SO_FAR}")
        warnings.warn(f"{waited}, given to another worker too", stacklevel=2)
        self.send(unit, Load.MAPPED)

    def cancel(self) -> None:
        """Whoever was not begun need not begin."""
        for future in self._futures:
            if hasattr(future, "cancel"):
                future.cancel()
        self._futures.clear()

    def _forget(self, unit: Unit) -> None:
        for future in [future for future, sending in self._futures.items() if sending.unit is unit]:
            del self._futures[future]


_MOMENT = 0.5
"""Seconds between two chances to pause or stop; futures that take no callback are looked at so often."""
_ASKED = 3
"""Workers that are asked for a unit before it is given up."""
_KEPT_SO_FAR = "What was finished before is kept; the same command goes on with what is left."


def _result(future: Future[Any], unit: Unit) -> Any:
    try:
        return future.result()
    except SRe2LError:
        raise
    except (BrokenExecutor, CancelledError) as error:
        raise _broken(unit, error) from error
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0].strip(": .")
        raise out_of_memory(error) or WorkError(f"{unit.name} failed on a worker ({said}). {_KEPT_SO_FAR}") from error


def _broken(unit: Unit, error: BaseException) -> WorkError:
    said = str(error).strip().splitlines() or ["cancelled, or nobody is there any more"]
    return WorkError(f"{unit.name}: the executor takes no more work ({said[0].rstrip('.')}). {_KEPT_SO_FAR}")

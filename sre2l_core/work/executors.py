"""Executors to choose from on the command line: a pool of processes on this machine, or a Dask cluster."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from queue import Empty
from typing import Any

from sre2l_core.data.decode import cores
from sre2l_core.errors import ConfigError, WorkError
from sre2l_core.runtime import accelerators, use_accelerator


@contextmanager
def executor_for(workers: int | None = None, scheduler: str | None = None) -> Iterator[Executor | None]:
    """The executor that a command was asked for; None where it should work by itself.

    Args:
        workers: processes on this machine.
        scheduler: address of a Dask scheduler, such as `tcp://10.0.0.1:8786`.

    Raises:
        ConfigError: for both at once, or a number that this machine cannot serve.
        WorkError: if the scheduler cannot be reached or has no workers.
    """
    if workers is not None and scheduler is not None:
        raise ConfigError("give --workers, for this machine, or --scheduler, for a cluster: not both.")
    if scheduler is not None:
        with dask(scheduler) as executor:
            yield executor
    elif workers is not None:
        with pool(workers) as executor:
            yield executor
    else:
        yield None


@contextmanager
def pool(workers: int) -> Iterator[Executor]:
    """Processes on this machine: one for each GPU, or for each core.

    Raises:
        ConfigError: for fewer than one worker, or more than there are GPUs or, without any, cores.
    """
    devices = accelerators()
    most, of_what = (devices, "GPU") if devices else (cores(), "core")
    if not 1 <= workers <= most:
        raise ConfigError(
            f"--workers must be within 1..{most}, one for each {of_what} of this machine (got {workers})."
        )
    context = multiprocessing.get_context("spawn")  # a fork would share the driver's threads and GPU
    numbers: Any = context.Queue()
    for number in range(devices):
        numbers.put(number)
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(numbers,))
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _begin(numbers: Any) -> None:
    """In each new process: take the next free GPU, if there are any."""
    try:
        use_accelerator(numbers.get(timeout=1))
    except Empty:
        return


@contextmanager
def dask(address: str) -> Iterator[Executor]:
    """The workers of a Dask cluster; they need this package, and of shared folders only that of the real data.

    Raises:
        ConfigError: if Dask is not installed.
        WorkError: if nobody answers at `address`, or there is no worker.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError("--scheduler needs Dask: pip install 'sre2l-core[cluster]'.") from None
    try:
        client = Client(address, timeout=TIMEOUT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise WorkError(f"no Dask scheduler answers at {address} ({type(error).__name__}). Is it running?") from None
    try:
        if not client.nthreads():  # type: ignore[no-untyped-call]
            raise WorkError(f"the Dask scheduler at {address} has no workers: start some with `dask worker {address}`.")
        yield client.get_executor()  # type: ignore[no-untyped-call]
    finally:
        client.close()  # type: ignore[no-untyped-call]


TIMEOUT_SECONDS = 10
"""After which a scheduler counts as not there."""

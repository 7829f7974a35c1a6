"""Executors that a command can ask for: a pool of processes on this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import wait
from threading import Thread
from typing import Any

from sre2l_core.data.decode import cores
from sre2l_core.errors import ConfigError, WorkError
from sre2l_core.runtime import accelerators, use_accelerator
from sre2l_core.work.running import Workers


@contextmanager
def executor_for(
    workers: int | None = None,
    scheduler: str | None = None,
    *,
    threads: int = 1,
    patience: float | None = None,
    device: str = "auto",
) -> Iterator[Workers | None]:
    """The executor that a command was asked for; None where it should work by itself.

    Args:
        workers: processes on this machine.
        scheduler: address of a Dask scheduler, such as `tcp://10.0.0.1:8786`.
        threads: see `Workers`.
        patience: see `Workers`.
        device: kind of device that they compute on.

    Raises:
        ConfigError: for both at once, or more than this machine has.
        WorkError: if the scheduler cannot be reached or has no workers.
    """
    if workers is not None and scheduler is not None:
        raise ConfigError("give --workers, for this machine, or --scheduler, for a cluster: not both.")
    asked = nullcontext() if workers is None else pool(workers, threads, device)
    with asked if scheduler is None else dask(scheduler) as executor:
        yield None if executor is None else Workers(executor, threads=threads, patience=patience)


@contextmanager
def pool(workers: int, threads: int = 1, device: str = "auto") -> Iterator[Executor]:
    """Processes on this machine: at most one for each GPU or, without any, for each core that their threads need.

    Raises:
        ConfigError: for fewer than one worker, or more than that.
    """
    Workers.check(threads)
    devices = 0 if device == "cpu" else accelerators()
    most, what = (devices, "one for each GPU") if devices else (cores() // threads, f"{cores()} cores")
    if not 1 <= workers <= most:
        each = "" if devices else f" for {threads} thread{'s' if threads > 1 else ''} each"
        raise ConfigError(f"--workers must be within 1..{most}, {what} of this machine{each} (got {workers}).")
    context = multiprocessing.get_context("spawn")  # a fork would share the driver's threads and GPU
    numbers: Any = context.Queue()
    for number in range(devices):
        numbers.put(number)
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(numbers, devices))
    try:
        yield executor
    finally:
        # Nobody waits for what is still computed: the driver was stopped, or has its answer from another worker.
        for process in list((executor._processes or {}).values()):
            process.kill()
        executor.shutdown(cancel_futures=True)


def _begin(numbers: Any, devices: int) -> None:
    """In each new process: leave Ctrl-C to the driver, end with it, take a GPU of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_driver, daemon=True).start()
    if devices:
        use_accelerator(numbers.get())


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        wait([driver.sentinel])
        os._exit(1)


@contextmanager
def dask(address: str) -> Iterator[Executor]:
    """The workers of a Dask cluster: they need this package and, of shared folders, that of the real data.

    Raises:
        ConfigError: if Dask is not installed.
        WorkError: if nobody answers at `address`, or there is no worker.
    """
    try:
        from dask import config
        from distributed import Client
        from distributed.comm.addressing import get_address_host_port
    except ImportError:
        raise ConfigError("--scheduler needs Dask: pip install 'sre2l-core[cluster]'.") from None
    # Teachers are large, and go once; that a scheduler is lost is said in a line.
    with (
        config.set({"distributed.admin.large-graph-warning-threshold": "64GiB"}),
        _quiet("distributed", "distributed.client", "tornado.application"),
    ):
        try:
            get_address_host_port(address)  # a client that stumbles over it says more than it should when it goes
            client = Client(address, timeout=_ANSWERS_WITHIN, set_as_default=False)
        except (OSError, ValueError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WorkError(f"no Dask scheduler answers at {address!r} ({said}). Is it running?") from None
        with client:
            if not client.nthreads():
                raise WorkError(
                    f"the Dask scheduler at {address} has no workers: start some with `dask worker {address}`."
                )
            yield client.get_executor()


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


_ANSWERS_WITHIN = 10
"""Seconds after which a scheduler counts as not there."""

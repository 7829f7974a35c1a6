"""Units for tests, functions of a module so that workers can import them, and executors of every kind to run them."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

import torch

from sre2l_core.errors import ConfigError
from sre2l_core.work.executors import pool


def square(number, runtime):
    return number**2


def scaled(vector, factor, runtime):
    return vector * factor, os.getpid()


def looked_at(images, runtime):
    """A number that every page enters, which process it was, and KiB of its memory that are no pages of a file."""
    found = int(images.flatten()[::1024].long().sum())
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return found, os.getpid(), next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def threads(runtime):
    return torch.get_num_threads(), runtime.precision


def refuse(runtime):
    raise ConfigError("this setting cannot be")


def fail(runtime):
    raise ZeroDivisionError("by nothing")


def exhaust(runtime):
    raise MemoryError


def die(runtime):
    os.kill(os.getpid(), signal.SIGKILL)


def hang_at_first(marker, times, runtime):
    """Never answer the first few times; at once from then on."""
    for number in range(times):
        try:
            Path(f"{marker}{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        time.sleep(600)
    return "answered"


class Alone:
    """Notes when two units are at work in one process at the same time."""

    working = False


def alone(runtime):
    was, Alone.working = Alone.working, True
    time.sleep(0.02)
    Alone.working = False
    return was


class Counting(Executor):
    """Notes the names of the units that an executor was handed."""

    def __init__(self, executor):
        self.executor, self.names = executor, []

    def submit(self, fn, /, *args, **kwargs):
        self.names.append(fn.__name__)
        return self.executor.submit(fn, *args, **kwargs)

    def __getattr__(self, name):
        return getattr(self.executor, name)


@contextmanager
def loky_workers():
    from loky import ProcessPoolExecutor as Loky

    executor = Loky(max_workers=2)
    try:
        yield executor
    finally:
        executor.shutdown(kill_workers=True)


@contextmanager
def dask_workers(processes=False):
    """Dask's cluster within this process, which begins at once; or one of processes, which can be killed."""
    from distributed import LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "processes": processes}
    with LocalCluster(**options) as cluster, cluster.get_client() as client:
        yield client.get_executor()


EXECUTORS = {"pool": lambda: pool(min(2, len(os.sched_getaffinity(0)))), "loky": loky_workers, "dask": dask_workers}

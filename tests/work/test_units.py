"""Units on three kinds of executors: results, what travels once, failures, workers that die or never answer."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
import workloads

from sre2l_core.errors import ConfigError, WorkError
from sre2l_core.runtime import Runtime
from sre2l_core.work import Shared, Unit, run_units
from sre2l_core.work.executors import pool
from sre2l_core.work.place import Place

PLACE = Place.of(Runtime.auto("cpu", "fp32"))


@contextmanager
def dask_workers():
    from distributed import LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "processes": True}
    with LocalCluster(**options) as cluster, cluster.get_client() as client:
        yield client.get_executor()


@contextmanager
def loky_workers():
    from loky import ProcessPoolExecutor as Loky

    executor = Loky(max_workers=2)
    try:
        yield executor
    finally:
        executor.shutdown(kill_workers=True)


EXECUTORS = {
    "threads": lambda: ThreadPoolExecutor(2),
    "pool": lambda: pool(2),
    "loky": loky_workers,
    "dask": dask_workers,
}


@pytest.fixture(params=EXECUTORS, scope="module")
def executor(request):
    with EXECUTORS[request.param]() as executor:
        yield executor


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_every_unit_is_answered_once(executor):
    units = [Unit(f"square {number}", workloads.square, (number,)) for number in range(20)]
    found = {unit.name: result for unit, result in run_units(units, executor, PLACE)}
    assert found == {f"square {number}": number**2 for number in range(20)}


class Counted:
    """A vector that counts how often it leaves the driver."""

    def __init__(self, vector):
        self.vector, self.sent = vector, 0

    def __reduce__(self):
        self.sent += 1
        return torch.tensor, (self.vector,)


def test_what_units_share_travels_to_each_worker_once(executor):
    counted = Counted([1.0, 2.0])
    shared = Shared(counted)
    if isinstance(executor, ThreadPoolExecutor):
        shared = Shared(torch.tensor([1.0, 2.0]))
    units = [Unit(f"scaled {factor}", workloads.scaled, (shared, factor)) for factor in range(30)]
    found = [result for _, result in run_units(units, executor, PLACE, at_once=4)]
    assert sorted(total for total, _ in found) == [3.0 * factor for factor in range(30)]
    assert counted.sent <= 4 * 3  # while a worker waits for it, the few that are under way may ask too


def test_workers_compute_with_the_threads_and_the_precision_that_the_driver_says(executor):
    if isinstance(executor, ThreadPoolExecutor):
        pytest.skip("threads of the driver's own process keep its threads")
    place = Place.of(Runtime.auto("cpu", "bf16"), threads=2)
    ((_, found),) = run_units([Unit("threads", workloads.threads)], executor, place)
    assert found == (2, "bf16")


def test_errors_of_this_package_come_out_as_they_are(executor):
    with pytest.raises(ConfigError, match="this setting cannot be"):
        [*run_units([Unit("wrong", workloads.refuse)], executor, PLACE)]


def test_other_errors_name_the_unit_and_what_to_do(executor):
    with pytest.raises(WorkError, match=r"images 3 failed on a worker: ZeroDivisionError: by nothing\. .*same command"):
        [*run_units([Unit("images 3", workloads.fail)], executor, PLACE)]


def test_a_worker_of_another_version_is_refused_and_both_are_named(executor):
    with pytest.raises(WorkError, match=r"has torch .*, the driver 1\.0: .*Install the same version"):
        [*run_units([Unit("square", workloads.square, (2,))], executor, replace(PLACE, torch="1.0"))]


def test_units_are_begun_only_as_fast_as_they_are_answered():
    taken = []

    def units():
        for number in range(100):
            taken.append(number)
            yield Unit(f"square {number}", workloads.square, (number,))

    with ThreadPoolExecutor(2) as threads:
        answers = run_units(units(), threads, PLACE)
        next(answers)
        time.sleep(0.2)  # paused: nobody asks for the next answer
        assert len(taken) <= 4 + 1
        answers.close()
    assert len(taken) < 20


def test_a_dead_worker_of_a_pool_is_said_and_what_came_before_stays():
    with pool(1) as executor:
        answers = run_units(
            [Unit("square", workloads.square, (3,)), Unit("images 7", workloads.die)], executor, PLACE, at_once=1
        )
        assert next(answers)[1] == 9
        with pytest.raises(WorkError, match=r"images 7: the executor takes no work any more .*is kept"):
            next(answers)


def test_an_executor_that_was_shut_down_is_said():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(WorkError, match="takes no work any more"):
        [*run_units([Unit("square", workloads.square, (3,))], executor, PLACE)]


def test_a_unit_that_is_never_answered_is_given_to_another_worker(tmp_path):
    executor = ProcessPoolExecutor(2, mp_context=__import__("multiprocessing").get_context("spawn"))
    said = []
    try:
        unit = Unit("images 5", workloads.hang_once, (str(tmp_path / "marker"),))
        ((_, found),) = run_units([unit], executor, PLACE, patience=8, say=said.append)
        assert found == "answered"
        assert said == ["images 5: no answer for 8 s, given to another worker too"]
    finally:
        for process in list(executor._processes.values()):
            process.kill()
        executor.shutdown(wait=False, cancel_futures=True)


@pytest.mark.parametrize("workers", [0, -1, 1000])
def test_a_pool_has_no_more_workers_than_the_machine_has_cores(workers):
    with pytest.raises(ConfigError, match=rf"--workers must be within 1\.\.\d+.* \(got {workers}\)"), pool(workers):
        pass

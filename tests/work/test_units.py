"""Units on four kinds of executors: results, what travels once, failures, workers that die or never answer."""

from __future__ import annotations

import copy
import os
import time
import weakref
from collections import OrderedDict
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
import workloads
from waiting import until

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RelabelConfig
from sre2l_core.errors import ConfigError, NoMemoryError, WorkError
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.work import Shared, Unit, Workers, mapped, performing, run_units
from sre2l_core.work.executors import dask, executor_for, pool
from sre2l_core.work.mapped import Mapped
from sre2l_core.work.performing import Performer, Place
from sre2l_core.work.units import pack, unpack

CPU = Runtime.auto("cpu", "fp32")
EXECUTORS = {"threads": lambda: ThreadPoolExecutor(2), **workloads.EXECUTORS}
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning:distributed")


@pytest.fixture(params=EXECUTORS, scope="module")
def executor(request):
    with EXECUTORS[request.param]() as executor:
        yield executor


def results(units, executor, runtime=CPU):
    return [answer for answer in run_units(units, executor, runtime) if answer is not None]


def test_every_unit_is_answered_once(executor):
    units = [Unit(f"square {number}", workloads.square, (number,)) for number in range(20)]
    found = [(unit.name, result) for unit, result in results(units, executor)]
    assert sorted(found) == sorted((f"square {number}", number**2) for number in range(20))


def test_what_units_share_travels_to_each_worker_once_and_tensors_come_back(executor):
    counting = workloads.Counting(executor)
    vector = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).T
    shared = Shared.of(vector)
    units = [Unit(f"scaled {factor}", workloads.scaled, (shared, factor)) for factor in range(12)]
    found = {unit.name: result for unit, result in results(units, counting)}
    for factor in range(12):
        scaled, _ = found[f"scaled {factor}"]
        assert torch.equal(scaled, vector * factor)
        assert scaled.stride() == vector.stride()
    processes = len({process for _, process in found.values()})
    assert 12 < len(counting.names) <= 12 + 4 * 2  # while a worker waits for it, those under way may ask for it too
    counting.names.clear()
    assert len(results([*units[:3]], counting)) == 3
    assert len(counting.names) == 3 or processes < 2  # nobody lacks it any more


LARGE = torch.arange(2**21).view(8, 512, 512)  # 16 MiB


def test_large_tensors_are_mapped_by_workers_and_take_none_of_their_memory(executor):
    small, large = Shared.of(LARGE[0].clone()), Shared.of({"images": LARGE, "again": LARGE})
    assert isinstance(large.large, Mapped)
    assert len(large.packed) < 1000
    assert large.large._sizes == [LARGE.nbytes]
    before = {pid: own for _, (_, pid, own) in results(looking(small, 8), executor)}
    for _, (found, pid, own) in results(looking(Shared.of(LARGE), 8), executor):
        assert found == int(LARGE.flatten()[::1024].sum())
        if pid != os.getpid():
            assert own - before.get(pid, own) < 4 * 1024


def looking(shared, count):
    return [Unit(f"look {number}", workloads.looked_at, (shared,)) for number in range(count)]


@pytest.mark.parametrize("how", ["far", "another file", "a pipe", "no room", "no names"])
def test_workers_that_do_not_reach_the_file_are_sent_what_is_in_it(how, tmp_path, monkeypatch):
    monkeypatch.setattr(performing, "_KEPT", OrderedDict())
    if how == "no room":
        monkeypatch.setattr(mapped, "TemporaryFile", lambda: (_ for _ in ()).throw(OSError("No space left on device")))
    if how == "no names":
        monkeypatch.setattr(mapped, "_HANDLES", "/nowhere/{}/{}")
    shared = Shared.of(LARGE)
    assert isinstance(shared.large, Mapped) is (how not in ("no room", "no names"))
    elsewhere = tmp_path / "elsewhere"
    if how == "another file":
        elsewhere.write_bytes(bytes(Path(shared.large._path).stat().st_size))
    if how == "a pipe":
        os.mkfifo(elsewhere)

    class Far(workloads.Counting):
        """Another machine: what the driver's path leads to is another thing there."""

        def submit(self, fn, unit, *args):
            (sent,) = unit.args
            if isinstance(sent.large, Mapped):
                there = copy.copy(sent.large)
                there._path = str(elsewhere)
                unit = replace(unit, args=(replace(sent, large=there),))
            return super().submit(fn, unit, *args)

    with ThreadPoolExecutor(1) as threads:
        executor = Far(threads)
        ((_, (found, _, _)),) = results(looking(shared, 1), executor)
    assert found == int(LARGE.flatten()[::1024].sum())
    assert len(executor.names) == (2 if how in ("no room", "no names") else 3)


def test_what_a_worker_writes_into_a_mapped_tensor_nobody_else_sees_and_the_file_goes_with_its_driver():
    images, labels = LARGE.clone(), torch.arange(2**20).to(torch.bfloat16)
    shared = Shared.of((images, labels, torch.nn.Parameter(images.float())))
    one, other = (unpack(*shared.arrived()) for _ in range(2))
    one[0].zero_()
    assert torch.equal(other[0], images)
    assert torch.equal(other[1], labels)
    assert isinstance(other[2], torch.nn.Parameter)
    file, gone = shared.large._file, weakref.ref(shared.large)
    del shared
    assert gone() is None
    assert file.closed
    assert torch.equal(other[0], images)  # for as long as a worker holds it


def test_workers_compute_with_the_threads_and_the_precision_that_the_driver_says(executor):
    before = torch.get_num_threads()
    ((_, found),) = results(
        [Unit("threads", workloads.threads)], Workers(executor, threads=2), Runtime.auto("cpu", "bf16")
    )
    assert found == (2, "bf16")
    assert torch.get_num_threads() == before


def test_units_of_one_process_take_turns(executor):
    assert not any(result for _, result in results([Unit(f"{n}", workloads.alone) for n in range(8)], executor))


def test_errors_of_this_package_come_out_as_they_are(executor):
    with pytest.raises(ConfigError, match="this setting cannot be"):
        results([Unit("wrong", workloads.refuse)], executor)


def test_other_errors_name_the_unit_and_what_to_do(executor):
    with pytest.raises(WorkError, match=r"images 3 failed on a worker \(ZeroDivisionError: by nothing\)\. .*same com"):
        results([Unit("images 3", workloads.fail)], executor)
    with pytest.raises(NoMemoryError, match="Use smaller batches"):
        results([Unit("images 3", workloads.exhaust)], executor)


def test_a_worker_of_another_version_is_refused_and_both_are_named(executor, monkeypatch):
    versions = {"sre2l_core": "0.0.1", "torch": "1.0"}
    monkeypatch.setattr(Place, "of", lambda runtime, threads: Place(runtime, threads, "cpu", versions))
    with pytest.raises(WorkError, match=r"has sre2l_core \d.*, the driver 0\.0\.1: .*Install the same version"):
        results([Unit("square", workloads.square, (2,))], executor)
    versions["sre2l_core"] = Place(CPU, 1, "cpu").versions["sre2l_core"]
    with pytest.raises(WorkError, match=r"has torch \d.*, the driver 1\.0: .*Install the same version"):
        results([Unit("square", workloads.square, (2,))], executor)


def test_a_worker_without_the_drivers_device_is_refused():
    gpu = Place(replace(CPU, device=torch.device("cuda")), 1, "cuda (NVIDIA H100)")
    expected = (
        "computes on cuda" if torch.cuda.is_available() else r"lacks what the driver computes on, cuda \(NVIDIA H"
    )
    with pytest.raises(WorkError, match=expected):
        gpu.found()
    with pytest.raises(WorkError, match=r"computes on cpu, the driver on cpu \(another\): .*Use workers of one kind"):
        Place(CPU, 1, "cpu (another)").found()


def test_nothing_new_is_begun_while_nobody_asks():
    taken = []

    def units():
        for number in range(100):
            taken.append(number)
            yield Unit(f"square {number}", workloads.square, (number,))

    with ThreadPoolExecutor(2) as threads:
        answers = run_units(units(), threads, CPU)
        next(answers)
        time.sleep(0.2)  # paused
        assert len(taken) == 4
        answers.close()
    assert len(taken) == 4


def test_there_is_a_chance_to_stop_while_a_unit_takes_its_time():
    with ThreadPoolExecutor(1) as threads:
        answers = run_units([Unit("slow", time.sleep, (1.2,))], _Deaf(threads), CPU)
        assert [next(answers), next(answers)] == [None, None]
        answers.close()


class _Deaf(workloads.Counting):
    """Runs `call(*args)` of a unit without its runtime, so that functions of the standard library are units."""

    def submit(self, fn, unit, place, sent):
        return self.executor.submit(unit.call, *unit.args)


def test_futures_without_callbacks_are_looked_at_too():
    class Future:
        def __init__(self, answer):
            self.asked, self.answer = 0, answer

        def done(self):
            self.asked += 1
            return self.asked > 1

        def result(self):
            return self.answer

    class Slurm:  # as submitit
        def submit(self, fn, *args):
            return Future(fn(*args))

    assert [result for _, result in results([Unit("square", workloads.square, (3,))], Slurm())] == [9]


def test_a_network_that_shares_a_value_with_a_unit_is_a_copy(tiny_teacher):
    copy = unpack(pack(tiny_teacher))
    assert copy.id == tiny_teacher.id
    assert copy.net is not tiny_teacher.net
    assert all(not tensor.is_shared() for tensor in tiny_teacher.net.state_dict().values())


def test_what_lies_on_a_device_of_this_process_stays_here(tiny_data, tiny_teacher, tiny_condensed, cpu):
    next(tiny_data.train.train_batches(RelabelConfig(), batch_size=4, seed=0, epoch=0, device="cpu"))
    tiny_data.train._on(torch.device("meta"))
    live = LiveLabels(tiny_teacher, tiny_condensed, RelabelConfig(), runtime=cpu)
    pixels = tiny_condensed.spec.normalize(tiny_condensed.images)
    logits = live.logits(0, torch.arange(11), pixels)
    size = len(pack(live))
    try:
        copy, labels = unpack(pack(tiny_data.train)), unpack(pack(live))
    finally:
        tiny_data.train._copies.clear()
    assert copy._copies == {}
    assert torch.equal(copy.images, tiny_data.train.images)
    assert size == len(pack(LiveLabels(tiny_teacher, tiny_condensed, RelabelConfig(), runtime=cpu)))
    assert torch.equal(labels.logits(0, torch.arange(11), pixels), logits)


def test_a_value_that_cannot_be_sent_is_said(tiny_spec):
    teacher = Teacher(torch.nn.Sequential(torch.nn.Identity()), tiny_spec, "mine")
    teacher.net.extra = lambda x: x
    with pytest.raises(
        WorkError, match=r"a Teacher cannot be sent to workers \(.*lambda.*module that workers can import"
    ):
        Shared.of(teacher)


def test_a_worker_keeps_only_what_was_used_last():
    place = Place.of(CPU, 1)
    for number in range(10):
        shared = Shared.of(torch.tensor(number))
        unit = Unit("scaled", workloads.scaled, (shared, 2))
        assert unpack(Performer("scaled")(unit, place, str(number)))[0].item() == 2 * number
    assert len(performing._KEPT) <= performing._KEEP
    assert shared.key in performing._KEPT


def test_an_executor_that_was_shut_down_is_said():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(
        WorkError, match=r"square: the executor takes no more work \(cannot schedule new futures after sh"
    ):
        results([Unit("square", workloads.square, (3,))], executor)


def test_a_cancelled_unit_is_said():
    class Cancelled(ThreadPoolExecutor):
        def submit(self, *args):
            future = super().submit(time.sleep, 0)
            future.result()
            future.result = lambda: (_ for _ in ()).throw(CancelledError())
            return future

    with Cancelled(1) as executor, pytest.raises(WorkError, match=r"takes no more work .cancelled, or nobody is there"):
        results([Unit("square", workloads.square, (3,))], executor)


def test_a_pools_process_that_dies_is_said_and_what_came_before_stays():
    with pool(1) as executor:
        units = [Unit("square", workloads.square, (3,)), Unit("images 7", workloads.die)]
        answers = run_units(units, executor, CPU)
        found = []
        with pytest.raises(WorkError, match=r"images 7: the executor takes no more work .*is kept"):
            found.extend(answer for answer in answers if answer is not None)
        assert [result for _, result in found] == [9]


def test_a_unit_that_is_never_answered_is_given_to_another_worker(tmp_path):
    with pool(2) as executor:
        assert results([Unit("warm", workloads.square, (n,)) for n in range(4)], executor)
        unit = Unit("images 5", workloads.hang_at_first, (str(tmp_path / "marker"), 1))
        with pytest.warns(UserWarning, match=r"images 5: no answer within 1 s, given to another worker too"):
            ((_, found),) = results([unit], Workers(executor, patience=1))
        assert found == "answered"
        begun = time.monotonic()
    assert time.monotonic() - begun < 5  # nobody waits for the one that hangs


def test_a_unit_that_nobody_answers_is_given_up():
    class Silent:
        def submit(self, *args):
            return Future()

    with (
        pytest.warns(UserWarning, match="given to another"),
        pytest.raises(WorkError, match=r"images 5: no answer within 0\.1 s from any of 3 workers"),
    ):
        results([Unit("images 5", workloads.square, (1,))], Workers(Silent(), patience=0.1))


def test_a_pool_has_a_worker_for_each_gpu_unless_they_compute_on_the_processor(monkeypatch):
    monkeypatch.setattr("sre2l_core.work.executors.accelerators", lambda: 1)
    with pytest.raises(ConfigError, match=r"within 1\.\.1, one for each GPU of this machine \(got 2\)"), pool(2):
        pass
    if len(os.sched_getaffinity(0)) > 1:
        with pool(2, device="cpu") as executor:
            assert Workers(executor).count() == 2


@pytest.mark.parametrize("workers", [0, -1, 1000])
def test_a_pool_has_no_more_workers_than_the_machine_has_cores(workers):
    with pytest.raises(ConfigError, match=rf"--workers must be within 1\.\.\d+.* \(got {workers}\)"), pool(workers):
        pass
    cores = len(os.sched_getaffinity(0))
    with pytest.raises(ConfigError, match=rf"for {cores + 1} threads each"), pool(1, threads=cores + 1):
        pass


def test_a_pool_ends_with_its_driver():
    driver = get_context("spawn").Process(target=_begin_a_pool_and_die, args=(queue := get_context("spawn").Queue(),))
    driver.start()
    worker = queue.get(timeout=60)
    driver.join()
    assert driver.exitcode == -9
    until(lambda: not _alive(worker), within=10)


def _begin_a_pool_and_die(queue):
    with pool(1) as executor:
        queue.put(executor.submit(os.getpid).result())
        queue.close()
        queue.join_thread()
        workloads.die(None)


def _alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "foo://x", ""])
def test_a_scheduler_that_cannot_be_reached_is_said(address, monkeypatch):
    monkeypatch.setattr("sre2l_core.work.executors._ANSWERS_WITHIN", 1)
    with (
        pytest.raises(WorkError, match=rf"no Dask scheduler answers at '{address}' \(.*\)\. Is it running"),
        dask(address),
    ):
        pass


def test_a_scheduler_without_workers_is_said():
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=":0") as cluster,
        pytest.raises(WorkError, match="has no workers: start some with `dask worker"),
        dask(cluster.scheduler_address),
    ):
        pass


def test_a_cluster_without_dask_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"pip install 'sre2l-core\[cluster\]'"), dask("tcp://127.0.0.1:9"):
        pass


def test_one_kind_of_workers_is_asked_for():
    with pytest.raises(ConfigError, match="not both"), executor_for(1, "tcp://127.0.0.1:9"):
        pass
    with executor_for() as executor:
        assert executor is None
    with executor_for(1, threads=1, patience=5) as executor:
        assert (executor.threads, executor.patience, executor.count()) == (1, 5, 1)
    for wrong in ({"threads": 0}, {"patience": 0}, {"patience": float("nan")}):
        with pytest.raises(ConfigError, match="must be greater than 0"):
            Workers(ThreadPoolExecutor(1), **wrong)
    with pytest.raises(ConfigError, match=r"has `submit`, .*\(got int\)"):
        results([], 3)

"""The stages by workers of three kinds: the bytes that one process with as many threads makes, whoever comes first."""

from __future__ import annotations

import copy
import os
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
import workloads
from waiting import until

from sre2l_core import storage
from sre2l_core.config import RecoverConfig, RelabelConfig, ValidateConfig
from sre2l_core.errors import ArtifactError, DivergenceError, WorkError
from sre2l_core.stages import students_by_workers
from sre2l_core.stages.labels import LiveLabels, SoftLabels, shard_name
from sre2l_core.stages.recover import recover
from sre2l_core.stages.recover.stage import recovering
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.validate import validate
from sre2l_core.work import Workers, units
from sre2l_core.worker import Run, State

RECOVER = {"ipc": 2, "group_size": 2, "stack": 2, "steps": 6, "lr": 0.1, "alpha_bn": 0.1, "snapshot_every": 3}
RELABEL = {"epochs": 5, "batch_size": 4, "mix": "cutmix", "codec": "int8"}
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning:distributed")


@pytest.fixture(params=workloads.EXECUTORS, scope="module")
def executor(request):
    with workloads.EXECUTORS[request.param]() as executor:
        yield workloads.Counting(executor)


def contents(folder):
    """Name -> bytes of everything in a finished artifact but its manifest, which names the time and no more."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_recover(executor, tiny_teacher, tiny_data, cpu, tmp_path):
    for init in ("noise", "real"):
        config = RecoverConfig(**RECOVER, init=init)
        options = {"runtime": cpu, "data": tiny_data, "verifier": tiny_teacher}
        alone = recover(tiny_teacher, config, out=tmp_path / f"{init}-alone", **options)
        events = []
        out = tmp_path / f"{init}-shared"
        shared = recover(tiny_teacher, config, out=out, executor=executor, on_step=events.append, **options)
        assert contents(out) == contents(tmp_path / f"{init}-alone")
        assert recover(tiny_teacher, config, executor=executor, **options).id == alone.id == shared.id
        finished = [event for event in events if event.metrics]
        assert {event.step for event in events} <= {0, 6, 12, 18}
        assert (finished[-1].step, finished[-1].total) == (18, 18)  # four groups in two passes, two smaller ones in one
        assert {"loss", "r_bn", "verifier"} <= finished[-1].metrics.keys()


def test_relabel(executor, tiny_teacher, tiny_condensed, cpu, tmp_path):
    for mode in ("eval", "batch"):
        config = RelabelConfig(**RELABEL, teacher_mode=mode)
        relabel(tiny_teacher, tiny_condensed, config, runtime=cpu, out=tmp_path / f"{mode}-alone")
        events = []
        shared = {"runtime": cpu, "executor": executor, "on_step": events.append}
        memory = relabel(tiny_teacher, tiny_condensed, config, **shared)
        relabel(tiny_teacher, tiny_condensed, config, out=tmp_path / f"{mode}-shared", **shared)
        assert contents(tmp_path / f"{mode}-shared") == contents(tmp_path / f"{mode}-alone")
        memory.save(tmp_path / f"{mode}-memory")
        labels = {name: data for name, data in contents(tmp_path / f"{mode}-alone").items() if name.startswith("lab")}
        assert labels.items() <= contents(tmp_path / f"{mode}-memory").items()
        assert (events[-1].step, events[-1].total) == (5, 5)


def test_validate(executor, tiny_teacher, tiny_condensed, tiny_data, cpu, tmp_path):
    settings = {"students": ("convnet",), "student_options": {"depth": 2, "width": 8}, "epochs": 2, "batch_size": 4}
    config = ValidateConfig(**settings, seeds=2, lr=0.05, against=("random", "full"))
    views = RelabelConfig(**{**RELABEL, "epochs": 2})
    stored = relabel(tiny_teacher, tiny_condensed, views, runtime=cpu, out=tmp_path / "labels")
    for name, labels in {
        "stored": stored,
        "live": LiveLabels(tiny_teacher, tiny_condensed, views, runtime=cpu),
    }.items():
        rest = {"teacher": tiny_teacher, "runtime": cpu}
        alone = validate(tiny_condensed, labels, tiny_data, config, out=tmp_path / f"{name}-alone", **rest)
        events = []
        rest |= {"executor": executor, "on_step": events.append}
        out = tmp_path / f"{name}-shared"
        assert validate(tiny_condensed, labels, tiny_data, config, out=out, **rest).rows == alone.rows
        assert contents(out) == contents(tmp_path / f"{name}-alone")
        assert (events[-1].step, events[-1].total) == (60, 60)  # ten students of six steps
        assert 0 <= events[-1].value("top1") <= 1


def test_stored_labels_that_a_worker_does_not_see_travel(
    executor, tiny_teacher, tiny_condensed, tiny_data, cpu, tmp_path, monkeypatch
):
    relabel(tiny_teacher, tiny_condensed, RelabelConfig(**RELABEL), runtime=cpu, out=tmp_path / "labels")
    here = os.open(tmp_path / "labels", os.O_RDONLY)  # what this process has open, no other sees under this name
    try:
        labels = SoftLabels.load(f"/proc/self/fd/{here}")
        config = ValidateConfig(students=("convnet",), epochs=1, seeds=2, batch_size=4, against=(), hard_labels=False)
        alone = validate(tiny_condensed, labels, tiny_data, config, runtime=cpu)
        shared = {"runtime": cpu, "executor": executor, "out": tmp_path / "score"}
        if isinstance(executor.executor, ProcessPoolExecutor):
            monkeypatch.setattr(students_by_workers, "_CARRIED", 100)
            with pytest.raises(WorkError, match=r"does not see .*/labels/epoch_00000.*: give it that folder under the"):
                validate(tiny_condensed, labels, tiny_data, config, **shared)
            monkeypatch.undo()
        assert validate(tiny_condensed, labels, tiny_data, config, **shared).rows == alone.rows
    finally:
        os.close(here)


def test_what_one_process_left_others_finish_and_no_unit_is_done_twice(
    executor, tiny_teacher, tiny_condensed, cpu, tmp_path
):
    def stop_after(done):
        def listen(event):
            if event.step == done:
                raise KeyboardInterrupt

        return listen

    config, out = RelabelConfig(**RELABEL), tmp_path / "labels"
    with pytest.raises(KeyboardInterrupt):
        relabel(tiny_teacher, tiny_condensed, config, runtime=cpu, out=out, on_step=stop_after(2))
    executor.names.clear()
    shared = {"runtime": cpu, "out": out, "executor": executor}
    with pytest.raises(KeyboardInterrupt):
        relabel(tiny_teacher, tiny_condensed, config, **shared, on_step=stop_after(3))
    there = [number for number in range(5) if (out / shard_name(number)).exists()]
    assert {0, 1} < set(there)
    begun = set(executor.names)
    executor.names.clear()
    relabel(tiny_teacher, tiny_condensed, config, **shared)
    assert begun <= {f"labels of epoch {number}" for number in (2, 3, 4)}
    assert set(executor.names) == {f"labels of epoch {number}" for number in range(5) if number not in there}
    relabel(tiny_teacher, tiny_condensed, config, runtime=cpu, out=tmp_path / "alone")
    assert contents(out) == contents(tmp_path / "alone")


def test_errors_within_a_unit_come_out_as_without_workers(executor, tiny_teacher, cpu, tmp_path):
    sick = copy.deepcopy(tiny_teacher)
    next(sick.net.parameters()).fill_(float("nan"))
    with pytest.raises(DivergenceError, match=r"recover: the term .* became nan in step 1"):
        recover(sick, RecoverConfig(**RECOVER), runtime=cpu, out=tmp_path / "images", executor=executor)


def test_work_goes_on_only_with_as_many_threads(executor, tiny_teacher, tiny_condensed, cpu, tmp_path):
    config, out = RelabelConfig(**RELABEL), tmp_path / "labels"

    def stop(event):
        if event.step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        relabel(
            tiny_teacher,
            tiny_condensed,
            config,
            runtime=cpu,
            out=out,
            on_step=stop,
            executor=Workers(executor, threads=2),
        )
    assert storage.read_json(out / storage.REQUEST)["how"]["threads"] == 2
    with pytest.raises(ArtifactError, match=r"threads is 2 there, 1 now\..*OMP_NUM_THREADS=2, or --worker-threads 2"):
        relabel(tiny_teacher, tiny_condensed, config, runtime=cpu, out=out, executor=executor)


def test_a_panel_pauses_and_stops_while_units_take_their_time(tiny_teacher, cpu, tmp_path):
    class Never(Executor):
        def submit(self, *args):
            return Future()

    config = RecoverConfig(**RECOVER)
    run = Run(lambda: recovering(tiny_teacher, config, runtime=cpu, out=tmp_path / "images", executor=Never()))
    run.start()
    until(lambda: run.event is not None, within=10)
    assert (run.event.step, run.event.total) == (0, 18)
    run.pause()
    until(lambda: run.state is State.PAUSED, within=10)
    run.resume()
    run.stop()
    assert run.wait(10) is State.STOPPED
    assert not (tmp_path / "images" / ".lock").exists()


def test_more_workers_than_units(executor, tiny_teacher, cpu):
    config = RecoverConfig(**{**RECOVER, "ipc": 1, "group_size": 5})
    assert recover(tiny_teacher, config, runtime=cpu, executor=executor).id == (
        recover(tiny_teacher, config, runtime=cpu).id
    )


@pytest.mark.soak
def test_four_workers_make_the_same(tiny_teacher, tiny_condensed, tiny_data, cpu, tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:  # more than `--workers` gives two cores
        executor = workloads.Counting(processes)
        test_recover(executor, tiny_teacher, tiny_data, cpu, tmp_path / "recover")
        test_relabel(executor, tiny_teacher, tiny_condensed, cpu, tmp_path / "relabel")
        test_validate(executor, tiny_teacher, tiny_condensed, tiny_data, cpu, tmp_path / "validate")


def test_pools_that_workers_map_make_the_same(executor, tiny_teacher, tiny_condensed, tiny_data, cpu, monkeypatch):
    monkeypatch.setattr(units, "_LARGE", 1)  # every tensor lies in a file
    config, views = RecoverConfig(**RECOVER, init="real"), RelabelConfig(**RELABEL)
    rest = {"runtime": cpu, "executor": executor}
    images = [recover(tiny_teacher, config, data=tiny_data, **how).id for how in (rest, {"runtime": cpu})]
    assert images[0] == images[1]
    stored, alone = (relabel(tiny_teacher, tiny_condensed, views, **how) for how in (rest, {"runtime": cpu}))
    for ours, theirs in zip(stored.shards, alone.shards, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    students = ValidateConfig(
        students=("convnet",), student_options={"depth": 2, "width": 8}, epochs=2, batch_size=4, seeds=1
    )
    scores = [
        validate(tiny_condensed, stored, tiny_data, students, teacher=tiny_teacher, **how).rows
        for how in (rest, {"runtime": cpu})
    ]
    assert scores[0] == scores[1]

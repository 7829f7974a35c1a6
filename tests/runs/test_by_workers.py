"""Sweeps whose runs are made by workers: the bytes that one process makes; what fails, is held or is damaged."""

import csv
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import workloads
from small_runs import BASE, key

from sre2l_core import storage
from sre2l_core.errors import ArtifactError, WorkError
from sre2l_core.events import merge_log
from sre2l_core.runs.grid import cells
from sre2l_core.runs.listing import Listing
from sre2l_core.runs.notes import Note
from sre2l_core.runs.parcels import adopt, packed
from sre2l_core.runs.store import Store
from sre2l_core.runs.sweep import sweep

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning:distributed")
GRID = {"recover.alpha_bn": [0, 1], "validate.temperature": [1.0, 2.0]}


class Here(ThreadPoolExecutor):
    """Makes units at once, in this thread."""

    def __init__(self):
        super().__init__(1)
        self.names = []

    def submit(self, fn, /, *args, **kwargs):
        self.names.append(fn.__name__)
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def contents(folder):
    """Of everything in a store but notes, which say how long things took."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith("run-")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory, cpu):
    """A store made by one process, and its table."""
    folder = tmp_path_factory.mktemp("alone") / "store"
    return folder, sweep(BASE, GRID, seeds=2, store=folder, runtime=cpu)


@pytest.mark.parametrize("kind", ["here", "pool"])
def test_the_same_bytes_come_out_and_everything_is_made_once(kind, alone, tmp_path, cpu):
    made = Here if kind == "here" else workloads.EXECUTORS["pool"]
    events, said = [], []
    with made() as executor:
        counting = workloads.Counting(executor)
        options = {"executor": counting, "store": tmp_path / "store", "runtime": cpu}
        table = sweep(BASE, GRID, seeds=2, on_step=events.append, say=said.append, **options)
        assert table == alone[1]
        assert contents(tmp_path / "store") == contents(alone[0])
        kinds = [name.partition("-")[0] for name in dict.fromkeys(counting.names)]
        assert {one: kinds.count(one) for one in kinds} == {"teacher": 1, "condensed": 4, "labels": 4, "score": 8}
        assert (events[-1].stage, events[-1].step, events[-1].total) == ("sweep", 17, 17)
        assert [line.rpartition(": ")[2] for line in said] == ["made"] * 8
        before = len(counting.names)
        assert sweep(BASE, GRID, seeds=2, say=said.append, **options) == table
        assert len(counting.names) == before
    assert [line.rpartition(": ")[2] for line in said[8:]] == ["found"] * 8
    listing = Listing(tmp_path / "store")
    assert listing.unneeded() == []
    notes = [Note.read(path) for path in (tmp_path / "store").glob("run-*.json")]
    timed = [stage for note in notes for stage in note.seconds]
    assert sorted(set(timed)) == ["recover", "relabel", "squeeze", "validate"]
    assert timed.count("squeeze") == 1


def test_a_cell_that_diverges_on_a_worker_costs_no_other(tmp_path, cpu):
    base = BASE.but(squeeze={"momentum": 0.99, "warmup_epochs": 0, "weight_decay": 1.0})
    store, said = Store(tmp_path / "new"), []
    grid = {"squeeze.lr": [100.0, 0.05]}
    table = sweep(base, grid, seeds=2, store=store, executor=Here(), runtime=cpu, say=said.append)
    bad, good = table.rows
    assert sorted(bad.failures) == [0, 1]
    assert "Lower lr (100.0)" in bad.failures[0]
    assert sorted(good.values) == [0, 1]
    recipe = cells(base, grid, seeds=2)[0].recipes[1]
    assert "the loss became" in Note.read(store.note(recipe)).failure
    assert not store.places(recipe).teacher.exists()
    assert sum("failed: squeeze: the loss became" in line for line in said) == 2
    assert "failed: squeeze: the loss became" in Listing(store.folder).runs[key(store, recipe)].state


def test_what_lies_there_is_used_and_what_is_damaged_costs_only_those_that_need_it(store, cpu):
    labels = store.places(BASE).labels
    (labels / next(iter(storage.read_manifest(labels)["files"]))).write_bytes(b"spoilt")
    other = BASE.relabel.batch_size + 2
    grid = {"relabel.batch_size": [BASE.relabel.batch_size, other], "validate.temperature": [3.0]}
    executor = Here()
    table = sweep(BASE, grid, store=store, executor=executor, runtime=cpu)
    bad, good = table.rows
    assert "damaged" in bad.failures[0]
    assert len(good.values) == 2
    assert {name.partition("-")[0] for name in executor.names} == {"labels", "score"}


def test_what_somebody_else_makes_is_waited_for(store, cpu):
    grid = {"recover.steps": [5, 6]}
    made = cells(BASE, grid)
    held = [storage.held(store.places(made[0].recipes[0]).condensed)]
    held[0].__enter__()

    def free(event):
        if held and event.step == 1:  # the other one's images are there
            held.pop().__exit__(None, None, None)

    table = sweep(BASE, grid, store=store, executor=Here(), runtime=cpu, on_step=free)
    assert all(row.values for row in table.rows)


def test_what_this_very_process_holds_is_a_failure_and_no_deadlock(store, cpu):
    grid = {"recover.steps": [5, 6]}
    with storage.held(store.places(cells(BASE, grid)[0].recipes[0]).condensed):
        table = sweep(BASE, grid, store=store, executor=Here(), runtime=cpu)
    assert "in use" in table.rows[0].failures[0]
    assert table.rows[1].values


def test_an_executor_that_breaks_is_said_in_a_line_and_what_was_made_stays(store, cpu):
    class Breaking(Here):
        def submit(self, fn, /, *args, **kwargs):
            if fn.__name__.startswith("score"):
                raise RuntimeError("cannot schedule new futures after shutdown")
            return super().submit(fn, *args, **kwargs)

    grid = {"recover.steps": [5]}
    with pytest.raises(WorkError):
        sweep(BASE, grid, store=store, executor=Breaking(), runtime=cpu)
    recipe = cells(BASE, grid)[0].recipes[0]
    assert (store.places(recipe).labels / storage.MANIFEST).exists()
    assert not list(store.folder.rglob(".lock"))
    executor = Here()
    sweep(BASE, grid, store=store, executor=executor, runtime=cpu)
    assert {name.partition("-")[0] for name in executor.names} == {"score"}


def test_a_listener_that_stops_leaves_no_lock(store, cpu):
    def stop(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(BASE, {"recover.steps": [5, 6]}, store=store, executor=Here(), runtime=cpu, on_step=stop)
    assert not list(store.folder.rglob(".lock"))


def test_a_parcel_is_adopted_once_and_not_over_something_else(store, tmp_path):
    parcel = packed(store.places(BASE).condensed)
    adopt(parcel, tmp_path / "there")
    first = (tmp_path / "there" / storage.MANIFEST).stat().st_mtime_ns
    adopt(parcel, tmp_path / "there")
    assert (tmp_path / "there" / storage.MANIFEST).stat().st_mtime_ns == first
    assert storage.verify(tmp_path / "there") == len(parcel) - 1
    assert packed(tmp_path / "there") == parcel
    with pytest.raises(ArtifactError, match="alpha_bn"):
        adopt(packed(store.places(BASE.but(recover={"alpha_bn": 0.5})).condensed), tmp_path / "there")


def test_rows_of_a_stage_take_the_place_of_those_that_were_there(tmp_path):
    head = "stage,note,step,metric,value\r\n"
    path = tmp_path / "log.csv"
    merge_log(path, "recover", f"{head}recover,a,1,loss,2\r\n")
    merge_log(path, "validate", f"{head}validate,b,1,loss,3\r\n")
    merge_log(path, "recover", f"{head}recover,c,2,loss,4\r\nrecover,cut")
    with path.open(newline="") as file:
        rows = [[row["stage"], row["note"]] for row in csv.DictReader(file)]
    assert rows == [["validate", "b"], ["recover", "c"]]

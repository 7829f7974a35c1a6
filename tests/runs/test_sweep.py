"""Sweeps over real runs: found, continued, failing, shared with others, judged by what was held out."""

from statistics import mean

import pytest
from small_runs import BASE, WARM

from sre2l_core import storage
from sre2l_core.artifacts import Score
from sre2l_core.errors import ArtifactError, ConfigError, DataError, DivergenceError, InUseError
from sre2l_core.runs.grid import cells
from sre2l_core.runs.notes import Note
from sre2l_core.runs.store import Store
from sre2l_core.runs.sweep import sweep, table_of

TEMPERATURES = {"validate.temperature": [BASE.validate.temperature, 2.0, 3.0]}


def test_values_are_those_of_the_scores_and_what_is_there_is_found(store, cpu):
    said, events = [], []
    table = sweep(BASE, TEMPERATURES, store=store, runtime=cpu, on_step=events.append, say=said.append)
    assert {event.stage for event in events} == {"validate"}  # the third temperature; all else was there
    assert [line.rpartition(": ")[2] for line in said] == ["found", "found", "made"]
    assert said[2] == "3/3  validate.temperature = 3.0, seed 0: made"
    for row, recipe in zip(table.rows, (BASE, WARM, BASE.but(validate={"temperature": 3.0})), strict=True):
        last = Score.load(store.places(recipe).score).row("condensed", "soft").last
        assert row.values == {seed: 100 * value for seed, value in enumerate(last)}
        assert row.mean == pytest.approx(100 * mean(last))
        assert row.judge == "the validation images"
    before = {path: path.stat().st_mtime_ns for path in store.folder.rglob("artifact.json")}
    again = sweep(BASE, TEMPERATURES, store=store.folder, runtime=cpu, on_step=lambda event: pytest.fail("computed"))
    assert again == table
    assert before == {path: path.stat().st_mtime_ns for path in store.folder.rglob("artifact.json")}


def test_seeds_share_a_teacher_and_nothing_else(tmp_path, cpu):
    table = sweep(BASE, {"recover.alpha_bn": [0, 1]}, seeds=2, store=tmp_path / "new", runtime=cpu)
    assert [sorted(row.values) for row in table.rows] == [[0, 1], [0, 1]]
    kinds = [path.name.partition("-")[0] for path in (tmp_path / "new").glob("*-*/")]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"teacher": 1, "condensed": 4, "labels": 4, "score": 4}
    assert table.difference(table.rows[1]).n == 2


def test_a_sweep_continues_after_it_was_stopped(store, cpu):
    def stop(event):
        raise KeyboardInterrupt

    grid = {"validate.temperature": [2.0, 4.0, 6.0]}
    with pytest.raises(KeyboardInterrupt):
        sweep(BASE, grid, store=store, runtime=cpu, on_step=stop)
    made = cells(BASE, grid)
    assert [row.shown for row in table_of(made, store).rows][1:] == ["not made"] * 2
    said = []
    table = sweep(BASE, grid, store=store, runtime=cpu, say=said.append)
    assert [line.rpartition(": ")[2] for line in said] == ["found", "made", "made"]
    assert all(len(row.values) == 2 for row in table.rows)


def test_a_cell_that_diverges_is_kept_with_its_message_and_costs_no_other(tmp_path, cpu):
    store, said = Store(tmp_path / "new"), []
    base = BASE.but(squeeze={"momentum": 0.99, "warmup_epochs": 0, "weight_decay": 1.0})
    grid = {"squeeze.lr": [100.0, 0.05]}
    table = sweep(base, grid, seeds=2, store=store, runtime=cpu, say=said.append)
    bad, good = table.rows
    assert sorted(bad.failures) == [0, 1]
    assert "Lower lr (100.0)" in bad.failures[0]
    assert bad.shown == "failed"
    assert sorted(good.values) == [0, 1]
    assert "No value for squeeze.lr = 100, seed 1: squeeze: the loss became" in table.to_markdown()
    assert sum("failed: squeeze: the loss became" in line for line in said) == 2
    assert "the loss became" in Note.read(store.note(cells(base, grid, seeds=2)[0].recipes[0])).failure


def test_where_nothing_works_the_reason_is_raised(store, cpu):
    def diverge(event):
        raise DivergenceError("the loss became nan")

    with pytest.raises(DivergenceError, match="the loss became nan"):
        sweep(BASE, {"validate.temperature": [7.0, 8.0]}, store=store, runtime=cpu, on_step=diverge)


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ({"squeeze.backbone": ["convnet", "resnet81"]}, r"squeeze\.backbone = resnet81: unknown backbone 'resnet81'"),
        ({"relabel.codec": ["fp16", "fp61"]}, r"relabel\.codec = fp61: unknown codec 'fp61'"),
        ({"recover.init": ["noise", "nois"]}, "Did you mean 'noise'"),
        ({"data.data": ["digits", "digitz"]}, "Did you mean 'digits'"),
        ({"validate.students": [("convent",)]}, "Did you mean 'convnet'"),
        ({"data.num_classes": [2, 99]}, r"num_classes must be within 2\.\.10"),
    ],
)
def test_a_value_that_a_stage_would_refuse_is_refused_before_the_first_run(grid, told, tmp_path, cpu):
    with pytest.raises(ConfigError, match=told):
        sweep(BASE, grid, store=tmp_path / "new", runtime=cpu)
    assert not (tmp_path / "new").exists()


def test_what_somebody_else_makes_is_left_for_later_and_waited_for(store, cpu):
    grid = {"recover.steps": [5, 6, 7]}
    made, said, held = cells(BASE, grid), [], []
    busy = store.places(made[0].recipes[0]).condensed

    def free(line):
        said.append(line)
        if len(said) == 2:  # both others are made; the first is still held, then not any more
            held.pop().__exit__(None, None, None)

    held.append(storage.held(busy))
    held[0].__enter__()
    table = sweep(BASE, grid, store=store, runtime=cpu, say=free)
    assert ["= 6" in said[0], "= 7" in said[1], "= 5" in said[2]] == [True] * 3
    assert all(row.values for row in table.rows)


def test_what_this_very_process_holds_is_not_waited_for_for_ever(store, cpu):
    grid, said = {"recover.steps": [5]}, []
    with storage.held(store.places(cells(BASE, grid)[0].recipes[0]).condensed), pytest.raises(InUseError):
        sweep(BASE, grid, store=store, runtime=cpu, say=said.append)
    assert said[0].startswith("waiting: ")


def test_tuning_is_judged_on_what_was_held_out(tmp_path, cpu):
    base = BASE.but(data={"holdout": 0.5, "holdout_seed": 4})
    table = sweep(base, {"recover.alpha_bn": [0, 1]}, store=tmp_path / "new", runtime=cpu)
    sentence = "50 % of the training images, held out with seed 4"
    assert {row.judge for row in table.rows} == {sentence}
    assert f"Judged on {sentence}." in table.to_markdown()
    (teacher,) = (tmp_path / "new").glob("teacher-*")
    assert storage.read_manifest(teacher)["request"]["holdout"] == {"share": 0.5, "seed": 4}


def test_a_folder_that_is_no_store_or_of_a_newer_version_is_refused(tmp_path, cpu):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ArtifactError, match="no store of runs"):
        sweep(BASE, TEMPERATURES, store=tmp_path, runtime=cpu)
    storage.write_json(tmp_path / "store.json", {"kind": "store of runs", "format": 9})
    with pytest.raises(ArtifactError, match="written by a newer"):
        sweep(BASE, TEMPERATURES, store=tmp_path, runtime=cpu)


def test_data_that_is_not_there_stops_a_sweep_before_it_begins(tmp_path, cpu):
    grid = {"data.data": ["digits", "tiny-imagenet"], "data.data_root": [str(tmp_path / "nowhere")]}
    with pytest.raises((ConfigError, DataError), match="nowhere"):
        sweep(BASE, grid, store=tmp_path / "new", runtime=cpu)
    assert not (tmp_path / "new").exists()

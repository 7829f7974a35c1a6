"""Stage 4: who is trained on what, for how long, and what the table says."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from small_students import EPOCHS, config

from sre2l_core import pictures, storage
from sre2l_core.artifacts import CONFUSIONS, CondensedSet, Score
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.data import streaming
from sre2l_core.data.streaming import StreamSplit
from sre2l_core.errors import ArtifactError, DivergenceError
from sre2l_core.stages import students
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.training import Trainer
from sre2l_core.stages.validate import validate

module = import_module("sre2l_core.stages.validate")


def test_the_table_compares_with_what_one_would_do_otherwise(check):
    events = []
    score = check(config(against=("random", "full")), on_step=events.append)
    steps = EPOCHS * 3  # eleven images in batches of four
    assert [(row.data, row.labels, row.images, row.steps) for row in score.rows] == [
        ("condensed", "soft", 11, steps),
        ("condensed", "hard", 11, steps),
        ("random real", "hard", 15, steps),
        ("random real", "soft", 15, steps),
        ("all real", "hard", 60, steps),
    ]
    assert [event.step for event in events] == list(range(1, 10 * steps + 1))
    assert {event.total for event in events} == {10 * steps}
    for row in score.rows:
        assert len(row.last) == len(row.best) == len(row.last_top5) == 2
        assert all(last <= best <= 1 for last, best in zip(row.last, row.best, strict=True))


def test_students_learn_from_soft_labels(check, live):
    settings = config(batch_size=11, optimizer="adamw", against=(), seeds=1, hard_labels=False, temperature=4)
    before, after = (
        check(settings.but(epochs=epochs, lr=lr), labels=live).rows[0].last[0] for epochs, lr in ((1, 1e-6), (40, 0.02))
    )
    assert before < 0.5
    assert after > 0.6


def test_each_seed_is_a_student_of_its_own(check):
    pair = check(config(against=(), hard_labels=False)).rows[0].last
    alone = [check(config(against=(), hard_labels=False, seeds=1, seed=seed)).rows[0].last[0] for seed in (0, 1)]
    assert list(pair) == alone


def test_no_step_is_taken_twice(check, tmp_path):
    out, steps = tmp_path / "score", []

    def interrupt(event):
        steps.append(event.step)
        if event.step == 30:  # within the third of eight students of twelve steps each
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(out=out, on_step=interrupt)
    resumed = check(out=out, on_step=lambda event: steps.append(event.step))
    assert steps == [*range(1, 97)]
    fresh = check()
    assert resumed.rows == fresh.rows
    assert Score.load(out) == resumed
    assert check(out=out, on_step=interrupt) == resumed  # it is only read
    assert len(steps) == 96
    storage.verify(out)
    with pytest.raises(ArtifactError, match=r"config\.lr is 0\.05 there, 0\.1 now"):
        check(config(lr=0.1), out=out)


def test_a_student_is_saved_now_and_then_and_its_state_belongs_to_nobody_else(check, tmp_path, monkeypatch):
    out, progress, steps = tmp_path / "score", tmp_path / "score" / storage.PROGRESS, []
    monkeypatch.setattr(module, "SAVE_EVERY_SECONDS", 0)
    learn = Trainer.step

    def crash(trainer, images, *others):
        if len(steps) == 23:  # the last step of the second student
            raise RuntimeError("as a process that is killed, this saves nothing")
        return learn(trainer, images, *others)

    def seen(event):
        if event.step % 12 == 1:
            assert not progress.exists()  # that of the student before is gone
        steps.append(event.step)

    monkeypatch.setattr(Trainer, "step", crash)
    with pytest.raises(RuntimeError, match="saves nothing"):
        check(out=out, on_step=seen)
    monkeypatch.setattr(Trainer, "step", learn)
    assert storage.read_state(progress)["step"] == 11
    steps.clear()
    with pytest.raises(KeyboardInterrupt):
        check(out=out, on_step=lambda event: steps.append(event.step) or stop(steps, 14))
    assert steps == [*range(24, 38)]
    state = storage.read_state(progress)
    tensors = state.pop("tensors")
    storage.write_state(progress, tensors, {**state, "student": "somebody else"})
    check(out=out, on_step=lambda event: steps.append(event.step))
    assert steps[14] == 37
    assert not progress.exists()
    assert Score.load(out).rows == check().rows


def stop(steps, count):
    """Interrupt after so many steps."""
    if len(steps) == count:
        raise KeyboardInterrupt


def test_a_student_that_diverged_is_not_gone_on_with(check, tmp_path, monkeypatch):
    learn, steps = Trainer.step, []
    monkeypatch.setattr(Trainer, "step", lambda trainer, *a: spoilt(trainer, learn(trainer, *a)))
    with pytest.raises(KeyboardInterrupt):
        check(out=tmp_path / "score", on_step=lambda event: steps.append(event.step) or stop(steps, 3))
    monkeypatch.undo()
    assert check(out=tmp_path / "score", on_step=lambda event: steps.append(event.step)).rows == check().rows
    assert steps[3] == 1


def spoilt(trainer, result):
    """A weight that became no number, though the loss of that step was one."""
    with torch.no_grad():
        next(trainer.net.parameters()).view(-1)[0] = float("nan")
    return result


def test_streamed_validation_pictures_are_decoded_once(check, tiny_data, tmp_path, monkeypatch):
    paths = [tmp_path / f"{index}.png" for index in range(25)]
    for path, image in zip(paths, tiny_data.val.images, strict=True):
        pictures.write(path, image, "png")
    read, opened = [], streaming.open_rgb
    monkeypatch.setattr(streaming, "open_rgb", lambda path, **k: read.append(Path(path).name) or opened(path, **k))
    streamed = replace(tiny_data, val=StreamSplit(tiny_data.spec, paths, tiny_data.val.labels, workers=0))
    score = check(data=streamed, out=tmp_path / "score")
    assert score.rows == check().rows
    assert sorted(read) == sorted(path.name for path in paths)


def test_divergence_keeps_finished_students(check, tmp_path, monkeypatch):
    calls, loss_of = [], students.cross_entropy
    monkeypatch.setattr(students, "cross_entropy", lambda *a: loss_of(*a) * (calls.append(0) or float("nan")))
    with pytest.raises(DivergenceError, match=r"Finished students are kept\. Lower lr"):
        check(out=tmp_path / "score")
    monkeypatch.undo()
    steps = []
    check(out=tmp_path / "score", on_step=lambda event: steps.append(event.step))
    assert steps[0] == 25


def test_a_condensed_set_of_one_image_per_class_can_teach(tiny_condensed, tiny_data, tiny_teacher, cpu):
    single = CondensedSet(tiny_condensed.images[:5], tiny_condensed.labels[:5], tiny_condensed.spec)
    labels = relabel(tiny_teacher, single, RelabelConfig(epochs=2), runtime=cpu)
    settings = config(epochs=2, batch_size=4, against=(), seeds=1, hard_labels=False)
    assert validate(single, labels, tiny_data, settings, runtime=cpu).rows[0].steps == 2  # a leftover of one is dropped


def test_every_artifact_says_which_class_an_index_stands_for(tiny_teacher, tiny_condensed, tiny_data, cpu, tmp_path):
    stored = relabel(tiny_teacher, tiny_condensed, RelabelConfig(epochs=1), runtime=cpu, out=tmp_path / "labels")
    settings = ValidateConfig(students=("convnet",), student_options={"depth": 2, "width": 8}, epochs=1, seeds=1)
    out = tmp_path / "score"
    score = validate(tiny_condensed, stored, tiny_data, settings, teacher=tiny_teacher, runtime=cpu, out=out)
    tiny_teacher.save(tmp_path / "teacher")
    tiny_condensed.save(tmp_path / "condensed")
    names = list(tiny_data.spec.classes)
    assert list(stored.classes) == storage.read_manifest(tmp_path / "labels")["classes"] == names
    assert score.origin["dataset"]["classes"] == storage.read_manifest(out)["origin"]["dataset"]["classes"] == names
    for kind in ("teacher", "condensed"):
        assert storage.read_manifest(tmp_path / kind)["spec"]["classes"] == names


def test_confusion_matrices_are_kept_where_asked_for_and_change_nothing_else(check, tmp_path):
    settings, made = config(against=("random",), hard_labels=False), {}
    for name in ("without", "with"):
        made[name] = check(settings, out=tmp_path / name, confusion=name == "with")
    assert made["with"] == made["without"]
    assert made["without"].confusions == {}
    files = {path.name: path.read_bytes() for path in (tmp_path / "without").iterdir()}
    for name in files.keys() - {storage.MANIFEST}:
        assert (tmp_path / "with" / name).read_bytes() == files[name]
    found = Score.load(tmp_path / "with").confusions
    rows = [(row, number) for row in made["with"].rows for number in range(len(row.last))]
    assert {*found} == {f"{row.data} | {row.labels} | {row.student} | seed {number}" for row, number in rows}
    for row, number in rows:
        counts = found[f"{row.data} | {row.labels} | {row.student} | seed {number}"]
        assert counts.sum(1).tolist() == [5] * 5
        assert int(counts.diagonal().sum()) / 25 == pytest.approx(row.last[number])
    assert check(settings, out=tmp_path / "without", confusion=True).confusions == {}


def test_confusion_matrices_that_are_lost_are_made_again(check, tmp_path):
    settings, events = config(against=(), hard_labels=False), []
    check(settings, out=tmp_path, confusion=True)
    path = tmp_path / CONFUSIONS
    before = path.read_bytes()
    path.unlink()
    check(settings, out=tmp_path, confusion=True, on_step=events.append)
    assert path.read_bytes() == before
    assert len(events) == 2 * EPOCHS * 3

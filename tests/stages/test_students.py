"""What a student learns from, step by step, and that it goes on where it was stopped."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch
from small_students import config

from sre2l_core import storage
from sre2l_core.config import RelabelConfig
from sre2l_core.losses import soft_label_loss
from sre2l_core.runtime import Runtime
from sre2l_core.stages.students import CondensedLesson, RealLesson, Student
from sre2l_core.stages.training import evaluate
from sre2l_core.views import mix


def test_accuracies_are_those_of_the_students(tiny_condensed, live, tiny_data, cpu):
    settings = config(epochs=5)
    lesson = CondensedLesson("condensed", tiny_condensed, live, True)
    student = Student(lesson, tiny_data, "convnet", settings, seed=3, steps=15, runtime=cpu)
    seen = {}
    for event in student:
        seen[event.step] = evaluate(student.net, tiny_data.val, cpu)["top1"]
        assert ("top1" in event.metrics) == (event.step in (6, 12, 15))
    assert [(entry["step"], entry["top1"]) for entry in student.history] == [(step, seen[step]) for step in (6, 12, 15)]
    best = max(seen[step] for step in (6, 12, 15))
    assert student.result() == {"last": seen[15], "best": best, "last_top5": 1.0, "images": 11}
    images = tiny_data.spec.normalize(tiny_data.val.images)
    right = (student.net.eval()(images).argmax(1) == tiny_data.val.labels).double().mean()
    assert seen[15] == pytest.approx(right.item())


def test_the_loss_of_a_step_by_formula(tiny_condensed, live, tiny_data, cpu):
    settings = config(loss="mse_ce", gamma=0.3, batch_size=11)
    lesson = CondensedLesson("condensed", tiny_condensed, live, True)
    student = Student(lesson, tiny_data, "convnet", settings, seed=0, steps=4, runtime=cpu)
    (batch,) = lesson.batches(0, settings, 0, cpu)
    with torch.no_grad():
        expected = soft_label_loss(student.net(batch.pixels), live.logits(0, None, batch.pixels), batch.hard, settings)
    student = Student(lesson, tiny_data, "convnet", settings, seed=0, steps=4, runtime=cpu)
    assert next(iter(student)).value("loss") == pytest.approx(expected.item(), rel=1e-4)


def test_learning_rates_follow_the_epochs_whatever_the_lesson(tiny_condensed, live, tiny_data, cpu):
    settings = config(schedule="step", schedule_by="epoch", epochs=6, lr=1.0)
    for lesson in (
        CondensedLesson("condensed", tiny_condensed, live, True),
        RealLesson(tiny_data, live.config),
    ):
        student = Student(lesson, tiny_data, "convnet", settings, seed=0, steps=18, runtime=cpu)
        rates = [student.trainer.optimizer.param_groups[0]["lr"] for _ in student]
        assert rates == pytest.approx([1.0] * 12 + [0.2] * 3 + [0.04] * 3)


@pytest.mark.filterwarnings("ignore:skipped")
def test_a_student_takes_all_its_steps_though_batches_cannot_be_read(torn_data, cpu):
    student = Student(RealLesson(torn_data, RelabelConfig()), torn_data, "convnet", config(), 0, 3, cpu)
    assert [event.step for event in student] == [1, 2, 3]
    assert student.result()["images"] == 10


def test_hard_labels_are_shared_by_the_images_that_are_mixed(tiny_condensed, stored, cpu):
    lesson = CondensedLesson("condensed", tiny_condensed, stored, False)
    params = stored.views(1)
    shown = mix(torch.ones(11, 1, 8, 8), torch.zeros(11, 1, 8, 8), params).mean((1, 2, 3)).tolist()
    seen = set()
    for batch in lesson.batches(1, config(), 5, cpu):
        assert batch.soft is None
        torch.testing.assert_close(batch.hard.sum(1), torch.ones(len(batch.hard)))
        seen |= {tuple(round(value, 4) for value in row) for row in batch.hard.tolist()}
    for image in range(11):
        row, own, partner = [0.0] * 5, image % 5, int(params.partner[image]) % 5
        row[own] += shown[image]
        row[partner] += 1 - shown[image]
        assert min(max(abs(a - b) for a, b in zip(row, other, strict=True)) for other in seen) < 1e-3


def test_stored_and_live_labels_teach_the_same(tiny_condensed, stored, live, tiny_data, cpu):
    rows = []
    for source in (stored, live):
        lesson = CondensedLesson("condensed", tiny_condensed, source, True)
        student = Student(lesson, tiny_data, "convnet", config(), seed=0, steps=12, runtime=cpu)
        rows.append([event.value("loss") for event in student])
    assert rows[0] == pytest.approx(rows[1], rel=1e-2, abs=1e-6)


def test_an_average_of_weights_is_what_is_tested(tiny_condensed, live, tiny_data, cpu):
    lesson = CondensedLesson("condensed", tiny_condensed, live, True)
    student = Student(lesson, tiny_data, "convnet", config(ema=0.9), seed=0, steps=12, runtime=cpu)
    for _ in student:
        pass
    assert student.history[-1]["top1"] == evaluate(student.trainer.average.net, tiny_data.val, cpu)["top1"]
    pairs = zip(student.trainer.average.net.parameters(), student.net.parameters(), strict=True)
    assert not any(average.equal(own) for average, own in pairs)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "adamw"}, {"ema": 0.9, "micro_batch": 2}])
@pytest.mark.parametrize("stopped", [1, 7, 12])
def test_a_student_goes_on_bit_for_bit(tiny_condensed, live, tiny_data, cpu, tmp_path, settings, stopped):
    def student():
        lesson = CondensedLesson("condensed", tiny_condensed, live, True)
        return Student(lesson, tiny_data, "convnet", config(**settings), seed=0, steps=12, runtime=cpu)

    first, second, whole = student(), student(), student()
    losses = [event.value("loss") for event in islice(first, stopped)]
    state = first.state_dict()
    storage.write_state(tmp_path / "state", state.pop("tensors"), state)
    for _ in first:  # what was saved is a copy
        pass
    second.load_state_dict(storage.read_state(tmp_path / "state"))
    losses += [event.value("loss") for event in second]
    assert losses == [event.value("loss") for event in whole]
    assert second.result() == whole.result()
    assert second.history == whole.history
    tested = zip(second.trainer.tested.state_dict().values(), whole.trainer.tested.state_dict().values(), strict=True)
    assert all(one.equal(other) for one, other in tested)


@pytest.mark.parametrize("fits", [True, False])
def test_the_pool_is_moved_once_or_by_batch(tiny_condensed, live, cpu, monkeypatch, fits):
    """Where it does not fit, rows are moved: seen here as copies of what is not the pool itself."""
    moved, rows, prepare = [], [], Runtime.preparing
    monkeypatch.setattr(Runtime, "pool", lambda runtime, images: moved.append(images) or images)

    def counted(runtime, of):
        return prepare(runtime, lambda some: rows.append(len(some)) or of(some))

    if not fits:
        monkeypatch.setattr(Runtime, "preparing", counted)
    lesson = CondensedLesson("condensed", replace(tiny_condensed), live, True)
    batches = [list(lesson.batches(epoch, config(), 0, cpu)) for epoch in range(3)]
    assert len(moved) == 1
    assert [len(batch.pixels) for batch in batches[0]] == [4, 4, 3]
    assert fits or max(rows) == 4

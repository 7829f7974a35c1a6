"""Stage 4: who is trained on what, for how long, and what the table says."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest
import torch

from sre2l_core import starts, storage
from sre2l_core.artifacts import CondensedSet, Score
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.data import Dataset, DatasetSpec, ResidentSplit
from sre2l_core.errors import ArtifactError, ConfigError, DataError, DivergenceError
from sre2l_core.losses import soft_label_loss
from sre2l_core.stages import students
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.students import CondensedLesson, RealLesson, Student
from sre2l_core.stages.training import evaluate
from sre2l_core.stages.validate import validate
from sre2l_core.views import mix

EPOCHS = 4
module = import_module("sre2l_core.stages.validate")


def config(**settings):
    small = {"students": ("convnet",), "student_options": {"depth": 2, "width": 8}, "epochs": EPOCHS, "batch_size": 4}
    return ValidateConfig(**{**small, "seeds": 2, "lr": 0.05, "eval_every": 2, **settings})


@pytest.fixture(scope="session")
def stored(tiny_teacher, tiny_condensed, cpu):
    return relabel(tiny_teacher, tiny_condensed, RelabelConfig(epochs=EPOCHS, mix="cutmix"), runtime=cpu)


@pytest.fixture(scope="session")
def live(tiny_teacher, tiny_condensed, cpu):
    return LiveLabels(tiny_teacher, tiny_condensed, RelabelConfig(mix="cutmix"), runtime=cpu)


@pytest.fixture
def check(tiny_condensed, stored, tiny_data, tiny_teacher, cpu):
    """Return a function that validates, with any argument replaced."""

    def go(settings=None, **changes):
        usual = {"condensed": tiny_condensed, "labels": stored, "data": tiny_data, "teacher": tiny_teacher}
        return validate(**{**usual, "runtime": cpu, **changes}, config=settings or config())

    return go


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


def test_finished_students_are_not_trained_again(check, tmp_path):
    out, steps = tmp_path / "score", []

    def interrupt(event):
        steps.append(event.step)
        if event.step == 30:  # within the third of eight students of twelve steps each
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(out=out, on_step=interrupt)
    resumed = check(out=out, on_step=lambda event: steps.append(event.step))
    assert steps == [*range(1, 31), *range(25, 97)]
    fresh = check()
    assert resumed.rows == fresh.rows
    assert Score.load(out) == resumed
    assert check(out=out, on_step=interrupt) == resumed
    assert len(steps) == 102
    storage.verify(out)
    with pytest.raises(ArtifactError, match=r"config\.lr is 0\.05 there, 0\.1 now"):
        check(config(lr=0.1), out=out)


def test_labels_of_other_images_are_refused(check, tiny_condensed, live):
    fewer = tiny_condensed.first(2)
    for labels in ({}, {"labels": live}):
        with pytest.raises(ConfigError, match=rf"belong to images {tiny_condensed.id}, not to {fewer.id}"):
            check(condensed=fewer, **labels)


def test_too_few_epochs_of_labels_are_refused(check, live):
    message = "train for 5 epochs but there are labels for 4. Use --epochs 4, relabel with more epochs"
    with pytest.raises(ConfigError, match=message):
        check(config(epochs=5))
    assert check(config(epochs=5, against=(), seeds=1, hard_labels=False), labels=live).rows[0].steps == 15


def test_data_of_other_classes_is_refused(check, tiny_data, tiny_spec):
    spec = DatasetSpec("swapped", tiny_spec.classes[::-1], 3, 8, tiny_spec.mean, tiny_spec.std)
    swapped = ResidentSplit(spec, tiny_data.val.images, tiny_data.val.labels)
    with pytest.raises(DataError, match="classes differ"):
        check(data=Dataset(spec, swapped, swapped))


def test_random_images_need_the_teacher(check):
    with pytest.raises(ConfigError, match="against='random' needs the teacher"):
        check(teacher=None)
    assert len(check(config(against=(), seeds=1), teacher=None).rows) == 2


def test_random_images_are_drawn_anew_for_every_seed_and_only_of_the_condensed_classes(
    check, tiny_condensed, tiny_teacher, cpu, monkeypatch
):
    chosen = []
    select = starts.baseline
    monkeypatch.setattr(starts, "baseline", lambda *a, **k: chosen.append(select(*a, **k)) or chosen[-1])
    keep = tiny_condensed.labels % 2 == 1
    few = replace(tiny_condensed, images=tiny_condensed.images[keep], labels=tiny_condensed.labels[keep])
    labels = LiveLabels(tiny_teacher, few, RelabelConfig(), runtime=cpu)
    check(config(hard_labels=False), condensed=few, labels=labels)
    assert [sorted(condensed.labels.tolist()) for condensed in chosen] == [[1, 1, 3, 3]] * 4
    assert len({condensed.id for condensed in chosen}) == 2


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


def test_stored_batch_labels_are_compared_on_equal_batches_only(tiny_teacher, tiny_condensed, tiny_data, cpu):
    views = RelabelConfig(epochs=1, batch_size=10, teacher_mode="batch")
    stored = relabel(tiny_teacher, tiny_condensed, views, runtime=cpu)
    settings = ValidateConfig(students=("convnet",), student_options={"depth": 2, "width": 8}, epochs=1, batch_size=5)
    with pytest.raises(ConfigError, match=r"batches of 10, .* in batches of 5: relabel with --batch-size 5"):
        validate(tiny_condensed, stored, tiny_data, settings, teacher=tiny_teacher, runtime=cpu)


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

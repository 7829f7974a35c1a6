"""Who is compared, how fairly, and what is refused before the first step."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest
import torch
from small_students import EPOCHS, config

from sre2l_core import pictures, starts
from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.data import Dataset, DatasetSpec, ResidentSplit
from sre2l_core.data.streaming import StreamSplit
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.rows import grid
from sre2l_core.stages.validate import validate


def test_baselines_learn_from_labels_that_lost_as_much(tiny_teacher, tiny_condensed, tiny_data, live, cpu):
    stored = relabel(tiny_teacher, tiny_condensed, RelabelConfig(epochs=1, codec="int8"), runtime=cpu)
    settings = config(epochs=1, batch_size=15, seeds=1)
    for labels, codes in ((stored, True), (live, False)):
        rows = grid(tiny_condensed, labels, tiny_data, settings, teacher=tiny_teacher, runtime=cpu)
        (row,) = (row for row in rows if row.real and row.labels == "soft")
        (batch,) = row.lesson(0).batches(0, settings, 0, cpu)
        exact = tiny_teacher.net(batch.pixels)
        low, high = exact.min(1, keepdim=True).values, exact.max(1, keepdim=True).values
        expected = low + (high - low) * ((exact - low) / (high - low) * 255).round() / 255 if codes else exact
        torch.testing.assert_close(batch.soft, expected, atol=1e-5, rtol=0)
        assert not codes or (expected - exact).abs().max() > 1e-3


def test_labels_of_another_teacher_are_refused(check, tiny_teacher, tiny_spec):
    other = Teacher(empty_network("convnet", tiny_spec, {"depth": 2, "width": 8}, seed=1), tiny_spec, "convnet")
    message = rf"labels are those of teacher {tiny_teacher.id}, the teacher given is {other.id}.*or relabel"
    seen = []
    with pytest.raises(ConfigError, match=message):
        check(teacher=other, on_step=seen.append)
    assert not seen


def test_labels_of_other_images_are_refused(check, tiny_condensed, live):
    fewer = tiny_condensed.first(2)
    for labels in ({}, {"labels": live}):
        with pytest.raises(ConfigError, match=rf"belong to images {tiny_condensed.id}, not to {fewer.id}"):
            check(condensed=fewer, **labels)


def test_too_few_epochs_of_labels_are_refused(check, live):
    message = "train for 5 epochs but there are labels for 4. Use --epochs 4 or --reuse-labels, relabel with more"
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


def test_stored_batch_labels_are_compared_on_equal_batches_only(tiny_teacher, tiny_condensed, tiny_data, cpu):
    views = RelabelConfig(epochs=1, batch_size=10, teacher_mode="batch")
    stored = relabel(tiny_teacher, tiny_condensed, views, runtime=cpu)
    settings = ValidateConfig(students=("convnet",), student_options={"depth": 2, "width": 8}, epochs=1, batch_size=5)
    with pytest.raises(ConfigError, match=r"batches of 10, .* in batches of 5: relabel with --batch-size 5"):
        validate(tiny_condensed, stored, tiny_data, settings, teacher=tiny_teacher, runtime=cpu)


def test_a_student_and_its_images_are_let_go_before_the_next_are_made(check, monkeypatch):
    made, draw = [], starts.baseline

    def baseline(*args, **kwargs):
        assert all(reference() is None for reference in made)
        images = draw(*args, **kwargs)
        made.append(weakref.ref(images))
        return images

    monkeypatch.setattr(starts, "baseline", baseline)
    check()
    assert len(made) == 4


@pytest.mark.filterwarnings("ignore:skipped")
def test_a_baseline_goes_on_without_what_cannot_be_read_only_if_asked_to(
    tiny_condensed, tiny_teacher, tiny_data, live, cpu, tmp_path
):
    paths = [tmp_path / f"{index}.png" for index in range(20)]
    for path, image in zip(paths, tiny_data.train.images, strict=False):
        pictures.write(path, image, "png")
    for path in paths[5:15:5]:  # two of the four pictures of the first class
        path.write_bytes(b"torn")

    def images(skip):
        train = StreamSplit(tiny_data.spec, paths, tiny_data.train.labels[:20], workers=0, skip_corrupt=skip)
        rows = grid(
            tiny_condensed.first(2), LiveLabels(tiny_teacher, tiny_condensed.first(2), RelabelConfig(), runtime=cpu),
            replace(tiny_data, train=train), config(), teacher=tiny_teacher, runtime=cpu,
        )  # fmt: skip
        return next(row for row in rows if row.real).lesson(0).condensed.images

    with pytest.raises(DataError, match="cannot be read"):
        images(False)
    first = images(True)[:2]
    expected = tiny_data.train.images[[0, 15]]
    assert first.equal(expected) or first.equal(expected.flip(0))


def test_labels_taken_again_are_the_first_ones_in_all_rows_alike(stored, tiny_condensed, tiny_data, tiny_teacher, cpu):
    settings = config(epochs=3 * EPOCHS, batch_size=30, reuse_labels=True)
    for row in grid(tiny_condensed, stored, tiny_data, settings, teacher=tiny_teacher, runtime=cpu):
        if row.labels != "soft":
            continue
        seen = []
        for epoch in (1, EPOCHS + 1, 2 * EPOCHS + 1, 2):
            (batch,) = row.lesson(0).batches(epoch, settings, 0, cpu)
            seen.append((batch.pixels.flatten(1).sum(1).sort().values, batch.soft.sum(0)))
        for pixels, soft in seen[1:3]:
            torch.testing.assert_close(pixels, seen[0][0])
            torch.testing.assert_close(soft, seen[0][1])
        assert not torch.allclose(seen[3][0], seen[0][0])


def test_baselines_are_seen_whole_where_the_condensed_images_hold_several(tiny_teacher, tiny_condensed, tiny_data, cpu):
    views = RelabelConfig(formation=2, shuffle=2, crop="none", flip=0, augment=1)
    labels = LiveLabels(tiny_teacher, tiny_condensed, views, runtime=cpu)
    settings = config(against=("random", "full"))
    seen = {}
    for row in grid(tiny_condensed, labels, tiny_data, settings, teacher=tiny_teacher, runtime=cpu):
        lesson = row.lesson(0)
        seen[row.name] = lesson.source.config if hasattr(lesson, "source") else lesson.views
    assert seen["condensed + hard"] == views
    assert {name: one for name, one in seen.items() if "condensed" not in name}
    assert all(one == views.whole() for name, one in seen.items() if "condensed" not in name)
    assert (views.whole().formation, views.whole().shuffle, views.whole().augment) == (1, 1, 1)

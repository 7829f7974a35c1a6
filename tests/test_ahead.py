"""Rows that are read ahead: the same rows, in the order that was announced, no more than said."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from waiting import until

from sre2l_core.ahead import AHEAD, ReadAhead, reading
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.students import CondensedLesson

CPU = torch.device("cpu")


class Noting:
    """A pool that notes what is read of it."""

    device = CPU

    def __init__(self, images):
        self.images, self.read = images, []

    def __getitem__(self, rows):
        self.read.append(rows.tolist())
        return self.images[rows]


def test_rows_are_read_before_they_are_asked_for():
    images, order = torch.arange(12).reshape(6, 2), [torch.tensor([5, 0]), torch.tensor([1]), torch.tensor([2, 3])]
    pool = Noting(images)
    with ReadAhead(pool, order, CPU) as ahead:
        until(lambda: len(pool.read) == AHEAD, within=10)
        found = [ahead[rows] for rows in order]
    assert pool.read == [rows.tolist() for rows in order]
    assert all(torch.equal(own, images[rows]) for own, rows in zip(found, order, strict=True))


def test_another_order_than_announced_is_noticed():
    with (
        ReadAhead(torch.arange(4), [torch.tensor([0]), torch.tensor([1])], CPU) as ahead,
        pytest.raises(AssertionError, match="another order than announced"),
    ):
        ahead[torch.tensor([1])]


def test_what_lies_on_the_device_is_taken_as_it_is():
    pool = torch.arange(4)
    with reading(pool, iter([]), CPU) as found:
        assert found is pool


@pytest.mark.parametrize("mix", ["none", "cutmix"])
def test_labels_and_lessons_are_the_same_read_ahead(tiny_teacher, tiny_condensed, cpu, monkeypatch, mix):
    views, settings = RelabelConfig(epochs=2, batch_size=4, mix=mix), ValidateConfig(batch_size=4)
    lesson = CondensedLesson(
        "condensed", tiny_condensed, LiveLabels(tiny_teacher, tiny_condensed, views, runtime=cpu), True
    )

    def made():
        stored = relabel(tiny_teacher, tiny_condensed, views, runtime=cpu)
        batches = list(lesson.batches(1, settings, 0, cpu))
        return [*(part for shard in stored.shards for part in shard.values()), *(batch.pixels for batch in batches)]

    expected = made()
    for stage in ("students", "relabel"):
        monkeypatch.setattr(import_module(f"sre2l_core.stages.{stage}"), "reading", ReadAhead)
    assert all(torch.equal(one, other) for one, other in zip(made(), expected, strict=True))

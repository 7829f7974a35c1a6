"""However many epochs of labels there are, one is held, and what is read lies in the file it is read from."""

from __future__ import annotations

import gc
import time
import weakref
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from small_students import config

from sre2l_core import storage
from sre2l_core.codecs.fp16 import Fp16
from sre2l_core.config import RelabelConfig
from sre2l_core.registry import catalogue
from sre2l_core.stages.labels import SoftLabels
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.validate import validate

EPOCHS = 12


class Counted(Fp16):
    """Half precision that counts which of its shards are alive whenever it packs another."""

    name: ClassVar[str] = "counted"
    shards: ClassVar[list[weakref.ref]] = []
    alive: ClassVar[list[int]] = []

    def _encode(self, rows):
        parts = super()._encode(rows)
        self.shards.append(weakref.ref(parts["logits"]))
        self.alive.append(sum(shard() is not None for shard in self.shards))
        return parts


@pytest.fixture
def stored(tiny_teacher, tiny_condensed, cpu, tmp_path, monkeypatch):
    """Return labels that were written to a slow disk."""
    write = storage.save_tensors

    def slowly(*arguments):
        time.sleep(0.05)
        write(*arguments)

    monkeypatch.setitem(catalogue("codecs"), "counted", Counted)
    monkeypatch.setattr(storage, "save_tensors", slowly)
    Counted.shards.clear()
    Counted.alive.clear()
    asked = RelabelConfig(epochs=EPOCHS, codec="counted")
    return relabel(tiny_teacher, tiny_condensed, asked, runtime=cpu, out=tmp_path / "labels")


def test_a_slow_disk_holds_the_labelling_up_instead_of_filling_the_memory(stored):
    assert len(Counted.alive) == EPOCHS
    assert max(Counted.alive) <= 2  # the one just packed, and the one before it, which is being written
    gc.collect()
    assert not any(shard() is not None for shard in Counted.shards)


def test_a_student_holds_one_epoch(stored, tiny_condensed, tiny_teacher, tiny_data, cpu, monkeypatch):
    read, shards, alive = storage.read_tensors, [], []

    def counting(path):
        alive.append(sum(shard() is not None for shard in shards))
        parts = read(path)
        shards.append(weakref.ref(parts["logits"]))
        return parts

    monkeypatch.setattr(storage, "read_tensors", counting)
    settings = config(epochs=EPOCHS, seeds=2, against=(), hard_labels=False, eval_every=EPOCHS)
    validate(tiny_condensed, stored, tiny_data, settings, teacher=tiny_teacher, runtime=cpu)
    assert alive == [0] * (2 * EPOCHS)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux alone lists what is mapped")
def test_the_labels_of_the_epoch_in_use_are_mapped_from_their_file(stored, tmp_path):
    def mapped():
        lines = Path("/proc/self/maps").read_text().splitlines()
        return {Path(line.split()[-1]).name for line in lines if str(tmp_path / "labels") in line}

    labels = SoftLabels.load(tmp_path / "labels")
    assert not mapped()
    for epoch in (3, 4):
        labels.logits(epoch, torch.arange(4))
        assert mapped() == {f"epoch_{epoch:05d}.safetensors"}

"""Stage 3 as a run: shards, codecs, interruptions."""

from __future__ import annotations

import copy

import pytest
import torch

from sre2l_core import storage
from sre2l_core.codecs import build_codec
from sre2l_core.config import RelabelConfig
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels, SoftLabels
from sre2l_core.stages.relabel import relabel, store_sizes
from sre2l_core.views import render


def config(**settings):
    return RelabelConfig(**{"epochs": 4, "batch_size": 4, "mix": "cutmix", **settings})


def test_an_interrupted_run_labels_only_the_epochs_that_are_left(
    tiny_teacher, tiny_condensed, cpu, tmp_path, monkeypatch
):
    def interrupt(event):
        if event.step == 2:
            raise KeyboardInterrupt

    out, labelled, events = tmp_path / "labels", [], []
    with pytest.raises(KeyboardInterrupt):
        relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu, out=out, on_step=interrupt)
    assert not (out / storage.MANIFEST).exists()
    views = LiveLabels.views
    monkeypatch.setattr(LiveLabels, "views", lambda self, epoch: labelled.append(epoch) or views(self, epoch))
    resumed = relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu, out=out, on_step=events.append)
    assert labelled == [2, 3]
    assert [(event.step, event.total) for event in events] == [(n, 4) for n in range(1, 5)]
    assert storage.verify(out) == 4
    fresh = relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu)
    labelled.clear()
    again = relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu, out=out)
    assert labelled == []
    for epoch in range(4):
        for labels in (resumed, again):
            assert labels.logits(epoch, torch.arange(11)).equal(fresh.logits(epoch, torch.arange(11)))


def test_labels_of_other_images_or_settings_do_not_enter_the_folder(tiny_teacher, tiny_condensed, cpu, tmp_path):
    relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu, out=tmp_path / "labels")
    for condensed, settings, message in (
        (tiny_condensed.first(1), config(), "condensed is"),
        (tiny_condensed, config(epochs=5), r"config\.epochs is 4 there, 5 now"),
    ):
        with pytest.raises(ArtifactError, match=message):
            relabel(tiny_teacher, condensed, settings, runtime=cpu, out=tmp_path / "labels")


def test_the_codec_packs_the_teachers_logits(tiny_teacher, tiny_condensed, cpu):
    settings = config(codec="topk", codec_options={"k": 2}, epochs=1)
    labels, ids = relabel(tiny_teacher, tiny_condensed, settings, runtime=cpu), torch.arange(11)
    spec = tiny_condensed.spec
    pixels = render(tiny_condensed.images, ids, labels.views(0), size=8, black=spec.black, prepare=spec.normalize)
    codec = build_codec("topk", k=2)
    expected = codec.decode(codec.encode(tiny_teacher.net(pixels)), 5)
    torch.testing.assert_close(labels.logits(0, ids), expected, atol=1e-3, rtol=1e-3)
    with pytest.raises(ConfigError, match="Did you mean 'fp16'"):
        relabel(tiny_teacher, tiny_condensed, config(codec="fp61"), runtime=cpu)


def test_labels_can_be_saved_elsewhere_and_in_place(tiny_teacher, tiny_condensed, cpu, tmp_path):
    labels = relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu, out=tmp_path / "made")
    labels.save(tmp_path / "copy")
    ids = torch.arange(11)
    assert SoftLabels.load(tmp_path / "copy").logits(3, ids).equal(labels.logits(3, ids))
    SoftLabels.load(tmp_path / "copy").save(tmp_path / "copy")
    assert storage.verify(tmp_path / "copy") == 4


def test_a_damaged_shard_is_named_when_it_is_used(tiny_teacher, tiny_condensed, cpu, tmp_path):
    relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu, out=tmp_path)
    path = tmp_path / "labels" / "epoch_00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"~")
    labels = SoftLabels.load(tmp_path)
    labels.logits(1, torch.arange(11))
    with pytest.raises(ArtifactError, match=r"epoch_00002\.safetensors is damaged.*Delete it and run .*relabel --out"):
        labels.logits(2, torch.arange(11))
    path.unlink()
    again = relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu, out=tmp_path)
    fresh = relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu)
    assert again.logits(2, torch.arange(11)).equal(fresh.logits(2, torch.arange(11)))


def test_the_size_of_a_store_of_an_unknown_codec_is_refused():
    with pytest.raises(ConfigError, match="unknown codec 'nope'"):
        store_sizes(10, 5, config(codec="nope"))


def test_bfloat16_teachers_are_close(tiny_teacher, tiny_condensed, cpu):
    teacher, ids = copy.deepcopy(tiny_teacher), torch.arange(11)  # a copy: bf16 rearranges its weights in memory
    exact, rough = (
        relabel(teacher, tiny_condensed, config(epochs=1), runtime=Runtime(cpu.device, precision)).logits(0, ids)
        for precision in ("fp32", "bf16")
    )
    assert (exact - rough).abs().max() < 0.05 * exact.abs().max()
    assert not exact.equal(rough)

"""Stage 1: learns, repeats, continues, and stops when it diverges."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
import torch

from sre2l_core import storage
from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.config import SqueezeConfig
from sre2l_core.errors import ArtifactError, ConfigError, DataError, DivergenceError
from sre2l_core.stages.squeeze import Squeezing, squeeze

module = import_module("sre2l_core.stages.squeeze")


def config(**settings):
    small = {"backbone": "convnet", "backbone_options": {"depth": 2, "width": 8}, "epochs": 4, "batch_size": 16}
    return SqueezeConfig(**{**small, "lr": 0.05, "crop_scale": (0.6, 1), "mix": "cutmix", **settings})


def test_the_teacher_learns_and_knows_how_well(tiny_data, cpu):
    teacher = squeeze(tiny_data, config(epochs=12, mix="none"), runtime=cpu)
    logits = teacher.net(tiny_data.spec.normalize(tiny_data.val.images))
    accuracy = (logits.argmax(1) == tiny_data.val.labels).double().mean().item()
    assert accuracy > 0.8
    assert teacher.accuracy == {"top1": pytest.approx(accuracy), "top5": 1.0}
    assert teacher.origin["config"]["epochs"] == 12
    assert not any(module.training for module in teacher.net.modules())


def test_events_count_the_steps(tiny_data, cpu):
    events = []
    squeeze(tiny_data, config(epochs=2), runtime=cpu, on_step=events.append)
    assert [(event.step, event.total) for event in events] == [(n, 8) for n in range(1, 9)]
    assert [event.note for event in events] == ["epoch 1/2"] * 4 + ["epoch 2/2"] * 4
    assert all(0 <= event.value("train_top1") <= 1 and event.value("loss") > 0 for event in events)


def test_the_seed_fixes_the_weights(tiny_data, cpu):
    first, again, other = (squeeze(tiny_data, config(seed=seed, epochs=1), runtime=cpu).id for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_an_interrupted_training_continues_with_the_same_weights(tiny_data, cpu, tmp_path, optimizer):
    settings, steps = config(optimizer=optimizer, lr=0.01), []

    def interrupt(event):
        steps.append(event.step)
        if len(steps) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        squeeze(tiny_data, settings, runtime=cpu, out=tmp_path / "run", on_step=interrupt)
    resumed = squeeze(tiny_data, settings, runtime=cpu, out=tmp_path / "run", on_step=lambda e: steps.append(e.step))
    assert steps == [*range(1, 17)]  # from the step after, in the middle of the third epoch
    assert resumed.id == squeeze(tiny_data, settings, runtime=cpu).id
    storage.verify(tmp_path / "run")
    loaded = squeeze(tiny_data, settings, runtime=cpu, out=tmp_path / "run", on_step=interrupt)
    assert loaded.id == resumed.id
    assert len(steps) == 16
    with pytest.raises(ArtifactError, match=r"config\.lr is 0\.01 there, 0\.02 now"):
        squeeze(tiny_data, settings.but(lr=0.02), runtime=cpu, out=tmp_path / "run")


@pytest.mark.filterwarnings("ignore:skipped")
def test_an_epoch_whose_last_batch_cannot_be_read_is_finished_all_the_same(torn_data, cpu, tmp_path):
    settings, steps = config(batch_size=4, lr=0.01), []

    def interrupt(event):
        steps.append((event.step, event.total))
        if len(steps) == 3:
            raise KeyboardInterrupt

    assert len(list(torn_data.train.train_batches(settings, batch_size=4, seed=0, epoch=0, device="cpu"))) == 2
    with pytest.raises(KeyboardInterrupt):
        squeeze(torn_data, settings, runtime=cpu, out=tmp_path / "run", on_step=interrupt)
    assert steps == [(1, 12), (3, 12), (4, 12)]
    assert storage.read_notes(tmp_path / "run" / storage.PROGRESS) == {"epoch": 1, "batch": 1}
    resumed = squeeze(torn_data, settings, runtime=cpu, out=tmp_path / "run", on_step=interrupt)
    assert steps[3] == (5, 12)
    assert steps[-1] == (12, 12)
    assert resumed.id == squeeze(torn_data, settings, runtime=cpu).id


def test_looking_at_the_teacher_does_not_disturb_the_training(tiny_data, cpu):
    looked, through = (Squeezing(tiny_data, config(epochs=2), runtime=cpu) for _ in range(2))
    seen = []
    for event in looked:
        if event.step in (2, 4):
            seen.append(looked.teacher().id)
    for _ in through:
        pass
    assert looked.teacher().id == through.teacher().id
    assert len({*seen, looked.teacher().id}) == 3


def test_divergence_stops_and_keeps_the_last_finite_epoch(tiny_data, cpu, tmp_path, monkeypatch):
    def worse(logits, targets):
        losses.append(cross_entropy(logits, targets) * (float("nan") if len(losses) >= 6 else 1))
        return losses[-1]

    losses, cross_entropy = [], module.cross_entropy
    monkeypatch.setattr(module, "cross_entropy", worse)
    with pytest.raises(DivergenceError, match=r"loss became nan in epoch 2\. The last finite epoch is kept\. Lower lr"):
        squeeze(tiny_data, config(), runtime=cpu, out=tmp_path / "run")
    assert storage.read_notes(tmp_path / "run" / storage.PROGRESS) == {"epoch": 1, "batch": 0}
    state = storage.read_tensors(tmp_path / "run" / storage.PROGRESS)
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_a_typing_error_does_not_claim_the_folder(tiny_data, cpu, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'convnet"):
        squeeze(tiny_data, config(backbone="confnet"), runtime=cpu, out=tmp_path / "run")
    squeeze(tiny_data, config(epochs=1), runtime=cpu, out=tmp_path / "run")


def test_pretrained_weights_are_taken_as_they_are(tiny_data, tiny_teacher, cpu, tmp_path, monkeypatch):
    asked = []

    def download(backbone, spec, options, seed=0):
        asked.append(options)
        net = empty_network("convnet", spec, {"depth": 2, "width": 8})
        net.load_state_dict(tiny_teacher.net.state_dict())
        return net

    categories = list(tiny_data.spec.classes)
    monkeypatch.setattr(module, "_weights", lambda backbone, name: SimpleNamespace(meta={"categories": categories}))
    monkeypatch.setattr(module, "empty_network", download)
    settings = config(pretrained="IMAGENET1K_V1")
    teacher = squeeze(tiny_data, settings, runtime=cpu, out=tmp_path / "run")
    assert asked == [{"depth": 2, "width": 8, "weights": "IMAGENET1K_V1"}]
    assert teacher.id == tiny_teacher.id == Teacher.load(tmp_path / "run").id
    assert teacher.options == {"depth": 2, "width": 8}
    assert set(teacher.accuracy) == {"top1", "top5"}
    categories[:2] = categories[1::-1]
    with pytest.raises(DataError, match="classes differ: index 0 is 'bee' in 'imagenet-1k'"):
        squeeze(tiny_data, settings, runtime=cpu)
    categories.append("fly")
    with pytest.raises(ConfigError, match="knows 6 classes, tiny has 5"):
        squeeze(tiny_data, settings, runtime=cpu)


def test_global_randomness_is_left_alone(tiny_data, cpu):
    before = torch.random.get_rng_state()
    squeeze(tiny_data, config(epochs=1), runtime=cpu)
    assert torch.random.get_rng_state().equal(before)

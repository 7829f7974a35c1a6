"""Stage 2 as a verb: order, subsets, interruptions, folders, formats, the verifier."""

import pytest
import torch

from sre2l_core import storage
from sre2l_core.artifacts import CondensedSet
from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.stages.recover import Recovery, plan, recover, stage


def config(**settings):
    return RecoverConfig(**{"ipc": 1, "steps": 6, "lr": 0.1, "alpha_bn": 0.1, "roll": (0, 2), **settings})


def test_recover_orders_images_by_index_then_class(tiny_teacher, cpu):
    settings = config(ipc=2, group_size=2, stack=2)
    condensed = recover(tiny_teacher, settings, runtime=cpu)
    assert condensed.labels.tolist() == [0, 1, 2, 3, 4] * 2
    assert condensed.images.dtype == torch.uint8
    for group in plan(settings, tiny_teacher.spec):
        recovery = Recovery(tiny_teacher, [group], settings, runtime=cpu)
        while not recovery.done:
            recovery.step()
        difference = condensed.images[list(group.ids)].int() - recovery.pixels().int()
        assert difference.abs().max() <= 1
        assert condensed.labels[list(group.ids)].tolist() == list(group.labels)


def test_recovered_images_are_what_the_teacher_sees_in_them(tiny_teacher, cpu):
    condensed = recover(tiny_teacher, config(steps=60), runtime=cpu)
    logits = tiny_teacher.net(tiny_teacher.spec.normalize(condensed.images))
    assert (logits.argmax(1) == condensed.labels).all()


def test_a_subset_of_classes_keeps_their_labels(tiny_teacher, cpu, tmp_path):
    for out in (None, tmp_path / "images"):
        condensed = recover(tiny_teacher, config(only_classes=("eel", "bee"), ipc=2), runtime=cpu, out=out)
        assert condensed.labels.tolist() == [1, 4, 1, 4]


def test_an_interrupted_run_continues_and_gives_the_same_images(tiny_teacher, cpu, tmp_path):
    settings, out, steps = config(ipc=2, group_size=2), tmp_path / "run", []

    def interrupt(event):
        steps.append(event.step)
        if event.step == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(tiny_teacher, settings, runtime=cpu, out=out, on_step=interrupt)
    assert (out / storage.PROGRESS).exists()
    assert not (out / storage.MANIFEST).exists()
    resumed = recover(tiny_teacher, settings, runtime=cpu, out=out, on_step=lambda event: steps.append(event.step))
    assert steps[16:] == list(range(13, 37))  # from the last checked state: the start of the second group
    assert resumed.id == recover(tiny_teacher, settings, runtime=cpu).id
    assert not (out / storage.PROGRESS).exists()
    storage.verify(out)
    assert recover(tiny_teacher, settings, runtime=cpu, out=out, on_step=interrupt).id == resumed.id
    assert len(steps) == 16 + 24


def test_a_killed_run_loses_at_most_the_steps_since_the_last_save(tiny_teacher, cpu, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "SAVE_EVERY_SECONDS", 0.0)
    out, states = tmp_path / "run", []
    path = out / storage.PROGRESS
    on_step = lambda event: states.append(path.read_bytes() if path.exists() else b"")  # noqa: E731
    expected = recover(tiny_teacher, config(), runtime=cpu, out=out, on_step=on_step)
    again = tmp_path / "again"
    storage.write_json(again / storage.REQUEST, storage.read_json(out / storage.REQUEST))
    (again / storage.PROGRESS).write_bytes(states[4])
    steps = []
    found = recover(tiny_teacher, config(), runtime=cpu, out=again, on_step=lambda event: steps.append(event.step))
    assert steps == [5, 6]
    assert found.id == expected.id


def test_a_folder_of_another_run_is_refused(tiny_teacher, cpu, tmp_path):
    recover(tiny_teacher, config(), runtime=cpu, out=tmp_path / "run")
    with pytest.raises(ArtifactError, match=r"another run: config\.seed is 0 there, 1 now"):
        recover(tiny_teacher, config(seed=1), runtime=cpu, out=tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(ArtifactError, match="was not made by this package"):
        recover(tiny_teacher, config(), runtime=cpu, out=tmp_path / "mine")


def test_a_refused_config_does_not_claim_the_folder(linear_teacher, cpu, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match="has no BatchNorm"):
        recover(linear_teacher, config(), runtime=cpu, out=out)
    assert len(recover(linear_teacher, config(alpha_bn=0), runtime=cpu, out=out)) == 5


@pytest.mark.parametrize("image_format", ["png", "webp", "jpeg"])
def test_in_memory_and_on_disk_are_the_same_images(tiny_teacher, cpu, tmp_path, image_format):
    settings = config(image_format=image_format)
    memory = recover(tiny_teacher, settings, runtime=cpu)
    disk = recover(tiny_teacher, settings, runtime=cpu, out=tmp_path / "run")
    assert memory.id == disk.id == CondensedSet.load(tmp_path / "run").id
    assert len(list((tmp_path / "run").rglob(f"*.{image_format}"))) == 5
    lossless = recover(tiny_teacher, config(), runtime=cpu).id
    assert (memory.id == lossless) == (image_format != "jpeg")


def test_a_verifier_is_asked_at_the_end(tiny_teacher, cpu):
    events = []
    recover(tiny_teacher, config(), runtime=cpu, on_step=events.append, verifier=tiny_teacher)
    assert ["verifier" in event.metrics for event in events] == [False] * 5 + [True]
    assert 0 <= events[-1].value("verifier") <= 1

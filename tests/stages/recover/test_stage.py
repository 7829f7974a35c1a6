"""Stage 2 as a verb: order, subsets, interruptions, folders, formats, the verifier."""

import copy
from dataclasses import replace

import pytest
import torch

from sre2l_core import storage
from sre2l_core.artifacts import CondensedSet, Teacher, empty_network
from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ArtifactError, ConfigError, DataError, NoMemoryError
from sre2l_core.registry import catalogue
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan, recover, stage
from sre2l_core.terms import all_terms


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
    save = stage._save_state

    def keep(work, state, ids):
        save(work, state, ids)
        states.append((work.folder / storage.PROGRESS).read_bytes())

    monkeypatch.setattr(stage, "_save_state", keep)
    expected = recover(tiny_teacher, config(), runtime=cpu, out=out)
    again, manifest = tmp_path / "again", storage.read_manifest(out)
    storage.write_json(again / storage.REQUEST, {**manifest["request"], "how": manifest["how"]})
    (again / storage.PROGRESS).write_bytes(states[3])
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


def test_a_verifier_of_other_classes_or_another_size_is_refused(tiny_teacher, tiny_spec, cpu, tmp_path):
    for spec, message in (
        (replace(tiny_spec, classes=("fly", *tiny_spec.classes[1:]), class_names=()), "classes differ: index 0"),
        (replace(tiny_spec, resolution=16), "resolution differs: 8 .* 16"),
    ):
        other = Teacher(empty_network("convnet", spec, {"depth": 1}), spec, "convnet", {"depth": 1})
        with pytest.raises(DataError, match=message):
            recover(tiny_teacher, config(), runtime=cpu, out=tmp_path / "run", verifier=other)
    assert not (tmp_path / "run").exists()


def test_too_little_memory_is_said_in_words(tiny_teacher, cpu, monkeypatch, tmp_path):
    def greedy(seen):
        return torch.empty(2**50, dtype=torch.float64).sum()

    term = all_terms()["r_bn"]
    monkeypatch.setitem(catalogue("terms"), "r_bn", replace(term, function=greedy))
    with pytest.raises(NoMemoryError, match=r"allocate.* What was finished is kept\. Use smaller batches .*group_size"):
        recover(tiny_teacher, config(), runtime=cpu, out=tmp_path)
    assert storage.holder(tmp_path) == ""


def test_class_names_of_any_length_become_folders(tiny_teacher, tiny_spec, cpu, tmp_path):
    spec = replace(tiny_spec, classes=("x" * 255, "ü" * 120, *tiny_spec.classes[2:]), class_names=())
    condensed = recover(replace(tiny_teacher, spec=spec), config(steps=1), runtime=cpu, out=tmp_path)
    assert condensed.labels.tolist() == [0, 1, 2, 3, 4]
    assert [path.name[:5] for path in sorted((tmp_path / "images").iterdir())] == [f"{n:05d}" for n in range(5)]


def test_snapshots_of_an_interrupted_run_are_all_there(tiny_teacher, cpu, tmp_path):
    def interrupt(event):
        if event.step == 4:
            raise KeyboardInterrupt

    settings = config(snapshot_every=2)
    recover(tiny_teacher, settings, runtime=cpu, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        recover(tiny_teacher, settings, runtime=cpu, out=tmp_path / "cut", on_step=interrupt)
    recover(tiny_teacher, settings, runtime=cpu, out=tmp_path / "cut")
    found = [storage.read_manifest(tmp_path / name)["files"] for name in ("whole", "cut")]
    assert found[0] == found[1]
    assert sum(name.startswith("snapshots/") for name in found[0]) == 3 * 5


def test_a_damaged_image_or_snapshot_of_an_unfinished_run_is_made_again(tiny_teacher, cpu, tmp_path):
    settings, out = config(group_size=2, snapshot_every=3, stack=1), tmp_path / "run"
    whole = recover(tiny_teacher, settings, runtime=cpu, out=tmp_path / "whole")

    def interrupt(event):
        if event.step == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(tiny_teacher, settings, runtime=cpu, out=out, on_step=interrupt)
    next(out.glob("images/*/00000000.png")).write_bytes(b"")
    (out / "snapshots" / "000003" / "00000002.png").unlink()
    assert recover(tiny_teacher, settings, runtime=cpu, out=out).id == whole.id
    assert storage.read_manifest(out)["files"] == storage.read_manifest(tmp_path / "whole")["files"]


def test_how_many_groups_fit_today_does_not_stop_what_was_begun(tiny_teacher, cpu, tmp_path, monkeypatch):
    settings, fits = config(group_size=1, ipc=1, stack="auto"), [2, 3]
    monkeypatch.setattr(Runtime, "stack", lambda self, pixels: fits.pop(0))

    def interrupt(event):
        if event.step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(tiny_teacher, settings, runtime=cpu, out=tmp_path, on_step=interrupt)
    events = []
    recover(tiny_teacher, settings, runtime=cpu, out=tmp_path, on_step=events.append)
    assert events[-1].total == 3 * settings.steps  # batches of two
    assert storage.read_manifest(tmp_path)["how"]["images_per_pass"] == 2
    assert fits == []


def test_work_begun_in_another_precision_is_not_continued(tiny_teacher, cpu, tmp_path):
    def interrupt(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(tiny_teacher, config(), runtime=cpu, out=tmp_path, on_step=interrupt)
    with pytest.raises(ArtifactError, match=r"precision is 'fp32' there, 'bf16' now.* go on with --precision fp32"):
        recover(copy.deepcopy(tiny_teacher), config(), runtime=Runtime(cpu.device, "bf16"), out=tmp_path)


def test_data_of_other_classes_is_refused_before_a_folder_is_claimed(tiny_teacher, tiny_data, tiny_spec, cpu, tmp_path):
    """Though noise does not look at it: the scores would be refused, after the whole recovery."""
    other = replace(tiny_data, spec=replace(tiny_spec, classes=("ant", "bee", "cat", "dog", "elk"), class_names=()))
    with pytest.raises(DataError, match=r"index 4 is 'eel' in 'tiny' .* and 'elk'"):
        recover(tiny_teacher, config(init="noise"), runtime=cpu, data=other, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert len(recover(tiny_teacher, config(init="noise"), runtime=cpu, data=tiny_data)) == 5

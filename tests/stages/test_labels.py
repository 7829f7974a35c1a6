"""The promise of stage 3: a student's soft labels are the teacher's outputs on exactly the pixels the student sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sre2l_core.artifacts import CondensedSet
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ArtifactError, ConfigError, DataError
from sre2l_core.stages.labels import LiveLabels, SoftLabels, batch_statistics
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.students import CondensedLesson
from sre2l_core.views import render

EPOCHS = 2


def config(**settings):
    return RelabelConfig(**{"epochs": EPOCHS, "batch_size": 4, "mix": "cutmix", "seed": 9, "roll": (-1, 1), **settings})


@pytest.fixture(scope="session")
def sources(tiny_teacher, tiny_condensed, cpu):
    """Return stored and live labels for every way of mixing and cropping."""
    made = {}
    for mix in ("none", "cutmix", "mixup"):
        for crop in ("resized", "padded"):
            settings = config(mix=mix, crop=crop)
            stored = relabel(tiny_teacher, tiny_condensed, settings, runtime=cpu)
            made[mix, crop] = stored, LiveLabels(tiny_teacher, tiny_condensed, settings, runtime=cpu)
    return made


@given(
    mix=st.sampled_from(["none", "cutmix", "mixup"]),
    crop=st.sampled_from(["resized", "padded"]),
    batch_size=st.integers(1, 12),
    seed=st.integers(0, 100),
    epoch=st.integers(0, EPOCHS - 1),
)
def test_labels_belong_to_the_pixels_of_any_batch(
    mix, crop, batch_size, seed, epoch, sources, tiny_teacher, tiny_condensed, cpu
):
    stored, live = sources[mix, crop]
    settings = ValidateConfig(batch_size=batch_size)
    lessons = [CondensedLesson("condensed", tiny_condensed, source, True) for source in (stored, live)]
    seen = 0
    for one, other in zip(*(lesson.batches(epoch, settings, seed, cpu) for lesson in lessons), strict=True):
        expected = tiny_teacher.net(one.pixels)
        assert one.pixels.equal(other.pixels)
        torch.testing.assert_close(other.soft, expected, atol=1e-5, rtol=1e-5)  # BatchNorm folded into convolutions
        torch.testing.assert_close(one.soft, expected, atol=2e-5, rtol=2**-10)  # float16 on disk
        assert one.soft.dtype == torch.float32
        seen += len(one.pixels)
    assert seen >= 10


def test_students_see_other_views_in_every_epoch_and_their_labels_follow(sources, tiny_condensed, cpu):
    stored, _ = sources["cutmix", "resized"]
    ids = torch.arange(11)
    first, second = (stored.logits(epoch, ids) for epoch in range(EPOCHS))
    assert (first - second).abs().amax(1).min() > 1e-3
    views = [render_all(tiny_condensed, stored, epoch) for epoch in range(EPOCHS)]
    assert (views[0] != views[1]).flatten(1).any(1).all()


def render_all(condensed, source, epoch):
    spec = condensed.spec
    settings = {"size": spec.resolution, "black": spec.black, "prepare": spec.normalize}
    return render(condensed.images, torch.arange(len(condensed)), source.views(epoch), **settings)


def test_the_size_of_teaching_batches_does_not_matter(tiny_teacher, tiny_condensed, cpu):
    ids = torch.arange(11)
    found = [
        relabel(tiny_teacher, tiny_condensed, config(batch_size=size), runtime=cpu).logits(1, ids)
        for size in (1, 4, 11, 500)
    ]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=2e-5, rtol=2**-9)


def test_rows_of_a_store_are_found_by_id(sources):
    stored, _ = sources["none", "resized"]
    ids = torch.tensor([7, 0, 7, 3])
    assert stored.logits(0, ids).equal(stored.logits(0, torch.arange(11))[ids])
    with pytest.raises(ArtifactError, match="epoch 2 of the soft labels was asked for, 2 are stored"):
        stored.logits(2, ids)
    with pytest.raises(ArtifactError, match="epoch -1"):
        stored.logits(-1, ids)


def test_other_images_seeds_and_teachers_have_other_labels(tiny_teacher, tiny_condensed, cpu):
    ids = torch.arange(10)
    usual = relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu)
    reseeded = relabel(tiny_teacher, tiny_condensed, config(seed=10), runtime=cpu)
    assert not usual.logits(0, ids).equal(reseeded.logits(0, ids))
    assert (usual.teacher_id, usual.condensed_id) == (tiny_teacher.id, tiny_condensed.id)
    assert (usual.num_images, usual.num_classes, usual.size, len(usual.shards)) == (11, 5, (8, 8), EPOCHS)
    live = LiveLabels(tiny_teacher, tiny_condensed, config(), runtime=cpu)
    assert (live.teacher_id, live.condensed_id) == (tiny_teacher.id, tiny_condensed.id)


def normalised_by_the_batch(net, pixels):
    """The depth-2 ConvNet with the batch's own BatchNorm statistics, in numpy."""
    x = pixels
    for number in (0, 4):
        conv, norm = net.features[number], net.features[number + 1]
        x = conv(x).numpy()
        mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
        weight, bias = (p.numpy()[None, :, None, None] for p in (norm.weight, norm.bias))
        x = torch.from_numpy(np.maximum((x - mean) / np.sqrt(var + 1e-5) * weight + bias, 0))
        x = x.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    return net.classifier(x.flatten(1))


def test_batch_mode_uses_the_batch_and_changes_nothing(tiny_teacher, tiny_condensed, cpu):
    before = {name: value.clone() for name, value in tiny_teacher.net.state_dict().items()}
    live = LiveLabels(tiny_teacher, tiny_condensed, config(teacher_mode="batch"), runtime=cpu)
    ids, pixels = torch.arange(11), render_all(tiny_condensed, live, 0)
    found = live.logits(0, ids, pixels)
    torch.testing.assert_close(found, normalised_by_the_batch(tiny_teacher.net, pixels), atol=1e-4, rtol=1e-4)
    assert (found - tiny_teacher.net(pixels)).abs().max() > 0.01
    assert not live.logits(0, ids[:5], pixels[:5]).allclose(found[:5])
    after = tiny_teacher.net.state_dict()
    assert before.keys() == after.keys()
    assert all(value.equal(before[name]) for name, value in after.items())
    assert not any(module.training for module in tiny_teacher.net.modules())


def test_stored_batch_labels_mix_classes(tiny_teacher, tiny_condensed, cpu):
    by_class = tiny_condensed.labels.argsort(stable=True)
    ordered = CondensedSet(tiny_condensed.images[by_class], tiny_condensed.labels[by_class], tiny_condensed.spec)
    settings = config(teacher_mode="batch", mix="none", batch_size=3)
    labels = relabel(tiny_teacher, ordered, settings, runtime=cpu)
    found = labels.logits(0, torch.arange(11))
    pixels = render_all(ordered, labels, 0)
    neighbours = torch.cat([normalised_by_the_batch(tiny_teacher.net, part) for part in pixels.split(3)])
    assert (found - neighbours).abs().amax(1).median() > 0.01
    assert found.equal(relabel(tiny_teacher, ordered, settings, runtime=cpu).logits(0, torch.arange(11)))
    still = settings.but(crop="none", flip=0, roll=(0, 0))  # nothing but the neighbours differs between epochs
    first, second = (
        relabel(tiny_teacher, ordered, still, runtime=cpu).logits(epoch, torch.arange(11)) for epoch in range(EPOCHS)
    )
    assert not first.allclose(second)


def test_the_mode_of_the_teacher_is_put_back_after_an_exception(tiny_teacher):
    norm = tiny_teacher.net.features[1]
    mean = norm.running_mean
    with pytest.raises(RuntimeError), batch_statistics(tiny_teacher.net):
        tiny_teacher.net(norm.running_mean or torch.zeros(1))
    assert norm.running_mean is mean


@pytest.mark.parametrize("make", [relabel, LiveLabels])
def test_a_teacher_of_other_classes_is_refused(tiny_teacher, tiny_condensed, tiny_spec, cpu, make):
    swapped = DatasetSpec("swapped", ("bee", "ant", *tiny_spec.classes[2:]), 3, 8, tiny_spec.mean, tiny_spec.std)
    condensed = CondensedSet(tiny_condensed.images, tiny_condensed.labels, swapped)
    with pytest.raises(DataError, match=r"classes differ: index 0 is 'ant' in 'tiny'.*'bee' in 'swapped'"):
        make(tiny_teacher, condensed, config(), runtime=cpu)


def test_a_store_is_read_lazily(tiny_teacher, tiny_condensed, cpu, tmp_path):
    relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu, out=tmp_path / "labels")
    (tmp_path / "labels" / "labels" / "epoch_00000.safetensors").write_bytes(b"broken")
    labels = SoftLabels.load(tmp_path / "labels")
    labels.logits(1, torch.arange(3))
    with pytest.raises(ArtifactError, match="epoch_00000"):
        labels.logits(0, torch.arange(3))


@pytest.mark.parametrize("part", [torch.zeros(3, 5).half(), torch.full((11, 5), torch.nan), torch.tensor(1.0)])
def test_labels_of_other_images_or_without_numbers_are_refused(tiny_teacher, tiny_condensed, cpu, part):
    labels = relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu)
    labels.shards[1]["logits"] = part
    assert labels.logits(0, torch.arange(11)).isfinite().all()
    with pytest.raises(ArtifactError, match=r"epoch 1 hold logits \[.*not a row of finite numbers for each of 11"):
        labels.logits(1, torch.arange(2))


@pytest.mark.parametrize(
    "change", [{"num_images": "11"}, {"num_images": 3 * 10**9}, {"size": (8,)}, {"num_classes": 0}, {"config": {}}]
)
def test_a_store_of_other_parts_is_refused(tiny_teacher, tiny_condensed, cpu, change):
    labels = relabel(tiny_teacher, tiny_condensed, config(), runtime=cpu)
    with pytest.raises(ArtifactError, match=rf"SoftLabels\.{next(iter(change))}.*\(got "):
        replace(labels, **change)


@pytest.mark.parametrize("settings", [{"formation": 2}, {"shuffle": 2}, {"augment": 2}], ids=str)
def test_parts_patches_and_operations_are_labelled_as_students_see_them(settings, tiny_teacher, tiny_condensed, cpu):
    asked = config(mix="cutmix", roll=(0, 0), **settings)
    stored = relabel(tiny_teacher, tiny_condensed, asked, runtime=cpu)
    lesson = CondensedLesson("", tiny_condensed, stored, soft=True)
    for batch in lesson.batches(1, ValidateConfig(batch_size=3), 5, cpu):
        torch.testing.assert_close(batch.soft, tiny_teacher.net(batch.pixels), atol=0.02, rtol=0)
    plain = next(CondensedLesson("", tiny_condensed, replace(stored, config=config(mix="cutmix", roll=(0, 0))), True)
                 .batches(1, ValidateConfig(batch_size=11), 5, cpu))  # fmt: skip
    varied = next(lesson.batches(1, ValidateConfig(batch_size=11), 5, cpu))
    assert (plain.pixels - varied.pixels).abs().max() > 0.1


def test_views_of_parts_are_for_images_that_have_some(tiny_teacher, tiny_condensed):
    held = replace(tiny_condensed, origin={"config": {"formation": 2}})
    assert LiveLabels(tiny_teacher, held, config(formation=2)).config.formation == 2
    with pytest.raises(ConfigError, match="hold 2 x 2 smaller ones, the views are of 1 x 1: relabel with formation 2"):
        LiveLabels(tiny_teacher, held, config())
    whole = replace(tiny_condensed, origin={"config": {}})
    with pytest.raises(ConfigError, match="relabel with formation 1"):
        LiveLabels(tiny_teacher, whole, config(formation=2))

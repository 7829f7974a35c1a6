"""What recovery begins with: noise, real images, crops of them; all found by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sre2l_core import starts
from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import medium


def config(**settings):
    return RecoverConfig(**{"ipc": 2, "group_size": 2, "steps": 3, **settings})


def initial_images(config, spec, group, data):
    teacher = Teacher(torch.nn.Identity(), spec, "none")
    return starts.find(config.init)(teacher, config, group, data, Runtime.auto("cpu", "fp32"))


def test_noise_is_standard_normal_and_belongs_to_the_image_id(tiny_spec):
    group = Group(3, (0, 1, 2, 3, 4), (15, 16, 17, 18, 19))
    noise = initial_images(config(), tiny_spec, group, None)
    assert noise.shape == (5, 3, 8, 8)
    assert abs(noise.mean()) < 5 / noise.numel() ** 0.5
    assert abs(noise.std() - 1) < 0.1
    alone = initial_images(config(), tiny_spec, Group(3, (2,), (17,)), None)
    assert alone[0].equal(noise[2])
    assert not noise[0].equal(noise[1])
    assert not initial_images(config(seed=1), tiny_spec, group, None).equal(noise)


def test_real_starts_are_normalised_training_images_of_the_class(tiny_spec, tiny_data):
    group = Group(1, (0, 3), (5, 8))
    images = initial_images(config(init="real"), tiny_spec, group, tiny_data)
    mean, std = (torch.tensor(values)[:, None, None] for values in (tiny_spec.mean, tiny_spec.std))
    for image, label in zip(images, group.labels, strict=True):
        own = (tiny_data.train.images[tiny_data.train.labels == label] / 255 - mean) / std
        assert (own - image).abs().amax((1, 2, 3)).min() < 1e-6


def test_patches_are_enlarged_crops_of_real_images(tiny_spec, tiny_data):
    group = Group(0, (0, 3), (0, 3))
    settings = config(init="patches", crop_scale=(0.25, 0.25), crop_ratio=(1, 1))
    real = initial_images(config(init="real"), tiny_spec, group, tiny_data)
    for image, source in zip(initial_images(settings, tiny_spec, group, tiny_data), real, strict=True):
        crops = [source[None, :, y : y + 4, x : x + 4] for y in range(5) for x in range(5)]
        enlarged = torch.cat([F.interpolate(crop, (8, 8), mode="bilinear", align_corners=False) for crop in crops])
        assert (enlarged - image).abs().amax((1, 2, 3)).min() < 1e-5


def test_a_class_is_gone_through_before_it_starts_again(tiny_data):
    own = tiny_data.train_rows[1].tolist()
    assert own == (tiny_data.train.labels == 1).nonzero()[:, 0].tolist()
    rows = starts.class_rows(tiny_data, 1, torch.arange(2 * len(own)), seed=4).tolist()
    assert sorted(rows[: len(own)]) == own
    assert rows[len(own) :] == rows[: len(own)]
    assert starts.class_rows(tiny_data, 1, torch.tensor([4]), seed=4).tolist() == rows[4:5]
    orders = {tuple(starts.class_rows(tiny_data, 1, torch.arange(3), seed).tolist()) for seed in range(20)}
    assert len(orders) > 3


def test_an_unknown_start_names_the_nearest(tiny_spec, tiny_data):
    with pytest.raises(ConfigError, match=r"unknown start 'patchs'.*Did you mean 'patches'"):
        initial_images(config(init="patchs"), tiny_spec, Group(0, (0,), (0,)), tiny_data)


def test_starts_from_real_images_need_fitting_data(tiny_spec, tiny_data):
    group = Group(0, (0,), (0,))
    with pytest.raises(ConfigError, match="init='real' needs the real data"):
        initial_images(config(init="real"), tiny_spec, group, None)
    other = DatasetSpec("other", tiny_spec.classes[::-1], 3, 8, tiny_spec.mean, tiny_spec.std)
    with pytest.raises(DataError, match="classes differ: index 0 is 'eel'"):
        initial_images(config(init="real"), other, group, tiny_data)


def test_streams_differ_between_seeds():
    draws = {
        float(torch.rand((), generator=starts.generator(seed, stream)))
        for seed in (0, 1, 2**63 - 1)
        for stream in range(50)
    }
    assert len(draws) == 150
    assert np.isfinite(list(draws)).all()


def test_median_starts_go_out_from_the_middle_of_the_teachers_confidence(tiny_teacher, tiny_data, cpu):
    own = tiny_data.train_rows[1]
    images = tiny_data.spec.normalize(tiny_data.train.take(own))
    with torch.no_grad():
        sure = cpu.place(tiny_teacher.net).eval()(images).softmax(1)[:, 1]
    ranked = sure.argsort(stable=True).tolist()
    middle = (len(ranked) - 1) // 2
    expected = [ranked[middle], ranked[middle - 1], ranked[middle + 1], ranked[middle - 2]]
    group = Group(0, (1,) * 4, (0, 1, 2, 3))
    made = starts.find("median")(tiny_teacher, config(init="median", ipc=4), group, tiny_data, cpu)
    assert made.allclose(images[expected])
    last = Group(len(own), (1,), (9,))  # after the last image the first comes again
    again = starts.find("median")(tiny_teacher, config(init="median", ipc=4), last, tiny_data, cpu)
    assert again.allclose(images[expected[:1]])


@pytest.mark.parametrize("init", ["real", "median", "random", "patches"])
def test_images_of_several_begin_with_as_many_real_ones_each_at_its_part_of_the_size(
    init, tiny_teacher, tiny_data, cpu
):
    asked = config(init=init, ipc=2, formation=2, group_size=5, group_images=2, seed=3)
    group = Group(0, (1, 4, 1, 4), (0, 1, 2, 3))
    made = starts.first_pixels(tiny_teacher, asked, group, tiny_data, cpu)
    assert made.shape == (4, 3, 8, 8)
    whole = asked.but(ipc=8, formation=1)
    for place, (image, label) in enumerate(((0, 1), (0, 4), (1, 1), (1, 4))):
        for part in range(4):
            one = Group(
                4 * image + part, (1, 4), (4 * group.ids[2 * image] + part, 4 * group.ids[2 * image + 1] + part)
            )
            real = starts.find(init)(tiny_teacher, whole, one, tiny_data, cpu)[[1, 4].index(label)]
            small = F.interpolate(real[None], (4, 4), mode="bilinear", antialias=True)[0]
            (row, column) = divmod(part, 2)
            assert made[place, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].allclose(small, atol=1e-6)


def test_noise_has_no_parts_and_parts_must_fit(tiny_teacher, tiny_data, cpu):
    group = Group(0, (0, 1), (0, 1))
    plain = starts.first_pixels(tiny_teacher, config(), group, None, cpu)
    assert starts.first_pixels(tiny_teacher, config(formation=2), group, None, cpu).equal(plain)
    with pytest.raises(ConfigError, match="formation=3 must divide"):
        starts.first_pixels(tiny_teacher, config(init="real", formation=3), group, tiny_data, cpu)


def test_middling_patches_are_the_median_crops_of_the_median_candidates(tiny_teacher, tiny_data, cpu):
    losses = torch.tensor([[3.0, 0.0, 9.0, 2.0], [1.0, 5.0, 7.0, 2.5], [2.0, 1.0, 8.0, 0.5]])
    order, number = medium.middling(losses)
    medians = losses.median(0).values  # 2, 1, 8, 2: the middle one of four in order is the second
    assert medians.tolist() == [2.0, 1.0, 8.0, 2.0]
    assert order[0] == 0
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    assert all(losses[n, c] == medians[c] for c, n in zip(order.tolist(), number.tolist(), strict=True))
    made = starts.baseline("medium", tiny_data, ipc=3, labels=(0, 1), seed=0, teacher=tiny_teacher, runtime=cpu)
    best = starts.baseline("rded", tiny_data, ipc=3, labels=(0, 1), seed=0, teacher=tiny_teacher, runtime=cpu)

    def loss(images):
        return F.cross_entropy(tiny_teacher.net(tiny_data.spec.normalize(images.images)), images.labels)

    assert loss(made) > loss(best)

"""Groups: which images are optimised together, and what they start from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sre2l_core.config import RecoverConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.recover.groups import Group, generator, initial_images, plan, rows_of_class, stacked


def config(**settings):
    return RecoverConfig(**{"ipc": 2, "group_size": 2, "steps": 3, **settings})


def test_consecutive_classes_for_each_image_index_in_turn(tiny_spec):
    assert plan(config(), tiny_spec) == [
        Group(0, (0, 1), (0, 1)),
        Group(0, (2, 3), (2, 3)),
        Group(0, (4,), (4,)),
        Group(1, (0, 1), (5, 6)),
        Group(1, (2, 3), (7, 8)),
        Group(1, (4,), (9,)),
    ]


def test_a_smaller_set_is_a_prefix_of_a_larger_one(tiny_spec):
    assert plan(config(ipc=3), tiny_spec)[:6] == plan(config(ipc=2), tiny_spec)


def test_chosen_classes_keep_their_labels(tiny_spec):
    groups = plan(config(only_classes=("eel", "bee", "dog", "bee")), tiny_spec)
    assert groups[:2] == [Group(0, (1, 3), (0, 1)), Group(0, (4,), (2,))]
    assert groups[2].ids == (3, 4)
    with pytest.raises(ConfigError, match=r"class id 'bea'.*Did you mean 'bee'"):
        plan(config(only_classes=("bea",)), tiny_spec)


def test_stacks_hold_groups_of_one_size(tiny_spec):
    groups = plan(config(), tiny_spec)
    stacks = stacked(groups, 3)
    assert [[group.ids[0] for group in stack] for stack in stacks] == [[0, 2, 5], [7], [4, 9]]
    assert stacked(groups, 1) == [[group] for group in sorted(groups, key=lambda group: (-len(group), group.ids))]


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


def test_a_class_is_gone_through_before_it_starts_again():
    labels = torch.tensor([0, 1, 1, 0, 1])
    rows = rows_of_class(labels, 1, torch.arange(6), seed=4).tolist()
    assert sorted(rows[:3]) == [1, 2, 4]
    assert rows[3:] == rows[:3]
    assert rows_of_class(labels, 1, torch.tensor([4]), seed=4).tolist() == rows[4:5]
    orders = {tuple(rows_of_class(labels, 1, torch.arange(3), seed).tolist()) for seed in range(20)}
    assert len(orders) > 3


def test_starts_from_real_images_need_fitting_data(tiny_spec, tiny_data):
    group = Group(0, (0,), (0,))
    with pytest.raises(ConfigError, match="init='real' needs the real data"):
        initial_images(config(init="real"), tiny_spec, group, None)
    other = DatasetSpec("other", tiny_spec.classes[::-1], 3, 8, tiny_spec.mean, tiny_spec.std)
    with pytest.raises(DataError, match="classes differ: index 0 is 'eel'"):
        initial_images(config(init="real"), other, group, tiny_data)


def test_streams_differ_between_seeds():
    draws = {
        float(torch.rand((), generator=generator(seed, stream))) for seed in (0, 1, 2**63 - 1) for stream in range(50)
    }
    assert len(draws) == 150
    assert np.isfinite(list(draws)).all()

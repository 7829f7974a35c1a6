"""Herding and k-center: what is chosen is what the formula says, whatever else is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from sre2l_core import starts
from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.groups import plan
from sre2l_core.stages.recover import recover
from sre2l_core.starts.herding import herd
from sre2l_core.starts.k_center import cover

NAMES = ("herding", "k-center")
each = pytest.mark.parametrize("name", NAMES)


def points(count, seed=0):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def herded(features, count):
    """iCaRL, Algorithm 4, word for word: the mean of those chosen and each candidate, anew every time."""
    unit = [row / row.norm() for row in features]
    mean, chosen = sum(unit) / len(unit), []
    while len(chosen) < count:
        means = {
            row: sum(unit[other] for other in [*chosen, row]) / (len(chosen) + 1)
            for row in range(len(unit))
            if row not in chosen
        }
        chosen.append(min(means, key=lambda row: float((mean - means[row]).norm())))
    return chosen


def covered(features, count):
    """Farthest first, from the row nearest to the mean."""
    mean = sum(features) / len(features)
    chosen = [min(range(len(features)), key=lambda row: float((features[row] - mean).norm()))]
    while len(chosen) < count:
        gaps = {
            row: min(float((features[row] - features[other]).norm()) for other in chosen)
            for row in range(len(features))
            if row not in chosen
        }
        chosen.append(max(gaps, key=gaps.get))
    return chosen


def baseline(name, data, teacher, cpu, *, ipc=3, labels=(0, 1, 2, 3, 4), seed=0):
    return starts.baseline(name, data, ipc=ipc, labels=labels, seed=seed, teacher=teacher, runtime=cpu)


@pytest.mark.parametrize(("pick", "naive"), [(herd, herded), (cover, covered)])
@pytest.mark.parametrize("seed", range(3))
def test_rows_are_those_of_the_formula(pick, naive, seed):
    features = points(15, seed)
    assert pick(features, 15).tolist() == naive(features, 15)
    assert pick(features, 4).tolist() == naive(features, 15)[:4]


@pytest.mark.parametrize("pick", [herd, cover])
def test_images_that_look_alike_are_each_taken_once(pick):
    assert sorted(pick(torch.ones(4, 3), 4).tolist()) == [0, 1, 2, 3]
    assert pick(points(1), 1).tolist() == [0]


def test_k_center_leaves_no_image_farther_than_twice_the_best_radius():
    features, best = points(9), torch.inf
    between = torch.cdist(features, features)
    for pair in torch.combinations(torch.arange(9), 2):
        best = min(best, float(between[pair].min(0).values.max()))
    assert float(between[cover(features, 2)].min(0).values.max()) <= 2 * best


@each
def test_a_set_holds_the_chosen_images_of_each_class_by_the_teachers_last_features(name, tiny_data, tiny_teacher, cpu):
    made = baseline(name, tiny_data, tiny_teacher, cpu)
    for label in range(5):
        own = tiny_data.train.images[tiny_data.train.labels == label]
        features = tiny_teacher.net.features(tiny_teacher.spec.normalize(own)).flatten(1)
        rows = {"herding": herded, "k-center": covered}[name](features, 3)
        assert made.images[made.labels == label].equal(own[rows])
    assert made.origin["method"] == f"{name} images"


@each
def test_neither_seed_nor_number_nor_other_classes_change_what_comes_first(name, tiny_data, tiny_teacher, cpu):
    made = baseline(name, tiny_data, tiny_teacher, cpu)
    assert baseline(name, tiny_data, tiny_teacher, cpu, seed=5).id == made.id
    more = baseline(name, tiny_data, tiny_teacher, cpu, ipc=5, labels=(2,))
    assert more.images[:3].equal(made.images[made.labels == 2])


@each
def test_a_class_with_fewer_images_gives_all_of_them_each_once(name, tiny_data, tiny_teacher, cpu):
    made = baseline(name, tiny_data, tiny_teacher, cpu, ipc=50, labels=(2,))
    own = tiny_data.train.images[tiny_data.train.labels == 2]
    assert len(made) == len(own)
    assert {image.numpy().tobytes() for image in made.images} == {image.numpy().tobytes() for image in own}


@each
def test_groups_of_a_recovery_that_takes_no_steps_hold_the_same_images(name, tiny_data, tiny_teacher, cpu):
    config = RecoverConfig(ipc=14, init=name, steps=0, alpha_bn=0)
    made = recover(tiny_teacher, config, data=tiny_data, runtime=cpu)
    assert len(plan(config, tiny_teacher.spec)) == 14
    whole = baseline(name, tiny_data, tiny_teacher, cpu, ipc=12)
    for label in range(5):
        images, own = made.images[made.labels == label], whole.images[whole.labels == label]
        assert images.equal(torch.cat([own, own[:2]]))  # twelve images a class: the first come again


@each
def test_what_it_needs_is_asked_for(name, tiny_data, tiny_teacher, cpu):
    with pytest.raises(ConfigError, match="needs a teacher"):
        baseline(name, tiny_data, None, cpu)
    headless = Teacher(nn.Flatten(), tiny_teacher.spec, "flat")
    with pytest.raises(ConfigError, match="flat has no linear layer to take features from"):
        baseline(name, tiny_data, headless, cpu)
    with pytest.raises(ConfigError, match=f"init='{name}' needs the real data"):
        recover(tiny_teacher, RecoverConfig(ipc=1, init=name, steps=0, alpha_bn=0), runtime=cpu)


@each
def test_data_that_the_teacher_does_not_know_is_refused(name, tiny_data, tiny_teacher, cpu):
    spec = DatasetSpec("other", tiny_data.spec.classes[::-1], 3, 8, tiny_data.spec.mean, tiny_data.spec.std)
    with pytest.raises(DataError, match="classes differ"):
        baseline(name, replace(tiny_data, spec=spec), tiny_teacher, cpu)


@each
def test_another_teacher_or_other_data_is_not_mistaken_for_the_last(name, tiny_data, tiny_teacher, cpu):
    made = baseline(name, tiny_data, tiny_teacher, cpu, labels=(0,))
    dark = tiny_data.train.part(torch.arange(30))
    fewer = baseline(name, Dataset(tiny_data.spec, dark, tiny_data.val), tiny_teacher, cpu, ipc=6, labels=(0,))
    assert len(fewer) == 6
    assert baseline(name, tiny_data, tiny_teacher, cpu, labels=(0,)).id == made.id

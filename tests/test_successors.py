"""Presets of the successors' methods with published settings."""

from __future__ import annotations

import pytest

from sre2l_core import backbones, presets
from sre2l_core.data import DatasetSpec
from sre2l_core.groups import plan
from sre2l_core.presets.successors import BASES, METHODS
from sre2l_core.stages.recover.schedule import resolution_at

NAMES = [f"{dataset}/resnet18/{method}" for dataset in BASES for method in METHODS]
PUBLISHED = {
    "tiny-imagenet/resnet18/cda": {"recover.lr": 0.4, "recover.alpha_bn": 0.05, "recover.crop_curriculum": 1.0},
    "imagenet-1k/resnet18/cda": {"recover.lr": 0.25, "recover.alpha_bn": 0.01, "validate.batch_size": 128},
    "imagenet-1k/resnet18/rded": {"recover.steps": 0, "relabel.shuffle": 2, "relabel.crop_scale": [0.5, 1.0]},
    "cifar100/resnet18/rded": {"relabel.shuffle": 1, "validate.batch_size": 100, "validate.cosine_stretch": 2.0},
    "imagenet-1k/resnet18/delt": {"recover.rounds": 8, "relabel.augment": 2, "relabel.crop_scale": [0.25, 1.0]},
    "cifar100/resnet18/dwa": {"recover.nudge": 0.015, "recover.nudge_steps": 12, "recover.bn_variance": 11.0},
    "imagenet-1k/resnet18/dwa": {"recover.nudge_steps": 15, "recover.bn_variance": 2.0, "validate.batch_size": 128},
    "tiny-imagenet/resnet18/dwa": {"validate.batch_size": 64, "validate.epochs": 200, "validate.optimizer": "sgd"},
    "imagenet-1k/resnet18/lpld": {"recover.class_bn": 1.0, "recover.group_size": 1, "relabel.epochs": 8},
    "imagenet-1k/resnet18/edc": {"recover.class_bn": 0.5, "recover.steps": 1000, "validate.gamma": 0.025},
    "cifar100/resnet18/edc": {"recover.steps": 2000, "validate.epochs": 1000, "validate.ema": 0.99},
    "imagenet-1k/resnet18/sre2l++": {"recover.init": "medium", "recover.steps": 4000, "relabel.batch_split": 2},
    "cifar100/resnet18/cv-dd": {"recover.teaching": "pair", "recover.vote": "accuracy", "recover.roll": [-4, 4]},
    "imagenet-1k/resnet18/fadrm": {"recover.steps": 2000, "recover.blend": 0.5, "validate.batch_size": 16},
    "cifar100/resnet18/fadrm": {"validate.epochs": 1000},
    "tiny-imagenet/resnet18/fadrm+": {"recover.teaching": "turns", "validate.epochs": 300},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_settings_are_the_published_ones(name):
    settings = presets.get(name).settings()
    assert {field: settings[field] for field in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_method_has_ten_images_of_each_class_and_labels_for_all_epochs(name):
    recipe = presets.get(name)
    recipe.check()
    assert recipe.recover.ipc == 10
    assert recipe.recover.image_format == "png"
    assert recipe.validate.reuse_labels == name.endswith("lpld")
    assert recipe.validate.reuse_labels or recipe.relabel.epochs == recipe.validate.epochs
    assert recipe.data == presets.get(f"{name.split('/')[0]}/resnet18/reference").data
    known = backbones.names()
    assert all(one.backbone in known for one in recipe.squeeze.each())
    assert len(recipe.squeeze.each()) == {"edc": 4, "cv-dd": 5, "fadrm+": 4}.get(name.split("/")[2], 1)
    classes = tuple(map(str, range(recipe.num_classes)))
    spec = DatasetSpec("any", classes, 3, 8, (0.5,) * 3, (0.25,) * 3)
    assert sum(map(len, plan(recipe.recover, spec))) == 10 * recipe.num_classes


def test_fadrm_looks_at_200_and_224_pixels_in_turn():
    recover = presets.get("imagenet-1k/resnet18/fadrm").recover
    assert [resolution_at(recover, 224, step) for step in (0, 500, 1000, 1500, 1999)] == [200, 224, 200, 224, 224]

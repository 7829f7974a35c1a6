"""RDED: the best crop of each image, the most realistic first; four of them where pictures are large."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from sre2l_core import starts
from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset, DatasetSpec, ResidentSplit
from sre2l_core.errors import ConfigError
from sre2l_core.stages.recover import recover
from sre2l_core.starts import rded
from sre2l_core.views import apply, draw


def ranked(data, teacher, label, seed):
    """Best crops of all images of a class, [N, C, H, W], by the loss one by one."""
    spec, best = data.spec, []
    for row in (data.train.labels == label).nonzero()[:, 0]:
        crops = []
        for number in range(rded.CROPS_OF_AN_IMAGE):
            params = draw(rded.CROPS, seed=seed, epoch=number, ids=row[None], size=spec.size)
            crops.append(apply(spec.normalize(data.train.take(row[None])), params, size=spec.resolution))
        losses = [-float(teacher.net(crop).log_softmax(1)[0, label]) for crop in crops]
        lowest = min(range(len(crops)), key=losses.__getitem__)
        best.append((losses[lowest], crops[lowest]))
    return torch.cat([crop for _, crop in sorted(best, key=lambda pair: pair[0])])


def baseline(data, teacher, cpu, *, ipc=3, labels=(0, 1, 2, 3, 4), seed=0):
    return starts.baseline("rded", data, ipc=ipc, labels=labels, seed=seed, teacher=teacher, runtime=cpu)


@pytest.fixture(scope="module")
def large():
    """Return two classes of eight pictures of 72 pixels, and a network."""
    spec = DatasetSpec("large", ("a", "b"), 1, 72, (0.5,), (0.3,))
    pixels = torch.randint(256, (16, 1, 72, 72), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    split = ResidentSplit(spec, pixels, torch.arange(16) % 2)
    net = empty_network("convnet", spec, {"depth": 3, "width": 4}, seed=0)
    return Dataset(spec, split, split), Teacher(net, spec, "convnet", {"depth": 3, "width": 4})


def test_an_image_is_the_best_crop_of_a_real_one_the_most_realistic_first(tiny_data, tiny_teacher, cpu):
    made = baseline(tiny_data, tiny_teacher, cpu, seed=2)
    for label in range(5):
        expected = tiny_data.spec.to_uint8(ranked(tiny_data, tiny_teacher, label, 2)[:3])
        assert (made.images[made.labels == label].int() - expected.int()).abs().max() <= 1


def test_large_pictures_hold_four_at_half_size(large, cpu):
    data, teacher = large
    made = baseline(data, teacher, cpu, ipc=2, labels=(1,))
    quarters = F.interpolate(ranked(data, teacher, 1, 0), scale_factor=0.5, mode="bilinear", antialias=True)
    for image, four in zip(made.images, quarters.split(4), strict=True):
        whole = torch.cat([torch.cat([four[0], four[1]], 2), torch.cat([four[2], four[3]], 2)], 1)
        assert (image.int() - data.spec.to_uint8(whole).int()).abs().max() <= 1
    again = baseline(data, teacher, cpu, ipc=3, labels=(1,))
    assert again.images[2].equal(again.images[0])  # eight crops make two images: after the last the first come again


def test_only_so_many_candidates_are_looked_at(tiny_data, tiny_teacher, cpu, monkeypatch):
    monkeypatch.setattr(rded, "CANDIDATES", 2)
    made = baseline(tiny_data, tiny_teacher, cpu, ipc=4, labels=(0,), seed=9)
    assert len({image.numpy().tobytes() for image in made.images}) == 2
    rows = starts.class_rows(tiny_data, 0, torch.arange(2), 9)
    crops = torch.cat([rded.crop(tiny_data, rows, 9, number) for number in range(rded.CROPS_OF_AN_IMAGE)])
    known = {image.numpy().tobytes() for image in tiny_data.spec.to_uint8(crops)}
    assert {image.numpy().tobytes() for image in made.images} <= known


def test_the_seed_decides_and_groups_do_not(tiny_data, tiny_teacher, cpu):
    made = baseline(tiny_data, tiny_teacher, cpu)
    assert baseline(tiny_data, tiny_teacher, cpu).id == made.id != baseline(tiny_data, tiny_teacher, cpu, seed=1).id
    config = RecoverConfig(ipc=3, init="rded", steps=0, alpha_bn=0)
    apart = recover(tiny_teacher, config, data=tiny_data, runtime=cpu)
    for label in range(5):
        assert apart.images[apart.labels == label].equal(made.images[made.labels == label])


def test_a_class_with_fewer_images_gives_a_crop_of_each(tiny_data, tiny_teacher, cpu):
    assert len(baseline(tiny_data, tiny_teacher, cpu, ipc=50, labels=(2,))) == 12


def test_it_needs_a_teacher(tiny_data, cpu):
    with pytest.raises(ConfigError, match="needs a teacher"):
        baseline(tiny_data, None, cpu)

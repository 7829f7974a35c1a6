"""Mosaic starts: four crops of the right class, the surest of their candidates, at half size."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from sre2l_core.config import RecoverConfig
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import plan, recover
from sre2l_core.starts import class_rows, mosaic
from sre2l_core.views import apply, draw

CONFIG = RecoverConfig(ipc=2, init="mosaic", steps=0, seed=3)


def test_quarters_are_the_surest_crops_of_the_class(tiny_teacher, tiny_data, monkeypatch):
    group = plan(CONFIG, tiny_teacher.spec)[1]
    made = mosaic.mosaic(tiny_teacher, CONFIG, group, tiny_data, Runtime.auto("cpu", "fp32"))
    for image, label in zip(made, group.labels, strict=True):
        rows = class_rows(tiny_data, label, torch.arange(16, 32), CONFIG.seed)
        params = draw(mosaic.CROPS, seed=CONFIG.seed, epoch=1, ids=rows, size=tiny_teacher.spec.size)
        crops = apply(
            tiny_teacher.spec.normalize(tiny_data.train.take(rows)), params, size=tiny_teacher.spec.resolution
        )
        confidence = tiny_teacher.net(crops).softmax(1)[:, label]
        best = crops[confidence.argsort(descending=True)[:4]]
        half = F.interpolate(best, scale_factor=0.5, mode="bilinear", antialias=True)
        side = tiny_teacher.spec.resolution // 2
        for quarter, (top, left) in zip(half, ((0, 0), (0, side), (side, 0), (side, side)), strict=True):
            assert (image[:, top : top + side, left : left + side] - quarter).abs().max() < 1e-5


def test_groups_of_several_images_hold_the_same_mosaics(tiny_teacher, tiny_data):
    alone = recover(tiny_teacher, CONFIG, data=tiny_data)
    together = recover(tiny_teacher, CONFIG.but(group_images=2), data=tiny_data)
    assert alone.images.equal(together.images)
    assert alone.labels.equal(together.labels)
    assert alone.labels.tolist() == list(range(tiny_teacher.spec.num_classes)) * 2

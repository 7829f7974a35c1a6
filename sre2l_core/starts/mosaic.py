"""Mosaics of the real crops that a teacher is surest of, as in RDED (CVPR 2024)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig, ViewConfig
from sre2l_core.data import Dataset
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import Start, class_rows
from sre2l_core.views import apply, draw

GRID = 2
"""Crops along each side of a mosaic (RDED: 2 from 64 pixels on)."""
CANDIDATES = 4
"""Real images looked at for each crop that is kept."""
CROPS = ViewConfig(crop="resized", crop_scale=(0.5, 1.0), flip=0.5)


def mosaic(teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset, runtime: Runtime) -> Tensor:
    """[G, C, H, W] float32 normalised: each image holds, at half size, the GRID^2 surest of its candidates' crops.

    The candidates of an image are its own share of the class's images, so groups stay independent of one another.
    """
    spec, count = teacher.spec, CANDIDATES * GRID**2
    net = runtime.place(teacher.net)
    tiles = []
    for label, index in zip(group.labels, group.image_indices, strict=True):
        ids = class_rows(data, label, index * count + torch.arange(count), config.seed)
        params = draw(CROPS, seed=config.seed, epoch=index, ids=ids, size=spec.size)
        crops = apply(spec.normalize(data.train.take(ids)), params, size=spec.resolution)
        logits = runtime.logits(net, crops)
        losses = F.cross_entropy(logits, torch.full((count,), label, device=logits.device), reduction="none")
        surest = losses.topk(GRID**2, largest=False).indices.cpu()
        small = F.interpolate(crops[surest], scale_factor=1 / GRID, mode="bilinear", antialias=True)
        tiles.append(tiled(small))
    return torch.stack(tiles)


def tiled(small: Tensor) -> Tensor:
    """[GRID^2, C, h, w] -> [C, GRID * h, GRID * w]."""
    return torch.cat([torch.cat(list(row), dim=2) for row in small.unflatten(0, (GRID, GRID))], dim=1)


PLUGINS = {"mosaic": Start("mosaics", mosaic, needs_teacher=True)}

"""RDED (Sun et al., CVPR 2024): the most realistic crops of real images; one an image up to 64 pixels, then four.

How realistic a crop is, a teacher says: by its cross-entropy on the class.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import Make, Start, class_rows, wanted_labels
from sre2l_core.starts.mosaic import CROPS, tiled
from sre2l_core.views import apply, draw

CROPS_OF_AN_IMAGE = 5
"""Drawn of each candidate; the best one stands for it."""
CANDIDATES = 300
"""Real images of a class that are looked at, at most."""
WHOLE_UP_TO = 64
"""Pixels: smaller images would lose too much at half their size."""


Pick = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Losses [K, N] of K crops of each of N candidates -> [N] int64 candidates in the order of their choice, and [N] int64
which of its crops each has."""


class Ranked(NamedTuple):
    """A crop of each candidate of a class, in the order of their choice."""

    rows: Tensor
    """[N] int64 training rows."""
    crops: Tensor
    """[N] int64: which of its crops."""


def ranked_crops(pick: Pick, parts_of: Callable[[DatasetSpec], int]) -> Make:
    """Makes images of the crops of a class that `pick` chooses: image i has the i-th, or the i-th few side by side."""

    @lru_cache(maxsize=1)  # a set is made class by class
    def ranked(
        teacher: Teacher, data: Dataset, labels: tuple[int, ...], seed: int, runtime: Runtime
    ) -> dict[int, Ranked]:
        return {label: _rank(pick, teacher, data, label, seed, runtime) for label in labels}

    def made(teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset, runtime: Runtime) -> Tensor:
        parts, images = parts_of(data.spec), []
        known = ranked(teacher, data, wanted_labels(data.spec, config), config.seed, runtime)
        for label, index in zip(group.labels, group.image_indices, strict=True):
            rows, crops = known[label]
            places = torch.arange(index * parts, (index + 1) * parts) % len(rows)
            chosen = zip(rows[places], crops[places].tolist(), strict=True)
            images.append(_joined(torch.cat([crop(data, row[None], config.seed, number) for row, number in chosen])))
        return torch.stack(images)

    return made


def surest(losses: Tensor) -> tuple[Tensor, Tensor]:
    """Of each candidate the crop of the smallest loss, and candidates in its order."""
    best, number = losses.min(0)
    order = best.argsort(stable=True)
    return order, number[order]


def patches_of(spec: DatasetSpec) -> int:
    """Crops in an image: 1 or 4."""
    return 1 if spec.resolution <= WHOLE_UP_TO else 4


def crop(data: Dataset, rows: Tensor, seed: int, number: int) -> Tensor:
    """[N, C, H, W] float32 normalised: crop `number` of training images [N], enlarged to the whole size."""
    params = draw(CROPS, seed=seed, epoch=number, ids=rows, size=data.spec.size)
    return apply(data.spec.normalize(data.train.take(rows)), params, size=data.spec.resolution)


def _joined(patches: Tensor) -> Tensor:
    if len(patches) == 1:
        return patches[0]
    return tiled(F.interpolate(patches, scale_factor=0.5, mode="bilinear", antialias=True))


def _rank(pick: Pick, teacher: Teacher, data: Dataset, label: int, seed: int, runtime: Runtime) -> Ranked:
    net = runtime.place(teacher.net)
    rows = class_rows(data, label, torch.arange(min(CANDIDATES, len(data.train_rows[label]))), seed)
    losses = torch.stack(
        [
            torch.cat([_losses(runtime.logits(net, crop(data, part, seed, number)), label) for part in rows.split(64)])
            for number in range(CROPS_OF_AN_IMAGE)
        ]
    )
    order, number = pick(losses)
    return Ranked(rows[order], number)


def _losses(logits: Tensor, label: int) -> Tensor:
    return F.cross_entropy(logits, torch.full((len(logits),), label, device=logits.device), reduction="none").cpu()


PLUGINS = {"rded": Start("RDED patches", ranked_crops(surest, patches_of), needs_teacher=True)}

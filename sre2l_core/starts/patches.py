"""Random crops of real images, enlarged."""

from __future__ import annotations

import torch
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig, ViewConfig
from sre2l_core.data import Dataset
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import Start
from sre2l_core.starts.real import real
from sre2l_core.views import apply, draw

STREAM = 2**40
"""Stands for the epoch where these crops are drawn: no step ever does."""


def patches(teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset, runtime: Runtime) -> Tensor:
    """One crop of each of the images that `real` would take, as large as those of the recovery."""
    images, spec = real(teacher, config, group, data, runtime), data.spec
    crops = ViewConfig(crop="resized", crop_scale=config.crop_scale, crop_ratio=config.crop_ratio, flip=0)
    params = draw(crops, seed=config.seed, epoch=STREAM, ids=torch.tensor(group.ids), size=spec.size)
    return apply(images, params, size=spec.resolution)


PLUGINS = {"patches": Start("patches", patches)}

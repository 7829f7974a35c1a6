"""N(0, 1) noise, where the paper begins: no real pixel enters recovery."""

from __future__ import annotations

import torch
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import Start, generator


def noise(teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset | None, runtime: Runtime) -> Tensor:
    """Standard normal values in normalised space, a stream of its own for each image id."""
    spec = teacher.spec
    images = torch.empty(len(group), spec.channels, spec.resolution, spec.resolution)
    for image, index in zip(images, group.ids, strict=True):
        image.normal_(generator=generator(config.seed, index))
    return images


PLUGINS = {"noise": Start("noise", noise, needs_data=False, needs_teacher=True)}

"""Random real images."""

from __future__ import annotations

import torch
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import Start, class_rows


def real(teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset, runtime: Runtime) -> Tensor:
    """Image i of a class is the i-th of its training images in a random order, which every class has of its own."""
    wanted = zip(group.labels, group.image_indices, strict=True)
    rows = torch.cat([class_rows(data, label, torch.tensor([index]), config.seed) for label, index in wanted])
    return data.spec.normalize(data.train.take(rows))


PLUGINS = {"real": Start("real images", real)}

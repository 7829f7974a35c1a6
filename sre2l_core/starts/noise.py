"""Noise, where the paper begins: no real pixel enters recovery."""

from __future__ import annotations

import torch
from torch import Tensor

from sre2l_core import parametrisations
from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import Start, generator


def noise(teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset | None, runtime: Runtime) -> Tensor:
    """What the config's parametrisation begins with: for pixels N(0, 1); a stream of its own for each image id."""
    made = parametrisations.find(config.parametrisation)(teacher.spec, config, torch.device("cpu"))
    return torch.stack([made.noise(generator(config.seed, index)) for index in group.ids])


PLUGINS = {"noise": Start("noise", noise, needs_data=False, needs_teacher=True)}

"""Random real images as a set of their own: the baseline that every condensed set has to beat."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import Start, in_order, wanted_labels


def random_real(teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset, runtime: Runtime) -> Tensor:
    """Training images drawn without replacement, one class after the other from one stream of random numbers.

    Unlike `real`, what a class gets depends on the classes before it: the published figures of this project rest on
    these draws.
    """
    return in_order(data, group, _orders(data, wanted_labels(data.spec, config), config.seed))


@lru_cache(maxsize=1)  # a set is made class by class: the draws of all are the same
def _orders(data: Dataset, labels: tuple[int, ...], seed: int) -> dict[int, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    rows = {label: data.train_rows[label] for label in labels}
    return {label: own[torch.randperm(len(own), generator=rng)] for label, own in rows.items()}


PLUGINS = {"random": Start("random real", random_real)}

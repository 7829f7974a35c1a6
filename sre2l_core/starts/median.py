"""Real images that the teacher is neither sure nor unsure of, as DELT begins (CVPR 2025)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import Start, in_order

BATCH = 256
"""Images the teacher sees at once."""


def median(teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset, runtime: Runtime) -> Tensor:
    """Image i of a class has the i-th nearest rank to the median of the class's images by the teacher's probability.

    No random number is drawn; after the last image the first comes again.
    """
    orders = _orders(teacher, data)
    for label in set(group.labels) - orders.keys():
        orders[label] = data.train_rows[label][from_the_middle(confidences(teacher, data, label, runtime))]
    return in_order(data, group, orders)


def confidences(teacher: Teacher, data: Dataset, label: int, runtime: Runtime) -> Tensor:
    """[N] the teacher's probability of the class `label` for each of its training images, by row."""
    net = runtime.place(teacher.net)
    parts = [data.spec.normalize(data.train.take(rows)) for rows in data.train_rows[label].split(BATCH)]
    return torch.cat([runtime.logits(net, part).softmax(1)[:, label].cpu() for part in parts])


def from_the_middle(values: Tensor) -> Tensor:
    """Places of `values` [N], that of the median first, then neighbours by rank, the lower one before the higher."""
    order = values.argsort(stable=True)
    middle = (len(order) - 1) // 2
    return order[(torch.arange(len(order)) - middle).abs().argsort(stable=True)]


@lru_cache(maxsize=1)  # groups come one after the other: a class is looked at once
def _orders(teacher: Teacher, data: Dataset) -> dict[int, Tensor]:
    return {}


PLUGINS = {"median": Start("median confidence", median, needs_teacher=True)}

"""What coresets have in common: real images of a class, chosen one after another by the teacher's features."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.embed import features
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import Start, in_order, wanted_labels

Pick = Callable[[Tensor, int], Tensor]
"""Features [N, D] float32 of a class and a number n of 1..N -> [n] int64 rows, in the order of their choice."""


def coreset(title: str, pick: Pick) -> Start:
    """A start whose image i of a class is the i-th that `pick` chooses among all its training images.

    `pick` is greedy: what it chooses first does not depend on how many are wanted. After the last image of a class the
    first comes again. No seed enters.
    """

    @lru_cache(maxsize=1)  # a set is made class by class, and for every student anew
    def orders(
        teacher: Teacher, data: Dataset, labels: tuple[int, ...], count: int, runtime: Runtime
    ) -> dict[int, Tensor]:
        rows = {label: data.train_rows[label] for label in labels}
        seen = {label: features_of(teacher, data, own, runtime) for label, own in rows.items()}
        return {label: own[pick(seen[label], min(count, len(own)))] for label, own in rows.items()}

    def chosen(teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset, runtime: Runtime) -> Tensor:
        labels = wanted_labels(data.spec, config)
        return in_order(data, group, orders(teacher, data, labels, config.ipc, runtime))

    return Start(title, chosen, needs_teacher=True)


def features_of(teacher: Teacher, data: Dataset, rows: Tensor, runtime: Runtime) -> Tensor:
    """[N, D] float32: what enters the teacher's last linear layer for training images [N]; read in parts."""
    parts = (data.spec.normalize(data.train.take(part)) for part in rows.split(IMAGES_AT_ONCE))
    return torch.cat([features(teacher, part, runtime=runtime) for part in parts])


IMAGES_AT_ONCE = 256

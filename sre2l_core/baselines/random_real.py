"""Random real images: the baseline that every condensed set has to beat."""

from __future__ import annotations

import torch

from sre2l_core.artifacts import CondensedSet
from sre2l_core.data import Dataset


def random_real(data: Dataset, *, ipc: int, labels: tuple[int, ...], seed: int) -> CondensedSet:
    """`ipc` training images of each class, drawn without replacement; all of them where a class has fewer."""
    rng = torch.Generator().manual_seed(seed)
    rows = []
    for label in labels:
        own = (data.train.labels == label).nonzero()[:, 0]
        rows.append(own[torch.randperm(len(own), generator=rng)[:ipc]])
    chosen = torch.cat(rows)
    origin = {"method": "random real images", "dataset": data.spec.name, "seed": seed}
    return CondensedSet(data.train.take(chosen).cpu(), data.train.labels[chosen].cpu(), data.spec, origin)


PLUGINS = {"random": random_real}

"""What a user would otherwise do: small sets of real images, in the form of a condensed set."""

from __future__ import annotations

from sre2l_core.artifacts import CondensedSet
from sre2l_core.data import Dataset
from sre2l_core.registry import lookup


def select(name: str, data: Dataset, *, ipc: int, labels: tuple[int, ...], seed: int) -> CondensedSet:
    """A baseline's set of `ipc` real training images for each class index in `labels`."""
    chosen: CondensedSet = lookup("baselines", "baseline", name)(data, ipc=ipc, labels=labels, seed=seed)
    return chosen

"""BatchNorm statistics of each class, as targets in place of those of all images (LPLD and EDC, NeurIPS 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from sre2l_core.artifacts import Teacher
from sre2l_core.bn_stats import bn_statistics, running_statistics
from sre2l_core.data import Dataset
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime

BATCH = 128
"""Real images in a pass; memory, not results, depends on it."""


def targets(
    net: nn.Module, teacher: Teacher, data: Dataset, groups: Sequence[Group], share: float, runtime: Runtime
) -> Tensor:
    """What the statistics of each group should be: `share` those of its classes' real images, else the running.

    Those of several classes together are a mean of means, and the mean of variances plus the variance of means, as if
    the images of the classes lay in one batch. A group of one class has the target of LPLD; EDC takes half a share.

    Returns:
        [2, S, C]: means and variances of S groups, of all C channels of all layers in the order of the forward pass.
    """
    known = _known(teacher, data)
    for label in {label for group in groups for label in group.labels} - known.keys():
        known[label] = of_class(net, data, label, runtime)
    own = torch.stack([_together(torch.stack([known[label] for label in group.labels])) for group in groups], 1)
    with bn_statistics(net) as stats:
        runtime.forward(net, data.spec.normalize(data.train.take(data.train_rows[0][:1])))
    running = running_statistics(stats).cpu()
    return torch.lerp(running.expand_as(own), own, share).to(runtime.device)


def of_class(net: nn.Module, data: Dataset, label: int, runtime: Runtime) -> Tensor:
    """[2, C] mean and biased variance of what enters the BatchNorm layers, over all training images of a class."""
    parts, rows = [], data.train_rows[label].split(BATCH)
    for part in rows:
        with bn_statistics(net) as stats, torch.no_grad():
            runtime.forward(net, data.spec.normalize(data.train.take(part)))
        parts.append(stats.joined()[:, 0].float().cpu())
    weights = torch.tensor([float(len(part)) for part in rows])
    return _together(torch.stack(parts), weights / weights.sum())


def _together(parts: Tensor, weights: Tensor | None = None) -> Tensor:
    """[P, 2, C] of parts -> [2, C] of their union; `weights` [P] sum to 1, and are equal if not given."""
    each = torch.full((len(parts),), 1 / len(parts)) if weights is None else weights
    mean = (each[:, None] * parts[:, 0]).sum(0)
    square = (each[:, None] * (parts[:, 1] + parts[:, 0].square())).sum(0)
    return torch.stack([mean, (square - mean.square()).clamp_min(0)])


@lru_cache(maxsize=8)  # groups come one after the other: a class is looked at once by each of a few teachers
def _known(teacher: Teacher, data: Dataset) -> dict[int, Tensor]:
    return {}

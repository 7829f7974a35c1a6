"""What a classifier confuses, and what its BatchNorm layers remember: numbers for tables and panels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sre2l_core.artifacts import CondensedSet
from sre2l_core.bn_stats import batchnorms
from sre2l_core.stages.labels import LabelSource, views_of

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def crops_recognised(labels: LabelSource, images: CondensedSet, epochs: int = 10) -> float:
    """Share of the crops in these epochs that the teacher puts into the class of their image.

    A crop that it takes for something else gets a soft label that misleads.
    """
    spec, ids = images.spec, torch.arange(len(images))
    right = 0
    for epoch in range(epochs):
        crops = views_of(spec, images.images, ids, labels.views(epoch))
        right += int((labels.logits(epoch, ids, crops).cpu().argmax(1) == images.labels).sum())
    return right / (epochs * len(images))


def worst_confusions(counts: Tensor, count: int = 3) -> list[tuple[int, int, int]]:
    """(true class, predicted class, images) of the most frequent mistakes."""
    mistakes = counts - torch.diag(counts.diagonal())
    found = mistakes.flatten().argsort(descending=True, stable=True)[:count].tolist()
    size = len(counts)
    return [(k // size, k % size, int(mistakes.flatten()[k])) for k in found if mistakes.flatten()[k] > 0]


def widest_spread(by_class: Mapping[str, Tensor], count: int) -> list[int]:
    """The classes whose accuracy differs most between settings (name -> [K]), in their order."""
    if not by_class:
        return []
    values = torch.stack(list(by_class.values()))
    spread = values.amax(0) - values.amin(0)
    return sorted(spread.argsort(descending=True)[:count].tolist())


@dataclass(frozen=True)
class LayerMemory:
    """What one BatchNorm layer remembers, over its channels."""

    name: str
    channels: int
    mean: tuple[float, ...]
    """`QUANTILES` of the running means."""
    std: tuple[float, ...]
    """`QUANTILES` of the square roots of the running variances."""


def bn_memory(net: nn.Module) -> list[LayerMemory]:
    """Every BatchNorm layer of a network, in definition order."""
    names = {id(module): name for name, module in net.named_modules()}
    at = torch.tensor(QUANTILES)
    found = []
    for layer in batchnorms(net):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean = layer.running_mean.detach().float().cpu().quantile(at)
        std = layer.running_var.detach().float().cpu().sqrt().quantile(at)
        found.append(LayerMemory(names[id(layer)], layer.num_features, tuple(mean.tolist()), tuple(std.tolist())))
    return found

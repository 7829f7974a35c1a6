"""The unit of recovery: consecutive classes, one image index, one seed of its own; and the pixels it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sre2l_core.config import RecoverConfig, ViewConfig
from sre2l_core.data import Dataset
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.views import apply, draw

START_STREAM = 2**40
"""Stands for the epoch where crops of the start are drawn: no step ever does."""


@dataclass(frozen=True)
class Group:
    """Images optimised together: BatchNorm statistics are matched over them and nothing else is shared."""

    image_index: int
    """Which of the images per class, 0..ipc-1; the first of them where a group holds several of each class."""
    labels: tuple[int, ...]
    ids: tuple[int, ...]
    """Image ids in the condensed set: image index times number of classes, plus the class's place among them."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_indices(self) -> list[int]:
        """Which image of its class each one is."""
        return [self.image_index + position // len(set(self.labels)) for position in range(len(self))]


def plan(config: RecoverConfig, spec: DatasetSpec) -> list[Group]:
    """All groups of a condensed set: blocks of `group_size` consecutive classes, `group_images` of each, in turn.

    Ids run class by class within an image index, so a set with fewer images per class is a prefix of a larger one.
    """
    wanted = set(config.only_classes or spec.classes)
    for name in wanted - set(spec.classes):
        raise unknown("class id", name, spec.classes)
    chosen = [label for label, name in enumerate(spec.classes) if name in wanted]
    groups = []
    for first in range(0, config.ipc, config.group_images):
        span = range(first, min(first + config.group_images, config.ipc))
        for start in range(0, len(chosen), config.group_size):
            labels = chosen[start : start + config.group_size]
            ids = [index * len(chosen) + start + place for index in span for place in range(len(labels))]
            groups.append(Group(first, tuple(labels) * len(span), tuple(ids)))
    return groups


def stacked(groups: Sequence[Group], stack: int) -> list[list[Group]]:
    """Runs of up to `stack` groups of equal size, in order of size, then image id."""
    batches: list[list[Group]] = []
    for group in sorted(groups, key=lambda group: (-len(group), group.ids)):
        if batches and len(batches[-1]) < stack and len(batches[-1][0]) == len(group):
            batches[-1].append(group)
        else:
            batches.append([group])
    return batches


def initial_images(config: RecoverConfig, spec: DatasetSpec, group: Group, data: Dataset | None) -> Tensor:
    """[G, C, H, W] float32 pixels in normalised space: N(0, 1) noise, random real images, or random crops of them.

    Only noise keeps recovery free of real data.

    Raises:
        ConfigError: if real images are asked for and no data is given.
    """
    if config.init == "noise":
        noise = torch.empty(len(group), spec.channels, spec.resolution, spec.resolution)
        for image, index in zip(noise, group.ids, strict=True):
            image.normal_(generator=generator(config.seed, index))
        return noise
    if data is None:
        raise ConfigError(f"init={config.init!r} needs the real data: give it (--data), or use init='noise'.")
    spec.check_fits(data.spec)
    wanted = zip(group.labels, group.image_indices, strict=True)
    rows = torch.cat([rows_of_class(data.train.labels, label, torch.tensor([n]), config.seed) for label, n in wanted])
    images = spec.normalize(data.train.take(rows))
    if config.init == "real":
        return images
    crops = ViewConfig(crop="resized", crop_scale=config.crop_scale, crop_ratio=config.crop_ratio, flip=0)
    params = draw(crops, seed=config.seed, epoch=START_STREAM, ids=torch.tensor(group.ids), size=spec.size)
    return apply(images, params, size=spec.resolution)


def rows_of_class(labels: Tensor, label: int, places: Tensor, seed: int) -> Tensor:
    """Rows at `places` of a class's images in a random order fixed by `seed`; after the last the first comes again."""
    rows = (labels == label).nonzero()[:, 0]
    order = torch.randperm(len(rows), generator=generator(seed, label))
    return rows[order[places % len(rows)]]


def generator(seed: int, stream: int) -> torch.Generator:
    """A CPU generator for one stream of random numbers under a seed."""
    return torch.Generator().manual_seed((seed * 1_000_003 + stream) % 2**63)

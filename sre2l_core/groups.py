"""The unit of recovery: consecutive classes, one image index, one seed of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sre2l_core.config import RecoverConfig
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.errors import unknown


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

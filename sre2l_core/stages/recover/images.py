"""Where the images of a recovery go as they are finished: into a folder, or into memory where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from sre2l_core import pictures, storage
from sre2l_core.artifacts import image_name
from sre2l_core.config import RecoverConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.groups import Group

Snapshot = tuple[int, Tensor]
"""A step, and the images after it."""


class Images:
    """The images that are there already, and those that come.

    Args:
        work: the claimed folder.
        do: has things written in the background.
        spec: of the images.
        config: format, steps, snapshots.
    """

    def __init__(self, work: storage.Work, do: Callable[..., None], spec: DatasetSpec, config: RecoverConfig) -> None:
        self._work, self._do, self._spec, self._config = work, do, spec, config
        self._kept: dict[int, tuple[int, Tensor]] = {}

    def has(self, batch: Sequence[Group]) -> bool:
        """Whether all that a batch of groups leaves was written."""
        return self._work.has(*self._names(batch))

    def keep(self, ids: Sequence[int], labels: Sequence[int], pixels: Tensor) -> None:
        """Take finished images [B, C, H, W] uint8."""
        form = self._config.image_format
        for index, label, image in zip(ids, labels, pixels, strict=True):
            self._do(self._work.write, image_name(self._spec, index, label, form), pictures.write, image, form)
            if self._work.folder is None:
                self._kept[index] = (label, pictures.as_stored(image, form))

    def keep_snapshots(self, ids: Sequence[int], snapshots: Iterable[Snapshot]) -> None:
        """Take images as they were on the way."""
        for step, images in snapshots:
            for index, pixels in zip(ids, images, strict=True):
                self._do(self._work.write, _snapshot_name(step, index), pictures.write, pixels, "png")

    def in_memory(self) -> tuple[Tensor, Tensor]:
        """[N, C, H, W] images and [N] labels by id, as they would be read back from a folder."""
        labels, images = zip(*(self._kept[index] for index in sorted(self._kept)), strict=True)
        return torch.stack(images), torch.tensor(labels)

    def _names(self, batch: Sequence[Group]) -> Iterator[str]:
        every, steps = self._config.snapshot_every, self._config.steps
        shown = {*range(every, steps, every), steps} if every else ()
        for group in batch:
            for index, label in zip(group.ids, group.labels, strict=True):
                yield image_name(self._spec, index, label, self._config.image_format)
                yield from (_snapshot_name(step, index) for step in shown)


def _snapshot_name(step: int, index: int) -> str:
    return f"snapshots/{step:06d}/{index:08d}.png"

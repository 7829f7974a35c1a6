"""Validation pictures of a streamed dataset, decoded once for all students that are tested on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch
from torch import Tensor

from sre2l_core.config import MixedViewConfig
from sre2l_core.data.picture_sets import RESIDENT_BYTES
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.data.split import Batch, Split
from sre2l_core.data.streaming import StreamSplit
from sre2l_core.ranks import ALONE, Ranks

_AT_ONCE = 512
"""Pictures between two looks at where they go."""


def decoded_once(split: Split, folder: Path | None) -> Split:
    """The same images for less work, if they are streamed; see `DecodedOnce`."""
    return DecodedOnce(split, folder) if isinstance(split, StreamSplit) else split


class DecodedOnce:
    """A `Split` that decodes its pictures when it is first evaluated, and keeps them as uint8.

    Few are kept in memory, more of them in a file that has no name, so that it is gone with this process. Where the
    disk has no room for it, they are decoded at every evaluation.
    """

    def __init__(self, split: StreamSplit, folder: Path | None) -> None:
        """Note the pictures; nothing is read yet.

        Args:
            split: the pictures.
            folder: where the file may lie; None: many pictures are decoded at every evaluation.
        """
        self._split, self._folder = split, folder
        self._readable = torch.zeros(len(split), dtype=torch.bool)

    @property
    def spec(self) -> DatasetSpec:
        """The dataset this is a part of."""
        return self._split.spec

    @property
    def labels(self) -> Tensor:
        """[N] int64 on the CPU."""
        return self._split.labels

    def __len__(self) -> int:
        return len(self._split)

    def train_batches(
        self,
        view: MixedViewConfig,
        *,
        batch_size: int,
        seed: int,
        epoch: int,
        device: torch.device | str,
        ranks: Ranks = ALONE,
    ) -> Iterator[Batch]:
        """One shuffled epoch of random views, decoded for it (see `Split`)."""
        return self._split.train_batches(
            view, batch_size=batch_size, seed=seed, epoch=epoch, device=device, ranks=ranks
        )

    def take(self, ids: Tensor) -> Tensor:
        """Some images as pixels, decoded for it (see `Split`)."""
        return self._split.take(ids)

    def part(self, ids: Tensor) -> Split:
        """Some pictures as a split of their own, streamed again (see `Split`)."""
        return self._split.part(ids)

    def eval_batches(self, batch_size: int, device: torch.device | str) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the streamed split (see `Split`)."""
        if self._pixels is None:
            yield from self._split.eval_batches(batch_size, device)
            return
        for ids in torch.arange(len(self)).split(batch_size):
            if len(kept := ids[self._readable[ids]]):
                yield self.spec.normalize(self._pixels[kept].to(device)), self.labels[kept].to(device)

    @cached_property
    def _pixels(self) -> Tensor | None:
        pixels = room_for((len(self), self.spec.channels, *self.spec.size), self._folder)
        if pixels is not None:
            for images, ids in self._split.decoded(torch.arange(len(self)).split(_AT_ONCE)):
                pixels[ids], self._readable[ids] = images, True
        return pixels


def room_for(shape: tuple[int, ...], folder: Path | None) -> Tensor | None:
    """Pixels of this shape to be filled, uint8: in memory where they are few, else mapped to a file without a name.

    None where they are many and there is no folder for the file, or no room in it. A folder of another machine is not
    there: then the file lies among the temporary ones.
    """
    size = int(np.prod(shape))
    if size <= RESIDENT_BYTES:
        return torch.empty(shape, dtype=torch.uint8)
    if folder is None:
        return None
    try:
        with TemporaryFile(dir=folder if folder.is_dir() else None) as file:
            _reserve(file.fileno(), size)
            return torch.from_numpy(np.memmap(file, np.uint8, "r+", shape=shape))
    except OSError:
        return None


def _reserve(file: int, size: int) -> None:
    """Have a file take its room now: a full disk is an error here, and the end of the process in mapped memory."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        for start in range(0, size, 2**24):
            os.write(file, bytes(min(2**24, size - start)))

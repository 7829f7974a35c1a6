"""Ranks: the processes that `torchrun` starts, which train one network together (DistributedDataParallel).

Each batch is cut into parts of equal size, one for each rank, so the images of an epoch do not depend on how many there
are, and a run of n ranks does what one rank does with `micro_batch` = batch_size / n.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from sre2l_core.errors import ConfigError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """How many processes train together, and which of them this one is."""

    number: int = 0
    """Of this process, from 0."""
    count: int = 1

    @classmethod
    def of_environment(cls) -> Self:
        """Those that `torchrun` tells of; one where it did not start this process."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and reports."""
        return self.number == 0

    def part(self, ids: Tensor, batch_size: int) -> tuple[Tensor, float]:
        """This rank's part of a batch, and the weight of its mean loss.

        Args:
            ids: [B] images of the batch; the last one of an epoch may be smaller than `batch_size`.
            batch_size: of a full batch; it is a multiple of the number of ranks.

        Returns:
            [b] images, and a weight such that the mean over ranks of weighted mean losses is the mean over the batch. A
            rank for which nothing is left looks at the first part with weight 0: all ranks must take every step.
        """
        if batch_size % self.count:
            raise ConfigError(f"batch_size {batch_size} cannot be shared by {self.count} ranks: take a multiple.")
        parts = ids.split(batch_size // self.count)
        if self.number >= len(parts):
            return parts[0], 0.0
        mine = parts[self.number]
        return mine, self.count * len(mine) / len(ids)

    def wrap(self, net: nn.Module) -> nn.Module:
        """The network whose gradients are those of all ranks; itself where there is one."""
        if self.count == 1:
            return net
        return DistributedDataParallel(net, broadcast_buffers=False)

    @contextmanager
    def statistics(self, layers: list[Any], passes: int, counts: bool) -> Iterator[None]:
        """Afterwards the running statistics are those of all ranks, as if one had seen their parts in turn.

        Args:
            layers: BatchNorm layers that train meanwhile.
            passes: forward passes of this rank meanwhile.
            counts: whether this rank's part has a weight.
        """
        if self.count == 1 or not layers:
            yield
            return
        before = _running(layers)
        yield
        keep = torch.cat([torch.full_like(buffer, (1 - layer.momentum) ** passes).flatten()
                          for layer in layers for buffer in (layer.running_mean, layer.running_var)])  # fmt: skip
        # One rank's running value is keep * before + what its part added; the next would begin where it ended.
        added = torch.stack(self.gather(_running(layers) - keep * before))
        weights = torch.stack(self.gather(torch.tensor([float(counts)], device=before.device)))
        value = before
        for own, counted in zip(added, weights.tolist(), strict=True):
            if counted[0]:
                value = keep * value + own
        _set_running(layers, value)

    def gather(self, value: Tensor) -> list[Tensor]:
        """The tensors of all ranks, by number."""
        if self.count == 1:
            return [value]
        found = [torch.empty_like(value) for _ in range(self.count)]
        distributed.all_gather(found, value.contiguous())
        return found

    def from_first(self, value: Value) -> Value:
        """What the first rank has, in all of them."""
        if self.count == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def together(device: torch.device) -> Iterator[Ranks]:
    """The ranks of `torchrun`, able to talk to one another meanwhile; one rank where it did not start this process."""
    ranks = Ranks.of_environment()
    if ranks.count > 1:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield ranks
    finally:
        if ranks.count > 1:
            distributed.destroy_process_group()


def _running(layers: list[Any]) -> Tensor:
    return torch.cat([b.detach().flatten() for layer in layers for b in (layer.running_mean, layer.running_var)])


def _set_running(layers: list[Any], values: Tensor) -> None:
    place = 0
    for layer in layers:
        for buffer in (layer.running_mean, layer.running_var):
            buffer.copy_(values[place : place + buffer.numel()].view_as(buffer))
            place += buffer.numel()

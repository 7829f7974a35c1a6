"""Ranks: the processes that `torchrun` starts, which train one network together (DistributedDataParallel).

Each batch is cut into parts of equal size, one for each rank, so the images of an epoch do not depend on how many ranks
there are, and n ranks do what one does with `micro_batch` = batch_size / n.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import Any, NamedTuple, Self, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from sre2l_core.errors import ConfigError, WorkError

Value = TypeVar("Value")


class Share(NamedTuple):
    """What a rank takes of a batch."""

    rows: slice
    weight: float
    """Of its mean loss: the mean over ranks of weighted means is the mean over the batch."""


def parts_of(count: int, size: int) -> list[slice]:
    """`count` rows in parts of `size`; a single row left over joins the part before: it has no statistics of its own.

    The last part may be smaller; parts of one row are left alone where they were asked for.
    """
    starts = list(range(0, count, size))
    if size > 1 and len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True)]


@dataclass(frozen=True)
class Ranks:
    """How many processes train one network together, and which of them this one is."""

    number: int = 0
    """Of this process, from 0."""
    count: int = 1

    @classmethod
    def joined(cls) -> Self:
        """Those of the process group that this process has joined; a single one where it has joined none."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and reports."""
        return self.number == 0

    def check_alone(self, stage: str) -> None:
        """Raise `ConfigError` for a stage that several ranks would only do several times."""
        if self.count > 1:
            raise ConfigError(
                f"{stage} trains no network, so {self.count} ranks of torchrun would all do the same: start it without "
                "torchrun, and share its work by an executor (--workers or --scheduler)."
            )

    def check_no_workers(self, asked: bool) -> None:
        """Raise `ConfigError` where an executor was asked for too."""
        if self.count > 1 and asked:
            raise ConfigError(
                f"students are trained by the {self.count} ranks of torchrun, or by the workers of an executor "
                "(--workers, --scheduler): not by both."
            )

    def part_size(self, batch_size: int, images: int) -> int:
        """How many images of a batch are a rank's.

        Args:
            batch_size: of the whole batch, over all ranks.
            images: in an epoch.

        Raises:
            ConfigError: where the batch cannot be cut into equal parts of two images or more.
        """
        whole = min(batch_size, images)
        if self.count == 1:
            return whole
        if batch_size % self.count:
            lower, upper = batch_size // self.count * self.count, -(-batch_size // self.count) * self.count
            near = f"{lower} or {upper}" if lower else str(upper)
            raise ConfigError(
                f"batch_size {batch_size} cannot be cut into equal parts for {self.count} ranks: take {near}, or "
                "another --nproc-per-node."
            )
        if whole < 2 * self.count:
            raise ConfigError(
                f"a batch of {whole} images is too small for {self.count} ranks: BatchNorm needs two of them on each. "
                f"Take at most {max(whole // 2, 1)} ranks, or a larger batch_size."
            )
        return -(-whole // self.count)

    def share(self, count: int, part_size: int) -> Share:
        """This rank's part of a batch of `count` images; the last batch of an epoch may be smaller than the others.

        A rank for which nothing is left looks at the first part with weight 0: all ranks must take every step.
        """
        if self.count == 1:
            return Share(slice(0, count), 1.0)
        parts = parts_of(count, part_size)
        if self.number >= len(parts):
            return Share(parts[0], 0.0)
        rows = parts[self.number]
        return Share(rows, self.count * (rows.stop - rows.start) / count)

    def wrap(self, net: nn.Module, look: Callable[[nn.Module], Tensor]) -> nn.Module:
        """The network whose gradients are those of all ranks, and whose weights those of the first.

        Args:
            net: on its device; the same network is trained.
            look: a pass through what is returned, of any images.
        """
        if self.count == 1:
            return net
        wrapped = DistributedDataParallel(net, **_KEEPS_BUFFERS)
        # After the first pass gradients are laid out anew, and the last bits of a sum of several ranks depend on the
        # place: without a pass that counts for nothing, a run that continues would take another first step.
        net.eval()
        (look(wrapped).sum() * 0).backward()
        net.train()
        return wrapped

    def adding_up(self, wrapped: nn.Module, last: bool) -> AbstractContextManager[None]:
        """Within it gradients of a pass are added to those of this rank; with the last pass of a step come all."""
        if last or not isinstance(wrapped, DistributedDataParallel):
            return nullcontext()
        return wrapped.no_sync()

    @contextmanager
    def statistics(self, layers: Sequence[Any], passes: int) -> Iterator[None]:
        """Afterwards the running statistics are those of all ranks, as if one had seen their parts in turn.

        BatchNorm moves a running mean or variance r by r <- (1 - m) r + m s in each pass with batch statistics s, so p
        passes of rank i make keep_i r + added_i of it, where keep_i = (1 - m)^p_i. Ranks 0, 1, … one after the other
        therefore give r <- keep_i r + added_i for i = 0, 1, …, which every rank computes from the added_i of all. (DDP
        would leave rank 0's alone, which are those of 1/n of the images.)

        Args:
            layers: BatchNorm layers that train meanwhile.
            passes: forward passes of this rank meanwhile that count; 0 where it looks at images of another.
        """
        if self.count == 1 or not layers:
            yield
            return
        before, slow = _running(layers), torch.cat([1 - _momentum(layer) for layer in layers])
        tracked = [layer.num_batches_tracked.clone() for layer in layers]
        yield
        added = _running(layers) - slow**passes * before if passes else torch.zeros_like(before)
        combined, total = before, torch.zeros_like(before[:1])
        for other in self.gather(torch.cat([added, before.new_tensor([passes])])):
            combined = slow ** other[-1] * combined + other[:-1]
            total = total + other[-1]
        _set_running(layers, combined)
        for layer, seen in zip(layers, tracked, strict=True):
            layer.num_batches_tracked.copy_(seen + total[0].round().long())

    def gather(self, value: Tensor) -> list[Tensor]:
        """The tensors of all ranks, by number."""
        if self.count == 1:
            return [value]
        found = [torch.empty_like(value) for _ in range(self.count)]
        distributed.all_gather(found, value.contiguous())
        return found

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means of numbers over all ranks, by name; nobody waits for the device."""
        if self.count == 1:
            return dict(values)
        together = torch.stack([value.float() for value in values.values()])
        distributed.all_reduce(together)
        return dict(zip(values, together / self.count, strict=True))

    def sum(self, *counts: int) -> list[int]:
        """Sums of counts over all ranks."""
        return self._of_all(counts, distributed.ReduceOp.SUM)

    def largest(self, number: int) -> int:
        """The largest of the numbers of all ranks."""
        return self._of_all((number,), distributed.ReduceOp.MAX)[0]

    def _of_all(self, counts: Sequence[int], how: Any) -> list[int]:
        if self.count == 1:
            return list(counts)
        together = torch.tensor(counts)
        distributed.all_reduce(together, op=how)
        found: list[int] = together.tolist()
        return found

    def from_first(self, make: Callable[[], Value]) -> Value:
        """What the first rank makes, in all of them."""
        if self.count == 1:
            return make()
        box: list[Any] = [make() if self.first else None]
        distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        made: Value = box[0]
        return made

    @contextmanager
    def first_of_each_machine_first(self) -> Iterator[None]:
        """One rank of a machine does it, such as filling a cache, and only then the others."""
        if local_number() > 0:
            self.sum(0)
        yield
        if local_number() == 0:
            self.sum(0)


ALONE = Ranks()
"""The only process there is."""


def local_number() -> int:
    """Of this rank on its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", 0))


def local_count() -> int:
    """Ranks on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def lost(error: BaseException) -> WorkError | None:
    """What a message that another rank did not answer means, in words for people; None for any other error."""
    if not isinstance(error, RuntimeError) or not _LOST.search(str(error)):
        return None
    said = " ".join(str(error).split())[:120]
    return WorkError(
        f"another rank ended before its work was done ({said}). What was finished before is kept; the same command "
        "goes on with what is left."
    )


_RENAMED = "forward_sync_buffers" in signature(DistributedDataParallel).parameters  # by torch 2.15
_KEEPS_BUFFERS: dict[str, Any] = {"forward_sync_buffers" if _RENAMED else "broadcast_buffers": False}
"""Running statistics are combined by `Ranks.statistics`."""
_LOST = re.compile(r"gloo|NCCL|Connection (closed|reset|refused)|Broken pipe|TCPStore|DistStore|failed to recv", re.I)


def _momentum(layer: Any) -> Tensor:
    """The momentum of a layer for each of its running means and variances."""
    if layer.momentum is None:
        raise ConfigError("several ranks need BatchNorm with a momentum: a network has one whose momentum is None.")
    return torch.full_like(layer.running_mean, layer.momentum).repeat(2)


def _running(layers: Sequence[Any]) -> Tensor:
    return torch.cat([b.detach().flatten() for layer in layers for b in (layer.running_mean, layer.running_var)])


def _set_running(layers: Sequence[Any], values: Tensor) -> None:
    buffers = [buffer for layer in layers for buffer in (layer.running_mean, layer.running_var)]
    for buffer, value in zip(buffers, values.split([buffer.numel() for buffer in buffers]), strict=True):
        buffer.copy_(value.view_as(buffer))

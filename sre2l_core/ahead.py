"""Rows of images that lie elsewhere than the device, read before they are asked for, while the device computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Protocol, Self

import torch
from torch import Tensor

AHEAD = 2
"""Requests: the images of the next batch, and those that they are mixed with."""


class Pool(Protocol):
    """[N, C, H, W] images that batches are taken from."""

    @property
    def device(self) -> torch.device:
        """Where its rows come from."""

    def __getitem__(self, rows: Tensor, /) -> Tensor:
        """Some of them, [B, C, H, W]."""


def reading(pool: Tensor, order: Iterable[Tensor], device: torch.device) -> AbstractContextManager[Pool]:
    """The pool itself where it lies on the device; otherwise its rows are read ahead, in the order of the requests."""
    return nullcontext(pool) if pool.device.type == device.type else ReadAhead(pool, order, device)


class ReadAhead:
    """A pool whose rows a thread reads `AHEAD` requests before they are asked for; they must come as announced."""

    def __init__(self, pool: Tensor, order: Iterable[Tensor], device: torch.device) -> None:
        self.device = pool.device
        self._pool, self._order, self._to = pool, iter(order), device
        self._thread = ThreadPoolExecutor(1)
        self._coming: deque[tuple[Tensor, Future[Tensor]]] = deque()
        for _ in range(AHEAD):
            self._begin()

    def __getitem__(self, rows: Tensor) -> Tensor:
        announced, coming = self._coming.popleft()
        assert torch.equal(announced, rows), "rows were asked for in another order than announced"
        found = coming.result()
        self._begin()
        return found

    def _begin(self) -> None:
        rows = next(self._order, None)
        if rows is not None:
            self._coming.append((rows, self._thread.submit(self._read, rows)))

    def _read(self, rows: Tensor) -> Tensor:
        found = self._pool[rows]
        return found.pin_memory() if self._to.type == "cuda" else found  # so that nobody waits while it moves

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

"""How every worker of a run computes: the same versions, precision and threads, so that the bits are the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch

from sre2l_core import __version__
from sre2l_core.errors import WorkError
from sre2l_core.runtime import Precision, Runtime, compute_threads


@dataclass(frozen=True)
class Place:
    """What a worker has to have."""

    device: str
    """Kind of device: each worker uses the one that it was given."""
    precision: Precision
    compile: bool
    threads: int
    """Of the processor, for each worker. The last bits of a sum depend on it, so it is not the worker's to choose."""
    driver: int
    """Process that asks."""
    package: str = __version__
    torch: str = torch.__version__

    @classmethod
    def of(cls, runtime: Runtime, threads: int = 1) -> Self:
        """Where units compute as `runtime` says."""
        return cls(runtime.device.type, runtime.precision, runtime.compile, threads, os.getpid())

    def check(self) -> None:
        """Raise `WorkError` in a worker that is not like the driver."""
        for what, ours, theirs in (
            ("sre2l_core", self.package, __version__),
            ("torch", self.torch, torch.__version__),
        ):
            if ours != theirs:
                raise WorkError(
                    f"the worker {os.uname().nodename}, process {os.getpid()}, has {what} {theirs}, the driver {ours}: "
                    "their results would not be the same. Install the same version on both."
                )

    @contextmanager
    def computing(self) -> Iterator[Runtime]:
        """The runtime of this worker, and its threads."""
        runtime = Runtime.auto(self.device, self.precision, self.compile)
        if os.getpid() == self.driver:  # a pool of threads, or an executor that runs things at once
            yield runtime
            return
        with compute_threads(self.threads):
            yield runtime

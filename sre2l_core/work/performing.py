"""In a worker: is it like the driver, what does the unit lack, and the unit itself."""

from __future__ import annotations

import os
import platform
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import torch

from sre2l_core import __version__
from sre2l_core.errors import ConfigError, WorkError
from sre2l_core.runtime import Runtime, compute_threads
from sre2l_core.work.units import Missing, Shared, Unit, pack, unpack


@dataclass(frozen=True)
class Place:
    """What a worker has to be, so that it computes the bits that any other would."""

    runtime: Runtime
    """The driver's: each worker uses the device of this kind that it was given."""
    threads: int
    """Of the processor. The last bits of a sum depend on it, so it is not the worker's to choose."""
    device: str
    versions: dict[str, str] = field(default_factory=lambda: {"sre2l_core": __version__, "torch": torch.__version__})

    @classmethod
    def of(cls, runtime: Runtime, threads: int) -> Place:
        """Where units compute as `runtime` does here."""
        return cls(runtime, threads, runtime.device_name)

    def found(self) -> Runtime:
        """The runtime of this worker; raises `WorkError` where it is not like the driver's, naming both."""
        here = f"the worker {platform.node()}, process {os.getpid()},"
        for name, found in Place(self.runtime, self.threads, self.device).versions.items():
            if found != self.versions[name]:
                raise WorkError(
                    f"{here} has {name} {found}, the driver {self.versions[name]}: their results would not be the "
                    "same. Install the same version on both."
                )
        try:
            runtime = Runtime.auto(self.runtime.device.type, self.runtime.precision, self.runtime.compile)
        except ConfigError as error:
            raise WorkError(f"{here} lacks what the driver computes on, {self.device}: {error}") from None
        if runtime.device_name != self.device:
            raise WorkError(
                f"{here} computes on {runtime.device_name}, the driver on {self.device}: their results would not be "
                "the same. Use workers of one kind."
            )
        return runtime


class Performer:
    """What an executor calls in a worker; Dask's dashboard shows its name, which is the unit's."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, unit: Unit, place: Place, sent: str) -> bytes | Missing:
        """Run a unit; `sent` tells one sending from another, which Dask would take for the same.

        Returns:
            Its packed result, or `Missing` where this process lacks a shared value, or does not reach its file.
        """
        runtime = place.found()
        # Units of one process take turns: they share its networks, and the number of its threads.
        with _TURN, compute_threads(place.threads):
            args = _values(unit)
            return Missing() if args is None else pack(unit.call(*args, runtime=runtime))


def _values(unit: Unit) -> list[Any] | None:
    """The arguments of a unit, shared values put in their places; None where one was never sent here."""
    for shared in unit.shared:
        if shared.key not in _KEPT and (arrived := shared.arrived()) is not None:
            _KEPT[shared.key] = unpack(*arrived)
    if any(shared.key not in _KEPT for shared in unit.shared):
        return None
    for shared in unit.shared:
        _KEPT.move_to_end(shared.key)
    while len(_KEPT) > _KEEP:
        _KEPT.popitem(last=False)
    return [_KEPT[arg.key] if isinstance(arg, Shared) else arg for arg in unit.args]


_KEPT: OrderedDict[str, Any] = OrderedDict()
"""Shared values that arrived in this process, those used last at the end."""
_KEEP = 4
"""Of a stage and of the one before."""
_TURN = Lock()

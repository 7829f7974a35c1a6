"""A unit is a pure function of its inputs: it may run anywhere, in any order, and more than once.

What many units need, such as a teacher, travels to each worker once: a unit is sent without it first, and again with it
where the worker answers that it has not seen it yet.
"""

from __future__ import annotations

import copyreg
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.reduction import ForkingPickler
from typing import Any, Self

from torch import Tensor, nn

from sre2l_core.errors import WorkError


@dataclass(frozen=True, eq=False)
class Shared:
    """A value that many units need, packed once; its key is the hash of its bytes."""

    key: str
    packed: bytes | None

    @classmethod
    def of(cls, value: Any) -> Self:
        """Pack a value; raises `WorkError` where it cannot be sent."""
        packed = pack(value)
        return cls(hashlib.sha256(packed).hexdigest(), packed)


@dataclass(frozen=True, eq=False)
class Unit:
    """One piece of work: `call(*args, runtime=...)`, where each `Shared` among the arguments stands for its value."""

    name: str
    """What people see of it, such as `images 0-99`."""
    call: Callable[..., Any]
    """A function of a module, so that a worker can import it."""
    args: tuple[Any, ...] = ()

    @property
    def shared(self) -> tuple[Shared, ...]:
        """Those of its arguments that other units need too."""
        return tuple(arg for arg in self.args if isinstance(arg, Shared))

    def without_values(self) -> Unit:
        """The same, small enough to be sent again and again."""
        light = (replace(arg, packed=None) if isinstance(arg, Shared) else arg for arg in self.args)
        return replace(self, args=tuple(light))


@dataclass(frozen=True)
class Missing:
    """A worker's answer where it lacks what a unit shares with others."""


class _Pickler(ForkingPickler):
    """What executors send is pickled, but not as torch does it among processes of one machine.

    It would hand tensors over in shared memory, a file handle each: too many for a large network, and gone with the
    process that sent them.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.dispatch_table = copyreg.dispatch_table

    def reducer_override(self, value: Any) -> Any:
        """What lies on a GPU travels by main memory: the worker's GPU is another one."""
        if not isinstance(value, Tensor) or value.device.type == "cpu":
            return NotImplemented
        moved = value.detach().cpu()
        made = nn.Parameter(moved, value.requires_grad) if isinstance(value, nn.Parameter) else moved
        return made.__reduce_ex__(2)


def pack(value: Any) -> bytes:
    """The bytes of a value on their way to another process; raises `WorkError` where it cannot be sent."""
    try:
        return bytes(_Pickler.dumps(value))
    except (TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise WorkError(
            f"a {type(value).__name__} cannot be sent to workers ({error}): networks and datasets of your own have to "
            "be defined in a module that workers can import."
        ) from error


def unpack(packed: bytes) -> Any:
    """The value again; only what the driver and its own workers sent one another comes here."""
    return ForkingPickler.loads(packed)

"""A unit is a pure function of its inputs: it may run anywhere, in any order, and more than once.

What many units need, such as a teacher, travels to each worker once: a unit is sent without it first, and again with it
where the worker answers that it has not seen it yet. Of that, large tensors do not travel within a machine: all its
workers map them from one file. Only a worker that does not reach the file is sent them too.
"""

from __future__ import annotations

import copyreg
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from io import BytesIO
from multiprocessing.reduction import ForkingPickler
from typing import Any, Self

import torch
from torch import Tensor, nn

from sre2l_core.errors import WorkError
from sre2l_core.work.mapped import Mapped

Buffers = Sequence[memoryview | bytearray]
_LARGE = 2**20
"""Bytes from which on a tensor is worth a file."""


class Load(IntEnum):
    """What a unit is sent with of the values that it shares: more each time that a worker lacks one."""

    KEYS = 0
    MAPPED = 1
    """All but large tensors, which lie in a file."""
    ALL = 2


@dataclass(frozen=True, eq=False)
class Shared:
    """A value that many units need, packed once; its key is the hash of its bytes."""

    key: str
    packed: bytes | None
    large: Mapped | Buffers = ()
    """What `packed` lacks: the bytes of large tensors."""

    @classmethod
    def of(cls, value: Any) -> Self:
        """Pack a value; raises `WorkError` where it cannot be sent."""
        large: list[memoryview] = []
        packed = pack(value, large)
        found = hashlib.sha256(packed)
        for buffer in large:
            found.update(buffer)
        key = found.hexdigest()
        return cls(key, packed, _apart(large, key))

    def loaded(self, load: Load) -> Self:
        """The same with so much of its value."""
        if load is Load.KEYS:
            return replace(self, packed=None, large=())
        if load is Load.ALL and isinstance(self.large, Mapped):
            return replace(self, large=self.large.copied())
        return self

    def arrived(self) -> tuple[bytes, Buffers] | None:
        """In a worker: what `unpack` takes; None where it was not sent, or its file is out of reach."""
        large = self.large.buffers() if isinstance(self.large, Mapped) else self.large
        return None if self.packed is None or large is None else (self.packed, large)


def _apart(large: Sequence[memoryview], key: str) -> Mapped | Buffers:
    """In a file, or where there is none in memory."""
    with suppress(OSError):
        return Mapped(large, key) if large else ()
    return [bytearray(buffer) for buffer in large]


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

    def loaded(self, load: Load) -> Unit:
        """The same with so much of what it shares; with the keys alone it may be sent again and again."""
        return replace(self, args=tuple(arg.loaded(load) if isinstance(arg, Shared) else arg for arg in self.args))


@dataclass(frozen=True)
class Missing:
    """A worker's answer where it lacks what a unit shares with others."""


class _Pickler(ForkingPickler):
    """What executors send is pickled, but not as torch does it among processes of one machine.

    It would hand tensors over in shared memory, a file handle each: too many for a large network, and gone with the
    process that sent them.

    Args:
        file: where the bytes go.
        stays: asked for each large buffer, whether it goes there too; None: all go there.
    """

    def __init__(self, file: BytesIO, stays: Callable[[Any], bool] | None) -> None:
        super().__init__(file, 5, True, stays)
        self.dispatch_table = copyreg.dispatch_table
        self._apart = stays is not None

    def reducer_override(self, value: Any) -> Any:
        """What lies on a GPU travels by main memory: the worker's GPU is another one."""
        if not isinstance(value, Tensor):
            return NotImplemented
        moved = value if value.device.type == "cpu" else value.detach().cpu()
        if self._apart and type(value) is Tensor and moved.is_contiguous() and moved.nbytes >= _LARGE:
            with suppress(TypeError, RuntimeError):  # NumPy, which gives its bytes away, does not know all kinds
                return _as_tensor, (moved.numpy(),)
        if moved is value:
            return NotImplemented
        made = nn.Parameter(moved, value.requires_grad) if isinstance(value, nn.Parameter) else moved
        return made.__reduce_ex__(2)


def _as_tensor(array: Any) -> Tensor:
    return torch.from_numpy(array)


def pack(value: Any, large: list[memoryview] | None = None) -> bytes:
    """The bytes of a value on their way to another process; raises `WorkError` where it cannot be sent.

    Args:
        value: what is sent.
        large: a list that takes the bytes of large tensors, for `unpack` to put them back; None: they stay with the
            others.
    """

    def stays(buffer: Any) -> bool:
        content = buffer.raw()
        if large is None or content.nbytes < _LARGE:
            return True
        large.append(content)
        return False

    file = BytesIO()
    try:
        _Pickler(file, None if large is None else stays).dump(value)
    except (TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise WorkError(
            f"a {type(value).__name__} cannot be sent to workers ({error}): networks and datasets of your own have to "
            "be defined in a module that workers can import."
        ) from error
    return file.getvalue()


def unpack(packed: bytes, large: Buffers = ()) -> Any:
    """The value again; only what the driver and its own workers sent one another comes here."""
    return ForkingPickler.loads(packed, buffers=large)

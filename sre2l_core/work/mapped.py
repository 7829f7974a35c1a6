"""Large tensors on their way to workers: those of the driver's machine map them from one file, and share its memory."""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Sequence
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from sre2l_core.errors import WorkError

_HANDLES = "/proc/{}/fd/{}"
"""What a process has open, by its number and that of the handle, as others see it on Linux."""
_ALIGNED = 64
"""Bytes: where numbers of any kind may begin."""


class Mapped:
    """Buffers in a file without a name, which is gone with the driver even if that is killed.

    Other processes of the machine reach it by the handle that the driver holds open. That is a name of Linux's; and
    what another machine has under it is another file, which the mark at its beginning tells.

    Args:
        buffers: plain bytes.
        mark: tells this file from any other.

    Raises:
        OSError: if the folder of temporary files has no room, or the system no such names.
    """

    def __init__(self, buffers: Sequence[memoryview], mark: str) -> None:
        self._mark, self._sizes = _padded(mark.encode()), [buffer.nbytes for buffer in buffers]
        file = TemporaryFile()  # noqa: SIM115 (open for as long as workers may ask for it)
        weakref.finalize(self, file.close)
        self._path = _HANDLES.format(os.getpid(), file.fileno())
        Path(self._path).stat()  # or there are no such names here
        parts: list[bytes | memoryview] = [self._mark, *buffers]
        for part in parts:
            file.write(part)
            file.write(bytes(-len(part) % _ALIGNED))
        file.flush()
        self._file: Any = file

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_file"}  # open in the driver alone

    def buffers(self) -> list[memoryview] | None:
        """In a worker: the buffers, which may be written to without anybody else's seeing it; None where it is far."""
        try:
            found = Path(self._path).stat()
            # Nothing is opened but a file of this size: under this name another machine may have a pipe.
            if not stat.S_ISREG(found.st_mode) or found.st_size != self._end:
                return None
            with Path(self._path).open("rb") as file:
                content = memoryview(mmap(file.fileno(), 0, access=ACCESS_COPY))
        except OSError:
            return None
        return self._parts(content) if content[: len(self._mark)] == self._mark else None

    def copied(self) -> list[bytearray]:
        """In the driver: the buffers as they travel to workers that are far."""
        near = self.buffers()
        if near is None:
            raise WorkError("the file of what workers share is gone: it was in the folder of temporary files.")
        return [bytearray(part) for part in near]

    def _parts(self, content: memoryview) -> list[memoryview]:
        parts, start = [], len(self._mark)
        for size in self._sizes:
            parts.append(content[start : start + size])
            start += _up(size)
        return parts

    @property
    def _end(self) -> int:
        return len(self._mark) + sum(map(_up, self._sizes))


def _up(size: int) -> int:
    return size + -size % _ALIGNED


def _padded(mark: bytes) -> bytes:
    return mark + bytes(-len(mark) % _ALIGNED)

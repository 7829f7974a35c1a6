"""One folder, one writer: a lock file that says who works there, whatever the file system."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import SoftFileLock, Timeout

from sre2l_core.errors import InUseError, plain, refused
from sre2l_core.files import content_of

LOCK = ".lock"
_PATIENCE, _POLL = 0.5, 0.1
"""Seconds to try: a lock left by a dead process of this machine is taken over meanwhile."""
_SELF = "this very process"
_EMPTY_FOR = 2.0
"""Seconds after which a lock without a name is that of a process killed between making and signing it."""


@contextmanager
def held(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep a folder, made if it is not there, to this process alone.

    The lock is a file that only one process can create, on network file systems as well; it names host and process.

    Args:
        folder: of an artifact or a run.
        wait: until whoever works there is done.

    Raises:
        InUseError: somebody works there; says who, and since when.
        ArtifactError: the folder cannot be written to.
    """
    lock = SoftFileLock(folder / LOCK, thread_local=False)  # a stage may be closed by another thread
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while not lock.is_locked:
            _clear_unsigned(folder / LOCK)
            try:
                lock.acquire(timeout=_PATIENCE, poll_interval=_POLL)
            except Timeout:
                if not wait or holder(folder).startswith(_SELF):  # to wait for oneself would last for ever
                    raise
    except (Timeout, RuntimeError):
        raise InUseError(
            f"{folder} is in use: {holder(folder) or 'somebody works there'}. Wait for that to end (--wait does), or "
            f"choose another --out. If it is gone without a trace, delete {folder / LOCK} and run the same command."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise refused(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _clear_unsigned(lock: Path) -> None:
    """Delete a lock that stays empty: the library cannot tell whose it is, and would wait for ever."""
    if (empty := _empty(lock)) is None:
        return
    deadline = time.monotonic() + _EMPTY_FOR
    while time.monotonic() < deadline:
        time.sleep(_POLL)
        if _empty(lock) != empty:  # signed by now, or gone
            return
    with suppress(Timeout), SoftFileLock(f"{lock}.unsigned", timeout=_PATIENCE):  # of several who wait only one deletes
        if _empty(lock) == empty:
            lock.unlink(missing_ok=True)


def _empty(lock: Path) -> tuple[int, int] | None:
    """What tells an empty file from another; None where there is none."""
    try:
        found = lock.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_ctime_ns) if stat.S_ISREG(found.st_mode) and not found.st_size else None


def holder(folder: Path) -> str:
    """Who works in a folder, in words; empty where nobody does."""
    try:
        lines = content_of(folder / LOCK).decode().splitlines()
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime((folder / LOCK).stat().st_mtime))
    except (OSError, ValueError):
        return ""
    pid, host, *_ = [*lines, "?", "?"]
    who = _SELF if pid == str(os.getpid()) else f"process {plain(pid) or '?'}"
    return f"{who} on {plain(host.partition('?')[0]) or 'an unknown host'} works there since {since}"

"""Errors a user can act on: what came, what was expected, what to do.

The command line prints the message of a `SRe2LError` without a traceback; Python users catch the classes.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from difflib import get_close_matches

CATALOGUE_SHOWN = 24
"""Names that a message lists at most."""


class SRe2LError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(SRe2LError, ValueError):
    """An unknown name, or a value outside its bounds."""


class DataError(SRe2LError, ValueError):
    """A dataset or one of its files cannot be used as it is."""


class ArtifactError(SRe2LError, ValueError):
    """An artifact folder is missing, incomplete, altered, or belongs to something else."""


class InUseError(ArtifactError):
    """Another process, or another run of this one, works in the folder."""


class DivergenceError(SRe2LError, ArithmeticError):
    """A loss became NaN or infinite; the last good state was kept."""


class WorkError(SRe2LError, RuntimeError):
    """A worker or an executor failed; what was finished before is kept."""


class NoMemoryError(SRe2LError, MemoryError):
    """The machine or its GPU has less memory than the settings need."""


def came(value: object) -> str:
    """What came, as a message shows it: as Python writes it, on one line, only the beginning of something long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _CAME_SHOWN else f"{text[:_CAME_SHOWN]}… ({len(text):,} characters)"


_CAME_SHOWN = 100


def plain(name: str) -> str:
    """A name that came, as it is where a line can hold it."""
    return name if name.isprintable() and len(name) <= _CAME_SHOWN else came(name)


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigError:
    """The error for an unknown `name`: names the nearest known one and the catalogue, or a part of a long one."""
    names, typed = sorted(known), str(name)
    similar = [other for other in names if typed and typed in other]
    similar.sort(key=lambda other: not other.startswith(typed))
    similar += [other for other in get_close_matches(typed, names, n=5, cutoff=0.5) if other not in similar]
    hint = f" Did you mean {similar[0]!r}?" if similar else ""
    if len(names) <= CATALOGUE_SHOWN:
        return ConfigError(f"unknown {kind} {came(name)}.{hint} Known: {', '.join(names)}.")
    shown = (similar or names)[:CATALOGUE_SHOWN]
    return ConfigError(f"unknown {kind} {came(name)}.{hint} Known: {len(names)}, among them {', '.join(shown)}.")


def refused(path: object, error: Exception) -> ArtifactError:
    """The error for a path that the system does not let us write: its reason in words, and what helps against it."""
    number = getattr(error, "errno", None)
    if number is None and (found := re.search(r"os error (\d+)", str(error))):  # as safetensors reports it
        number = int(found[1])
    reason = os.strerror(number) if number else str(error)
    return ArtifactError(
        f"cannot write {_end_of(str(path))}: {reason}. What was finished before is kept: "
        f"{_REMEDIES.get(number or 0, 'choose another --out')}, then run the same command again."
    )


def _end_of(path: str) -> str:
    """A path as a line can hold it: of a long one its end, where the file's name stands."""
    if not path.isprintable():
        return came(path)
    return path if len(path) <= _PATH_SHOWN else f"…{path[-_PATH_SHOWN:]}"


_PATH_SHOWN = 200


_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room or choose another --out"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "allow writing there or choose another --out"),
    errno.EISDIR: "delete the folder that lies in its place",
    errno.ENAMETOOLONG: "choose a shorter name for --out",
    **dict.fromkeys((errno.ENOENT, errno.ESTALE), "bring the folder back (was it deleted or unmounted?)"),
    **dict.fromkeys(
        (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EXDEV),
        "this file system cannot rename or lock files safely: choose --out on another one",
    ),
}


def out_of_memory(error: BaseException) -> NoMemoryError | None:
    """What Python's `MemoryError` or torch's `RuntimeError` means, in words for people; None for any other error."""
    if isinstance(error, NoMemoryError):
        return error
    text = str(error)
    if not isinstance(error, MemoryError) and not (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text or "out of memory" in text)
    ):
        return None
    lines = text.strip().splitlines() or ["out of memory"]
    reason = re.sub(r"^.*DefaultCPUAllocator: ", "", lines[0])
    return NoMemoryError(f"{reason.rstrip('.')}. {_SMALLER}")


_SMALLER = (
    "What was finished is kept. Use smaller batches (batch_size, micro_batch) or groups (group_size, stack), "
    "a smaller network or resolution."
)

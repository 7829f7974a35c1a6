"""Errors a user can act on: what came, what was expected, what to do.

The command line prints the message of a `SRe2LError` without a traceback; Python users catch the classes.
"""

from __future__ import annotations

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


class DivergenceError(SRe2LError, ArithmeticError):
    """A loss became NaN or infinite; the last good state was kept."""


class WorkError(SRe2LError, RuntimeError):
    """A worker or an executor failed; what was finished before is kept."""


def unknown(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for an unknown `name`: names the nearest known one and the catalogue, or a part of a long one."""
    names = sorted(known)
    similar = [other for other in names if name and name in other]
    similar.sort(key=lambda other: not other.startswith(name))
    similar += [other for other in get_close_matches(name, names, n=5, cutoff=0.4) if other not in similar]
    hint = f" Did you mean {similar[0]!r}?" if similar else ""
    if len(names) <= CATALOGUE_SHOWN:
        return ConfigError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")
    shown = (similar or names)[:CATALOGUE_SHOWN]
    return ConfigError(f"unknown {kind} {name!r}.{hint} Known: {len(names)}, among them {', '.join(shown)}.")

"""The tables and figures of the paper, one file each: its grid, its numbers, what it claims. `ls` is the catalogue.

A file offers an `Entry` in `PLUGINS`. Whatever its budget, the paper's numbers stand beside ours, and a sentence says
which trend the paper claims, whether ours shows it, and how sure that is.
"""

from __future__ import annotations

from sre2l_core.paper.entry import Budget, Cell, Claim, Entry
from sre2l_core.paper.results import Results, run
from sre2l_core.registry import catalogue, lookup

__all__ = ["Budget", "Cell", "Claim", "Entry", "Results", "entries", "get", "run"]


def entries(folder: str = "paper") -> dict[str, Entry]:
    """All that can be run of `paper/`, or `comparisons/`, by name, such as `table-8`: figures, tables, by number."""
    found: dict[str, Entry] = catalogue(folder)
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def _place(name: str) -> tuple[str, int]:
    kind, _, number = name.partition("-")
    return kind, int(number.partition("-")[0] or 0)


def get(name: str, folder: str = "paper") -> Entry:
    """The entry called `name`; raises `ConfigError` naming the nearest."""
    entry: Entry = lookup(folder, "table or figure", name)
    return entry

"""`sre2l runs`: what lies in a store of runs or in a folder of run folders; compare, delete, free space."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from sre2l_core.commands import say
from sre2l_core.errors import ConfigError
from sre2l_core.presets.recipe import word

if TYPE_CHECKING:
    from sre2l_core.runs.listing import Listing
    from sre2l_core.runs.parts import Part, Run
    from sre2l_core.runs.removal import Removal
    from sre2l_core.tabular import Table

MOST_COLUMNS = 6
"""Settings that the list of runs shows at most."""


@dataclass(frozen=True)
class Runs:
    """List the runs of a folder with the settings in which they differ; show, compare or delete them; free space.

    The folder is a store, as `sweep` and `paper` make it, or holds run folders, as `run --out` makes them.
    """

    folder: tyro.conf.Positional[Path]
    """such as runs/sweep"""
    name: tyro.conf.Positional[str] = ""
    """a run or one of its parts, by its name or what that begins with: show only this"""
    against: str = ""
    """another run: show in which settings and scores the two differ"""
    tree: bool = False
    """show what was made from what"""
    format: Literal["text", "markdown", "csv", "latex"] = "text"
    """how the list of runs, or the score of a named one, is written: csv and latex can go into a file"""
    delete: bool = False
    """delete the run, or the part with all that was made from it"""
    prune: bool = False
    """delete the parts that no run needs any more"""
    dry_run: bool = False
    """say what would be deleted, and stop"""
    yes: bool = False
    """delete without asking"""

    def __call__(self) -> None:
        """Show, or delete."""
        from sre2l_core.runs.listing import Listing
        from sre2l_core.runs.parts import Run

        if self.format != "text" and (self.against or self.tree or self.delete or self.prune):
            raise ConfigError(
                f"--format {self.format} is for the list of runs, or for the score of one: FOLDER [NAME]."
            )
        if (self.against or self.delete) and not self.name:
            raise ConfigError(f"{'--delete' if self.delete else '--against'} needs the name of a run: FOLDER NAME ...")
        if self.delete or self.prune:
            self._remove()
            return
        listing = Listing(self.folder)
        found = listing.find(self.name) if self.name else None
        if self.format != "text":
            say(tabulated(found, listing).text(self.format).rstrip("\n"))
            return
        if self.against:
            pair = [each for each in (found, listing.find(self.against)) if isinstance(each, Run)]
            if len(pair) < 2:
                raise ConfigError(f"--against compares two runs. There are: {', '.join(listing.runs)}.")
            lines: Iterable[str] = compared(*pair)
        elif found is not None:
            lines = described(found, listing)
        else:
            lines = branches(listing) if self.tree else listed(listing)
        for line in lines:
            say(line)

    def _remove(self) -> None:
        from sre2l_core.runs.listing import Listing
        from sre2l_core.runs.removal import planned, remove

        listing, names = Listing(self.folder), [self.name] if self.delete else []
        removal = planned(listing, names, prune=self.prune)
        for line in announced(removal):
            say(line)
        if not removal or self.dry_run:
            return
        if not self.yes and not agreed():
            say("Nothing was deleted.")
            return
        remove(self.folder, names, prune=self.prune, expected=removal)
        say("Deleted.")
        if listing.is_store and (left := unneeded(Listing(self.folder))):
            say(left)


def agreed() -> bool:
    """Ask; raises `ConfigError` where nobody can answer."""
    if not sys.stdin.isatty():
        raise ConfigError("nobody is there to be asked: say --yes to delete this, or --dry-run to look only.")
    sys.stdout.write("Delete this? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def listed(listing: Listing) -> Iterator[str]:
    """A line for each run, what could not be read, and what could be freed."""
    from sre2l_core.runs.parts import varying

    head, *rows = _cells(listing, MOST_COLUMNS)
    if rows:
        yield from aligned([head, *rows])
    if (left_out := len(varying(list(listing.runs.values()))) - MOST_COLUMNS) > 0:
        yield f"They also differ in {left_out} more settings: name two runs, NAME --against OTHER."
    if listing.curves:
        yield "\ncurves of class-incremental learning:"
        for curve in listing.curves.values():
            about = [f"{name} = {word(curve.settings[f'continual.{name}'])}" for name in _OF_A_CURVE if curve.settings]
            yield f"  {', '.join([curve.name, *about])}: {curve.state}"
    yield from listing.notes
    if left := unneeded(listing):
        yield left


def tabulated(found: Run | Part | None, listing: Listing) -> Table:
    """The list of runs with all settings in which they differ, or the score of a run."""
    from sre2l_core.runs.parts import Part
    from sre2l_core.tabular import Table

    if found is None:
        head, *rows = _cells(listing)
        return Table(head, rows, notes=listing.notes)
    if isinstance(found, Part) or found.score is None:
        raise ConfigError(f"{found.name} has no score to make a table of.")
    return found.score.tabulated()


def _cells(listing: Listing, most: int | None = None) -> list[list[str]]:
    """A head, and a row for each run, in the order of the settings in which they differ; at most so many of these."""
    from sre2l_core.runs.parts import varying

    names = varying(list(listing.runs.values()))
    runs = sorted(listing.runs.values(), key=lambda run: [_order(run.settings.get(name)) for name in names])
    shown = names[:most]
    head = ["run", *shown, "top-1 of students"]
    return [head, *([run.name, *_values(run, shown), run.state] for run in runs)]


_OF_A_CURVE = ("memory", "steps", "leak_free", "seed")
"""Settings of a curve that its line in the list shows."""


def unneeded(listing: Listing) -> str:
    """What no run needs, and its size; nothing where all is needed."""
    from sre2l_core.files import size_of
    from sre2l_core.manifests import few
    from sre2l_core.runs.inspect import in_bytes

    parts, strays = listing.unneeded(), listing.strays()
    if not parts and not strays:
        return ""
    room = in_bytes(sum(part.bytes for part in parts) + sum(map(size_of, strays)))
    names = [part.name for part in parts] + [path.name for path in strays]
    return f"No run needs {few(names)}: --prune frees {room}."


def described(found: Run | Part, listing: Listing) -> Iterator[str]:
    """A run with its parts and its table; a part with all that depends on it."""
    from sre2l_core.runs.inspect import in_bytes
    from sre2l_core.runs.parts import Part

    if isinstance(found, Part):
        yield f"{found.name}: {found.state}, {in_bytes(found.bytes)}"
        yield from (f"  {part.name} was made from it" for part in listing.made_from(found))
        yield f"  runs that need it: {', '.join(run.name for run in listing.runs_with(found)) or 'none'}"
        return
    yield f"{found.name}: {found.state}"
    for part in found.parts:
        others = [run.name for run in listing.runs_with(part) if run.name != found.name]
        shared = (
            f"; also of {', '.join(others[:3])}{f' and {len(others) - 3} more' * (len(others) > 3)}" if others else ""
        )
        yield (
            f"  {part.name}: {part.state}, {in_bytes(part.bytes)}{shared}"
            if part.there
            else f"  {part.name}: not there"
        )
    yield from ("", *aligned([[name, word(value)] for name, value in found.settings.items()]))
    if found.score is not None:
        yield from ("", found.score.table())


def compared(one: Run, other: Run) -> Iterator[str]:
    """The settings in which two runs differ, then their scores."""
    from sre2l_core.runs.parts import varying

    names = varying([one, other])
    if names:
        rows = [[name, *(_value(run, name) for run in (one, other))] for name in names]
        yield from aligned([["", one.name, other.name], *rows])
    else:
        yield f"{one.name} and {other.name} have the same settings."
    for run in (one, other):
        yield f"\n{run.name}: {run.state}"
        if run.score is not None:
            yield run.score.table()


def branches(listing: Listing, name: str | None = None, depth: int = 0) -> Iterator[str]:
    """The parts, each below the one that it was made from."""
    from sre2l_core.runs.inspect import in_bytes

    for part in listing.children(name):
        yield f"{'  ' * depth}{part.name}  {in_bytes(part.bytes)}{'' if part.finished else f', {part.state}'}"
        yield from branches(listing, part.name, depth + 1)


def announced(removal: Removal) -> Iterator[str]:
    """What is to go."""
    from sre2l_core.runs.inspect import in_bytes

    if not removal:
        yield "There is nothing to delete: some run needs every part."
        return
    if removal.runs:
        yield f"runs: {', '.join(removal.runs)}"
    for part in removal.parts:
        yield f"  {part.name}  {in_bytes(part.bytes)}"
    yield from (f"  {path.name}" for path in removal.files)
    yield f"{in_bytes(removal.bytes)} in all"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of text with columns below one another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _values(run: Run, names: Iterable[str]) -> list[str]:
    return [_value(run, name) for name in names]


def _order(value: Any) -> tuple[float, str]:
    """Numbers by size, then all else as it is written."""
    return (value, "") if isinstance(value, int | float) else (inf, word(value))


def _value(run: Run, name: str) -> str:
    missing: Any = "?"
    return word(run.settings.get(name, missing))


PLUGINS = {"runs": Runs}

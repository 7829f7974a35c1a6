"""Deletes runs, and parts with all that depends on them; frees what nothing needs. Asks nobody: see `sre2l runs`."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from sre2l_core import storage
from sre2l_core.errors import ArtifactError, refused
from sre2l_core.files import size_of
from sre2l_core.manifests import few, strangers
from sre2l_core.runs.listing import DELETED, KINDS, Listing
from sre2l_core.runs.parts import CURVE, Part, Run


@dataclass(frozen=True)
class Removal:
    """What is to go."""

    runs: tuple[str, ...] = ()
    """Names of the runs that will not be there any more."""
    parts: tuple[Part, ...] = ()
    files: tuple[Path, ...] = ()
    """Beside the parts; also folders that were deleted by half."""

    @property
    def bytes(self) -> int:
        """What it frees."""
        return sum(part.bytes for part in self.parts) + sum(map(size_of, self.files))

    def __bool__(self) -> bool:
        return bool(self.parts or self.files)


def planned(listing: Listing, names: Iterable[str] = (), *, prune: bool = False) -> Removal:
    """What goes with runs and parts of these names, and with what no run needs then.

    A part takes all that was made from it and the runs that need it; a run of a store takes its score, its log and its
    note, and leaves what it was made from, which other runs may need.

    Args:
        listing: of the folder.
        names: of runs and of parts, or what they begin with.
        prune: also what no run needs.

    Raises:
        ConfigError: for a name that is neither, naming the nearest.
    """
    runs: dict[str, Run] = {}
    parts: dict[str, Part] = {}
    for name in names:
        found = listing.find(name)
        if isinstance(found, Part):
            runs |= {run.name: run for run in listing.runs_with(found)}
            parts |= {part.name: part for part in (found, *listing.made_from(found))}
        else:
            runs[found.name] = found
            own = [part for part in found.parts if part.kind in ("score", CURVE) or not listing.is_store]
            parts |= {part.name: part for part in own if part.name in listing.parts}
    if not listing.is_store:  # a run folder is a run as long as anything is left in it
        runs = {name: run for name, run in runs.items() if all(part.name in parts for part in run.parts if part.there)}
    files = {path for run in runs.values() for path in run.files}
    if prune:
        parts |= {part.name: part for part in listing.unneeded(runs)}
        files |= set(listing.strays())
    order = sorted(parts.values(), key=lambda part: (-KINDS.index(part.kind), part.name))
    return Removal(tuple(sorted(runs)), tuple(order), tuple(sorted(files)))


def remove(folder: Path, names: Iterable[str] = (), *, prune: bool = False, expected: Removal | None = None) -> Removal:
    """Delete what `planned` says, all or nothing: what depends on other things goes first, so that a kill leaves sense.

    Args:
        folder: a store, or a folder of run folders.
        names: see `planned`.
        prune: see `planned`.
        expected: what was agreed to; where something has come or gone meanwhile, nothing is deleted.

    Raises:
        InUseError: somebody works in one of the folders.
        ArtifactError: it is another thing than was agreed to, or something lies there that is not ours.
    """
    listing, chosen = Listing(folder), tuple(names)
    first = planned(listing, chosen, prune=prune)
    with ExitStack() as locks:
        owners = {folder} if listing.is_store else {part.folder.parent for part in first.parts}
        runs = {**listing.runs, **listing.curves}
        under_way = [p for name in first.runs for p in runs[name].parts if p.there and not p.finished]
        parts = dict.fromkeys(place for part in (*first.parts, *under_way) for place in part.places if place.is_dir())
        for place in (*sorted(owners), *parts):
            _check_own(place, folder)
            locks.enter_context(storage.held(place))
        removal = planned(Listing(folder), chosen, prune=prune)
        if removal != first or (expected is not None and removal != expected):
            raise ArtifactError(f"what lies in {folder} has changed meanwhile. Nothing was deleted: look again.")
        for part in removal.parts:
            _check_no_strangers(part)
        for path in (*removal.files, *(part.folder for part in removal.parts)):
            _delete(path)
    for place in owners - {folder}:
        with suppress(OSError):  # what else lies there stays
            place.rmdir()
    return removal


def _check_own(place: Path, folder: Path) -> None:
    if not place.resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(f"{place} is a link that leads out of {folder}. Nothing was deleted: remove it by hand.")


def _check_no_strangers(part: Part) -> None:
    """Raise `ArtifactError` where a finished part holds files that nobody here wrote."""
    for place in part.places:
        try:
            own = storage.read_manifest(place)["files"]
        except ArtifactError:  # unfinished or damaged: to delete it is the remedy
            continue
        if found := strangers(place, own):
            raise ArtifactError(
                f"{place} holds what is not its own: {few(found)}. Nothing was deleted: move that away first."
            )


def _delete(path: Path) -> None:
    """Delete a file, or a folder: it changes its name first, so that nobody takes a half of it for a whole."""
    try:
        if path.is_file() or path.is_symlink():
            path.unlink()
            return
        doomed = path if path.name.startswith(DELETED) else path.rename(path.with_name(f"{DELETED}{path.name}"))
        shutil.rmtree(doomed)
    except OSError as error:
        raise refused(path, error) from error

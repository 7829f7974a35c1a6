"""What lies in a store of runs, or in a folder of run folders: the runs, what they need, and what nothing needs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from sre2l_core import storage
from sre2l_core.errors import ArtifactError, unknown
from sre2l_core.presets.recipe import flat
from sre2l_core.runs.notes import CurveNote, Note
from sre2l_core.runs.parts import CURVE, Curve, CurvePart, Part, Run, settings_of
from sre2l_core.runs.pipeline import LOG
from sre2l_core.runs.store import MARK, PARTS, Store, key_of

KINDS = (*PARTS, CURVE)
"""Of parts, in the order in which they are made."""
PICTURES = ("condensed.png", "losses.png", "embedding.png")
"""Beside the parts in a run folder; see `report`."""
_PART = re.compile(f"({'|'.join((*PARTS, CURVE))})-([0-9a-f]{{12}})")


class Listing:
    """The runs of a store, or of a folder whose subfolders are runs, or of one such folder; read, never written.

    Raises:
        ArtifactError: if there is no run, or the store was written by a newer version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ArtifactError(f"there is no folder {self.folder}.")
        self.is_store = (self.folder / MARK).exists()
        self.parts: dict[str, Part] = {}
        """All that are there, by name."""
        self.runs: dict[str, Run] = {}
        """By name."""
        self.curves: dict[str, Curve] = {}
        """Of class-incremental learning, by name."""
        self.parents: dict[str, str] = {}
        """Name of a part -> name of the part that it was made from."""
        self._uses: dict[str, tuple[str, ...]] = {}
        """Name of a curve -> names of the parts that it was made from."""
        self.notes: list[str] = []
        """What cannot be read, or lies elsewhere."""
        if self.is_store:
            Store(self.folder)
            self._read_store()
        else:
            self._read_folders()

    def find(self, name: str) -> Run | Part:
        """The run or the part that is called so, or begins so; raises `ConfigError` naming the nearest."""
        known: dict[str, Run | Part] = {**self.runs, **self.parts, **self.curves}
        found = [name] if name in known else [other for other in known if other.startswith(name)] if name else []
        if len(found) != 1:
            raise unknown(f"run or part in {self.folder}", name, found or known)
        return known[found[0]]

    def unneeded(self, without: Collection[str] = ()) -> list[Part]:
        """The parts that no run needs, but for runs `without` which one would be, in the order of their making."""
        runs = [run for name, run in {**self.runs, **self.curves}.items() if name not in without]
        needed = {name for run in runs for part in run.parts for name in self._lineage(part.name)}
        return [part for part in self.parts.values() if part.name not in needed]

    def made_from(self, part: Part) -> list[Part]:
        """All parts that are there and depend on a part."""
        return [other for other in self.parts.values() if other != part and part.name in self._lineage(other.name)]

    def runs_with(self, part: Part) -> list[Run]:
        """The runs that need a part."""
        runs = (*self.runs.values(), *self.curves.values())
        return [run for run in runs if any(part.name in self._lineage(own.name) for own in run.parts)]

    def children(self, name: str | None = None) -> list[Part]:
        """The parts made from that one; without a name those whose origin is not here."""
        return self._children.get(name, [])

    @cached_property
    def _children(self) -> dict[str | None, list[Part]]:
        found: dict[str | None, list[Part]] = {}
        for part in self.parts.values():
            found.setdefault(self._parent(part.name), []).append(part)
        return found

    def strays(self) -> list[Path]:
        """Files and half deleted folders that belong to no run: logs whose run is gone."""
        if not self.is_store:
            return []
        own = {path for run in (*self.runs.values(), *self.curves.values()) for path in run.files}
        files = {*self.folder.glob("log-*.csv"), *self.folder.glob("curve-*.json")}
        return sorted([*(files - own), *self.folder.glob(f"{DELETED}*")])

    def _parent(self, name: str) -> str | None:
        parent = self.parents.get(name)
        return parent if parent in self.parts else None

    def _lineage(self, name: str) -> Iterator[str]:
        """A part and all that it was made from, there or not."""
        current: str | None = name
        while current is not None:
            yield current
            for other in self._uses.get(current, ()):
                yield from self._lineage(other)
            current = self.parents.get(current)

    def _read_store(self) -> None:
        found = [path for path in sorted(self.folder.iterdir()) if _PART.fullmatch(path.name) and path.is_dir()]
        kinds = {path.name: path.name.partition("-")[0] for path in found}
        ordered = sorted(found, key=lambda path: (KINDS.index(kinds[path.name]), path.name))
        for path in (path for path in ordered if kinds[path.name] != CURVE):
            self.parts[path.name] = Part(kinds[path.name], path.name, path)
        for path in sorted(self.folder.glob("run-*.json")):
            try:
                self._add(path, Note.read(path))
            except ArtifactError as error:
                self.notes.append(str(error))
        self._read_curves(found)
        for part in self.parts.values():
            if part.name not in self.parents and part.kind not in ("teacher", CURVE):
                self._trace(part)
        noted = {run.parts[-1].name for run in self.runs.values()}
        for part in self.parts.values():
            if part.kind == "score" and part.name not in noted:
                lineage = [self._part(name) for name in self._lineage(part.name)]
                key = part.name.partition("-")[2]
                self.runs[key] = Run(key, settings_of(lineage), tuple(reversed(lineage)), self._files(key))

    def _read_curves(self, found: Iterable[Path]) -> None:
        """Curves that have a note, begun or not, and those that have none: whoever made these did not write any."""
        notes = {f"{CURVE}-{path.stem.partition('-')[2]}": path for path in self.folder.glob("curve-*.json")}
        folders = [path.name for path in found if path.name.startswith(f"{CURVE}-")]
        for name in sorted({*folders, *(name for name in notes if _PART.fullmatch(name))}):
            settings, used, steps = dict[str, Any](), tuple[str, ...](), 0
            try:
                if name in notes:
                    note = CurveNote.read(notes[name])
                    settings, steps = flat({**note.recipe, CURVE: note.config}), int(note.config.get("steps", 0))
                    used = tuple(one for one in note.parts if _PART.fullmatch(one))
            except (ArtifactError, TypeError, ValueError) as error:
                self.notes.append(str(error))
            part = CurvePart(CURVE, name, self.folder / name, steps)
            if name in folders:
                self.parts[name] = part
            self._uses[name] = used
            parts = (*(self._part(one) for one in used), part)
            self.curves[name] = Curve(name, settings, parts, (notes[name],) if name in notes else ())
            if used:
                self.parents[name] = used[-1]

    def _add(self, path: Path, note: Note) -> None:
        """A run that has left a note."""
        names = [note.parts[kind] for kind in PARTS if kind in note.parts]
        if not names or [name.partition("-")[0] for name in names if _PART.fullmatch(name)] != list(note.parts):
            raise ArtifactError(f"{path} names parts that are none. Delete this file: no part of a run is lost.")
        for parent, name in pairwise(names):
            self.parents.setdefault(name, parent)
        key = path.stem.partition("-")[2]
        parts = tuple(self._part(name) for name in names)
        self.runs[key] = Run(key, flat(note.recipe), parts, self._files(key), note.failure)

    def _part(self, name: str) -> Part:
        return self.parts.get(name) or Part(name.partition("-")[0], name, self.folder / name)

    def _files(self, key: str) -> tuple[Path, ...]:
        paths = (self.folder / f"run-{key}.json", self.folder / f"log-{key}.csv")
        return tuple(path for path in paths if path.exists())

    def _trace(self, part: Part) -> None:
        """Find what a part without a note was made from: the hash of that one's name and of its settings names it."""
        config, (_, key) = part.request.get("config"), part.name.split("-")
        labels = part.request.get("labels", {}).get("config")
        for other in self.parts.values():
            kind, above = other.name.split("-")
            if part.kind == "score" and kind == "condensed":
                makers = [key_of(key_of(above, labels), config, stored) for stored in (True, False)]
            elif (kind, part.kind) in (("teacher", "condensed"), ("condensed", "labels")):
                makers = [key_of(above, config)]
            else:
                continue
            if key in makers:
                stored = f"labels-{key_of(above, labels)}"
                self.parents[part.name] = stored if key == makers[0] and stored in self.parts else other.name

    def _read_folders(self) -> None:
        own = [self.folder] if _is_run(self.folder) else sorted(filter(_is_run, self.folder.iterdir()))
        for path in own:
            parts = [Part(kind, f"{path.name}/{kind}", path / kind) for kind in PARTS]
            there = [part for part in parts if part.folder.is_dir()]
            for parent, part in pairwise(there):
                self.parents[part.name] = parent.name
            self.parts |= {part.name: part for part in there}
            files = tuple(path / name for name in (LOG, *PICTURES) if (path / name).exists())
            shown = tuple(part for part in parts if part.kind != "labels" or part in there)
            self.runs[path.name] = Run(path.name, settings_of(there), shown, files)
        stores = [path for path in sorted(self.folder.iterdir()) if (path / MARK).is_file()]
        self.notes += [f"{path} is a store of runs: look there" for path in stores]
        if not self.runs and not stores:
            raise ArtifactError(f"{self.folder} holds no runs of this package.")


DELETED = ".deleted-"
"""What the name of a folder begins with while it is deleted."""


def _is_run(path: Path) -> bool:
    """Whether a folder is a run by itself: parts of its own, directly in it."""
    return any((path / kind / file).is_file() for kind in PARTS for file in (storage.MANIFEST, storage.REQUEST))

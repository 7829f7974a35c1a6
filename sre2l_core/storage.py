"""Artifact folders: one writer at a time, written piece by piece, resumable, hashed, readable with ordinary tools.

A folder under work holds `request.json` (what was asked, and how it is computed) and `pieces.sha256` (the hash of every
piece, noted before the piece takes its place; `sha256sum -c` reads it). A finished one holds `artifact.json` instead:
what it is, how it was made, the hash of every file. Tensors are safetensors, the rest JSON; no pickle is ever written
or read.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sre2l_core.errors import ArtifactError, refused
from sre2l_core.files import (
    content_of,
    fingerprint,
    in_background,
    read_json,
    read_notes,
    read_state,
    read_tensors,
    replacing,
    save_tensors,
    sha256_of,
    write_json,
    write_state,
    write_tensors,
)
from sre2l_core.locks import LOCK, held, holder
from sre2l_core.manifests import (
    FORMAT,
    KINDS,
    MANIFEST,
    PIECES,
    PROGRESS,
    REQUEST,
    Manifest,
    Piece,
    check_same,
    check_same_way,
    few,
    read_manifest,
    stays_inside,
    strangers,
    verify,
    versions,
)

__all__ = ["KINDS", "MANIFEST", "PIECES", "PROGRESS", "REQUEST", "Manifest", "Piece", "read_manifest", "verify"]
__all__ += ["fingerprint", "held", "holder", "in_background", "read_json", "read_notes", "read_state", "read_tensors"]
__all__ += ["replacing", "save_tensors", "write_json", "write_state", "write_tensors"]


class Work:
    """An artifact that is being made: what is written whole is kept, noted, and found again by the next attempt.

    Without a folder nothing is kept and nothing is found.
    """

    def __init__(self, folder: Path | None, kind: str, request: Mapping[str, Any] | None, how: Mapping[str, Any]):
        self.folder, self.kind, self.how = folder, kind, how
        self.finished = False
        """Whether the artifact is there already: then there is nothing to do but to load it."""
        self._request = request
        self._noted: Mapping[str, list[str]] = {} if folder is None else _notes(folder)
        self._hashes: dict[str, str] = {}

    def has(self, *names: str) -> bool:
        """Whether all these pieces were written whole and still are what was written."""
        return self.folder is not None and all(self._is_whole(self.folder, name) for name in names)

    def _is_whole(self, folder: Path, name: str) -> bool:
        if name not in self._hashes and (found := sha256_of(folder / name)) in self._noted.get(name, ()):
            self._hashes[name] = found
        return name in self._hashes

    def write(self, name: str, write: Callable[..., Any], *arguments: Any) -> None:
        """Have `write(path, *arguments)` write a piece: whole, with its hash noted before it takes its place."""
        if self.folder is None:
            return
        self.check_place()
        with replacing(self.folder / name) as partial:
            write(partial, *arguments)
            found = sha256_of(partial)
            _append(self.folder / PIECES, f"{found}  {name}\n")
        self._hashes[name] = found

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a piece of JSON, by and by with more in it."""
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        self.write(name, lambda path: path.write_text(text, "utf-8"))

    def read_json(self, name: str) -> dict[str, Any]:
        """What `write_json` wrote last and is still whole; nothing otherwise."""
        if self.folder is None or not self.has(name):
            return {}
        content: dict[str, Any] = json.loads((self.folder / name).read_text("utf-8"))
        return content

    def read_tensors(self, name: str) -> dict[str, Any]:
        """The tensors of a piece that is still whole; none otherwise."""
        return read_tensors(self.folder / name) if self.folder is not None and self.has(name) else {}

    def save_state(self, tensors: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
        """Keep the state of what is under way."""
        if self.folder is not None:
            self.check_place()
            write_state(self.folder / PROGRESS, tensors, notes)

    def state(self) -> dict[str, Any] | None:
        """The state that was kept last: its notes, and its tensors under `tensors`."""
        return None if self.folder is None else read_state(self.folder / PROGRESS)

    def forget_state(self) -> None:
        """Remove the state of what is done."""
        if self.folder is not None:
            (self.folder / PROGRESS).unlink(missing_ok=True)

    def finish(self, body: Mapping[str, Any], *, made_with: Mapping[str, str] | None = None) -> None:
        """Write the manifest that makes the folder a finished artifact; only then what it was made with goes.

        Args:
            body: what the kind of artifact says of itself.
            made_with: versions of packages; by default those of this process.
        """
        if self.folder is None:
            return
        self.check_place()
        head = {"kind": self.kind, "format": FORMAT, **body, "how": dict(self.how), "request": self._request}
        files = dict(sorted(self._hashes.items()))
        write_json(self.folder / MANIFEST, {**head, "versions": dict(made_with or versions()), "files": files})
        for leftover in (PROGRESS, PIECES, REQUEST):
            (self.folder / leftover).unlink(missing_ok=True)

    def check_place(self) -> None:
        """Raise `ArtifactError` where the folder is not there any more."""
        if self.folder is not None and not (self.folder / LOCK).exists():
            raise ArtifactError(
                f"{self.folder / LOCK} is gone: the folder was deleted, moved or unmounted while it was written to, "
                "or taken over by another process. Bring it back, or run the same command to begin anew."
            )


@contextmanager
def claimed(
    out: str | Path | None,
    kind: str,
    request: Mapping[str, Any],
    how: Mapping[str, Any],
    *,
    adopt: Sequence[str] = (),
    wait: bool = False,
) -> Iterator[Work]:
    """Claim `out` for a stage: the artifact asked for is either finished there, or this process alone goes on with it.

    A finished artifact is only read. A folder where another request was made but nothing was written yet is free.

    Args:
        out: the folder; None to keep nothing.
        kind: of the artifact.
        request: what is asked for; everything that decides the result but `how`.
        how: precision, device and so on; unfinished work goes on only under the same.
        adopt: names in `how` that unfinished work prescribes and nobody asked for.
        wait: until another process is done with the folder.

    Raises:
        InUseError: another process works there.
        ArtifactError: the folder holds something else, or the same kind made from other settings (named).
    """
    if out is None:
        yield Work(None, kind, None, how)
        return
    folder, asked = Path(out), json.loads(json.dumps({"kind": kind, **request}))
    if _is_finished(folder, asked):
        yield _finished(folder, asked)
        return
    with held(folder, wait=wait):
        yield _finished(folder, asked) if _is_finished(folder, asked) else _begun(folder, asked, how, adopt)


@contextmanager
def saving(folder: Path, kind: str) -> Iterator[Work]:
    """Claim a folder to save a finished thing in; an artifact of its kind that lies there is replaced."""
    _check_is_own(folder)
    with held(folder):
        old = read_manifest(folder, kind) if (folder / MANIFEST).exists() else Manifest(folder, {"files": {}})
        if (folder / REQUEST).exists():
            raise ArtifactError(f"{folder} holds unfinished work: finish it first, or choose another folder.")
        _refuse_strangers(folder, old["files"])
        (folder / MANIFEST).unlink(missing_ok=True)
        work = Work(folder, kind, None, {})
        yield work
        for name in old["files"].keys() - read_manifest(folder)["files"].keys():
            (folder / name).unlink(missing_ok=True)


def _is_finished(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Whether the artifact asked for is all there; raises where the folder holds something else."""
    _check_is_own(folder)
    if not (folder / MANIFEST).exists():
        return False
    manifest = read_manifest(folder)
    if manifest["request"] is None:
        raise ArtifactError(f"{folder} holds a {manifest['kind']} that was saved there. Choose another --out.")
    check_same(folder, manifest["request"], asked)
    return all((folder / name).exists() for name in manifest["files"])


def _finished(folder: Path, asked: Mapping[str, Any]) -> Work:
    work = Work(folder, asked["kind"], asked, read_manifest(folder)["how"])
    work.finished = True
    return work


def _begun(folder: Path, asked: Mapping[str, Any], how: Mapping[str, Any], adopt: Sequence[str]) -> Work:
    """Begin, or go on with what was begun under the same settings; this process holds the folder."""
    if (folder / MANIFEST).exists():
        _reopen(folder, read_manifest(folder))
    begun = read_json(folder / REQUEST) if (folder / REQUEST).exists() else None
    noted = _notes(folder)
    if begun is None and (noted or (folder / PROGRESS).exists()):
        raise ArtifactError(
            f"{folder / REQUEST} is missing: nobody can tell what was asked. Delete the folder {folder}."
        )
    if begun is not None:
        begun_how = begun.pop("how", None)
        begun_how = begun_how if isinstance(begun_how, dict) else {}
        if noted or (folder / PROGRESS).exists():
            check_same(folder, begun, asked)
            how = {**how, **{name: begun_how[name] for name in adopt if name in begun_how}}
            check_same_way(folder, begun_how, how)
    _refuse_strangers(folder, noted)
    for leftover in folder.rglob(".*.partial"):  # of a process that was killed while it wrote
        leftover.unlink()
    write_json(folder / REQUEST, {**asked, "how": dict(how)})
    return Work(folder, asked["kind"], asked, how)


def _reopen(folder: Path, manifest: Manifest) -> None:
    """Make an artifact that lacks files unfinished again: what is there is kept."""
    write_json(folder / REQUEST, {**manifest["request"], "how": manifest["how"]})
    with replacing(folder / PIECES) as partial:
        partial.write_text("".join(f"{found}  {name}\n" for name, found in manifest["files"].items()), "utf-8")
    (folder / PROGRESS).unlink(missing_ok=True)
    (folder / MANIFEST).unlink()


def _notes(folder: Path) -> dict[str, list[str]]:
    """Name -> every hash that was noted for it; lines that a crash cut off or damage spoilt say nothing."""
    noted = defaultdict(list)
    try:
        text = content_of(folder / PIECES).decode(errors="replace")
    except OSError:
        return {}
    for line in text.splitlines():
        found, _, name = line.partition("  ")
        if len(found) == 64 and stays_inside(name):
            noted[name].append(found)
    return dict(noted)


def _append(path: Path, line: str) -> None:
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = f"\n{line}"
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def _check_is_own(folder: Path) -> None:
    """Raise `ArtifactError` for a file, or a folder with things in it that this package did not begin."""
    try:
        if not folder.exists():
            return
        known = folder.is_dir() and any((folder / name).exists() for name in (MANIFEST, REQUEST))
        if not known and (not folder.is_dir() or strangers(folder, ())):
            raise ArtifactError(
                f"{folder} exists and was not made by this package: it holds neither {MANIFEST} nor {REQUEST}. "
                "Choose another --out; or, if that was lost, delete the folder and run the same command again."
            )
    except OSError as error:
        raise refused(folder, error) from error


def _refuse_strangers(folder: Path, own: Collection[str]) -> None:
    if found := strangers(folder, own):
        raise ArtifactError(
            f"{folder} holds what is not its own: {few(found)}. Move that away and run the same command again: "
            f"{PIECES} does not list it, and so nobody can tell whether it is whole."
        )

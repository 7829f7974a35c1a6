"""What an artifact says of itself: whether it is what was asked for, and every file checked as it is read."""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from sre2l_core.errors import ArtifactError, came, plain
from sre2l_core.files import read_json, sha256_of
from sre2l_core.locks import LOCK

MANIFEST, REQUEST, PROGRESS, PIECES = "artifact.json", "request.json", "progress.safetensors", "pieces.sha256"
FORMAT = 2
MADE_BY = {"teacher": "squeeze", "condensed_set": "recover", "soft_labels": "relabel", "score": "validate"}
KINDS = tuple(MADE_BY)
WORKING_FILES = (MANIFEST, REQUEST, PROGRESS, PIECES, LOCK)
_OF_THE_SYSTEM = ("thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "__macosx", "$recycle.bin")
"""Names, in lower case, of what operating systems leave in folders, beside everything hidden."""


@dataclass(frozen=True)
class Piece:
    """A file of an artifact and the hash that it had when it was written."""

    path: Path
    sha256: str
    remedy: str

    def checked(self) -> Path:
        """The path of the file, its bytes compared with their hash; raises `ArtifactError` naming file and remedy."""
        if (found := sha256_of(self.path)) != self.sha256:
            what = "damaged: its bytes are not those that were written" if found else "missing or cannot be read"
            raise ArtifactError(f"{self.path} is {what}. {self.remedy}")
        return self.path


class Manifest(dict[str, Any]):
    """What a finished artifact says of itself. A key that it lacks is an `ArtifactError`."""

    def __init__(self, folder: Path, body: Mapping[str, Any]) -> None:
        super().__init__(body)
        self.folder = folder
        self._inside: dict[Path, bool] = {}

    def __missing__(self, key: str) -> Any:
        raise ArtifactError(f"{self.folder / MANIFEST} does not say {key!r}: it is no manifest of this package.")

    def piece(self, name: str) -> Piece:
        """The file `name` of the artifact."""
        if name not in self["files"]:
            raise ArtifactError(f"{self.folder / MANIFEST} lists no file {name}.")
        path = self.folder / name
        if not self._is_inside(path.parent) or (path.is_symlink() and not self._is_inside(path)):
            raise ArtifactError(f"{path} leads out of its folder. {self._remedy}")
        return Piece(path, self["files"][name], self._remedy)

    def pieces(self, start: str = "") -> dict[str, Piece]:
        """Name -> file, of those whose names begin so."""
        return {name: self.piece(name) for name in self["files"] if name.startswith(start)}

    def _is_inside(self, path: Path) -> bool:
        if path not in self._inside:
            self._inside[path] = path.resolve().is_relative_to(self.folder.resolve())
        return self._inside[path]

    @property
    def _remedy(self) -> str:
        if self.get("request") is None:
            return "It was saved by hand: save it again, or take a copy."
        command = MADE_BY[self["kind"]]
        return (
            f"Delete it and run the command that made it again ({command} --out {self.folder}, or the run that it "
            "belongs to): only what is missing is made anew."
        )


def read_manifest(folder: Path, kind: str | None = None) -> Manifest:
    """The manifest of a finished artifact, of the wanted kind and of a format that this version reads."""
    manifest = Manifest(folder, read_json(folder / MANIFEST))
    found, number = manifest.get("kind"), manifest.get("format")
    if found not in KINDS or (kind is not None and found != kind):
        raise ArtifactError(f"{folder} holds a {plain(str(found))}, expected a {kind or ' or '.join(KINDS)}.")
    if number != FORMAT:
        raise ArtifactError(
            f"{folder / MANIFEST} is of format {number!r}, this version of sre2l_core reads format {FORMAT}: "
            "use the version that wrote it, or make it anew."
        )
    if not isinstance(manifest["files"], dict):
        raise ArtifactError(f"{folder / MANIFEST} does not list its files: it is no manifest of this package.")
    for name, wanted in _TYPES.items():
        if not isinstance(manifest.get(name, wanted()), wanted):
            raise ArtifactError(
                f"{folder / MANIFEST} has {name} {came(manifest[name])}, which is no {_IN_JSON[wanted]}: "
                "it is no manifest of this package."
            )
    if leading_out := [name for name in manifest["files"] if not stays_inside(name)]:
        raise ArtifactError(f"{folder / MANIFEST} lists {leading_out[0]!r}, which leads out of its folder.")
    return manifest


_TYPES: dict[str, type] = {
    **dict.fromkeys(("versions", "how", "origin", "options", "accuracy", "config", "spec"), dict),
    **dict.fromkeys(("rows", "size", "classes"), list),
    "backbone": str,
}
_IN_JSON: dict[type, str] = {dict: "object", list: "list", str: "text"}
"""What the entries of a manifest are."""


def verify(folder: Path) -> int:
    """Compare every file with its hash; returns how many there are.

    Raises:
        ArtifactError: naming the files that are missing, altered or were added.
    """
    manifest = read_manifest(folder)
    wrong = [name for name, piece in manifest.pieces().items() if sha256_of(piece.path) != piece.sha256]
    if wrong := sorted([*wrong, *strangers(folder, manifest["files"])]):
        raise ArtifactError(
            f"{folder}: missing, altered or added since it was finished: {few(wrong)}. Move away what was added. "
            f"Delete what was altered and run the command that made it again ({MADE_BY[manifest['kind']]} or run): "
            "only what is missing is made anew."
        )
    return len(manifest["files"])


def versions() -> dict[str, str]:
    """What the numbers of an artifact depend on beside its settings."""
    packages = ("torch", "torchvision", "numpy", "pillow")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def strangers(folder: Path, own: Collection[str]) -> list[str]:
    """Files that are not among its own, but for those of the operating system and hidden ones."""
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        ignored = any(part.startswith(".") or part.lower() in _OF_THE_SYSTEM for part in name.parts)
        if not ignored and name.as_posix() not in own and str(name) not in WORKING_FILES and not path.is_dir():
            found.append(name.as_posix())
    return sorted(found)


def stays_inside(name: object) -> bool:
    """Whether a name in a manifest is one of a file below its folder."""
    if not isinstance(name, str) or not name or "\\" in name or ":" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(map(plain, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def check_same(folder: Path, found: Any, asked: Any) -> None:
    """Raise `ArtifactError` where a folder was made for another request, naming what differs."""
    if found != asked:
        lines = _differences(found, asked)
        differences = "; ".join(lines[:5]) + (f" and {len(lines) - 5} more" if len(lines) > 5 else "")
        raise ArtifactError(f"{folder} holds another run: {differences}. Choose another --out, or delete that folder.")


def check_same_way(folder: Path, begun: Mapping[str, Any], how: Mapping[str, Any]) -> None:
    """Raise `ArtifactError` where work was begun with other precision, device or versions; says how to go on."""
    if differences := [name for name in {**how, **begun} if begun.get(name) != how.get(name)]:
        shown = "; ".join(f"{name} is {came(begun.get(name))} there, {how.get(name)!r} now" for name in differences)
        flags = " and ".join(
            _FLAGS.get(name, "the same version of the package").format(plain(str(begun.get(name))))
            for name in differences
        )
        raise ArtifactError(
            f"{folder} was begun in another way: {shown}. The two would not give one result: go on with {flags}, "
            "or choose another --out."
        )


_FLAGS = {
    "precision": "--precision {}",
    "device": "--device {}",
    "compile": "--compile or --no-compile as before",
    "threads": "OMP_NUM_THREADS={0}, or --worker-threads {0} where workers compute",
    "ranks": "as many ranks of torchrun as before",
    "torch": "torch {}",
}


def _differences(held: Any, asked: Any, name: str = "") -> list[str]:
    if isinstance(held, dict) and isinstance(asked, dict):
        keys = [*held, *(key for key in asked if key not in held)]
        return [
            line for key in keys for line in _differences(held.get(key), asked.get(key), f"{name}.{key}".strip("."))
        ]
    return [] if held == asked else [f"{plain(name)} is {came(held)} there, {came(asked)} now"]

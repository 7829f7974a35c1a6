"""Class folders: which there are, the pictures in them, and a count of what is passed over."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sre2l_core.errors import ArtifactError, DataError
from sre2l_core.storage import KINDS, MANIFEST, REQUEST, read_json

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
"""Endings of files taken for pictures, in lower case."""
_SHOWN = 3
_LONGEST_NAME = 240
_SYSTEM = ("thumbs.db", "desktop.ini")
_UNSAYABLE = {"Cc": "a control character", "Cs": "bytes that are not UTF-8", "Zl": "a line break", "Zp": "a line break"}
"""Categories of characters that no label, table or JSON file can hold."""


class LeftOut:
    """Counts what a loader passes over, so that one line can say it."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, Path] = {}

    def add(self, what: str, paths: Sequence[Path]) -> None:
        """Count `paths` as `what`, a noun in the plural."""
        if paths:
            self._counts[what] += len(paths)
            self._first.setdefault(what, paths[0])

    def file(self, path: Path) -> None:
        """Count a file that is not taken for a picture."""
        if path.name.startswith(".") or path.name.lower() in _SYSTEM:
            self.add("hidden files", [path])
        else:
            self.add(f"{path.suffix.lower() or 'nameless'} files", [path])

    def notes(self) -> tuple[str, ...]:
        """One line that counts everything, or none if nothing was left out."""
        found = [f"{count:,} {what} (first {shown(self._first[what])})" for what, count in self._counts.items()]
        return (f"left out: {', '.join(found)}",) if found else ()


def shown(path: str | Path) -> str:
    """A path as text for one line: quoted, with escapes, where it holds what cannot be printed."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def listed(names: Sequence[str]) -> str:
    """The first few names, quoted, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def is_picture(path: str | Path) -> bool:
    """Whether a name ends like a picture's and is not hidden."""
    name = os.path.basename(path)
    return os.path.splitext(name)[1].lower() in EXTENSIONS and not name.startswith(".")


def class_folders(folder: Path, left_out: LeftOut | None = None) -> list[str]:
    """The subfolders that are not hidden, sorted."""
    entries = _entries(folder)
    if left_out:
        beside = [folder / entry.name for entry in entries if is_picture(entry.name) and not _is_folder(entry)]
        left_out.add("pictures outside class folders", beside)
    return [entry.name for entry in entries if _is_folder(entry) and not entry.name.startswith((".", "__"))]


def pictures_in(folder: Path, left_out: LeftOut | None = None) -> list[Path]:
    """The picture files of a folder, or of its subfolder `images`, sorted by name; none if there is no such folder.

    Args:
        folder: of a class.
        left_out: counts what is passed over: other files, and pictures in folders further down.
    """
    inner = folder / "images"
    home = inner if inner.is_dir() else folder
    pictures = []
    for entry in _entries(home):
        path = home / entry.name
        if is_picture(entry.name):
            pictures.append(path)
        elif left_out and _is_folder(entry):
            left_out.add("pictures in folders within class folders", pictures_below(path))
        elif left_out:
            left_out.file(path)
    if left_out and home is inner:
        beside = [path for path in pictures_below(folder) if inner not in path.parents]
        left_out.add("pictures beside the folder images of their class", beside)
    return pictures


def pictures_below(folder: Path) -> list[Path]:
    """The picture files of a folder and all folders below it; links to folders are not followed."""
    found = [Path(place, name) for place, _, names in os.walk(folder) for name in names if is_picture(name)]
    return sorted(found)


def written_here(folder: Path) -> bool:
    """Whether this package wrote it: an artifact, or a run, which is a folder of artifacts."""
    for place in (folder, *folder.glob("*/")):
        for file in (place / REQUEST, place / MANIFEST):
            with suppress(ArtifactError):
                if file.is_file() and read_json(file).get("kind") in KINDS:
                    return True
    return False


def check_names(classes: Sequence[str], folder: Path) -> list[str]:
    """What should be said about the names of class folders: those that some file systems take for one.

    Raises:
        DataError: for a name that cannot be written into labels, tables and JSON, or be that of a folder of its
            condensed images.
    """
    for name in classes:
        if (size := len(os.fsencode(name))) > _LONGEST_NAME:
            raise DataError(
                f"the class folder {name[:20]!r}… in {shown(folder)} has a name of {size} bytes; "
                f"{_LONGEST_NAME} at most leave room for a number before it in a condensed set. Rename the folder."
            )
        if kinds := sorted({_UNSAYABLE[kind] for kind in map(unicodedata.category, name) if kind in _UNSAYABLE}):
            raise DataError(
                f"the class folder {name!r} in {shown(folder)} has {' and '.join(kinds)} in its name, which is the "
                "name of the class in every table and file. Rename the folder."
            )
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(unicodedata.normalize("NFC", name).casefold(), []).append(name)
    return [
        f"the classes {' and '.join(map(ascii, names))} differ only in case or in how Unicode writes them: "
        "other systems take their folders for one. Rename one if they are not two classes"
        for names in alike.values()
        if len(names) > 1
    ]


def shortfall(part: str, classes: Sequence[str], counts: Sequence[int], expected: Mapping[str, int]) -> list[str]:
    """One line on the classes of a published dataset that have fewer pictures than were published, or none.

    Args:
        part: such as `training`.
        classes: ids.
        counts: pictures found of each.
        expected: the least of each that the whole dataset holds.
    """
    pairs = zip(classes, counts, strict=True)
    short = [f"{name} has {count:,} of {expected[name]:,}" for name, count in pairs if count < expected.get(name, 0)]
    if not short:
        return []
    more = f" and {len(short) - _SHOWN} more classes" if len(short) > _SHOWN else ""
    return [f"{part} pictures are missing: {', '.join(short[:_SHOWN])}{more}"]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    if not folder.is_dir():
        return []
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be listed ({error.strerror}). Let this user read it.") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # a link that leads back to itself
        return entry.is_dir()
    return False

"""An artifact's folder as bytes: made on a worker, it travels to the driver, which alone writes into the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sre2l_core import storage
from sre2l_core.files import SEAL, content_of

Parcel = Mapping[str, bytes]
"""Name of a file of a finished artifact -> its bytes; the manifest is among them."""
_BY_THE_FOLDER = ("kind", "format", "how", "request", "versions", "files", SEAL)
"""What a folder says of itself when it is finished, whoever made what lies in it."""


def packed(folder: Path) -> Parcel:
    """A finished artifact; raises `ArtifactError` where a file is not what was written."""
    pieces = storage.read_manifest(folder).pieces()
    files = {name: piece.checked().read_bytes() for name, piece in pieces.items()}
    return {**files, storage.MANIFEST: content_of(folder / storage.MANIFEST)}


def unpack(parcel: Parcel, folder: Path) -> None:
    """Write an artifact into a folder of one's own."""
    for name, content in parcel.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def adopt(parcel: Parcel, folder: Path, *, wait: bool = False) -> None:
    """Write an artifact into a folder that others may work in; where the same lies there already, do nothing.

    A kill in the middle leaves unfinished work, which the stage that makes such folders continues.

    Raises:
        InUseError: another process works there.
        ArtifactError: the folder holds something else, or work begun with other threads or precision.
    """
    manifest = json.loads(parcel[storage.MANIFEST])
    asked = {name: value for name, value in manifest["request"].items() if name != "kind"}
    with storage.claimed(folder, manifest["kind"], asked, manifest["how"], wait=wait) as work:
        if work.finished:
            return
        work.forget_state()
        for name in manifest["files"]:
            work.write(name, Path.write_bytes, parcel[name])
        body = {name: value for name, value in manifest.items() if name not in _BY_THE_FOLDER}
        work.finish(body, made_with=manifest["versions"])

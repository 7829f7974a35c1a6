"""Artifact folders: written piece by piece, resumable, hashed, readable with ordinary tools.

A folder under work holds `request.json` (what was asked); a finished one also `artifact.json` (what it is, how it was
made, the hash of every file). Tensors are safetensors, the rest JSON; no pickle is ever written or read.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sre2l_core.errors import ArtifactError

MANIFEST, REQUEST, PROGRESS = "artifact.json", "request.json", "progress.safetensors"
KINDS = ("teacher", "condensed_set", "soft_labels", "score")
_WORKING_FILES = (MANIFEST, REQUEST, PROGRESS)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when all went well: readers never see half a file.

    Raises:
        ArtifactError: if the disk refuses (full, read-only), saying what is kept.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ArtifactError(
            f"cannot write {path}: {reason}. What was finished before is kept: "
            "make room or choose another --out, then run the same command again."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def in_background() -> Iterator[Callable[..., None]]:
    """A function `do(write, *arguments)` that has things written by one thread, in order, while the device computes.

    Few may wait. What fails is raised by a later `do` or at the end. After an interrupt the waiting ones still are.
    """
    waiting: deque[Future[Any]] = deque()

    def do(write: Callable[..., Any], *arguments: Any) -> None:
        while waiting and (waiting[0].done() or len(waiting) >= _MAY_WAIT):
            waiting.popleft().result()
        waiting.append(pool.submit(write, *arguments))

    pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
    try:
        yield do
    finally:
        try:
            while waiting:
                waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


_MAY_WAIT = 256
"""Pictures of a few groups: what is held in memory does not grow with the run."""


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2, sort_keys=False, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises `ArtifactError` naming the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: {path.parent} is not a finished artifact of this package.") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}).") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} does not hold a JSON object.")
    return content


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any] | None = None) -> None:
    """Write named tensors as safetensors, whole or not at all, with `notes` as JSON in the header."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        save_file(ready, partial, metadata={"notes": json.dumps(notes or {})})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises `ArtifactError` naming it."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path} cannot be read as safetensors ({error}).") from error


def read_notes(path: Path) -> dict[str, Any]:
    """The notes that `write_tensors` put into the header."""
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            notes: dict[str, Any] = json.loads((file.metadata() or {}).get("notes", "{}"))
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path} cannot be read as safetensors ({error}).") from error
    return notes


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """16 hex digits of the SHA-256 over names, shapes, types and bytes: the same in memory and on disk."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def begin(out: Path, kind: str, request: Mapping[str, Any]) -> bool:
    """Claim `out` for a stage; returns whether the artifact asked for is already finished there.

    A folder where another request was made but nothing was written yet is free.

    Raises:
        ArtifactError: if the folder holds something else, or the same kind made from other settings (named).
    """
    asked = json.loads(json.dumps({"kind": kind, **request}))
    held = read_json(out / REQUEST) if (out / REQUEST).exists() else None
    if held == asked:
        return (out / MANIFEST).exists()
    if out.exists() and not _vacant(out):
        if held is None:
            raise ArtifactError(f"{out} exists and was not made by this package. Choose another --out.")
        found = "; ".join(_differences(held, asked))
        raise ArtifactError(f"{out} holds another run: {found}. Choose another --out, or delete that folder.")
    write_json(out / REQUEST, asked)
    return False


def finish(out: Path, kind: str, body: Mapping[str, Any]) -> None:
    """Write the manifest that makes the folder a finished artifact; only then the saved progress goes."""
    for leftover in out.rglob(".*.partial"):  # of a process that was killed while it wrote
        leftover.unlink()
    write_json(out / MANIFEST, {"kind": kind, "format": 1, **body, "versions": versions(), "files": _hashes(out)})
    (out / PROGRESS).unlink(missing_ok=True)


def read_manifest(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """The manifest of a finished artifact, of the wanted kind."""
    manifest = read_json(folder / MANIFEST)
    found = manifest.get("kind")
    if found not in KINDS or (kind is not None and found != kind):
        raise ArtifactError(f"{folder} holds a {found}, expected a {kind or ' or '.join(KINDS)}.")
    return manifest


def verify(folder: Path) -> int:
    """Compare every file with its hash; returns how many there are.

    Raises:
        ArtifactError: naming the files that are missing, altered or were added.
    """
    expected, found = read_manifest(folder)["files"], _hashes(folder)
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise ArtifactError(f"{folder}: missing, altered or added since it was finished: {shown}.")
    return len(expected)


def versions() -> dict[str, str]:
    """What the numbers of an artifact depend on beside its settings."""
    packages = ("torch", "torchvision", "numpy", "pillow")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _vacant(folder: Path) -> bool:
    return folder.is_dir() and all(p.name == REQUEST or p.name.endswith(".partial") for p in folder.iterdir())


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in _WORKING_FILES)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _differences(held: Any, asked: Any, name: str = "") -> list[str]:
    if isinstance(held, dict) and isinstance(asked, dict):
        keys = [*held, *(key for key in asked if key not in held)]
        return [
            line for key in keys for line in _differences(held.get(key), asked.get(key), f"{name}.{key}".strip("."))
        ]
    return [] if held == asked else [f"{name} is {held!r} there, {asked!r} now"]

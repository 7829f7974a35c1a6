"""Single files: written whole or not at all, carried to the disk before anybody relies on them, sealed by a hash."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from sre2l_core.errors import ArtifactError, refused

SEAL, _BLANK = "sha256", "0" * 64
"""The last key of a JSON file: the SHA-256 of the file's own text with zeros in this place."""


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
        _carry_to_disk(partial)
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise refused(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _carry_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def in_background(may_wait: int = 256) -> Iterator[Callable[..., None]]:
    """A function `do(write, *arguments)` that has things written by one thread, in order, while the device computes.

    Few may wait, so that what is held does not grow with the run: the pictures of a few groups, or a single epoch of
    labels, which are large. What fails is raised by a later `do` or at the end. After an interrupt the waiting ones
    still are written.
    """
    waiting: deque[Future[Any]] = deque()

    def do(write: Callable[..., Any], *arguments: Any) -> None:
        while waiting and (waiting[0].done() or len(waiting) >= may_wait):
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


def check_is_file(path: str | Path) -> None:
    """Raise `OSError` for what is there and is no file: a pipe, for one, would be waited for."""
    kind = stat.S_IFMT(os.stat(path).st_mode)
    if kind != stat.S_IFREG:
        raise OSError(f"it is a {_KINDS.get(kind, 'folder')}, not a file")


_KINDS = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}


def content_of(path: Path) -> bytes:
    """The bytes of a file; raises `OSError` for what is none or cannot be read."""
    check_is_file(path)
    return path.read_bytes()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all, sealed: whoever reads it sees whether a byte has changed."""
    try:
        text = json.dumps({**content, SEAL: _BLANK}, indent=2, sort_keys=False, ensure_ascii=False) + "\n"
        sealed = _put_seal(text, _BLANK, hashlib.sha256(text.encode()).hexdigest()).encode()
    except (TypeError, ValueError) as error:  # a set, half a character
        raise ArtifactError(f"{path} cannot hold what was given ({error}): JSON takes text, numbers, lists.") from None
    with replacing(path) as partial:
        partial.write_bytes(sealed)


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote; raises `ArtifactError` naming the file."""
    try:
        text = content_of(path).decode()
        content = json.loads(text)
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: {path.parent} is not a finished artifact of this package.") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(f"{path} cannot be read ({reason}). {_ANEW.format(path.parent)}") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} does not hold a JSON object. {_ANEW.format(path.parent)}")
    seal = content.pop(SEAL, None)
    if not isinstance(seal, str) or hashlib.sha256(_put_seal(text, seal, _BLANK).encode()).hexdigest() != seal:
        raise ArtifactError(
            f"{path} is damaged or was edited: its text does not match the hash in it. {_ANEW.format(path.parent)}"
        )
    return content


_ANEW = "Delete the folder {} and run the command that made it again."


def _put_seal(text: str, old: str, new: str) -> str:
    before, _, after = text.rpartition(old)
    return before + new + after


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any] | None = None) -> None:
    """Write named tensors as safetensors, whole or not at all, with `notes` as JSON in the header."""
    with replacing(path) as partial:
        save_tensors(partial, tensors, {"notes": json.dumps(notes or {})})


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None) -> None:
    """Write named tensors to a path that will take another's place (see `replacing`)."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.touch()
    mode = path.stat().st_mode
    save_file(ready, path, metadata=dict(header or {"notes": "{}"}))
    path.chmod(mode)  # as of any new file; safetensors lets nobody else read its own


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises `ArtifactError` naming it."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path} cannot be read as safetensors ({error}).") from error


def read_notes(path: Path) -> dict[str, Any]:
    """The notes that `write_tensors` put into the header."""
    notes: dict[str, Any] = json.loads(_header(path).get("notes", "{}"))
    return notes


def _header(path: Path) -> Mapping[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path} cannot be read as safetensors ({error}).") from error


def write_state(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write the state of a computation, sealed: tensors, and what JSON can say of them."""
    text = json.dumps(notes)
    with replacing(path) as partial:
        save_tensors(partial, tensors, {"notes": text, SEAL: _state_hash(tensors, text)})


def read_state(path: Path) -> dict[str, Any] | None:
    """The notes of a state, its tensors under `tensors`; None where there is none or, with a warning, a spoilt one."""
    if not path.exists():
        return None
    try:
        check_is_file(path)
        header, tensors = _header(path), read_tensors(path)
        if header.get(SEAL) == _state_hash(tensors, header.get("notes", "")):
            return {**json.loads(header["notes"]), "tensors": tensors}
    except (ArtifactError, OSError):
        pass
    warnings.warn(f"{path} is damaged and left aside: what was under way begins anew", stacklevel=2)
    return None


def _state_hash(tensors: Mapping[str, Tensor], notes: str) -> str:
    return hashlib.sha256(f"{fingerprint(tensors)} {notes}".encode()).hexdigest()


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """16 hex digits of the SHA-256 over names, shapes, types and bytes: the same in memory and on disk."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)  # as they lie: a copy would double them
    return digest.hexdigest()[:16]


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    total = 0
    for file in files:
        with suppress(OSError):  # gone meanwhile
            total += 0 if file.is_symlink() or not file.is_file() else file.stat().st_size
    return total


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file; an empty text for what cannot be read or is no file: a pipe would be waited for."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""

"""Picture files to uint8 pixels: one at a time, or a whole list in threads with a cache."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from sre2l_core.errors import DataError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
"""Endings of files taken for pictures, in lower case."""
CACHE_FROM = 5_000
"""Shorter lists decode in a second or two and are not kept."""


def open_rgb(path: str | Path, *, upright: bool = False) -> Image.Image:
    """A picture as RGB: grey is repeated, 16-bit grey loses its low byte, transparency is put on white.

    Args:
        path: the file.
        upright: turn photographs the way their EXIF orientation says; torchvision, and so every published ImageNet
            figure, does not.

    Raises:
        DataError: if the file cannot be read as a picture.
    """
    try:
        with Image.open(path) as image:
            image.load()
            picture = ImageOps.exif_transpose(image) if upright else image
            if picture.mode.startswith("I;16"):
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            if picture.has_transparency_data:
                layer = picture.convert("RGBA")
                picture = Image.new("RGBA", layer.size, "white")
                picture.alpha_composite(layer)
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} cannot be read ({error}). Replace it, or set skip_corrupt to go on without it."
        ) from None


def fit(image: Image.Image, size: int, scale: float = 1.0) -> Image.Image:
    """The central square: shorter side resized to `scale * size`, then centre-cropped to `size` x `size` pixels.

    Bilinear and antialiased; the arithmetic of torchvision's Resize and CenterCrop.
    """
    shorter = round(size * scale)
    width, height = image.size
    if min(width, height) != shorter:
        if width <= height:
            width, height = shorter, max(shorter, int(shorter * height / width))
        else:
            width, height = max(shorter, int(shorter * width / height)), shorter
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image if image.size == (size, size) else image.crop((left, top, left + size, top + size))


def to_pixels(image: Image.Image) -> Tensor:
    """An RGB picture as uint8 [3, H, W]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def decode_all(
    paths: Sequence[Path], size: int, *, scale: float = 1.0, upright: bool = False, skip_corrupt: bool = False
) -> tuple[Tensor, Tensor]:
    """All pictures `fit` to one size; lists of `CACHE_FROM` files or more are kept decoded in the cache folder.

    Args:
        paths: N files.
        size: height and width in pixels.
        scale: see `fit`.
        upright: see `open_rgb`.
        skip_corrupt: leave unreadable files out, with a warning, instead of raising.

    Returns:
        [K, 3, size, size] uint8 and the [K] int64 positions in `paths` of the K readable files, K = N if all are.

    Raises:
        DataError: for the first unreadable file.
    """
    cache = _cache_file(paths, size, scale, upright) if len(paths) >= CACHE_FROM else None
    stored = _read_cache(cache) if cache else None
    if stored is None:
        stored = _decode(paths, size, scale, upright, skip_corrupt)
        if cache:
            _write_cache(cache, *stored)
    images, kept = stored
    if len(kept) < len(paths):
        missing = sorted(set(range(len(paths))) - set(kept.tolist()))
        if not skip_corrupt:
            open_rgb(paths[missing[0]], upright=upright)
        warnings.warn(
            f"skipped {len(missing)} unreadable of {len(paths)} files, first {paths[missing[0]]}", stacklevel=2
        )
    return images, kept


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode(paths: Sequence[Path], size: int, scale: float, upright: bool, skip_corrupt: bool) -> tuple[Tensor, Tensor]:
    images = torch.zeros(len(paths), 3, size, size, dtype=torch.uint8)
    rows = images.numpy()

    def row(index: int) -> bool:
        try:
            picture = fit(open_rgb(paths[index], upright=upright), size, scale)
        except DataError:
            if not skip_corrupt:
                raise
            return False
        rows[index] = np.asarray(picture).transpose(2, 0, 1)
        return True

    pool = ThreadPoolExecutor(cores())
    try:
        kept = torch.tensor(list(pool.map(row, range(len(paths)))), dtype=torch.bool).nonzero()[:, 0]
    finally:
        pool.shutdown(cancel_futures=True)
    return (images if len(kept) == len(paths) else images[kept]), kept


def _cache_file(paths: Sequence[Path], size: int, scale: float, upright: bool) -> Path:
    """Named by all the pixels depend on: which files, their sizes and times of change, and how they are fitted."""
    digest = hashlib.sha256(repr((size, scale, upright)).encode())
    for path in paths:
        state = path.stat()
        digest.update(f"{path.absolute()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    folder = os.environ.get("SRE2L_CACHE") or Path.home() / ".cache" / "sre2l" / "decoded"
    return Path(folder).expanduser() / f"{digest.hexdigest()[:32]}.safetensors"


def _read_cache(cache: Path) -> tuple[Tensor, Tensor] | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(cache)
        return stored["images"], stored["kept"]
    except (OSError, KeyError, SafetensorError):
        return None


def _write_cache(cache: Path, images: Tensor, kept: Tensor) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    part = cache.with_suffix(f".{os.getpid()}.part")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        save_file({"images": images, "kept": kept}, part)
        part.replace(cache)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            part.unlink()
        warnings.warn(f"decoded images could not be kept in {cache.parent} ({error})", stacklevel=2)

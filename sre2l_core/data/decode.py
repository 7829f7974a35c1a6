"""Picture files to uint8 pixels: one at a time, or a whole list in threads with a cache."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from sre2l_core.data.folders import shown
from sre2l_core.errors import DataError
from sre2l_core.pictures import opened
from sre2l_core.runtime import free_memory

CACHE_FROM = 5_000
"""Shorter lists decode in a second or two and are not kept."""
_LONGEST = 16
"""A picture's longer side in units of the shorter; what is longer is cut before it is enlarged."""
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
"""Of TIFF."""


def open_rgb(path: str | Path, *, upright: bool = False) -> Image.Image:
    """A picture as RGB: grey is repeated, 16-bit levels are divided by 257, transparency is put on white.

    What a file holds counts, not how it is called. Of an animation or a file of several pages the first picture is
    taken. 16-bit colour comes from Pillow without its low byte, which is one level less at most.

    Args:
        path: the file.
        upright: turn photographs the way their EXIF orientation says; torchvision, and so every published ImageNet
            figure, does not.

    Raises:
        DataError: if the file cannot be read as a picture: not there, a pipe, damaged, too large for the memory, or of
            numbers whose white is not known.
    """
    try:
        with opened(path) as image:
            image.load()
            picture = ImageOps.exif_transpose(image) if upright else image
            if picture.mode.startswith(("I", "F")):
                picture = _eight_bits(np.asarray(picture), image)
            if picture.has_transparency_data:
                layer = picture.convert("RGBA")
                picture = Image.new("RGBA", layer.size, "white")
                picture.alpha_composite(layer)
            return picture.convert("RGB")
    except Exception as error:  # decoders fail in as many ways as files are damaged
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{shown(path)} cannot be read ({reason}). Replace it, or set skip_corrupt to go on without it."
        ) from None


def fit(image: Image.Image, size: int, scale: float = 1.0) -> Image.Image:
    """The central square: shorter side resized to `scale * size`, then centre-cropped to `size` x `size` pixels.

    Bilinear and antialiased; the arithmetic of torchvision's Resize and CenterCrop.
    """
    shorter = round(size * scale)
    width, height = image.size
    if min(width, height) != shorter:
        if max(width, height) > _LONGEST * min(width, height):
            image = _middle(image)
            width, height = image.size
        if width <= height:
            width, height = shorter, max(shorter, int(shorter * height / width))
        else:
            width, height = max(shorter, int(shorter * width / height)), shorter
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image if image.size == (size, size) else image.crop((left, top, left + size, top + size))


def check_memory(count: int, channels: int, size: int) -> None:
    """Refuse uint8 images of `size` x `size` pixels that this machine cannot hold, before they are asked for.

    Raises:
        DataError: with what they need and what is free.
    """
    needed, free = count * channels * size**2, free_memory()
    if needed > free:
        raise DataError(
            f"{count:,} images of {size} x {size} pixels need {needed / 2**30:,.1f} GiB of memory, of which "
            f"{free / 2**30:,.1f} GiB are free. Ask for a smaller resolution or for fewer classes."
        )


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
    stored = _read_cache(cache, size) if cache else None
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
            f"skipped {len(missing)} unreadable of {len(paths)} files, first {shown(paths[missing[0]])}", stacklevel=2
        )
    return images, kept


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode(paths: Sequence[Path], size: int, scale: float, upright: bool, skip_corrupt: bool) -> tuple[Tensor, Tensor]:
    check_memory(len(paths), 3, size)
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


def _eight_bits(levels: npt.NDArray[Any], image: Image.Image) -> Image.Image:
    """Grey [H, W] of more than 8 bits in 8: the largest number that fits is white, as PNG, PGM and TIFF have it."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    if not (image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))):
        kind = "floats" if image.mode == "F" else "32-bit or signed integers"
        raise ValueError(f"its levels are {kind}, whose white is not known: save it with 8 or unsigned 16 bits")
    white = 2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1
    grey = np.rint(levels * (255 / white)).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    grey[levels == image.info.get("transparency")] = 255
    return Image.fromarray(grey)


def _middle(image: Image.Image) -> Image.Image:
    """The middle of a long and thin picture, of which the central square shows a part."""
    width, height = image.size
    kept_width, kept_height = min(width, _LONGEST * height), min(height, _LONGEST * width)
    left, top = (width - kept_width) // 2, (height - kept_height) // 2
    return image.crop((left, top, left + kept_width, top + kept_height))


def _cache_file(paths: Sequence[Path], size: int, scale: float, upright: bool) -> Path:
    """Named by all the pixels depend on: which files, their sizes and times of change, and how they are fitted."""
    digest = hashlib.sha256(repr((size, scale, upright)).encode())
    for path in paths:
        size_and_time = (0, 0)
        with suppress(OSError):  # a link to nothing
            state = path.stat()
            size_and_time = (state.st_size, state.st_mtime_ns)
        digest.update(os.fsencode("{}\0{}\0{}\n".format(path.absolute(), *size_and_time)))
    folder = os.environ.get("SRE2L_CACHE") or Path.home() / ".cache" / "sre2l" / "decoded"
    return Path(folder).expanduser() / f"{digest.hexdigest()[:32]}.safetensors"


def _read_cache(cache: Path, size: int) -> tuple[Tensor, Tensor] | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(cache)
        images, kept = stored["images"], stored["kept"]
    except (OSError, KeyError, SafetensorError):
        return None
    fits = images.shape == (len(kept), 3, size, size) and (images.dtype, kept.dtype) == (torch.uint8, torch.int64)
    return (images, kept) if fits else None


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

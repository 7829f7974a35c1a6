"""Pixels to image files and back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sre2l_core.errors import ArtifactError
from sre2l_core.files import check_is_file
from sre2l_core.runtime import free_memory

_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"optimize": False},
    "webp": {"lossless": True},
    "jpeg": {"quality": 75, "subsampling": 2},
}

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""What a file may hold, whatever it is called; some other decoders of Pillow start programs."""
_BYTES_PER_PIXEL = 8
"""As decoded and as RGB."""
_SMALL = 2**22
"""Pixels of a picture for which there is always room."""


def to_pil(pixels: Tensor) -> Image.Image:
    """A uint8 image [1 or 3, H, W] as a PIL image."""
    array = pixels.cpu().numpy()
    return Image.fromarray(array[0] if len(array) == 1 else np.moveaxis(array, 0, 2))


def write(path: Path, pixels: Tensor, image_format: str) -> None:
    """Write a uint8 image [C, H, W]; PNG and WebP are lossless, JPEG is the reference's quality 75 with 4:2:0."""
    to_pil(pixels).save(path, format=image_format, **_OPTIONS[image_format])


def opened(path: str | Path) -> Image.Image:
    """A picture whose header was read and whose pixels were not yet; closed by `with`.

    Raises:
        OSError: for what is no file, such as a pipe, which would be waited for; and by Pillow for what is no picture.
        ValueError: for more pixels than this machine's memory holds.
    """
    check_is_file(path)
    image = Image.open(path, formats=_FORMATS)
    pixels = image.width * image.height
    if pixels <= _SMALL:
        return image
    most, needed, free = Image.MAX_IMAGE_PIXELS or pixels, _BYTES_PER_PIXEL * pixels, free_memory()
    if pixels > most or needed > free:
        image.close()
        raise ValueError(
            f"its {image.width} x {image.height} pixels need {needed / 2**20:,.0f} MiB; at most {most:,} pixels are "
            f"read, and {free / 2**20:,.0f} MiB are free: make it smaller"
        )
    return image


def read(path: Path, channels: int, size: tuple[int, int]) -> Tensor:
    """Read an image of (height, width) as uint8 [C, H, W]; raises `ArtifactError` naming the file."""
    try:
        with opened(path) as image:
            if image.size[::-1] != size:
                raise ValueError(f"it has {image.height}x{image.width} pixels, expected {size[0]}x{size[1]}")
            array = np.array(image.convert("L" if channels == 1 else "RGB"))
    except Exception as error:  # decoders fail in as many ways as files are damaged
        raise ArtifactError(f"{path} cannot be read as an image ({error}).") from error
    return torch.from_numpy(array[None] if channels == 1 else np.moveaxis(array, 2, 0).copy())


def as_stored(pixels: Tensor, image_format: str) -> Tensor:
    """What [C, H, W] becomes once it was written and read: changed by JPEG only."""
    if image_format != "jpeg":
        return pixels
    buffer = io.BytesIO()
    to_pil(pixels).save(buffer, format="jpeg", quality=75, subsampling=2)
    array = np.array(Image.open(buffer))
    return torch.from_numpy(array[None] if array.ndim == 2 else np.moveaxis(array, 2, 0).copy())

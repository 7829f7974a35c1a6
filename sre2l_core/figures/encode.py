"""Images to small pictures for a live view: a grid in one PNG or JPEG, and one image with its crop outlined."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from sre2l_core.pictures import to_pil

PIXELATED = 64
"""Images up to this width are sent pixel by pixel and enlarged by the page; wider ones are shrunk."""
TILE_PIXELS = 96
"""Width that wide images are shrunk to, and small ones enlarged to at most."""
MAX_BYTES = {True: 60_000, False: 120_000}
"""Of a frame of small images, and of wide ones."""
QUALITIES = (85, 70, 50, 30)
GREY = 127
VEIL = 90
"""Opacity between images: black ones stay apart on a dark page, white ones on a light page."""


@dataclass(frozen=True)
class Frame:
    """An encoded picture, and how large a page should show it."""

    data: bytes
    format: str
    width: int
    """In CSS pixels."""
    scale: float
    """CSS pixels per image pixel."""
    columns: int
    tile: float
    """CSS pixels from one column to the next."""
    side: float
    """CSS pixels of one image."""
    down: float
    """CSS pixels from one row to the next."""


def grid(pixels: Tensor, columns: int, *, max_width: int = 760, below: int = 0) -> Frame:
    """Images [N, C, H, W] uint8 as one picture, `columns` in a row, no larger than the frame's limit.

    Small images go as PNG, pixel by pixel, wide ones as JPEG of smaller tiles. A PNG that would be too large becomes a
    JPEG, and what is too large at the lowest quality loses its last rows.

    Args:
        pixels: the images.
        columns: images in a row.
        max_width: CSS pixels that the picture may take.
        below: CSS pixels between rows, for what is drawn under each image.
    """
    size = pixels.shape[-1]
    small = size <= PIXELATED
    if not small:
        pixels = shrunk(pixels, TILE_PIXELS)
    gap = max(1, pixels.shape[-1] // 16)
    step = pixels.shape[-1] + gap
    scale = min(TILE_PIXELS / pixels.shape[-1], max_width / (columns * step - gap))
    if scale > 1:  # whole factors keep every pixel a square of the same size
        scale = float(int(scale)) if scale >= 2 else int(2 * scale) / 2
    under = max(gap, math.ceil(below / scale))
    data, kind = _within(pixels, columns, (gap, under), MAX_BYTES[small], lossless=small)
    side, width = pixels.shape[-1] * scale, round((columns * step - gap) * scale)
    return Frame(data, kind, width, scale, columns, step * scale, side, side + under * scale)


def page(
    pixels: Tensor, columns: int, gap: int = 1, *, under: int | None = None, transparent: bool = True
) -> Image.Image:
    """Images [N, C, H, W] uint8 side by side; what lies between them is grey, or a veil of it.

    Args:
        pixels: the images.
        columns: images in a row.
        gap: pixels between images.
        under: pixels between rows; as many by default.
        transparent: whether the grey is a veil.
    """
    count, channels, height, width = pixels.shape
    rows, under = -(-count // columns), gap if under is None else under
    shape = (rows * (height + under) - under, columns * (width + gap) - gap, channels + transparent)
    canvas = np.full(shape, GREY, dtype=np.uint8)
    if transparent:
        canvas[:, :, channels] = VEIL
    for index, image in enumerate(pixels.permute(0, 2, 3, 1).cpu().numpy()):
        top, left = index // columns * (height + under), index % columns * (width + gap)
        canvas[top : top + height, left : left + width, :channels] = image
        if transparent:
            canvas[top : top + height, left : left + width, channels] = 255
    return Image.fromarray(canvas[:, :, 0] if canvas.shape[2] == 1 else canvas)


def outlined(image: Tensor, box: Sequence[int], *, side: int = 144) -> tuple[bytes, str]:
    """One image [C, H, W] uint8, about `side` pixels wide, what lies outside `box` darkened and the box framed.

    Args:
        image: the whole image.
        box: top, left, height, width of the crop in image pixels; may reach outside.
        side: width of the picture.

    Returns:
        The picture and its format: a PNG of an enlarged image, a JPEG of one that was shrunk.
    """
    size = image.shape[-1]
    scale: float = max(side // size, 1) if size <= side else side / size
    width = round(size * scale)
    picture = to_pil(image if scale >= 1 else shrunk(image[None], width)[0]).convert("RGB")
    picture = picture.resize((width, width), Image.Resampling.NEAREST)
    top, left, height, length = box
    corners = [round(value * scale) for value in (left, top, left + length, top + height)]
    inside = Image.new("L", picture.size, 110)
    draw = ImageDraw.Draw(inside)
    draw.rectangle((corners[0], corners[1], corners[2] - 1, corners[3] - 1), fill=255)
    picture = Image.composite(picture, Image.new("RGB", picture.size, "black"), inside)
    draw = ImageDraw.Draw(picture)
    for inset, colour in ((0, "#ffffff"), (1, "#d55e00"), (2, "#d55e00")):
        edges = (corners[0] + inset, corners[1] + inset, corners[2] - 1 - inset, corners[3] - 1 - inset)
        if edges[0] <= edges[2] and edges[1] <= edges[3]:
            draw.rectangle(edges, outline=colour)
    kind = "png" if scale >= 1 else "jpeg"
    return encoded(picture, kind), kind


def shrunk(pixels: Tensor, side: int) -> Tensor:
    """Images [N, C, H, W] uint8 at `side` pixels, smoothed; on the CPU, which resizes bytes as they are."""
    return F.interpolate(pixels.cpu(), size=(side, side), mode="bilinear", antialias=True)


def still(pixels: Tensor, columns: int) -> Image.Image:
    """Images [N, C, H, W] uint8 as a picture that needs no page to enlarge it; for results that stay."""
    if pixels.shape[-1] > PIXELATED:
        pixels = shrunk(pixels, TILE_PIXELS)
    size = pixels.shape[-1]
    picture = page(pixels, columns, max(1, size // 16))
    factor = max(1, min(TILE_PIXELS // size, 760 // picture.width))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def encoded(picture: Image.Image, kind: str, quality: int = 85) -> bytes:
    """The bytes of a PNG, fast rather than small, or of a JPEG."""
    buffer = io.BytesIO()
    if kind == "png":
        picture.save(buffer, format="png", compress_level=1)
    else:
        picture.save(buffer, format="jpeg", quality=quality, subsampling=0 if picture.width < 200 else 2)
    return buffer.getvalue()


def _within(pixels: Tensor, columns: int, gaps: tuple[int, int], limit: int, *, lossless: bool) -> tuple[bytes, str]:
    gap, under = gaps
    if lossless and 1.25 * pixels.numel() <= limit:  # noise does not compress, and opacity comes on top
        data = encoded(page(pixels, columns, gap, under=under), "png")
        if len(data) <= limit:
            return data, "png"
    while True:
        picture = page(pixels, columns, gap, under=under, transparent=False)
        for quality in QUALITIES:
            data = encoded(picture, "jpeg", quality)
            if len(data) <= limit:
                return data, "jpeg"
        rows = -(-len(pixels) // columns)
        pixels = pixels[: max(rows // 2, 1) * columns] if rows > 1 else pixels[: max(len(pixels) // 2, 1)]

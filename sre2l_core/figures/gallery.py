"""Images large enough to be looked at, a few in a row, in few enough bytes to stay in a saved notebook."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from torch import Tensor

from sre2l_core.artifacts import CondensedSet
from sre2l_core.figures.encode import PIXELATED, encoded, shrunk
from sre2l_core.figures.sheet import LINE, View, sheet
from sre2l_core.figures.svg import LETTER, MUTED, Drawing, cut, picture, tag, text
from sre2l_core.figures.theme import LETTERS
from sre2l_core.pictures import to_pil

SIDE, GAP, ACROSS, QUALITY = 136, 6, 5, 80
"""CSS pixels of an image and between two, images in a row, quality of a JPEG."""


def gallery(sets: Mapping[str, CondensedSet]) -> Drawing:
    """A row for each set under the names of the classes, image by image; after `ACROSS` images further rows begin.

    Images wider than 64 pixels go as JPEG, at most twice as fine as they are shown; small ones pixel by pixel.

    Args:
        sets: name -> images; of the same classes in the same order, as of a panel with several sides.
    """
    images = next(iter(sets.values()))
    classes = [images.spec.short_names[label] for label in images.labels.tolist()]
    names = [cut(name, LETTERS) for name in sets]
    left, y = LETTER * max(map(len, names)) + GAP, 0.0
    parts = []
    for first in range(0, len(classes), ACROSS):
        band = slice(first, first + ACROSS)
        y += LINE
        parts += [_heading(name, left + place * (SIDE + GAP), y) for place, name in enumerate(classes[band])]
        for name, one in zip(names, sets.values(), strict=True):
            parts.append(text(name, left - GAP, y + SIDE / 2, anchor="end"))
            parts += [_image(pixels, left + place * (SIDE + GAP), y) for place, pixels in enumerate(one.images[band])]
            y += SIDE + GAP
    label = f"{len(classes)} images each: {', '.join(sets)}"
    width = left + min(len(classes), ACROSS) * (SIDE + GAP) - GAP
    return sheet([View("", Drawing(parts, width, y - GAP, label))], label)


def _heading(name: str, x: float, y: float) -> str:
    """The name of a column whose images begin there."""
    return text(cut(name, int(SIDE / LETTER)), x + SIDE / 2, y - 4, anchor="middle", fill=MUTED)


def _image(pixels: Tensor, x: float, y: float) -> str:
    """One image [C, H, W] uint8."""
    if pixels.shape[-1] <= PIXELATED:
        return picture(to_pil(pixels), x, y, SIDE)
    fine = to_pil(shrunk(pixels[None], min(2 * SIDE, pixels.shape[-1]))[0])
    address = f"data:image/jpeg;base64,{base64.b64encode(encoded(fine, 'jpeg', QUALITY)).decode()}"
    return tag("image", href=address, x=x, y=y, width=SIDE, height=SIDE)

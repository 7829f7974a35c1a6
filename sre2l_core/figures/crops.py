"""Crops and their soft labels: frames on the image, a card for each, what temperature does, what storing costs."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from torch import Tensor

from sre2l_core.figures.bars import bars
from sre2l_core.figures.colours import of_number
from sre2l_core.figures.curves import log_chart
from sre2l_core.figures.encode import shrunk
from sre2l_core.figures.sheet import View
from sre2l_core.figures.svg import MUTED, Drawing, box, hover, picture, text
from sre2l_core.figures.tables import matrix, table
from sre2l_core.pictures import to_pil
from sre2l_core.studies.crops import CodecCost, Crops
from sre2l_core.tabular import Table

SIDE, IMAGE_SIDE = 108, 176
"""CSS pixels of a crop, and of the whole image."""
TEMPERATURES = [10 ** (step / 10) for step in range(-5, 21)]
"""Along the chart, 0.3 to 100."""
EDGE = 10
"""CSS pixels around the whole image, for crops that reach over it."""


def outlines(image: Tensor, boxes: Sequence[Sequence[int]]) -> Drawing:
    """An image [C, H, W] uint8 with the frame (top, left, height, width) of each crop."""
    scale = IMAGE_SIDE / image.shape[-1]
    parts = [picture(to_pil(fitting(image, IMAGE_SIDE)), EDGE, EDGE, IMAGE_SIDE)]
    for number, (top, left, height, width) in enumerate(boxes):
        inset = 1.2 * number  # frames of overlapping crops stay apart
        x, y = left * scale + EDGE + inset, top * scale + EDGE + inset
        wide, high = max(width * scale - 2 * inset, 2), max(height * scale - 2 * inset, 2)
        look = {"fill": "none", "stroke": of_number(number), "stroke_width": 2}
        parts.append(box(x, y, wide, high, hover(f"crop {number + 1}"), **look))
    side = IMAGE_SIDE + 2 * EDGE
    return Drawing(parts, side, side, "the chosen image and the frames of its crops")


def crop_card(pixels: Tensor, soft_label: Mapping[str, float], *, number: int, own: str, flipped: bool) -> Drawing:
    """One crop, and the classes that its soft label names.

    Args:
        pixels: [C, S, S] uint8.
        soft_label: class -> its share, likeliest first.
        number: of the crop, from 0.
        own: class of the image; others stand out.
        flipped: whether the crop is mirrored.
    """
    width = 156 if max(map(len, soft_label)) <= 6 else 290  # three or two cards in a row
    highlight = [name for name in soft_label if name != own]
    label = f"soft label of crop {number + 1}: " + ", ".join(f"{name} {v:.0%}" for name, v in soft_label.items())
    chart = bars(soft_label, label=label, high=1, form="{:.0%}", width=width, row=21, highlight=highlight)
    top, look = 18, {"fill": "none", "stroke": of_number(number), "stroke_width": 2}
    parts = [
        text(f"crop {number + 1}{', mirrored' if flipped else ''}", 3, 12, fill=MUTED),
        picture(to_pil(fitting(pixels, SIDE)), 3, top + 3, SIDE),
        box(2, top + 2, SIDE + 2, SIDE + 2, **look),
        chart.at(SIDE + 8, top + (SIDE + 6 - chart.height) / 2),
    ]
    return Drawing(parts, SIDE + 8 + width, top + SIDE + 8, label)


def against_temperature(crops: Crops, temperature: float) -> View:
    """How sure the labels are, and how alike, at every temperature."""
    top = [(math.log10(t), float(crops.soft(t).amax(1).mean())) for t in TEMPERATURES]
    agree = [(math.log10(t), crops.mean_agreement(t)) for t in TEMPERATURES]
    chart = log_chart(
        {"likeliest class": top, "agreement": agree}, at=math.log10(temperature),
        label="share of the likeliest class and agreement between crops, against temperature",
        x_label="temperature", width=350,
    )  # fmt: skip
    return View("Flatter with temperature", chart)


def agreement(crops: Crops, temperature: float) -> View:
    """What each pair of crops has in common."""
    shared = [[round(100 * value) for value in row] for row in crops.agreement(temperature).tolist()]
    numbers = [str(number + 1) for number in range(len(crops))]
    label = "agreement between crops"
    return View(
        "Labels that two crops share (%)",
        matrix(shared, numbers, label=label, across="crop", down="crop", full=100, side=28),
    )


def cost_table(costs_of: Sequence[CodecCost], *, epochs: int, images: int) -> str:
    """What each codec costs, as an HTML table; nothing as long as that is not known."""
    if not costs_of:
        return ""
    found = costs(costs_of)
    rows = [[html.escape(cell) for cell in row] for row in found.rows]
    return table(found.head, rows, caption=f"Storing {epochs:,} labels for each of {images:,} images")


def costs(found: Sequence[CodecCost]) -> Table:
    """What each codec costs, as plain text."""
    rows = [
        (c.codec, f"{c.bytes_per_label:,}", _bytes(c.total), f"{c.per_image:.1f} ×", f"{c.lost:.2%}") for c in found
    ]
    return Table(("codec", "bytes a label", "in all", "of the pixels", "label lost"), rows, [asdict(c) for c in found])


def fitting(image: Tensor, side: int) -> Tensor:
    """An image [C, H, W] uint8, shrunk to what `side` CSS pixels show of it."""
    return shrunk(image[None], side)[0] if image.shape[-1] > side else image


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"

"""Matplotlib on a ground that nobody knows: none of its own, and grey words and axes that hold on white and on dark.

A figure is a picture in a notebook, on a page that shows notebooks, in a folder: it is drawn once and cannot follow a
theme that is chosen after. `INK` has a contrast of at least 4 to both. `Figure` objects without pyplot and without
settings that are global: safe in threads, notebooks and scripts alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from sre2l_core.figures.encode import page
from sre2l_core.figures.svg import cut, sayable

INK = "#777777"
FAINT = "#9e9e9e80"
LEGEND: dict[str, Any] = {"frameon": False, "labelcolor": INK}
LETTERS = 24
"""Of a name: more leave a small figure no room for what they name."""


def subplots(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of so many inches without a ground, and its axes in grey: one, or an array of them."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    found = figure.subplots(rows, columns, **options)
    for axes in np.ravel(found):
        axes.set_facecolor("none")
        axes.tick_params(colors=INK)
        axes.spines[:].set_color(INK)
        for words in (axes.title, axes.xaxis.label, axes.yaxis.label):
            words.set_color(INK)
    return figure, found


def plain(axes: Axes) -> Axes:
    """Axes without the lines above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def words(name: str, most: int = LETTERS) -> str:
    """A name, to be drawn letter by letter: a `$` in it begins no mathematics."""
    return cut(sayable(name), most).replace("$", r"\$")


def show_images(axes: Axes, rows: Sequence[Tensor]) -> None:
    """Draw rows of images [N, C, H, W] uint8 without ticks or frame."""
    size = rows[0].shape[-1]
    axes.imshow(tiles(rows, gap_of(size)), interpolation="nearest" if size < 64 else "antialiased")
    axes.set(xticks=[], yticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def middles(count: int, size: int) -> list[float]:
    """Where the middle of each of so many images in a row is drawn."""
    return [(size + gap_of(size)) * index + (size - 1) / 2 for index in range(count)]


def gap_of(size: int) -> int:
    """Pixels between images of this width."""
    return max(1, size // 16)


def tiles(rows: Sequence[Tensor], gap: int = 1) -> npt.NDArray[np.uint8]:
    """Rows of images [N, C, H, W] uint8 as one picture [H, W, 4]; a veil between them, clear where one is missing."""
    columns, (height, width) = max(len(row) for row in rows), rows[0].shape[2:]
    full = torch.cat([torch.cat([row, row.new_zeros(columns - len(row), *row.shape[1:])]) for row in rows])
    picture = np.array(page(full, columns, gap).convert("RGBA"))
    for number, row in enumerate(rows):
        top = number * (height + gap)
        picture[top : top + height, len(row) * (width + gap) - gap :, 3] = 0
    return picture

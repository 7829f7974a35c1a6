"""A moment of a recovery, and how it is drawn: the present one and those of the timeline alike."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from sre2l_core.data import DatasetSpec
from sre2l_core.figures import bars, encode
from sre2l_core.figures.sheet import View, captioned
from sre2l_core.figures.svg import Drawing
from sre2l_core.stages.recover import Recovery

COLUMNS = 10
"""Images in a row where the classes do not say otherwise."""
LARGE = 48
"""From this resolution on half as many: these images want to be seen."""
SIDE = 128
"""CSS pixels of the crop."""


class Moment(NamedTuple):
    """A recovery between two steps."""

    step: int
    """Steps taken."""
    pixels: Tensor
    """[N, C, H, W] uint8 on the CPU, wide images shrunk to what a view shows of them."""
    probabilities: Tensor
    """[N, K] of the teacher."""
    distances: Tensor
    """[L, S] BatchNorm mismatch by layer and group."""
    boxes: Tensor
    """[N, 4] crops of the last step in pixels of the whole images; of the first one where none was taken."""


def moment(recovery: Recovery, answer: tuple[Tensor, Tensor]) -> Moment:
    """What is so now.

    Args:
        recovery: between two steps.
        answer: of the teacher, from `Recovery.measure`.
    """
    probabilities, distances = (part.cpu() for part in answer)
    boxes = recovery.views(max(recovery.step_count - 1, 0)).box.cpu()
    return Moment(recovery.step_count, small(recovery.pixels()), probabilities, distances, boxes)


def small(pixels: Tensor) -> Tensor:
    """Images [N, C, H, W] uint8 on the CPU, wide ones shrunk to what a view shows of them."""
    pixels = pixels.cpu()
    return pixels if pixels.shape[-1] <= encode.PIXELATED else encode.shrunk(pixels, encode.TILE_PIXELS)


@dataclass(frozen=True)
class RecoveryFrame:
    """A moment of a recovery, encoded: made in the worker, shown later."""

    images: encode.Frame
    titles: list[str]
    """Of each image."""
    columns: list[str]
    """What each column shows, where it is one class."""
    names: str
    confidences: Drawing
    caption: str
    crop: tuple[bytes, str]
    """The picture and its format."""
    crop_caption: str
    recognised: float
    """Share of the images that the teacher puts into their class."""
    distances: list[float]
    """BatchNorm mismatch by layer, mean over groups."""


def drawn(
    seen: Moment, spec: DatasetSpec, targets: Sequence[int], *, width: int, watched: int, live: bool
) -> RecoveryFrame:
    """Encode a moment.

    Args:
        seen: the moment.
        spec: of the images.
        targets: [N] labels.
        width: CSS pixels for the images.
        watched: which image's crop is shown.
        live: whether it is the present one.
    """
    names, columns = short_names(spec, targets), columns_of(targets, spec.resolution)
    picture = encode.grid(seen.pixels, columns, max_width=width, below=bars.CELL)
    guesses = seen.probabilities.argmax(1).tolist()
    right = [guess == target for guess, target in zip(guesses, targets, strict=True)]
    words = f"the teacher's confidence in each image's class; it recognises {sum(right)} of {len(right)}"
    sure = [float(row[target]) for row, target in zip(seen.probabilities, targets, strict=True)]
    rows = zip(names, sure, short_names(spec, guesses), strict=True)
    confidences = bars.cells(
        sure,
        columns,
        label=words,
        step=picture.tile,
        down=picture.down,
        size=picture.side,
        good=right,
        titles=[f"{name}: {share:.1%}, looks like {other}" for name, share, other in rows],
        names=() if columns_are_classes(names, columns) else names,
    )
    box, scale = seen.boxes[watched].tolist(), seen.pixels.shape[-1] / spec.resolution
    share = box[2] * box[3] / spec.resolution**2
    when = "the last step saw" if live else f"step {seen.step} saw" if seen.step else "the first step will see"
    return RecoveryFrame(
        picture,
        numbered(names),
        list(names[:columns]) if columns_are_classes(names, columns) else [],
        headings(names, picture),
        confidences,
        f"{'Bars' if live else f'After step {seen.step}. Bars'}: {words}.",
        encode.outlined(seen.pixels[watched], [round(side * scale) for side in box], side=SIDE),
        f"Image {watched + 1} ({html.escape(names[watched])}): {when} {share:.0%} of it.",
        sum(right) / len(right),
        seen.distances.mean(1).tolist(),
    )


def images_view(frame: RecoveryFrame, numbers: str) -> View:
    """The images of a moment with their names and confidences, and its numbers, for a sheet."""
    drawn = captioned(frame.images, frame.columns, frame.confidences)
    return View("Recovered images", drawn, (html.unescape(frame.caption), numbers))


def columns_of(labels: Sequence[int], resolution: int) -> int:
    """How many images of these classes stand in a row: one column a class, if that is a sensible width."""
    classes, most = len(set(labels)), COLUMNS // 2 if resolution >= LARGE else 2 * COLUMNS
    return classes if 3 <= classes <= most else min(len(labels), most, COLUMNS)


def columns_are_classes(names: Sequence[str], columns: int) -> bool:
    """Whether every column holds one class."""
    return all(name == names[index % columns] for index, name in enumerate(names))


def short_names(spec: DatasetSpec, labels: Sequence[int]) -> list[str]:
    """Readable names of classes."""
    return [spec.short_names[label] for label in labels]


def numbered(names: Sequence[str]) -> list[str]:
    """Titles of images, counted from 1."""
    return [f"image {number}, class {name}" for number, name in enumerate(names, start=1)]


def headings(names: Sequence[str], picture: encode.Frame) -> str:
    """Names over the columns of a picture, if every column holds one class."""
    names = names[: picture.columns] if columns_are_classes(names, picture.columns) else []
    style = "box-sizing: border-box; text-align: center; overflow: hidden; text-overflow: ellipsis; flex: none"
    gap = picture.tile - picture.side
    cells = (
        f'<span style="{style}; width: {picture.side:.1f}px; margin-right: {gap:.1f}px" title="{html.escape(name)}">'
        f"{html.escape(name)}</span>"
        for name in names
    )
    return f'<div class="sre-caption" style="display: flex; white-space: nowrap">{"".join(cells)}</div>'

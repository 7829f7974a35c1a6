"""What a recovery looks like now: its images, how sure the teacher is of each, and the crop of the last step."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
from PIL import Image
from torch import Tensor

from sre2l_core.data import DatasetSpec
from sre2l_core.figures import bars, encode
from sre2l_core.stages.recover import Recovery

COLUMNS = 10
"""Images in a row where the classes do not say otherwise."""
LARGE = 48
"""From this resolution on half as many: these images want to be seen."""
SIDE = 128
"""CSS pixels of the crop."""
ROW = {"flex_flow": "row wrap", "align_items": "flex-start"}
"""Layout of widgets side by side, as far as there is room."""
NOTHING = encode.encoded(Image.new("LA", (1, 1)), "png")
"""A transparent pixel: an empty `src` would show a broken picture."""


@dataclass(frozen=True)
class RecoveryFrame:
    """A moment of a recovery, encoded: made in the worker, shown later."""

    images: encode.Frame
    names: str
    confidences: str
    caption: str
    crop: tuple[bytes, str]
    """The picture and its format."""
    crop_caption: str
    recognised: float
    """Share of the images that the teacher puts into their class."""
    distances: list[float]
    """BatchNorm mismatch by layer, mean over groups."""


class ThrottledTeacher:
    """Asks the teacher about the whole images, seldom enough to slow their recovery by no more than `SHARE`."""

    SHARE = 0.01

    def __init__(self, recovery: Recovery) -> None:
        self.recovery = recovery
        self._answer: tuple[Tensor, Tensor] | None = None
        self._next = 0.0

    def ask(self, *, now: bool) -> tuple[Tensor, Tensor]:
        """Probabilities and layer distances; those of a moment ago where it is too soon, unless it has to be `now`."""
        if self._answer is None or now or time.monotonic() >= self._next:
            start = time.thread_time()
            self._answer = self.recovery.measure()
            self._next = time.monotonic() + (time.thread_time() - start) / self.SHARE
        return self._answer


class RecoveryView(ipywidgets.VBox):
    """Images with names and confidences; the crop of one image and its caption are put beside them by a panel.

    Args:
        width: CSS pixels for the images.
        title: a line over them.
    """

    def __init__(self, width: int, title: str = "") -> None:
        self._width = width
        self._teacher: ThrottledTeacher | None = None
        self._names, self._cells = ipywidgets.HTML(), ipywidgets.HTML()
        self._caption, self.crop_caption = (ipywidgets.HTML().add_class("sre-caption") for _ in range(2))
        self.image = ipywidgets.Image(format="png").add_class("sre-grid").add_class("sre-pixels")
        self.crop = ipywidgets.Image(format="png", layout={"width": f"{SIDE}px"})
        self.crop.add_class("sre-crop").add_class("sre-pixels")
        heading = ipywidgets.HTML(f'<div class="sre-heading">{html.escape(title)}</div>' if title else "")
        super().__init__([heading, self._names, self.image, self._cells, self._caption])

    def frame(self, recovery: Recovery, *, now: bool, watched: int = 0) -> RecoveryFrame:
        """Look at a recovery between two steps; called in the worker.

        Args:
            recovery: at any step.
            now: whether the teacher has to be asked, or what it said a moment ago will do.
            watched: which image's crop is shown.
        """
        if self._teacher is None or self._teacher.recovery is not recovery:
            self._teacher = ThrottledTeacher(recovery)
        probabilities, distances = self._teacher.ask(now=now)
        pixels, spec, targets = recovery.pixels().cpu(), recovery.teacher.spec, recovery.targets
        columns = columns_of(targets.tolist(), spec.resolution)
        picture = encode.grid(pixels, columns, max_width=self._width)
        names = short_names(spec, targets.tolist())
        guesses = probabilities.argmax(1)
        right = (guesses == targets).tolist()
        words = f"the teacher's confidence in each image's class; it recognises {sum(right)} of {len(right)}"
        sure = probabilities.gather(1, targets[:, None])[:, 0].tolist()
        rows = zip(names, sure, short_names(spec, guesses.tolist()), strict=True)
        confidences = bars.cells(
            sure,
            columns,
            label=words,
            step=picture.tile,
            size=picture.side,
            good=right,
            titles=[f"{name}: {share:.1%}, looks like {other}" for name, share, other in rows],
            names=() if columns_are_classes(names, columns) else names,
        )
        box = recovery.views(max(recovery.step_count - 1, 0)).box[watched].tolist()
        share = box[2] * box[3] / spec.resolution**2
        return RecoveryFrame(
            picture,
            headings(names, picture),
            confidences,
            f"Bars: {words}.",
            encode.outlined(pixels[watched], box, side=SIDE),
            f"Image {watched + 1} ({html.escape(names[watched])}): the last step saw {share:.0%} of it.",
            sum(right) / len(right),
            distances.mean(1).tolist(),
        )

    def show(self, frame: RecoveryFrame) -> None:
        """Write a frame."""
        self._write(frame.images, frame.names, frame.confidences, frame.caption)
        self.crop.value, self.crop.format = frame.crop
        self.crop_caption.value = frame.crop_caption

    def show_past(self, pixels: Tensor, names: list[str], columns: int, words: str) -> None:
        """Show other images than the present ones, of which nothing else is known."""
        picture, count = encode.grid(pixels, columns, max_width=self._width), len(names)
        cells = bars.cells(
            [0.0] * count,
            columns,
            label="no confidences",
            step=picture.tile,
            size=picture.side,
            good=[True] * count,
        )
        self._write(picture, headings(names, picture), cells, html.escape(words))

    def blank(self, words: str) -> None:
        """Nothing to show, and why."""
        self._names.value = self._cells.value = self.crop_caption.value = ""
        self.image.format = self.crop.format = "png"
        self.image.value = self.crop.value = NOTHING
        self._caption.value = html.escape(words)

    def _write(self, picture: encode.Frame, names: str, cells: str, caption: str) -> None:
        self.image.format = picture.format
        if self.image.width != str(picture.width):
            self.image.width, self.image.layout.width = str(picture.width), f"{picture.width}px"
        self.image.value = picture.data
        for part, text in ((self._names, names), (self._cells, cells), (self._caption, caption)):
            part.value = text  # ipywidgets sends only what has changed


def columns_of(labels: Sequence[int], resolution: int) -> int:
    """How many images of these classes stand in a row: one column a class, if that is a sensible width."""
    classes = len(set(labels))
    if resolution >= LARGE:
        return min(len(labels), COLUMNS // 2)
    return classes if 4 <= classes <= 2 * COLUMNS else min(len(labels), COLUMNS)


def columns_are_classes(names: Sequence[str], columns: int) -> bool:
    """Whether every column holds one class."""
    return all(name == names[index % columns] for index, name in enumerate(names))


def short_names(spec: DatasetSpec, labels: Sequence[int]) -> list[str]:
    """Readable names of classes."""
    return [spec.short_names[label] for label in labels]


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


def titled(title: str, widget: Any) -> Any:
    """A widget under a line that names it."""
    return ipywidgets.VBox([ipywidgets.HTML(f'<div class="sre-heading">{html.escape(title)}</div>'), widget])
